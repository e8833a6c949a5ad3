"""Models that are given strings: their layers for strings run before the compiled part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam as hb
import hornbeam.models.summary
from hornbeam.ir.types import HornbeamTypeError, ShapeError

L = hb.layers
TEXTS = np.array(["good film", "bad film", "very good", "very bad bad"] * 8)
LABELS = np.array([1.0, 0.0, 1.0, 0.0] * 8, "float32")
TABLE = {
    "city": np.array(["u", "v", "w"] * 4),
    "year": np.array([3, 5, 4] * 4),
    "size": np.arange(12, dtype="float32"),
}
TARGETS = np.ones((12, 2), "float32")


def words(**arguments: Any) -> Any:
    return L.TextVectorization(vocabulary=["good", "bad", "very"], **arguments)


def sentiment(*front: Any) -> Any:
    layers = [words(output_sequence_length=3), L.Embedding(5, 4), L.GlobalAveragePooling1D(), L.Dense(1)]
    model = hb.Sequential([*front, *layers])
    model.compile(hb.optimizers.Adam(0.05), "mse")
    return model


def table() -> Any:
    city, year = hb.Input((1,), dtype="string", name="city"), hb.Input((1,), dtype="int64", name="year")
    size = hb.Input((1,), name="size")
    parts = [
        L.StringLookup(vocabulary=["u", "v"], output_mode="one_hot")(city),
        hb.ops.cast(L.HashedCrossing(10, output_mode="one_hot")([city, year]), "float32"),
        L.IntegerLookup(vocabulary=[3, 4], output_mode="multi_hot")(year),
        L.Hashing(4, output_mode="count")(year),
        size * 0.1,
    ]
    model = hb.Model([city, year, size], L.Dense(2)(L.Concatenate()(parts)))
    model.compile("sgd", "mse")
    return model


@pytest.mark.parametrize("front", [[], [hb.Input((), dtype="string")], [hb.Input((1,), dtype="string")]])
def test_a_sequential_learns_from_texts(front: Any) -> None:
    model = sentiment(*front)
    history = model.fit(TEXTS, LABELS, epochs=20, batch_size=8, verbose=0, validation_split=0.25).history
    assert history["loss"][-1] < 0.05 < history["loss"][0]
    assert history["val_loss"][-1] < 0.1
    assert model.evaluate(TEXTS, LABELS, verbose=0) < 0.1
    predicted = model.predict(TEXTS, verbose=0)
    np.testing.assert_allclose(np.asarray(model(TEXTS)), predicted, atol=1e-5)
    np.testing.assert_allclose(model.predict(TEXTS.tolist(), verbose=0), predicted, atol=1e-5)
    np.testing.assert_allclose(model.predict_on_batch(TEXTS.astype(object)), predicted, atol=1e-5)
    assert model.train_on_batch(TEXTS[:4], LABELS[:4]) < 0.1
    assert model.test_on_batch(TEXTS[:4], LABELS[:4]) < 0.1


def test_strings_in_part_of_the_inputs() -> None:
    model = table()
    first = model.fit(TABLE, TARGETS, epochs=3, verbose=0).history["loss"]
    assert first[-1] < first[0]
    expected = model.predict(TABLE, verbose=0)
    columns = {name: values[:, None] for name, values in TABLE.items()}
    np.testing.assert_allclose(np.asarray(model(columns)), expected, rtol=1e-5)
    np.testing.assert_allclose(model.predict(list(columns.values()), verbose=0), expected, rtol=1e-5)
    bytes_ = {**TABLE, "city": TABLE["city"].astype("S")}
    np.testing.assert_allclose(model.predict(bytes_, verbose=0), expected, rtol=1e-5)


def test_same_result_as_with_layers_applied_before() -> None:
    hb.utils.set_random_seed(3)
    model = sentiment()
    history = model.fit(TEXTS, LABELS, epochs=2, verbose=0).history
    hb.utils.set_random_seed(3)
    inner = hb.Sequential([L.Embedding(5, 4), L.GlobalAveragePooling1D(), L.Dense(1)])
    inner.compile(hb.optimizers.Adam(0.05), "mse")
    numbers = np.asarray(words(output_sequence_length=3)(TEXTS))
    np.testing.assert_allclose(
        inner.fit(numbers, LABELS, epochs=2, verbose=0).history["loss"], history["loss"]
    )


def test_datasets_and_generators() -> None:
    def batches() -> Any:
        for start in range(0, 12, 4):
            yield {name: values[start : start + 4] for name, values in TABLE.items()}, TARGETS[:4]

    class Batches(hb.utils.PyDataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> Any:
            return list(batches())[index]

    dataset = hb.data.Dataset.from_tensor_slices((TABLE, TARGETS)).batch(5)
    for data in (batches(), Batches(), dataset, dataset.map(lambda x, y: (x, y))):
        model = table()
        assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()
    model = table()
    predicted = model.predict(dataset.map(lambda x, y: x), verbose=0)
    np.testing.assert_allclose(predicted, model.predict(TABLE, verbose=0), rtol=1e-5)
    assert np.isfinite(model.evaluate(dataset, verbose=0))
    model.fit(TABLE, TARGETS, validation_data=(TABLE, TARGETS), verbose=0)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_by_column(library: str) -> None:
    frames = pytest.importorskip(library)
    frame = frames.DataFrame(
        {**{name: values.tolist() for name, values in TABLE.items()}, "note": ["x"] * 12}
    )
    model = table()
    np.testing.assert_allclose(
        model.predict(frame, verbose=0), model.predict(TABLE, verbose=0), rtol=1e-5, atol=1e-6
    )
    assert np.isfinite(model.fit(frame, TARGETS, verbose=0).history["loss"]).all()
    a, b = hb.Input((1,), name="year"), hb.Input((1,), name="size")
    numbers = hb.Model([a, b], L.Dense(1)(L.Concatenate()([a, b])))
    expected = np.asarray(numbers([TABLE["year"][:, None], TABLE["size"][:, None]]))
    np.testing.assert_allclose(numbers.predict(frame, verbose=0), expected, rtol=1e-5)
    text = sentiment(hb.Input((), dtype="string"))
    column = frames.Series(TEXTS.tolist())
    np.testing.assert_allclose(np.asarray(text(column)), text.predict(TEXTS, verbose=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(text.predict(column, verbose=0), text.predict(TEXTS, verbose=0), rtol=1e-5)
    with pytest.raises(ValueError, match="has the inputs city, year, size, got year"):
        model.predict(frame[["year"]], verbose=0)


def test_export_of_a_text_model(tmp_path: Any) -> None:
    """Trained on prepared data, then put behind the layer that prepared them."""
    raw = hb.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)
    vectorize = L.TextVectorization(max_tokens=20, output_sequence_length=4)
    vectorize.adapt(raw.map(lambda text, label: text))
    model = hb.Sequential([L.Embedding(20, 8), L.GlobalAveragePooling1D(), L.Dense(1)])
    model.compile(hb.optimizers.Adam(0.05), "mse")
    model.fit(raw.map(lambda text, label: (vectorize(text), label)), epochs=10, verbose=0)
    full = hb.Sequential([vectorize, model, L.Activation("sigmoid")])
    full.compile("adam", "mse")
    assert full.evaluate(raw, verbose=0) < 0.2
    expected = 1 / (1 + np.exp(-model.predict(np.asarray(vectorize(TEXTS)), verbose=0)))
    np.testing.assert_allclose(full.predict(TEXTS, verbose=0), expected, rtol=1e-5)
    full.save(tmp_path / "whole.keras")
    again = hb.models.load_model(tmp_path / "whole.keras")
    np.testing.assert_allclose(again.predict(TEXTS, verbose=0), expected, rtol=1e-5)


def test_layers_in_dataset_map() -> None:
    layer = words(output_mode="multi_hot")
    dataset = hb.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8).map(lambda x, y: (layer(x), y))
    model = hb.Sequential([L.Dense(1)])
    model.compile("sgd", "mse")
    assert np.isfinite(model.fit(dataset, verbose=0).history["loss"]).all()


def test_inside_of_another_model() -> None:
    inner = hb.Sequential([hb.Input((), dtype="string"), words(output_mode="multi_hot")])
    text = hb.Input((), dtype="string")
    model = hb.Model(text, L.Dense(1)(hb.ops.cast(inner(text), "float32")))
    np.testing.assert_allclose(model.predict(TEXTS, verbose=0), np.asarray(model(TEXTS)), rtol=1e-5)
    trained = hb.Model(text, sentiment(hb.Input((), dtype="string"))(text))
    np.testing.assert_allclose(trained.predict(TEXTS, verbose=0), np.asarray(trained(TEXTS)), rtol=1e-5)


def test_a_model_inside_is_trained_behind_its_layers_for_strings() -> None:
    lookup = L.StringLookup(vocabulary=["a", "b"])
    encode = hb.Sequential([hb.Input((), dtype="string"), lookup, L.Embedding(3, 2)])
    text, number = hb.Input((), dtype="string"), hb.Input((3,))
    model = hb.Model([number, text], [L.Dense(1)(L.concatenate([number, encode(text)]))])
    model.compile("sgd", "mse")
    before = encode.get_weights()[0].copy()
    data = (np.ones((8, 3)), np.array(["a", "b"] * 4, object))
    model.fit(data, np.ones((8, 1)), verbose=0)
    assert not np.allclose(before[1:], encode.get_weights()[0][1:])
    np.testing.assert_allclose(model.predict(data, verbose=0), np.asarray(model(data)), rtol=1e-5)


def test_strings_as_outputs() -> None:
    x = hb.Input((3,))
    names = L.StringLookup(vocabulary=["a", "b", "c"], invert=True, num_oov_indices=0, oov_token="?")
    model = hb.Model(x, names(hb.ops.argmax(x, axis=-1)))
    assert model.output.dtype == "string"
    assert model(np.eye(3, dtype="float32")[::-1]).tolist() == ["c", "b", "a"]
    with pytest.raises(ValueError, match="gives strings: call it on arrays"):
        model.predict(np.eye(3), verbose=0)


def test_mistakes() -> None:
    model = table()
    with pytest.raises(HornbeamTypeError, match="'city' takes strings, got int64"):
        model.predict({**TABLE, "city": TABLE["year"]}, verbose=0)
    with pytest.raises(HornbeamTypeError, match=r"'size' takes float32, got strings .*declare it Input"):
        model({**TABLE, "size": TABLE["city"]})
    with pytest.raises(ValueError, match="has the inputs city, year, size, got city"):
        model.predict({"city": TABLE["city"]}, verbose=0)
    with pytest.raises(ShapeError, match=r"'city' expects shape \(None, 1\), got \(6, 2\)"):
        model.predict({**TABLE, "city": TABLE["city"].reshape(6, 2)}, verbose=0)
    plain = hb.Sequential([hb.Input((1,)), L.Dense(1)])
    plain.compile("sgd", "mse")
    with pytest.raises(HornbeamTypeError, match=r"x holds strings .*layers.TextVectorization"):
        plain.fit(TEXTS[:, None], LABELS)
    with pytest.raises(HornbeamTypeError, match="y is a list of strings"):
        sentiment().fit(TEXTS, ["a"] * 32)


class Subclassed(hb.Model):
    def __init__(self) -> None:
        super().__init__()
        self.words = words(output_mode="multi_hot")
        self.dense = L.Dense(1)

    def call(self, inputs: Any) -> Any:
        return self.dense(hb.ops.cast(self.words(inputs), "float32"))


def test_a_subclassed_model_takes_strings_in_eager_code_alone() -> None:
    model = Subclassed()
    assert model(TEXTS).shape == (32, 1)
    model.compile("sgd", "mse")
    advice = r"calls layer 'text_vectorization.* Apply the layer to the data, dataset.map.* functional"
    stream = hb.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)
    for act in (
        lambda: model.fit(TEXTS, LABELS, verbose=0),
        lambda: model.fit(stream, verbose=0),
        lambda: model.evaluate(stream, verbose=0),
        lambda: model.predict(list(TEXTS), verbose=0),
    ):
        with pytest.raises(HornbeamTypeError, match=advice):
            act()


def test_the_advice_for_subclassed_models_works() -> None:
    layer = words(output_mode="multi_hot")
    stream = hb.data.Dataset.from_tensor_slices((TEXTS, LABELS)).batch(8)
    stream = stream.map(lambda x, y: (layer(x), y))

    class Numbers(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.dense = L.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.dense(hb.ops.cast(inputs, "float32"))

    model = Numbers()
    model.compile(hb.optimizers.Adam(0.1), "mse")
    losses = model.fit(stream, epochs=8, verbose=0).history["loss"]
    assert losses[-1] < losses[0]


def test_integers_are_looked_up_in_the_graph() -> None:
    class Looks(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.numbers = L.IntegerLookup(vocabulary=[7, 5, 2**40], output_mode="multi_hot")
            self.dense = L.Dense(1)

        def call(self, inputs: Any) -> Any:
            return self.dense(hb.ops.cast(self.numbers(inputs), "float32"))

    x = np.array([[7, 5], [2**40, 1]])
    model = Looks()
    model.compile("sgd", "mse")
    model.fit(x, np.ones((2, 1)), verbose=0)
    np.testing.assert_allclose(model.predict(x, verbose=0), np.asarray(model(x)), rtol=1e-5)
    hashed = Looks()
    hashed.numbers = L.Hashing(3)
    hashed.compile("sgd", "mse")
    hashed.fit(x, np.ones((2, 1)), verbose=0)
    np.testing.assert_allclose(hashed.predict(x, verbose=0), np.asarray(hashed(x)), rtol=1e-5)
    refusing = Looks()
    refusing.numbers = L.IntegerLookup(vocabulary=[7, 5], num_oov_indices=0)
    refusing.compile("sgd", "mse")
    with pytest.raises(HornbeamTypeError, match="works on values, before the graph"):
        refusing.fit(x, np.ones((2, 1)), verbose=0)


def test_many_rows_are_prepared_in_parts() -> None:
    x = np.array([f"word{i % 7}" for i in range(5000)])
    layer = L.StringLookup(output_mode="multi_hot")
    layer.adapt(x)
    model = hb.Sequential([hb.Input((1,), dtype="string"), layer])
    assert np.array_equal(model.predict(x, verbose=0), np.asarray(layer(x[:, None]), "float32"))


def test_summaries_and_copies() -> None:
    model = table()
    lines: list[str] = []
    model.summary(print_fn=lines.append)
    assert "StringLookup" in "".join(lines)
    assert 84 < hb.models.summary.Trace(model).flops < 200  # the last layer, and what stands around it
    copy = hb.models.clone_model(model)
    copy.set_weights(model.get_weights())
    np.testing.assert_allclose(copy.predict(TABLE, verbose=0), model.predict(TABLE, verbose=0), rtol=1e-5)
