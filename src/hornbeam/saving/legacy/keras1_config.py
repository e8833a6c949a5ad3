"""Configs as Keras 1 wrote them, in the form of Keras 2's, which `legacy_config` reads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hornbeam._internal.warn import warn_user
from hornbeam.errors import ModelFileError
from hornbeam.saving.legacy.keras1_names import ARGUMENTS, CLASSES, DATA_FORMATS, REMOVED, SIZES

_MODELS = ("Model", "Sequential")
_INITIALIZERS = {
    "uniform": "random_uniform", "normal": "random_normal", "zero": "zeros", "one": "ones",
}  # fmt: skip
_CONSTRAINTS: dict[str, dict[str, str]] = {
    "MaxNorm": {"m": "max_value", "axis": "axis"},
    "MinMaxNorm": {"low": "min_value", "high": "max_value", "rate": "rate", "axis": "axis"},
    "NonNeg": {},
    "UnitNorm": {"axis": "axis"},
}
_MERGES = {"sum": "Add", "mul": "Multiply", "ave": "Average", "max": "Maximum"}
# Layers that know where the channels are and did not say it in their configs.
_SILENT = {
    *(f"{kind}{n}D" for kind in ("ZeroPadding", "UpSampling", "Cropping") for n in (2, 3)),
    "SpatialDropout2D", "SpatialDropout3D",
}  # fmt: skip
# Said again what the first layer's shape says.
_REPEATED = ("input_dim", "input_length")
# Where axes of kernels are now: of (filters, channels, *sizes) and of (size, 1, channels, filters).
_AXES = {"Conv2D": {0: 3, 1: 2, 2: 0, 3: 1}, "Conv3D": {0: 4, 1: 3, 2: 0, 3: 1, 4: 2}}
_AXES_1D = {0: 0, 2: 1, 3: 2}


def keras2_config(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """The config of a model of Keras 1 as Keras 2 would have written it, and the shapes that outputs of
    layers must have, by their names.

    Raises ModelFileError for layers and settings that have no counterpart, KeyError and the like for what is
    no such config.
    """
    formats = {DATA_FORMATS[x] for x in _orderings(config) if x in DATA_FORMATS}
    converter = _Converter(formats.pop() if len(formats) == 1 else None)
    return converter.entry(config), converter.shapes


def _orderings(config: Any) -> Iterator[Any]:
    """The `dim_ordering` of each layer of a model."""
    parts = [config]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            if isinstance(part.get("dim_ordering"), str):
                yield part["dim_ordering"]
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)


class _Converter:
    """Converts entries of a config.

    Attributes:
        data_format: That of all layers of the model that have one, if they agree.
        shapes: Output shapes of transposed convolutions by layer name.
    """

    def __init__(self, data_format: str | None) -> None:
        self.data_format = data_format
        self.shapes: dict[str, list[Any]] = {}

    def entry(self, entry: dict[str, Any]) -> dict[str, Any]:
        """A layer or a model, with the other keys of its entry (name, calls)."""
        kind = entry["class_name"]
        if kind == "Graph":
            raise ModelFileError(
                "the file holds a Graph, a kind of model that Keras 1 gave up: build it anew as a functional "
                "model and take the arrays of load_model(..., weights_only=True)"
            )
        if kind == "Sequential":
            return {**entry, **self._sequential(entry["config"])}
        if kind == "Model":
            layers = [self.entry(layer) for layer in entry["config"]["layers"]]
            return {**entry, "config": {**entry["config"], "layers": layers}}
        if kind == "Merge":
            return {**entry, **_merge(entry["config"])}
        settings = entry["config"]
        if isinstance(settings.get("layer"), dict):  # a wrapper
            inner = self.entry(settings["layer"])
            return {**entry, "config": {**_without_repeated(settings), "layer": inner}}
        name = CLASSES.get(kind, kind)
        return {**entry, "class_name": name, "config": self._settings(kind, name, settings)}

    def _sequential(self, config: Any) -> dict[str, Any]:
        entries = config["layers"] if isinstance(config, dict) else config
        first = entries[0] if entries else None
        if first is not None and first["class_name"] == "Merge":
            return {"class_name": "Model", "config": self._joined(entries)}
        layers = [self.entry(entry) for entry in entries]
        start = [] if first is None or first["class_name"] == "InputLayer" else [*_input_layer(first)]
        return {"class_name": "Sequential", "config": [*start, *layers]}

    def _settings(self, kind: str, name: str, config: dict[str, Any]) -> dict[str, Any]:
        names = ARGUMENTS.get(name, {})
        settings = {}
        for key, value in config.items():
            new = names.get(key, key)
            if new != REMOVED and not (key in _REPEATED and name != "Embedding"):
                settings[new] = _value(new, value, config.get("name"))
        for sizes in SIZES.values():
            if len(sizes) > 1 and sizes[0] in config:
                settings["kernel_size"] = [settings.pop(size) for size in sizes]
        if name in _SILENT and "data_format" not in settings and self.data_format:
            settings["data_format"] = self.data_format
        if kind == "Deconvolution2D":
            self.shapes[config["name"]] = settings.pop("output_shape")
        change = _CHANGES.get(name)
        if change is not None:
            change(settings, config)
        _move_axes(name, settings)
        return settings

    # -- Sequential models that begin with a Merge of models -------------------------------------------------

    def _joined(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        """The config of a an equivalent functional model."""
        layers: dict[str, dict[str, Any]] = {}
        inputs: list[list[Any]] = []
        output = self._chain(entries, layers, inputs)
        return {
            "name": "sequential",
            "layers": list(layers.values()),
            "input_layers": inputs,
            "output_layers": [output],
        }

    def _chain(
        self, entries: list[dict[str, Any]], layers: dict[str, dict[str, Any]], inputs: list[list[Any]]
    ) -> list[Any]:
        """Add a chain of layers to `layers`, and return its output as [layer, call, output]."""
        first, *rest = entries
        if first["class_name"] == "Merge":
            outputs = [self._branch(branch, layers, inputs) for branch in first["config"]["layers"]]
            output = _called(layers, {**_merge(first["config"]), "name": first["config"]["name"]}, outputs)
        else:
            (start,) = _input_layer(first)
            output = _called(layers, {**start, "name": start["config"]["name"]}, [])
            inputs.append(output)
            rest = entries if first["class_name"] != "InputLayer" else rest
        for number, entry in enumerate(rest):
            converted = self.entry(entry)
            inner = converted["config"]
            name = (
                inner["name"]
                if isinstance(inner, dict) and "name" in inner
                else f"model_{number}_of_{output[0]}"
            )
            output = _called(layers, {**converted, "name": name}, [output])
        return output

    def _branch(
        self, branch: dict[str, Any], layers: dict[str, dict[str, Any]], inputs: list[list[Any]]
    ) -> list[Any]:
        config = branch["config"]
        if branch["class_name"] == "Sequential":
            return self._chain(config["layers"] if isinstance(config, dict) else config, layers, inputs)
        if branch["class_name"] != "Model":
            return self._chain([branch], layers, inputs)
        for entry in config["layers"]:
            if entry["name"] in layers:
                raise ModelFileError(
                    f"layer {entry['name']!r} is part of several models that a Merge joins: not supported"
                )
            layers[entry["name"]] = self.entry(entry)
        inputs += config["input_layers"]
        (output,) = config["output_layers"]
        return list(output)


def _called(layers: dict[str, dict[str, Any]], entry: dict[str, Any], outputs: list[list[Any]]) -> list[Any]:
    """Add a call of a layer, which may be in several chains, and return its output."""
    first = int(entry["class_name"] in _MODELS)  # a model counts its construction as a call
    kept = layers.setdefault(entry["name"], {**entry, "inbound_nodes": []})
    if outputs:
        kept["inbound_nodes"].append(outputs)
    return [entry["name"], first + max(len(kept["inbound_nodes"]) - 1, 0), 0]


def _input_layer(first: dict[str, Any] | None) -> Iterator[dict[str, Any]]:
    """The input that a first layer describes, if it does."""
    settings = None if first is None else first["config"]
    if isinstance(settings, dict) and "batch_input_shape" in settings:
        name = settings["name"]
        config = {
            "name": name if first["class_name"] == "InputLayer" else f"{name}_input",  # type: ignore[index]
            "batch_input_shape": settings["batch_input_shape"],
            "dtype": settings.get("input_dtype", "float32"),
        }
        yield {"class_name": "InputLayer", "config": config}


def _without_repeated(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _REPEATED}


def _merge(config: dict[str, Any]) -> dict[str, Any]:
    """The class and config of the layer that replaces a Merge."""
    mode, name = config["mode"], config["name"]
    if config.get("mode_type", "raw") != "raw" or mode not in (*_MERGES, "concat", "dot", "cos"):
        kind = {"lambda": "code", "function": f"the function {mode!r}"}.get(
            config.get("mode_type", ""), repr(mode)
        )
        raise ModelFileError(
            f"Merge {name!r} has {kind} as its mode, which is not read: build the model anew with a layer of "
            "yours there, and take the arrays of load_model(..., weights_only=True)"
        )
    if mode in _MERGES:
        return {"class_name": _MERGES[mode], "config": {"name": name}}
    if mode == "concat":
        return {"class_name": "Concatenate", "config": {"name": name, "axis": config["concat_axis"]}}
    settings = {"name": name, "axes": config["dot_axes"], "normalize": mode == "cos"}
    return {"class_name": "Dot", "config": settings}


# -- values --------------------------------------------------------------------------------------------------


def _value(key: str, value: Any, layer: str | None) -> Any:
    if key == "data_format":
        return DATA_FORMATS.get(value, value)
    if key.endswith("_initializer"):
        return _INITIALIZERS.get(value, value)
    if isinstance(value, dict) and key.endswith("_regularizer"):
        return _regularizer(value, layer)
    if isinstance(value, dict) and key.endswith("_constraint"):
        return _constraint(value, layer)
    return value


def _regularizer(value: dict[str, Any], layer: str | None) -> dict[str, Any]:
    if not {"l1", "l2"} <= set(value):
        raise ModelFileError(f"layer {layer!r} has the regularizer {value.get('name')!r}, which was removed")
    return {"class_name": "L1L2", "config": {"l1": value["l1"], "l2": value["l2"]}}


def _constraint(value: dict[str, Any], layer: str | None) -> dict[str, Any]:
    kind = value.get("name")
    if kind not in _CONSTRAINTS:
        raise ModelFileError(f"layer {layer!r} has the constraint {kind!r}, which was removed")
    names = _CONSTRAINTS[kind]
    return {"class_name": kind, "config": {names[k]: v for k, v in value.items() if k in names}}


def _move_axes(name: str, settings: dict[str, Any]) -> None:
    """Axes of a constraint count those of a kernel, which lie otherwise now."""
    moves = _AXES.get(name, {}) if settings.get("data_format") == "channels_first" else {}
    moves = _AXES_1D if name == "Conv1D" else moves
    constraint = settings.get("kernel_constraint")
    if moves and isinstance(constraint, dict) and "axis" in constraint["config"]:
        axis = constraint["config"]["axis"]
        moved = [moves[a] for a in axis if a in moves] if isinstance(axis, list) else moves.get(axis, axis)
        constraint["config"]["axis"] = moved


def _input(settings: dict[str, Any], config: dict[str, Any]) -> None:
    settings["dtype"] = settings.pop("input_dtype", None) or "float32"


def _lstm(settings: dict[str, Any], config: dict[str, Any]) -> None:
    settings["unit_forget_bias"] = config.get("forget_bias_init", "one") == "one"


def _embedding(settings: dict[str, Any], config: dict[str, Any]) -> None:
    rate = settings.pop("dropout", 0.0)
    if rate:
        warn_user(
            f"Embedding {config['name']!r} dropped words at the rate {rate} in training, which it cannot any "
            "more: what it predicts is the same"
        )


def _normalization(settings: dict[str, Any], config: dict[str, Any]) -> None:
    mode = config.get("mode", 0)
    if mode != 0:
        raise ModelFileError(
            f"BatchNormalization {config['name']!r} has mode={mode!r}, which was removed; only mode 0 is "
            "supported"
        )


def _padding(*sides: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """Rows and columns that are added were a number for each side, or named by it."""

    def change(settings: dict[str, Any], config: dict[str, Any]) -> None:
        padding = settings["padding"]
        if isinstance(padding, dict):
            padding = [padding.get(side, 0) for side in sides]
        if isinstance(padding, list) and len(padding) == 4:
            padding = [padding[:2], padding[2:]]
        settings["padding"] = padding

    return change


_CHANGES: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "InputLayer": _input,
    "LSTM": _lstm,
    "ConvLSTM2D": _lstm,
    "Embedding": _embedding,
    "BatchNormalization": _normalization,
    "ZeroPadding1D": _padding("left_pad", "right_pad"),
    "ZeroPadding2D": _padding("top_pad", "bottom_pad", "left_pad", "right_pad"),
}
