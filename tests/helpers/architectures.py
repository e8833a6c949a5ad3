"""Descriptions of models, to compare with Keras's: layers, weights, connections and configs, as checksums
and counts."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_PLAIN: dict[str, Any] = {}
_ALL = (
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "DenseNet121",
    "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3",
    "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B0",
    "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M",
    "EfficientNetV2S", "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large",
    "MobileNetV3Small", "NASNetLarge", "NASNetMobile", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2",
    "ResNet50", "ResNet50V2", "VGG16", "VGG19", "Xception",
)  # fmt: skip
_BARE = {"include_top": False, "pooling": "avg", "input_shape": (96, 64, 3)}
# Key -> architecture and arguments.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, _PLAIN) for name in _ALL},
    **{
        f"{name}, bare": (name, _BARE)
        for name in ("ConvNeXtTiny", "DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "VGG16")
    },
    "MobileNetV2, bare": ("MobileNetV2", {**_BARE, "pooling": "max"}),
    "NASNetMobile, bare": ("NASNetMobile", {"include_top": False}),
    "MobileNetV2, 10 classes": ("MobileNetV2", {"input_shape": (32, 32, 3), "classes": 10}),
    "MobileNet, thin": ("MobileNet", {"alpha": 0.5, "depth_multiplier": 2, "input_shape": (128, 128, 3)}),
    "MobileNetV2, wide": ("MobileNetV2", {"alpha": 1.4, "classifier_activation": None}),
    "MobileNetV3Small, minimalistic": ("MobileNetV3Small", {"minimalistic": True, "alpha": 0.75}),
    "MobileNetV3Large, plain": (
        "MobileNetV3Large",
        {"include_preprocessing": False, "dropout_rate": 0, "input_shape": (64, 64, 3)},
    ),
    "EfficientNetV2B0, plain": ("EfficientNetV2B0", {"include_preprocessing": False}),
    "ConvNeXtTiny, plain": ("ConvNeXtTiny", {"include_preprocessing": False, "name": "mine"}),
}  # fmt: skip


def describe(model: Any) -> dict[str, Any]:
    """Counts, and checksums of names, shapes and configs."""
    return {
        "name": model.name,
        "parameters": int(model.count_params()),
        "layers": len(model.layers),
        "names": _checksum([(layer.name, type(layer).__name__) for layer in model.layers]),
        "weights": _checksum([(_numberless(weight.path), list(weight.shape)) for weight in model.weights]),
        "configs": _checksum([layer.get_config() for layer in model.layers]),
        "inputs": _checksum([_sources(layer) for layer in model.layers]),
        "output": str(tuple(model.output.shape)),
    }


def _numberless(path: str) -> str:
    """A path without the number that Keras gives to variables of no name."""
    return re.sub(r"/variable_\d+$", "/variable", path)


def _sources(layer: Any) -> Any:
    """Shapes of what goes into a layer and what comes out."""
    if type(layer).__name__ in ("InputLayer", "Sequential"):
        return None
    flat = layer.input if isinstance(layer.input, list) else [layer.input]
    return [str(tuple(x.shape)) for x in flat], str(tuple(layer.output.shape))


def _checksum(value: Any) -> str:
    text = json.dumps(_plain(value), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _plain(value: Any) -> Any:
    """JSON values. Objects of the two libraries are written alike where they mean the same."""
    if isinstance(value, dict):
        # Where a class is from says nothing about a network.
        hidden = ("module", "registered_name", "build_config", "build_input_shape")
        return {str(key): _plain(x) for key, x in value.items() if key not in hidden}
    if isinstance(value, (list, tuple)):
        # Keras writes the input that a Sequential found, and an axis as a list of one once a layer is built.
        parts = [_plain(x) for x in value]
        parts = [x for x in parts if not (isinstance(x, dict) and x.get("class_name") == "InputLayer")]
        return -1 if parts == [-1] else parts
    if hasattr(value, "get_config"):
        return {"class_name": type(value).__name__, "config": _plain(value.get_config())}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return value
