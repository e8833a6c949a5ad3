"""Every form of data that fit, evaluate and predict take trains the same model."""

from __future__ import annotations

import threading
import warnings
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.data import Dataset
from hornbeam.training.array_data import TableData
from hornbeam.training.sources import make_data
from hornbeam.training.stream_data import StreamData
from tests.helpers.builders import compiled_model

ROWS, SIZE = 20, 8
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(ROWS, 3)).astype("float32"), rng.normal(size=(ROWS, 1)).astype("float32")
W = rng.uniform(size=ROWS).astype("float32")


def build_model() -> Any:
    return compiled_model((3,), [layers.Dense(1, kernel_initializer="ones")], hb.optimizers.SGD(0.1), "mse")


def weights_after(*data: Any, **settings: Any) -> np.ndarray:
    model = build_model()
    model.fit(*data, epochs=2, verbose=0, **settings)
    return np.concatenate([w.reshape(-1) for w in model.get_weights()])


def expected(**settings: Any) -> np.ndarray:
    return weights_after(X, Y, batch_size=SIZE, shuffle=False, **settings)


# -- arrays of all kinds -------------------------------------------------------------------------------------


def frames(library: str) -> Any:
    return pytest.importorskip(library)


def test_lists_of_numbers() -> None:
    np.testing.assert_allclose(
        weights_after(X.tolist(), Y.tolist(), batch_size=SIZE, shuffle=False, sample_weight=W.tolist()),
        expected(sample_weight=W),
        rtol=1e-6,
    )
    assert build_model().predict(X.tolist(), verbose=0).shape == (ROWS, 1)
    with pytest.raises(ValueError, match=r"x has a list whose items differ in length"):
        build_model().fit([[1.0, 2.0, 3.0], [1.0]], Y[:2])
    with pytest.raises(ValueError, match=r"which means 20 inputs. For 20 samples make one array: np\.stack"):
        build_model().fit(list(X), Y)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames(library: str) -> None:
    lib = frames(library)
    x = lib.DataFrame({"a": X[:, 0], "b": np.arange(ROWS, dtype="int16"), "c": X[:, 2] > 0})
    same = np.stack([X[:, 0], np.arange(ROWS), X[:, 2] > 0], axis=1).astype("float32")
    y, w = lib.Series(Y[:, 0]), lib.Series(W)
    for settings in ({}, {"validation_split": 0.25, "validation_split_mode": "tail"}):
        np.testing.assert_allclose(
            weights_after(x, y, batch_size=SIZE, shuffle=False, sample_weight=w, **settings),
            weights_after(same, Y, batch_size=SIZE, shuffle=False, sample_weight=W, **settings),
            rtol=1e-5,
        )
    build_model().fit(X, Y, validation_data=(x, y), verbose=0)
    build_model().fit(Dataset.from_tensor_slices((x, y)).batch(SIZE), verbose=0)
    with pytest.raises(TypeError, match=r"x has columns that are not numeric: 'c' \(String\)"):
        build_model().fit(lib.DataFrame({"a": X[:, 0], "b": X[:, 1], "c": ["red"] * ROWS}), Y)
    with pytest.raises(ValueError, match="x contains NaN, first in sample 19"):
        build_model().fit(lib.DataFrame({"a": X[:, 0], "b": [*range(ROWS - 1), None], "c": X[:, 2]}), Y)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_columns_by_name(library: str) -> None:
    lib = frames(library)
    a, b = hb.Input((1,), name="a"), hb.Input((1,), name="b")
    two = hb.Model({"a": a, "b": b}, layers.Dense(1)(layers.Concatenate()([a, b])))
    two.compile("sgd", "mse")
    columns = {"a": lib.Series(X[:, 0]), "b": X[:, 1].tolist()}
    two.fit(columns, lib.Series(Y[:, 0]), verbose=0)
    two.fit(Dataset.from_tensor_slices((columns, Y)).shuffle(9).batch(4), verbose=0)
    assert two.predict(columns, verbose=0).shape == (ROWS, 1)


def test_gaps_of_nullable_columns_are_named() -> None:
    pandas = frames("pandas")
    x = pandas.DataFrame({"a": X[:, 0], "b": pandas.Series([*range(ROWS - 1), None], dtype="Int64")})
    with pytest.raises(ValueError, match=r"x has missing values in 'b' \(1\): fill them"):
        build_model().fit(x, Y)


def test_arrays_of_other_libraries() -> None:
    """As torch's and TensorFlow's tensors and JAX's arrays show themselves."""

    class Tensorlike:
        def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
            return X

    class Loader:
        def __len__(self) -> int:
            return 3

        def __iter__(self) -> Any:
            return ([x, y] for x, y in Dataset.from_tensor_slices((X, Y)).batch(SIZE).as_numpy_iterator())

    class TensorFlowlike:
        def as_numpy_iterator(self) -> Any:
            return iter(Loader())

        def cardinality(self) -> int:
            return -2

        def __iter__(self) -> Any:
            raise AssertionError("tensors of another library are not to be made")

    np.testing.assert_allclose(
        weights_after(Tensorlike(), Y, batch_size=SIZE, shuffle=False), expected(), rtol=1e-6
    )
    np.testing.assert_allclose(weights_after(Loader()), expected(), rtol=1e-6)
    np.testing.assert_allclose(weights_after(TensorFlowlike()), expected(), rtol=1e-6)
    history = build_model().fit(Loader(), validation_data=Loader(), verbose=0)
    assert history.params["steps"] == 3


def test_class_weights_of_streams() -> None:
    labels = (Y[:, 0] > 0).astype("int32")
    weights = {0: 1.0, 1: 3.0}
    rows = Dataset.from_tensor_slices((X, labels)).batch(SIZE)
    for data in (rows, rows.map(lambda x, y: (x, y)), (batch for batch in [*rows.as_numpy_iterator()] * 2)):
        steps = None if isinstance(data, Dataset) else 3
        np.testing.assert_allclose(
            weights_after(data, class_weight=weights, steps_per_epoch=steps),
            weights_after(X, labels, batch_size=SIZE, shuffle=False, class_weight=weights),
            rtol=1e-6,
        )


# -- hornbeam.data -----------------------------------------------------------------------------------------


def test_datasets_in_memory_become_arrays() -> None:
    rows = Dataset.from_tensor_slices((X, Y))
    for dataset in (rows.batch(SIZE), rows.shuffle(9).batch(SIZE).prefetch(1), rows.take(9).cache().batch(4)):
        assert isinstance(make_data(dataset, None, None, None, "fit"), TableData)
    for dataset in (rows.map(lambda x, y: (x, y)).batch(SIZE), rows.batch(SIZE).map(lambda x, y: (x, y))):
        assert isinstance(make_data(dataset, None, None, None, "fit"), StreamData)
    endless = make_data(rows.batch(SIZE).repeat(), None, None, None, "fit", steps=3)
    assert (endless.endless, endless.steps) == (True, 3)
    dropping = make_data(rows.batch(SIZE, drop_remainder=True), None, None, None, "fit")
    assert (dropping.samples, dropping.steps) == (16, 2)


@pytest.mark.parametrize("through_a_map", [False, True])
def test_datasets_train_as_arrays_do(through_a_map: bool) -> None:
    def through(dataset: Dataset) -> Dataset:
        return dataset.map(lambda *parts: parts) if through_a_map else dataset

    rows = through(Dataset.from_tensor_slices((X, Y)))
    np.testing.assert_allclose(weights_after(rows.batch(SIZE)), expected(), rtol=1e-6)
    weighted = through(Dataset.from_tensor_slices((X, Y, W)))
    np.testing.assert_allclose(weights_after(weighted.batch(SIZE)), expected(sample_weight=W), rtol=1e-6)
    np.testing.assert_allclose(
        weights_after(rows.batch(SIZE).repeat(), steps_per_epoch=3), expected(), rtol=1e-6
    )
    kept = rows.batch(SIZE, drop_remainder=True)
    np.testing.assert_allclose(
        weights_after(kept), weights_after(X[:16], Y[:16], batch_size=SIZE, shuffle=False), rtol=1e-6
    )


def test_shuffled_datasets_train_alike_in_memory_and_streamed() -> None:
    rows = Dataset.from_tensor_slices((X, Y))
    quick = weights_after(rows.shuffle(ROWS, seed=3).batch(SIZE))
    slow = weights_after(rows.map(lambda x, y: (x, y)).shuffle(ROWS, seed=3).batch(SIZE))
    np.testing.assert_allclose(quick, slow, rtol=1e-6)
    assert not np.allclose(quick, expected())


def test_validation_evaluation_and_prediction() -> None:
    rows = Dataset.from_tensor_slices((X, Y))
    model = build_model()
    history = model.fit(rows.skip(8).batch(4), validation_data=rows.take(8).batch(4), epochs=2, verbose=0)
    loss = model.evaluate(X[:8], Y[:8], verbose=0)
    assert history.history["val_loss"][-1] == pytest.approx(loss)
    assert model.evaluate(rows.take(8).batch(3), verbose=0) == pytest.approx(loss)
    shuffled = rows.shuffle(ROWS, seed=1, reshuffle_each_iteration=False).batch(6)
    order = np.concatenate([x for x, _ in shuffled.as_numpy_iterator()])
    np.testing.assert_allclose(model.predict(shuffled, verbose=0), model.predict(order, verbose=0), rtol=1e-6)
    with warnings.catch_warnings():  # another part of the same arrays is no test set that was looked at
        warnings.simplefilter("error")
        model.evaluate(rows.skip(8).batch(3), verbose=0)


def test_data_without_an_end_need_steps() -> None:
    endless = Dataset.from_tensor_slices((X, Y)).batch(SIZE).repeat()
    model = build_model()
    for call, argument in (
        (lambda: model.fit(endless), "steps_per_epoch"),
        (lambda: model.fit(X, Y, validation_data=endless), "validation_steps"),
        (lambda: model.evaluate(endless), "steps"),
        (lambda: model.predict(endless), "steps"),
    ):
        with pytest.raises(ValueError, match=f"no end.*give {argument}"):
            call()
    assert model.evaluate(endless, steps=2, verbose=0) == pytest.approx(
        model.evaluate(X[:16], Y[:16], verbose=0)
    )


def test_unknown_lengths() -> None:
    rows = Dataset.from_generator(lambda: zip(X, Y, strict=True)).batch(SIZE)
    np.testing.assert_allclose(weights_after(rows), expected(), rtol=1e-6)
    with pytest.warns(UserWarning, match="the data ran out in epoch 1 after 3 steps"):
        build_model().fit((batch for batch in rows.as_numpy_iterator()), steps_per_epoch=5, verbose=0)


def test_datasets_of_single_elements_say_what_is_missing() -> None:
    with pytest.raises(ValueError, match=r"batches.*\.batch\(32\)"):
        build_model().fit(Dataset.from_tensor_slices((X, Y[:, 0])), verbose=0)


def test_no_thread_is_left_after_training() -> None:
    rows = Dataset.from_tensor_slices((X, Y)).map(lambda x, y: (x, y), num_parallel_calls=2)
    build_model().fit(rows.batch(SIZE).prefetch(2), verbose=0, epochs=2)
    assert not [t.name for t in threading.enumerate() if t.name.startswith("hornbeam-batches")]


def test_a_train_step_of_the_user_s_may_take_any_data_apart() -> None:
    """Pairs of rows, for a model of single rows."""

    class Pairs(hb.Model):
        def train_step(self, data: Any) -> dict[str, Any]:
            first, second = data[0], data[1]
            loss = hb.ops.mean(hb.ops.square(self(first) - self(second)))
            gradients = hb.gradients(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return {"distance": loss}

    class Data(hb.utils.PyDataset):
        batches = 3  # a name that a subclass may want

        def __len__(self) -> int:
            return self.batches

        def __getitem__(self, index: int) -> np.ndarray:
            return np.stack([X[:5], X[5:10]])

    inputs = hb.Input((3,))
    model = Pairs(inputs, layers.Dense(2)(inputs))
    model.compile(hb.optimizers.SGD(0.1))
    distances = model.fit(Data(), epochs=2, verbose=0).history["distance"]
    assert distances[1] < distances[0]
