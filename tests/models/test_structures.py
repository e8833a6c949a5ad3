"""Structures of inputs and outputs: inner tensors as inputs, nested dicts, tuples, Sequential on dicts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(6, 4)).astype("float32")


def chain() -> hb.Model:
    x = hb.Input((4,))
    first = layers.Dense(3, "relu", name="first")(x)
    return hb.Model(x, layers.Dense(2, name="last")(layers.Dense(5, name="middle")(first) * 2))


def test_a_model_that_begins_at_an_inner_tensor(tmp_path: Path) -> None:
    model = chain()
    part = hb.Model(model.get_layer("middle").input, model.output)
    assert [type(layer).__name__ for layer in part.layers] == ["InputLayer", "Dense", "Dense"]
    assert part.layers[1:] == model.layers[2:]
    inner = hb.Model(model.input, model.get_layer("first").output)(X)
    np.testing.assert_allclose(part.predict(inner, verbose=0), model.predict(X, verbose=0), rtol=1e-5)
    part.save(tmp_path / "part.keras")
    loaded = hb.saving.load_model(tmp_path / "part.keras")
    np.testing.assert_allclose(loaded.predict(inner, verbose=0), part.predict(inner, verbose=0), rtol=1e-6)
    # The model around is as it was.
    assert model.get_layer("middle").input is not part.input
    assert [layer.name for layer in hb.Model(model.input, model.output).layers[1:]] == [
        "first",
        "middle",
        "last",
    ]


def test_dicts_inside_of_dicts(tmp_path: Path) -> None:
    a, b, c = hb.Input((4,)), hb.Input((2,)), hb.Input((3,))
    outputs = {"one": layers.Dense(1)(a), "rest": {"two": layers.Dense(2)(b), "three": layers.Dense(3)(c)}}
    model = hb.Model({"one": a, "rest": {"two": b, "three": c}}, outputs)
    data = {"one": X, "rest": {"two": X[:, :2], "three": X[:, :3]}}
    eager = model(data)
    assert {key: value.shape for key, value in eager["rest"].items()} == {"two": (6, 2), "three": (6, 3)}
    predicted = model.predict(data, verbose=0)
    np.testing.assert_allclose(predicted["rest"]["two"], eager["rest"]["two"], rtol=1e-5)
    model.save(tmp_path / "m.keras")
    again = hb.saving.load_model(tmp_path / "m.keras").predict(data, verbose=0)
    np.testing.assert_allclose(again["rest"]["three"], predicted["rest"]["three"], rtol=1e-6)


def test_a_list_for_inputs_by_name() -> None:
    a, b = hb.Input((4,)), hb.Input((4,))
    sorted_names = hb.Model({"a": a, "b": b}, layers.subtract([a, b]))
    assert float(np.abs(sorted_names([X, X])).sum()) == 0.0
    other = hb.Model({"b": b, "a": a}, layers.subtract([a, b]))
    with pytest.raises(ValueError, match=r"inputs by name \(b, a\), got a list.*give a dict"):
        other([X, X])


@pytest.mark.parametrize("kind", [tuple, list])
def test_outputs_keep_their_kind_in_a_config(kind: Any) -> None:
    x = hb.Input((4,))
    model = hb.Model(x, kind([layers.Dense(1)(x), layers.Dense(2)(x)]))
    assert type(hb.Model.from_config(model.get_config())(X)) is kind


def test_calls_as_keras_2_wrote_them() -> None:
    config = chain().get_config()
    names = [entry["name"] for entry in config["layers"]]
    for name, source, entry in zip(names[1:3], names[:2], config["layers"][1:3], strict=True):
        assert entry["name"] == name
        entry["inbound_nodes"] = [[[source, 0, 0, {}]]]
    assert hb.Model.from_config(json.loads(json.dumps(config))).output_shape == (None, 2)


def test_clones_are_compiled() -> None:
    model = chain()
    model.compile("adam", "mse", metrics=["mae"])
    for clone in (
        hb.models.clone_model(model),
        hb.models.clone_model(hb.Sequential([hb.Input((4,)), model])),
    ):
        assert clone.compiled is (clone.name == model.name)
    clone = hb.models.clone_model(model)
    assert type(clone.optimizer) is hb.optimizers.Adam
    assert clone.optimizer is not model.optimizer
    deferred = hb.Sequential([layers.Dense(1)])
    deferred(X)
    assert hb.models.clone_model(deferred, input_tensors=deferred.inputs[0]).input_shape == (None, 4)
    a, b = hb.Input((4,)), hb.Input((4,))
    named = hb.Model({"a": a, "b": b}, layers.add([a, b]))
    with pytest.raises(
        ValueError, match="input_tensors must have the structure of the model's inputs, a dict"
    ):
        hb.models.clone_model(named, input_tensors=(a, b))


class Swap(layers.Layer):
    """Takes and returns a structure of two tensors."""

    def call(self, x: Any) -> Any:
        return {"a": x["b"], "b": x["a"]} if isinstance(x, dict) else x[::-1]


def test_sequential_on_dicts_and_lists(capsys: pytest.CaptureFixture[str]) -> None:
    y = X + 1
    model = hb.Sequential([Swap(), Swap(), Swap()])
    result = model({"a": X, "b": y})
    np.testing.assert_array_equal(result["a"], y)
    first, second = hb.Sequential([Swap()])([X, y])
    np.testing.assert_array_equal(first, y)
    np.testing.assert_array_equal(second, X)
    model.summary()
    assert "Swap" in capsys.readouterr().out
    sums = hb.Sequential([layers.Concatenate(), layers.Dense(1)])
    sums.compile("sgd", "mse")
    assert len(sums.fit([X, y], X[:, :1], verbose=0).history["loss"]) == 1
    assert [weight.shape for weight in sums.weights] == [(8, 1), (1,)]


def test_sequential_with_a_layer_that_has_no_shape_inference() -> None:
    class Unknown(layers.Layer):
        def call(self, x: Any) -> Any:
            return x + 1.0

        def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

    model = hb.Sequential([Unknown(), layers.Dense(1)])
    assert model(X).shape == (6, 1)
    assert model.predict(X, verbose=0).shape == (6, 1)


def test_the_batch_size_of_an_input_is_no_condition() -> None:
    model = hb.Sequential([hb.Input((4,), batch_size=5), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :1], batch_size=5, verbose=0)  # a rest of one sample
    assert model.predict(X, verbose=0).shape == (6, 1)


def test_inputs_that_are_none() -> None:
    class Offset(layers.Layer):
        def call(self, x: Any, offset: Any = None) -> Any:
            return x if offset is None else x + offset

    x, offset = hb.Input((4,), name="x"), hb.Input((4,), name="a", optional=True)
    model = hb.Model({"x": x, "a": offset}, layers.Dense(1)(Offset()(x, offset)))
    model.compile("sgd", "mse")
    y = X[:, :1]
    absent, passed = {"x": X, "a": None}, {"x": X, "a": np.zeros_like(X)}
    assert model.evaluate(absent, y, verbose=0) == pytest.approx(model.evaluate(passed, y, verbose=0))
    model.fit(absent, y, verbose=0)
    model.fit((({"x": X, "a": None}, y) for _ in range(2)), verbose=0)
    np.testing.assert_allclose(model.predict(absent, verbose=0), model.predict(passed, verbose=0), rtol=1e-6)


def test_a_state_tree_needs_different_paths() -> None:
    class Doubled(hb.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = layers.Dense(1, name="same"), layers.Dense(1, name="same")

        def call(self, x: Any) -> Any:
            return self.one(x) + self.other(x)

    model = Doubled()
    model(X)
    with pytest.raises(ValueError, match=r"two variables with the path .*same/kernel"):
        model.get_state_tree()
