"""Which layers of a model are quantized, what is folded into them, and why others stay floats."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hornbeam import activations, layers, tree
from hornbeam.core.symbolic import KerasTensor
from hornbeam.layers import Layer
from hornbeam.models import Functional, Model, Sequential
from hornbeam.quantization import layers as quantized

# Exact classes: a subclass may compute anything.
FORMS: dict[type[Layer], type[Any]] = {
    layers.Dense: quantized.QuantizedDense,
    layers.Conv1D: quantized.QuantizedConv1D,
    layers.Conv2D: quantized.QuantizedConv2D,
    layers.DepthwiseConv1D: quantized.QuantizedDepthwiseConv1D,
    layers.DepthwiseConv2D: quantized.QuantizedDepthwiseConv2D,
}
_DEPTHWISE = (layers.DepthwiseConv1D, layers.DepthwiseConv2D)


@dataclass
class LayerSelection:
    """Form that each layer of a model gets.

    targets: layers that are quantized, each with the batch normalization that is folded into it, or None.
    reasons: why the others with matrices or kernels stay as they are.
    """

    targets: dict[Layer, layers.BatchNormalization | None] = field(default_factory=dict)
    reasons: dict[Layer, str] = field(default_factory=dict)

    @property
    def folded(self) -> set[Layer]:
        """Batch normalizations that disappear."""
        return {norm for norm in self.targets.values() if norm is not None}


def select(model: Model) -> LayerSelection:
    """Decide for each layer of a functional or sequential model, also of those inside."""
    selection = LayerSelection()
    folds = {first: second for first, second in _neighbours(model) if _folds(first, second)}
    for layer in _layers(model):
        reason = _obstacle(layer)
        if reason is None:
            selection.targets[layer] = folds.get(layer)  # type: ignore[assignment]
        elif reason:
            selection.reasons[layer] = reason
    return selection


def _layers(model: Any) -> Iterator[Layer]:
    """Yield the layers of a model and of the models inside."""
    for layer in model.layers:
        if isinstance(layer, (Functional, Sequential)):
            yield from _layers(layer)
        else:
            yield layer


def _obstacle(layer: Any) -> str | None:
    """Return why a layer is not quantized, "" if there is nothing to quantize, None if it is."""
    if type(layer) not in FORMS:
        has_matrix = any(len(weight.shape) > 1 for weight in layer.weights)
        return f"{type(layer).__name__} has no calibrated form" if has_matrix else ""
    if layer.quantization_mode is not None:
        return "it is quantized already"
    if getattr(layer, "lora_enabled", False):
        return "it has LoRA factors"
    if layer.compute_dtype != "float32":
        return f"it computes in {layer.compute_dtype}, not in float32"
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return "its channels are first"
    if getattr(layer, "groups", 1) != 1:
        return f"it has {layer.groups} groups"
    if getattr(layer, "depth_multiplier", 1) != 1:
        return "its depth_multiplier is above 1"
    return None


def _neighbours(model: Any) -> Iterator[tuple[Layer, Layer]]:
    """Yield pairs of layers of which the second alone reads the result of the first, each called once."""
    for layer in model.layers:
        if isinstance(layer, (Functional, Sequential)):
            yield from _neighbours(layer)
    if isinstance(model, Sequential):
        yield from zip(model.layers, model.layers[1:], strict=False)
        return
    calls = model._hb_graph.calls
    times = Counter(id(call.callee) for call in calls)
    reads = Counter(id(x) for call in calls for x in call.inputs)
    reads.update(id(x) for x in tree.flatten(model.output))
    for call in calls:
        if len(call.inputs) != 1 or not isinstance(call.inputs[0], KerasTensor):
            continue
        source = call.inputs[0].history
        if source is None or reads[id(call.inputs[0])] != 1:
            continue
        if times[id(call.callee)] == times[id(source.callee)] == 1:
            yield source.callee, call.callee  # type: ignore[misc]


def _folds(layer: Any, norm: Any) -> bool:
    """Return True for a batch normalization of the outputs of a linear layer that is quantized."""
    if type(norm) is not layers.BatchNormalization or type(layer) not in FORMS:
        return False
    linear = layer.activation is None or layer.activation is activations.linear
    axes = norm.axis if isinstance(norm.axis, (list, tuple)) else [norm.axis]
    return linear and len(axes) == 1 and _is_last(layer, axes[0]) and norm.compute_dtype == "float32"


def _is_last(layer: Any, axis: int) -> bool:
    rank = getattr(layer, "rank", None)
    return axis == -1 or (rank is not None and axis == rank + 1)


def folded_weights(layer: Any, norm: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return kernel and bias of a layer, with a batch normalization folded in.

    Formula: `kernel * s` and `(bias - mean) * s + beta` with `s = gamma / sqrt(variance + epsilon)`.
    """
    kernel = np.asarray(layer.kernel, "float32")
    bias = None if layer.bias is None else np.asarray(layer.bias, "float32")
    if norm is None:
        return kernel, bias
    scale = 1 / np.sqrt(np.asarray(norm.moving_variance, "float64") + norm.epsilon)
    if norm.gamma is not None:
        scale = scale * np.asarray(norm.gamma, "float64")
    shift = (0 if bias is None else bias) - np.asarray(norm.moving_mean, "float64")
    bias = shift * scale + (0 if norm.beta is None else np.asarray(norm.beta, "float64"))
    # The channels of a depthwise kernel are its second last axis, and it has one output for each.
    per_output = scale[:, None] if type(layer) in _DEPTHWISE else scale
    return (kernel * per_output).astype("float32"), bias.astype("float32")
