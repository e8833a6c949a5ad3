"""Functional models: graphs of calls, their order, their configs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers, ops
from hornbeam.core.operation_names import _classes
from hornbeam.models import Function, Functional
from hornbeam.ops.operation_classes import operation_class

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


def shared() -> hb.Model:
    """A layer that is used twice, operations between, two outputs by name."""
    x = hb.Input((4,), name="x")
    dense = layers.Dense(3, name="dense")
    a = dense(x)
    b = dense(ops.concatenate([a[:, :1] * 2 + x[:, 1:2], a], axis=-1))
    both = layers.Add(name="both")([a, b])
    return hb.Model({"x": x}, {"sum": both, "mean": ops.mean(both, axis=1, keepdims=True)}, name="shared")


def nested() -> hb.Model:
    z = hb.Input((3,), name="z")
    inner = shared()
    return hb.Model(z, inner({"x": layers.Dense(4, name="front")(z)}), name="outer")


def test_model_of_tensors_is_functional() -> None:
    x = hb.Input((4,))
    model = hb.Model(x, layers.Dense(2)(x))
    assert type(model) is Functional
    assert model.built
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 2))


def test_values(engine: str) -> None:
    model = shared()
    w, b = model.get_weights()
    first = X @ w + b
    joined = np.concatenate([first[:, :1] * 2 + X[:, 1:2], first], axis=1)
    expected = first + joined @ w + b
    predictions = model.predict({"x": X}, verbose=0)
    np.testing.assert_allclose(predictions["sum"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(predictions["mean"], expected.mean(1, keepdims=True), rtol=1e-5, atol=1e-6)


def test_layers_are_in_order() -> None:
    x = hb.Input((4,), name="x")
    left = layers.Dense(2, name="left")(x)
    right = layers.Dense(2, name="right")(layers.Dense(3, name="before")(x))
    model = hb.Model(x, layers.Concatenate(name="end")([left, right]))
    # Those farthest from the output first: what weights in files go by.
    assert [layer.name for layer in model.layers] == ["x", "before", "left", "right", "end"]
    assert [v.path for v in model.weights][::2] == ["before/kernel", "left/kernel", "right/kernel"]


def test_several_inputs(engine: str) -> None:
    a, b = hb.Input((2,), name="a"), hb.Input((3,), name="b")
    model = hb.Model([a, b], ops.sum(a, axis=1) + ops.sum(b, axis=1))
    left, right = np.ones((4, 2)), np.full((4, 3), 2.0)
    for inputs in ([left, right], {"b": right, "a": left}, (left, right)):
        assert model.predict(inputs, verbose=0).tolist() == [8.0] * 4


def test_one_from_the_middle() -> None:
    x = hb.Input((4,))
    middle = layers.Dense(3, name="middle")(x)
    model = hb.Model(x, layers.Dense(1, name="end")(middle))
    front, back = hb.Model(x, middle), hb.Model(middle, model.output)
    np.testing.assert_allclose(
        back.predict(front.predict(X, verbose=0), verbose=0), model.predict(X, verbose=0), rtol=1e-6
    )
    inner = hb.Model(model.input, model.get_layer("middle").output)
    np.testing.assert_array_equal(inner.predict(X, verbose=0), front.predict(X, verbose=0))


def test_last_axis_of_one_may_be_missing() -> None:
    model = hb.Model(x := hb.Input((4, 1)), layers.Flatten()(x))
    assert model.predict(X, verbose=0).shape == (5, 4)
    model = hb.Model(x := hb.Input((4,)), x * 2)
    assert model.predict(X[..., None], verbose=0).shape == (5, 4)


def test_inputs_are_cast() -> None:
    model = hb.Model(x := hb.Input((4,)), x + 1)
    assert model.predict(np.ones((2, 4), "int64"), verbose=0).dtype == np.float32
    tokens = hb.Model(t := hb.Input((4,), dtype="int32"), layers.Embedding(9, 2)(t))
    assert tokens.predict(np.ones((2, 4)), verbose=0).shape == (2, 4, 2)


def test_masks_flow(engine: str) -> None:
    tokens = hb.Input((4,), dtype="int32")
    embedded = layers.Embedding(5, 2, mask_zero=True)(tokens)
    model = hb.Model(tokens, layers.GlobalAveragePooling1D()(embedded))
    table = model.get_weights()[0]
    predictions = model.predict(np.array([[1, 2, 0, 0]]), verbose=0)
    np.testing.assert_allclose(predictions[0], (table[1] + table[2]) / 2, rtol=1e-5)


def test_the_making_of_masks_counts_in_the_order_of_layers() -> None:
    x = hb.Input((4, 3), name="x")
    beside, behind = layers.Dense(3, name="beside"), layers.Dense(3, name="behind")
    flat = layers.Flatten(name="flat")(layers.ReLU(name="relu")(beside(x)))
    masked = layers.Masking(name="masking")(behind(x))
    plain = hb.Model(x, [flat, layers.Dense(2, name="other")(masked)])
    assert [result.name for result in plain.layers] == [
        "x", "beside", "behind", "relu", "masking", "flat", "other",
    ]  # fmt: skip
    # lstm <- any <- not_equal <- behind, which is one step longer than flat <- relu <- beside
    model = hb.Model(x, [flat, layers.LSTM(2, name="lstm")(masked)])
    assert [result.name for result in model.layers] == [
        "x", "behind", "beside", "relu", "masking", "flat", "lstm",
    ]  # fmt: skip
    assert model.operations == model.layers  # what makes masks does not show


def test_training_flag_reaches_the_layers() -> None:
    x = hb.Input((4,))
    model = hb.Model(x, layers.Dropout(0.5)(x))
    assert np.array_equal(np.asarray(model(X)), X)
    assert not np.array_equal(np.asarray(model(X, training=True)), X)
    always = hb.Model(x, layers.Dropout(0.5)(x, training=True))
    assert not np.array_equal(np.asarray(always(X, training=False)), X)


def test_deep_graphs() -> None:
    x = y = hb.Input((1,))
    for _ in range(1500):
        y = y + 1
    assert hb.Model(x, y).predict(np.zeros((1, 1)), verbose=0).tolist() == [[1500.0]]


def test_subclass_that_is_functional() -> None:
    class Own(hb.Model):
        def train_step(self, data: Any) -> Any:
            return {"own": ops.sum(self(data[0]))}

    x = hb.Input((4,))
    model = Own(x, layers.Dense(1)(x))
    assert isinstance(model, Own)
    assert isinstance(model, Functional)
    assert type(model).__name__ == "Own"
    model.compile()
    assert list(model.fit(X, X, verbose=0).history) == ["own"]
    assert isinstance(Own.from_config(model.get_config()), Own)


def test_subclass_that_makes_its_graph() -> None:
    class Tower(hb.Model):
        def __init__(self, units: int) -> None:
            x = hb.Input((4,))
            super().__init__(inputs=x, outputs=layers.Dense(units)(x))
            self.units = units

    model = Tower(3)
    assert model.predict(X, verbose=0).shape == (5, 3)
    assert model.get_config()["units"] == 3
    assert Tower.from_config(model.get_config()).output_shape == (None, 3)


def test_function() -> None:
    x = hb.Input((3,))
    assert np.asarray(Function(x, ops.sum(x, axis=1))(np.ones((2, 3)))).tolist() == [3.0, 3.0]


# -- configs ---------------------------------------------------------------------------------------


def test_config_has_keras_form() -> None:
    config = shared().get_config()
    assert [entry["name"] for entry in config["layers"]] == [
        "x", "dense", "get_item", "multiply", "get_item_1", "add", "concatenate", "both", "mean",
    ]  # fmt: skip
    assert config["input_layers"] == {"x": ["x", 0, 0]}
    assert config["output_layers"] == {"sum": ["both", 0, 0], "mean": ["mean", 0, 0]}
    dense, item = config["layers"][1:3]
    assert [node["args"][0]["config"]["keras_history"] for node in dense["inbound_nodes"]] == [
        ["x", 0, 0],
        ["concatenate", 0, 0],
    ]
    full = {"class_name": "__slice__", "config": {"start": None, "stop": None, "step": None}}
    assert item == {
        "module": "keras.src.ops.numpy",
        "class_name": "GetItem",
        "config": {"name": "get_item"},
        "registered_name": "GetItem",
        "name": "get_item",
        "inbound_nodes": [
            {
                "args": [
                    {
                        "class_name": "__keras_tensor__",
                        "config": {"shape": [None, 3], "dtype": "float32", "keras_history": ["dense", 0, 0]},
                    },
                    [full, {"class_name": "__slice__", "config": {"start": None, "stop": 1, "step": None}}],
                ],
                "kwargs": {},
            }
        ],
    }
    assert config["layers"][-1]["config"] == {"name": "mean", "axis": 1, "keepdims": True}


def test_nested_models_count_their_own_definition() -> None:
    config = nested().get_config()
    assert config["output_layers"] == {"mean": ["shared", 1, 0], "sum": ["shared", 1, 1]}
    assert config["layers"][2]["module"] == "keras.src.models.functional"


@pytest.mark.parametrize("make", [shared, nested])
def test_there_and_back(make: Any) -> None:
    model = make()
    again = hb.models.model_from_json(model.to_json())
    assert json.dumps(again.get_config()) == json.dumps(model.get_config())
    again.set_weights(model.get_weights())
    x = {"x": X} if make is shared else X[:, :3]
    for name, value in model.predict(x, verbose=0).items():
        np.testing.assert_array_equal(again.predict(x, verbose=0)[name], value)


def test_operations_of_all_kinds_there_and_back() -> None:
    x = hb.Input((6, 3), name="x")
    sequence, state = layers.GRU(4, return_sequences=True, return_state=True, name="gru")(x)
    parts = ops.split(ops.concatenate([state, state * 0.5 - 1], axis=-1), 2, axis=-1)
    outer = ops.einsum("bi,bj->bij", parts[0], parts[1])
    picked = ops.where(outer > 0, outer, ops.zeros_like(outer))
    stacked = ops.stack([ops.softmax(state), ops.cast(ops.relu(state), "float32")], axis=1)
    moved = ops.transpose(ops.reshape(sequence, (-1, 4, 6)), (0, 2, 1)) / 3
    weighed = ops.matmul(moved, np.eye(4, dtype="float32"))
    model = hb.Model(x, [picked, stacked, weighed[..., -1], ops.max(ops.abs(x), axis=(1, 2))])
    again = hb.models.model_from_json(model.to_json())
    again.set_weights(model.get_weights())
    data = np.random.default_rng(1).normal(size=(2, 6, 3)).astype("float32")
    for a, b in zip(model.predict(data, verbose=0), again.predict(data, verbose=0), strict=True):
        np.testing.assert_array_equal(a, b)


@hb.saving.register_keras_serializable("loops")
def _twice(x: Any) -> Any:
    return x + x


@hb.saving.register_keras_serializable("loops")
def _summed(total: Any, x: Any) -> Any:
    return total + x, total * x


@hb.saving.register_keras_serializable("loops")
def _together(a: Any, b: Any) -> Any:
    return a + b


@hb.saving.register_keras_serializable("loops")
def _shifted(i: Any, x: Any) -> Any:
    return x + ops.cast(i, x.dtype)


@hb.saving.register_keras_serializable("loops")
def _small(x: Any) -> Any:
    return ops.sum(x) < 100


@pytest.mark.parametrize(
    "loop",
    [
        lambda x: ops.map(_twice, x),
        lambda x: ops.vectorized_map(_twice, x),
        lambda x: ops.scan(_summed, np.zeros(3, "float32"), x)[1],
        lambda x: ops.associative_scan(_together, x, axis=-1),
        lambda x: ops.fori_loop(0, 3, _shifted, x),
        lambda x: ops.while_loop(_small, _twice, x, maximum_iterations=4),
    ],
)
def test_loops_of_registered_functions_there_and_back(loop: Any) -> None:
    x = hb.Input((3,))
    model = hb.Model(x, loop(x))
    again = hb.models.model_from_json(model.to_json())
    np.testing.assert_array_equal(again(X[:, :3]), model(X[:, :3]))


def test_a_loop_of_a_lambda_has_no_config() -> None:
    x = hb.Input((3,))
    with pytest.raises(TypeError, match="a lambda has no config"):
        hb.Model(x, ops.map(lambda row: row * 2, x)).get_config()


def test_every_operation_that_configs_name_exists() -> None:
    missing = [name for _, name in _classes().values() if operation_class(name) is None]
    assert not missing


def test_an_operation_without_a_place_says_so() -> None:
    x = hb.Input((4,))
    model = hb.Model(x, hb.random.dropout(x, 0.5, seed=1))
    with pytest.raises(TypeError, match="a config cannot describe the function 'dropout'"):
        model.get_config()


def test_a_config_that_cannot_be_built() -> None:
    config = json.loads(json.dumps(shared().get_config()))
    config["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["both", 0, 0]
    with pytest.raises(ValueError, match=r"dense.* wait for each other, in a loop"):
        hb.Model.from_config(config)
    config["layers"][1]["inbound_nodes"][0]["args"][0]["config"]["keras_history"] = ["elsewhere", 0, 0]
    with pytest.raises(ValueError, match=r"dense.* needs the output of elsewhere, which is missing"):
        hb.Model.from_config(config)


# -- clones ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [shared, nested])
def test_clone(make: Any) -> None:
    model = make()
    duplicate = hb.models.clone_model(model)
    assert [layer.name for layer in duplicate.layers] == [layer.name for layer in model.layers]
    assert not {id(v) for v in duplicate.weights} & {id(v) for v in model.weights}
    duplicate.set_weights(model.get_weights())
    x = {"x": X} if make is shared else X[:, :3]
    for name, value in model.predict(x, verbose=0).items():
        np.testing.assert_array_equal(duplicate.predict(x, verbose=0)[name], value)


def test_clone_with_other_layers() -> None:
    def wider(layer: Any) -> Any:
        config = layer.get_config()
        if isinstance(layer, layers.Dense):
            config["units"] *= 2
        return type(layer).from_config(config)

    x = hb.Input((4,))
    model = hb.Model(x, layers.Dense(3)(x))
    assert hb.models.clone_model(model, clone_function=wider).output_shape == (None, 6)
    assert hb.models.clone_model(model, input_tensors=hb.Input((7,))).input_shape == (None, 7)


def test_a_float64_input_keeps_its_precision() -> None:
    x = hb.Input((3,), dtype="float64")
    model = hb.Model(x, hb.layers.Rescaling(1.0, dtype="float64")(x))
    large = np.full((2, 3), 1e200)
    np.testing.assert_array_equal(model(large), large)
    np.testing.assert_array_equal(model([large]), large)
