"""Configs as Keras 2 wrote them, in the form of Keras 3's: names, arguments and calls that have changed.
Those of Keras 1 go through `keras1_config` first."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from hornbeam import initializers, layers
from hornbeam._internal.warn import warn_user
from hornbeam.core import registry
from hornbeam.errors import ModelFileError
from hornbeam.saving.legacy.keras1_config import keras2_config

# Classes and arguments that have other names now.
_CLASSES = {
    "Model": "Functional", "ThresholdedReLU": "ReLU",
    "BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization",
}  # fmt: skip
_ARGUMENTS: dict[str, dict[str, str]] = {
    "InputLayer": {"batch_input_shape": "batch_shape"},
    "LeakyReLU": {"alpha": "negative_slope"},
    "ReLU": {"theta": "threshold"},
}
# What a config of former days means where it says nothing.
_SILENT = {"GRU": {"reset_after": False}}
# Functions that compute something else under their old name.
_FUNCTIONS = {"hard_sigmoid": "hard_sigmoid_of_keras_2"}
_ACTIVATIONS = ("activation", "recurrent_activation")
_MODELS = ("Functional", "Sequential")
# Arguments without a meaning now: they chose among ways to compute the same, or repeat what stands elsewhere.
_DROPPED = {"batch_input_shape", "input_dtype", "implementation", "input_length", "is_legacy_optimizer"}
_DROPPED_OF = {
    "SeparableConv1D": {"kernel_initializer", "kernel_regularizer", "kernel_constraint", "groups"},
    "SeparableConv2D": {"kernel_initializer", "kernel_regularizer", "kernel_constraint", "groups"},
    **{f"SpatialDropout{n}D": {"noise_shape"} for n in (1, 2, 3)},
}
# Any layer takes these.
_OF_ALL = {"name", "trainable", "dtype", "activity_regularizer"}


def modern_config(
    config: dict[str, Any], training: dict[str, Any] | None, version: str = "2"
) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The config of a model, and what it was compiled with, as Keras 3 would have written them; and the
    shapes that outputs of its layers must have, by name, where the file says them.

    version: of the Keras that wrote them. Raises ModelFileError for settings that have no counterpart.
    """
    shapes: dict[str, list[Any]] = {}
    try:
        if version.startswith("1."):
            config, shapes = keras2_config(config)
        converted = _with_modules(config) if version.startswith("3.") else _convert_keras2(config)
        if training is not None:
            converted["compile_config"] = _compiling(training, version)
    except ModelFileError:
        raise
    except Exception as error:  # whatever is not where Keras 1 and 2 put it
        raise ModelFileError(f"the config is not as Keras {version} writes it: {error!r:.200}") from error
    return converted, shapes


def _convert_keras2(config: dict[str, Any]) -> Any:
    return _converted(_with_keras3_values(config))


def _with_modules(entry: Any) -> Any:
    """Return the config of Keras 3 with the modules of its layers, which `.h5` files do not name."""
    if not isinstance(entry, dict) or not isinstance(entry.get("config"), dict):
        return entry
    entry = dict(entry)
    if entry.get("module") is None:
        name = str(entry.get("class_name"))
        module = None if name in dir(layers) else registry.operation_module(name)
        entry["module"] = module or "keras.layers"
    inner = entry["config"].get("layers")
    if isinstance(inner, list):
        entry["config"] = {**entry["config"], "layers": [_with_modules(layer) for layer in inner]}
    return entry


def before_tf_keras(version: str) -> bool:
    """True for a version of stand-alone Keras (up to 2.3), not of tf.keras ("2.2.4-tf", then 2.4)."""
    return "tf" not in version and version.startswith(("1.", "2.0.", "2.1.", "2.2.", "2.3."))


def _class(entry: dict[str, Any]) -> Any:
    return _CLASSES.get(entry["class_name"], entry["class_name"])


def _with_keras3_values(value: Any) -> Any:
    """Replace values that Keras 3 understands differently: renamed functions, defaults of older versions."""
    if isinstance(value, list):
        return [_with_keras3_values(item) for item in value]
    if not isinstance(value, dict):
        return value
    result = {key: _with_keras3_values(item) for key, item in value.items()}
    for key in _ACTIVATIONS:
        if isinstance(result.get(key), str):
            result[key] = _FUNCTIONS.get(result[key], result[key])
    name, config = result.get("class_name"), result.get("config")
    if isinstance(name, str) and isinstance(config, dict):
        result["config"] = {**_SILENT.get(name, {}), **config}
    return result


def _converted(value: Any, is_layer: bool = False) -> Any:
    """A value of a config, and everything inside it."""
    if isinstance(value, list):
        return [_converted(item, is_layer) for item in value]
    if not isinstance(value, dict):
        return value
    if "class_name" not in value or "config" not in value:
        return {key: _converted(item) for key, item in value.items()}
    name = _class(value)
    if name == "Policy":  # of dtypes
        return value["config"].get("name")
    entry = {**value, "class_name": name}
    if is_layer:  # there is an initializer Identity, too
        entry.setdefault("module", "keras.layers")
    if name == "Sequential":
        entry["config"] = _sequential(value["config"])
    elif name == "Functional":
        entry["config"] = _functional(value["config"])
    elif isinstance(value["config"], dict):
        settings = {k: _converted(v) for k, v in value["config"].items()}
        entry["config"] = _settings(name, settings, is_layer)
    return entry


def _settings(name: Any, config: dict[str, Any], is_layer: bool) -> dict[str, Any]:
    """The arguments of a layer (or another class, which are left alone)."""
    if name == "Lambda":
        functions = ("function", "output_shape", "mask")
        return {**config, **{key: _named_function(config, key) for key in functions}}
    renamed = _ARGUMENTS.get(name, {})
    config = {renamed.get(key, key): value for key, value in config.items()}
    cls = (
        getattr(initializers, name, None) if isinstance(name, str) and name in initializers.__all__ else None
    )
    if inspect.isclass(cls) and not is_layer:
        return {key: value for key, value in config.items() if key != "dtype"}  # the layer says it
    cls = getattr(layers, name, None) if isinstance(name, str) and name in dir(layers) else None
    if not inspect.isclass(cls) or not issubclass(cls, layers.Layer):
        return config
    known = {*_OF_ALL, *_parameters(cls)}
    dropped = _DROPPED | _DROPPED_OF.get(name, set())
    settings = {key: value for key, value in config.items() if key in known and key not in dropped}
    for key, value in config.items():
        neutral = value is None or value is False or (value == 1 and value is not True)
        if key not in known and key not in dropped and not neutral:
            raise ModelFileError(
                f"{name} {config.get('name')!r} has {key}={value!r}, which is no longer supported"
            )
    if name == "BatchNormalization" and isinstance(settings.get("axis"), list):
        (settings["axis"],) = settings["axis"]
    return settings


def _named_function(config: dict[str, Any], key: str) -> Any:
    """The function of a Lambda layer: by name, or as code in Keras 3's format, which loading rejects."""
    value = config.get(key)
    if isinstance(value, list) and value and isinstance(value[0], str):
        return {"class_name": "__lambda__", "config": {}}
    if isinstance(value, str):
        return {"class_name": "function", "config": value, "module": None, "registered_name": value}
    return value


def _parameters(cls: type) -> Iterator[str]:
    """Names of the arguments that a class and its bases take."""
    for base in cls.__mro__:
        if "__init__" in vars(base) and base is not object:
            yield from inspect.signature(base.__init__).parameters  # type: ignore[misc]


def _sequential(config: Any) -> dict[str, Any]:
    config = {"layers": config} if isinstance(config, list) else dict(config)  # a list in the oldest files
    entries = config["layers"]
    first = entries[0]["config"] if entries else {}
    first = first if isinstance(first, dict) else {}  # a model
    converted = _converted(entries, is_layer=True)
    if entries and entries[0]["class_name"] != "InputLayer" and "batch_input_shape" in first:
        name = f"{first.get('name', 'layer')}_input"
        settings = {"batch_shape": first["batch_input_shape"], "name": name}
        converted.insert(0, {"class_name": "InputLayer", "config": settings})
    return {**config, "layers": converted}


def _functional(config: dict[str, Any]) -> dict[str, Any]:
    """Layers and calls.

    Keras 2 counted the construction of a nested model as its first call; Keras 3 does so only for the outputs
    of a functional one.
    """
    first = {
        entry["name"] if "name" in entry else entry["config"].get("name"): int(_class(entry) in _MODELS)
        for entry in config["layers"]
    }
    entries = []
    for entry in config["layers"]:
        nodes = [_node(node, first) for node in entry.get("inbound_nodes", ())]
        entries.append({**_converted(entry, is_layer=True), "inbound_nodes": nodes})
    sequential = {e["name"] for e in entries if e["class_name"] == "Sequential" and "name" in e}
    ends = [
        _moved(reference, {name: first[name] for name in sequential}) for reference in config["output_layers"]
    ]
    return {**config, "layers": entries, "output_layers": ends}


def _node(node: list[Any], first: dict[str, int]) -> dict[str, Any]:
    """A call of a layer: a list of [layer, its call, output] and keywords, one for each tensor."""
    tensors = [_tensor(reference[:3], first) for reference in node]
    keywords = node[0][3] if node and len(node[0]) > 3 else {}
    kwargs = {key: _tensor(v, first) if _is_tensor_reference(v) else v for key, v in keywords.items()}
    return {"args": [tensors if len(tensors) != 1 else tensors[0]], "kwargs": kwargs}


def _is_tensor_reference(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and [type(x) for x in value] == [str, int, int]


def _moved(reference: list[Any], first: dict[str, int]) -> list[Any]:
    name, number, index = reference
    return [name, number - first.get(name, 0), index]


def _tensor(reference: list[Any], first: dict[str, int]) -> dict[str, Any]:
    return {"class_name": "__keras_tensor__", "config": {"keras_history": _moved(reference, first)}}


# -- arguments of compile ------------------------------------------------------------------------------------


def _compiling(training: dict[str, Any], version: str) -> dict[str, Any]:
    settings = {
        key: _function_or_class(training.get(key))
        for key in ("loss", "metrics", "weighted_metrics", "loss_weights")
    }
    return {**settings, "optimizer": _optimizer(training.get("optimizer_config"), version)}


def _optimizer(config: Any, version: str) -> Any:
    if not isinstance(config, dict):
        return config
    settings = dict(config["config"])
    if "lr" in settings:
        settings["learning_rate"] = settings.pop("lr")
    if "clipnorm" in settings and before_tf_keras(version):  # of all gradients together
        settings["global_clipnorm"] = settings.pop("clipnorm")
    if config["class_name"] == "Nadam" and not {"decay", "schedule_decay"}.isdisjoint(settings):
        settings = {k: v for k, v in settings.items() if k not in ("decay", "schedule_decay")}
        warn_user(
            "Nadam's momentum grew by another rule in the Keras that wrote the file: it grows by Keras 3's"
        )
    decay = settings.pop("decay", 0.0)
    if decay:
        rate = {"initial_learning_rate": settings["learning_rate"], "decay_steps": 1, "decay_rate": decay}
        settings["learning_rate"] = {"class_name": "InverseTimeDecay", "config": rate}
    for key in ("is_legacy_optimizer", "jit_compile"):
        settings.pop(key, None)
    return {"class_name": str(config["class_name"]).rpartition(">")[2], "config": _converted(settings)}


def _function_or_class(value: Any) -> Any:
    """Losses and metrics: those that only wrap a function are that function's name."""
    if isinstance(value, list):
        return [_function_or_class(item) for item in value]
    if not isinstance(value, dict) or "class_name" not in value:
        return {k: _function_or_class(v) for k, v in value.items()} if isinstance(value, dict) else value
    settings = dict(value.get("config", {}))
    if value["class_name"] in ("MeanMetricWrapper", "LossFunctionWrapper"):
        name = settings.get("name")
        return name if name in ("accuracy", "acc") else settings.get("fn")
    if settings.get("reduction") == "auto":
        settings["reduction"] = "sum_over_batch_size"
    settings.pop("fn", None)
    return {**value, "config": settings}
