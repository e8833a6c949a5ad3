"""The closed table of names: there and back, unknown names, other people's objects, and nothing imported by
name.
"""

from __future__ import annotations

import builtins
import inspect
import json
import subprocess
import sys
import threading
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import activations, initializers, layers, losses, metrics, models, ops, optimizers, regularizers
from hornbeam.core import registry
from hornbeam.core.registry import (
    custom_object_scope,
    deserialize,
    get_custom_objects,
    get_registered_name,
    get_registered_object,
    missing_names,
    register_keras_serializable,
    serialize,
)
from hornbeam.errors import UnknownObjectError


@register_keras_serializable("tests")
class Doubled(layers.Layer):
    def call(self, inputs: Any) -> Any:
        return inputs * 2


class Stranger(layers.Layer):
    """Not registered."""

    def call(self, inputs: Any) -> Any:
        return inputs


@register_keras_serializable("tests", "thrice")
def tripled(x: Any) -> Any:
    return x * 3


def unregistered(x: Any) -> Any:
    return x


def through_json(obj: Any) -> Any:
    return deserialize(json.loads(json.dumps(serialize(obj))))


# -- there and back ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "result",
    [
        layers.Dense(3, "relu", kernel_initializer=initializers.HeNormal(seed=3), kernel_regularizer="l2"),
        layers.Conv2D(4, (3, 5), strides=2, padding="same"),
        layers.Bidirectional(layers.LSTM(4)),
        layers.TimeDistributed(layers.Dense(2)),
        initializers.Constant(0.5),
        regularizers.L1L2(0.1, 0.2),
        losses.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
        metrics.TopKCategoricalAccuracy(k=3),
        optimizers.SGD(optimizers.schedules.ExponentialDecay(0.1, 10, 0.9), momentum=0.9),
        hornbeam.DTypePolicy("mixed_bfloat16"),
        Doubled(name="twice"),
    ],
    ids=lambda x: type(x).__name__,
)
def test_objects_come_back(result: Any) -> None:
    again = through_json(result)
    assert type(again) is type(result)
    assert json.dumps(serialize(again)) == json.dumps(serialize(result))


@pytest.mark.parametrize(
    "value",
    [
        None, True, 3, 2.5, "text", [1, [2, "a"]], {"a": {"b": [1]}}, {"class_name": 3},
        {"class_name": "a", "b": 1},
        slice(1, None, 2), Ellipsis, float("inf"),
    ],
)  # fmt: skip
def test_plain_values_come_back(value: Any) -> None:
    assert through_json(value) == value


def test_arrays_come_back() -> None:
    for array in (np.arange(6.0).reshape(2, 3), np.array([1, 2], "uint8"), np.array([True])):
        again = through_json(array)
        assert again.dtype == array.dtype
        np.testing.assert_array_equal(again, array)
    assert through_json(np.float32(2.5)) == 2.5
    assert serialize(np.dtype("float16")) == "float16"
    again = through_json(ops.ones((2,), "bfloat16"))
    assert (again.dtype, again.tolist()) == ("bfloat16", [1.0, 1.0])
    assert serialize((1, (2, "a"))) == (1, (2, "a"))  # tuples are written as lists by JSON, as Keras does
    assert deserialize({"class_name": "__tuple__", "items": [1, [2]]}) == (1, [2])
    assert deserialize({"class_name": "__bytes__", "config": {"value": "ab"}}) == b"ab"


def test_functions_come_back() -> None:
    assert serialize(activations.relu) == "relu"
    assert serialize(ops.relu) == "relu"  # the same function under ops
    assert through_json(tripled) is tripled
    assert serialize(tripled) == {
        "module": "builtins", "class_name": "function", "config": "tests>thrice",
        "registered_name": "function",
    }  # fmt: skip
    keras_writes = {
        "module": "builtins",
        "class_name": "function",
        "config": "relu",
        "registered_name": "function",
    }
    assert deserialize(keras_writes) is activations.relu
    config = serialize(unregistered)
    with pytest.raises(UnknownObjectError, match="'unregistered'"):
        deserialize(config)
    assert deserialize(config, {"unregistered": unregistered}) is unregistered


def test_what_has_no_config() -> None:
    for wrong, text in [(lambda x: x, "code is never stored"), (1j, "no get_config"), ({1}, "no get_config")]:
        with pytest.raises(TypeError, match=text):
            serialize(wrong)
    with pytest.raises(TypeError):
        serialize([1, object()])


def test_the_format_is_keras_s() -> None:
    """As Keras 3.15.1 writes it."""
    policy = {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": "float32"},
        "registered_name": None,
    }
    config = serialize(layers.Dense(2, name="d"))
    assert (config["module"], config["class_name"], config["registered_name"]) == (
        "keras.layers",
        "Dense",
        None,
    )
    assert config["config"]["dtype"] == policy
    assert config["config"]["activation"] == "linear"
    assert config["config"]["bias_initializer"] == {
        "module": "keras.initializers", "class_name": "Zeros", "config": {}, "registered_name": None,
    }  # fmt: skip
    mine = serialize(Doubled(name="a"))
    assert (mine["module"], mine["class_name"], mine["registered_name"]) == (None, "Doubled", "tests>Doubled")


# -- names ---------------------------------------------------------------------------------------------------


def test_registering() -> None:
    assert get_registered_name(Doubled) == "tests>Doubled"
    assert get_registered_name(tripled) == "tests>thrice"
    assert get_registered_name(Stranger) == "Stranger"
    assert get_registered_object("tests>Doubled") is Doubled
    assert get_registered_object("Doubled") is None
    assert get_registered_object("x", {"x": 1}, {"x": 2}) == 1
    assert get_registered_object("x", module_objects={"x": 2}) == 2
    assert get_custom_objects()["tests>thrice"] is tripled
    with pytest.raises(ValueError, match="needs a get_config"):
        register_keras_serializable()(type("Bare", (), {}))


def test_objects_of_the_caller() -> None:
    config = serialize(Stranger(name="s"))
    with pytest.raises(UnknownObjectError, match=r"'Stranger'.*register_keras_serializable.*custom_objects"):
        deserialize(config)
    assert isinstance(deserialize(config, {"Stranger": Stranger}), Stranger)
    with custom_object_scope({"Stranger": Stranger}):
        assert isinstance(deserialize(config), Stranger)
        with custom_object_scope({"Stranger": Doubled}):
            assert isinstance(deserialize(config), Doubled)
        assert isinstance(deserialize(config), Stranger)
    with pytest.raises(UnknownObjectError):
        deserialize(config)
    with pytest.raises(UnknownObjectError, match="not a class with from_config"):
        deserialize(config, {"Stranger": unregistered})


def test_objects_of_the_caller_reach_inner_configs() -> None:
    config = serialize(hornbeam.Sequential([hornbeam.Input((2,)), Stranger(name="s")]))
    model = deserialize(config, {"Stranger": Stranger})
    assert isinstance(model.layers[-1], Stranger)


def test_a_class_of_the_same_name_is_never_taken_for_ours() -> None:
    mine = type("Dense", (Stranger,), {})
    config = serialize(mine(name="d"))
    assert missing_names(config) == ["Dense"]
    with pytest.raises(UnknownObjectError):
        deserialize(config)
    assert type(deserialize(config, {"Dense": mine})) is mine
    # As Keras writes a class that is not registered.
    with pytest.raises(UnknownObjectError):
        deserialize(
            {"module": None, "class_name": "Dense", "config": {"units": 1}, "registered_name": "Dense"}
        )

    def relu(x: Any) -> Any:
        return x

    with pytest.raises(UnknownObjectError):
        deserialize(serialize(relu))


def test_names_are_found_in_the_right_family() -> None:
    config = {"class_name": "MeanSquaredError", "config": {}}
    assert isinstance(losses.get(config), losses.MeanSquaredError)
    assert isinstance(metrics.get(config), metrics.MeanSquaredError)
    assert isinstance(deserialize({**config, "module": "keras.metrics"}), metrics.MeanSquaredError)
    functional = {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
    }
    assert missing_names({**functional, "config": {}}) == []


@pytest.mark.parametrize(
    ("get", "wrong", "right"),
    [
        (activations.get, "rellu", "relu"),
        (losses.get, "mean_square_error", "mean_squared_error"),
        (optimizers.get, "adaam", "Adam"),
        (initializers.get, "glorot_unifrom", "glorot_uniform"),
        (metrics.get, "MeanSquareError", "MeanSquaredError"),
        (regularizers.get, "orthogonal", "orthogonal_regularizer"),
    ],
)
def test_unknown_names_come_with_the_nearest(get: Any, wrong: str, right: str) -> None:
    with pytest.raises(ValueError, match=f"(?i)unknown .* '{wrong}'.*did you mean '{right}'"):
        get(wrong)


def test_scopes_belong_to_their_thread() -> None:
    seen = []
    with custom_object_scope({"Stranger": Stranger}):
        thread = threading.Thread(target=lambda: seen.append(get_registered_object("Stranger")))
        thread.start()
        thread.join()
    assert seen == [None]


def test_a_scope_ends_with_an_error() -> None:
    with pytest.raises(KeyError), custom_object_scope({"Stranger": Stranger}):
        raise KeyError
    assert get_registered_object("Stranger") is None


def test_all_missing_names_at_once() -> None:
    config = serialize(
        hornbeam.Sequential(
            [hornbeam.Input((2,)), Stranger(), layers.Dense(1, activation=unregistered), Doubled()]
        )
    )
    config["compile_config"] = {
        "loss": {"class_name": "Odd", "config": {}, "module": "m", "registered_name": "p>Odd"}
    }
    assert missing_names(config) == ["Stranger", "unregistered", "p>Odd"]
    assert missing_names(config, {"Stranger": Stranger, "unregistered": unregistered}) == ["p>Odd"]
    assert missing_names([{"class_name": "__lambda__", "config": {}}]) == ["__lambda__"]
    assert missing_names(3) == missing_names({"class_name": "x"}) == []


def test_operations_of_functional_models_are_no_missing_names() -> None:
    x = hornbeam.Input((3,))
    config = serialize(models.Model(x, ops.exp(x[:, :2] * 2.0 + 1.0)))
    assert missing_names(json.loads(json.dumps(config))) == []


# -- what a config cannot do ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "config",
    [
        {"module": "os", "class_name": "system", "config": {}, "registered_name": "system"},
        {"module": "builtins", "class_name": "eval", "config": {}, "registered_name": None},
        {"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"},
        {"module": "os", "class_name": "function", "config": "system", "registered_name": "function"},
        {
            "module": "keras.utils",
            "class_name": "function",
            "config": "get_file",
            "registered_name": "function",
        },
        {
            "module": "keras.models",
            "class_name": "function",
            "config": "load_model",
            "registered_name": "function",
        },
        {"module": "keras.models", "class_name": "function", "config": "model_from_json"},
        {"module": "keras.models", "class_name": "function", "config": "clone_model"},
        {"module": "keras.utils", "class_name": "function", "config": "unpack_x_y_sample_weight"},
        {"module": "keras.callbacks", "class_name": "CSVLogger", "config": {"filename": "x"}},
        {"module": "keras.layers", "class_name": "../../etc/passwd", "config": {}},
        {"module": "keras.layers", "class_name": "__class__", "config": {}},
        {"module": "keras.layers", "class_name": "Input", "config": {"shape": [2]}},
        {"class_name": "__lambda__", "config": {"value": ["4wEAAAA=", None, None]}},
        {"class_name": "__typespec__", "config": [], "spec_name": "x"},
        {"class_name": "type", "module": "builtins", "config": "int", "registered_name": "type"},
        {"class_name": ["Dense"], "config": {}},
        {"class_name": {"a": 1}, "module": ["x"], "config": {}, "registered_name": {}},
        {"class_name": "function", "config": {"a": 1}},
        {"class_name": "function", "config": ["relu"], "module": "builtins"},
    ],
    ids=str,
)
def test_what_is_not_offered(config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    assert missing_names(config)
    asked: list[str] = []
    original = builtins.__import__

    def noted(name: str, *args: Any, **kwargs: Any) -> Any:
        asked.append(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", noted)
    with pytest.raises(UnknownObjectError):
        deserialize(config)
    assert all(name.startswith("hornbeam") or name in sys.modules for name in asked)
    assert not {"os.system", str(config.get("module"))} & {n for n in asked if not n.startswith("hornbeam")}


def test_arrays_in_configs_hold_numbers_only() -> None:
    for dtype in ("O", "object", "S1000000000", "U1000000000", "V999", "datetime64[s]"):
        with pytest.raises(TypeError, match="unknown dtype"):
            deserialize({"class_name": "__numpy__", "config": {"value": [1], "dtype": dtype}})


def test_what_the_table_offers_to_configs() -> None:
    """Classes out of the families that models are made of, and plain functions of tensors."""
    families = {
        "keras", "keras.constraints", "keras.dtype_policies", "keras.initializers", "keras.layers",
        "keras.losses",
        "keras.metrics", "keras.mixed_precision", "keras.models", "keras.optimizers", "keras.quantizers",
        "keras.optimizers.schedules",
        "keras.random", "keras.regularizers", "keras.src.models.functional",
        "keras.src.layers.preprocessing.feature_space", "keras.utils", "keras.distillation",
        "keras.src.applications.convnext", "keras.src.applications.inception_resnet_v2",
        "hornbeam.layers", "hornbeam.quantization",  # of our own: OnnxGraph, layers of int8
        "hornbeam.auto",  # layers of tables
        "keras.src.layers.convolutional.base_conv",  # where compat was imported
    }  # fmt: skip
    for (module, name), target in registry._TABLE.items():
        if inspect.isclass(target) and hasattr(target, "from_config"):
            assert module in families, f"{module}.{name}"
        elif not inspect.isclass(target) and module in registry._FUNCTION_MODULES:
            parameters = list(inspect.signature(target).parameters)
            assert parameters[0] in ("x", "y_true"), f"{module}.{name}"


def test_the_table_fills_itself() -> None:
    """Also where nothing but this module was imported."""
    code = (
        "from hornbeam.core.registry import deserialize\n"
        "config = {'module': 'keras.layers', 'class_name': 'Dense', 'config': {'units': 2}}\n"
        "print(type(deserialize(config)).__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "Dense"


def test_plain_objects_there_and_back() -> None:
    for value in (b"abc", slice(None, 3, 2), Ellipsis, [b"a", {"b": slice(1, 2)}]):
        assert deserialize(json.loads(json.dumps(serialize(value)))) == value
    inner = deserialize(json.loads(json.dumps(serialize(slice(None, np.array([0, 1]), 1)))))
    assert inner.stop.tolist() == [0, 1]


def test_class_names_as_identifiers_are_written() -> None:
    assert isinstance(optimizers.get({"class_name": "sgd", "config": {}}), optimizers.SGD)
    config = {"class_name": "random_normal", "config": {"seed": 1}}
    assert isinstance(initializers.get(config), initializers.RandomNormal)
    with pytest.raises(ValueError, match="'sgdd'"):
        optimizers.get({"class_name": "sgdd", "config": {}})


def test_a_scope_without_objects() -> None:
    with custom_object_scope(None):
        assert isinstance(deserialize(serialize(layers.Dense(2))), layers.Dense)


@pytest.mark.parametrize("name", ["builtins.eval", "subprocess.Popen", "package>Dense"])
def test_an_own_class_of_keras_has_no_registered_name(name: str) -> None:
    config = {**serialize(layers.Dense(1)), "registered_name": name}
    with pytest.raises(ValueError, match="omit registered_name"):
        deserialize(config)


def test_a_registered_function_without_its_package() -> None:
    @register_keras_serializable("some_package")
    def doubled(x: Any) -> Any:
        return x * 2

    config = {
        "module": "builtins",
        "class_name": "function",
        "config": "doubled",
        "registered_name": "function",
    }
    assert deserialize(config) is doubled
    register_keras_serializable("another_package", "doubled")(unregistered)
    with pytest.raises(UnknownObjectError, match="some_package>doubled, another_package>doubled"):
        deserialize(config)
    assert deserialize(config, {"doubled": doubled}) is doubled


def test_layers_of_a_config_that_are_none() -> None:
    config = models.Sequential([layers.Dense(1)]).get_config()
    with pytest.raises(ValueError, match=r"has {} among its layers"):
        models.Sequential.from_config({**config, "layers": [*config["layers"], {}]})


def test_objects_of_a_module_are_searched_last() -> None:
    class Mine(layers.Dense):
        pass

    read = hornbeam.saving.deserialize_keras_object
    objects = {"Mine": Mine, "Dense": layers.Dense, "twice": lambda x: 2 * x}
    config = {"module": None, "class_name": "Mine", "config": {"units": 2}, "registered_name": "Mine"}
    assert type(read(config, module_objects=objects)) is Mine
    assert type(read(config, {"Mine": layers.Dense}, module_objects=objects)) is layers.Dense
    assert read("twice", module_objects=objects)(3) == 6
    assert read("unknown", module_objects=objects) == "unknown"
