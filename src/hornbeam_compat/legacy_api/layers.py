"""Layers of Keras 1: `Convolution2D(32, 3, 3)`, `merge([a, b], mode="sum")`, and removed layers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hornbeam import Layer, Tensor, layers, ops
from hornbeam_compat.messages import log_deprecated

if TYPE_CHECKING:
    from hornbeam_compat.tensorflow.typing import TensorLike

# Name -> its replacement; empty for names that Keras 3 has, of which only a way to call them is deprecated.
REPLACEMENTS = {
    "AtrousConvolution2D": "keras.layers.Conv2D(filters, kernel_size, dilation_rate=)",
    "Convolution1D": "",
    "Convolution2D": "",
    "Convolution3D": "",
    "SyncBatchNormalization": "keras.layers.BatchNormalization(synchronized=True)",
    "ThresholdedReLU": "keras.layers.ReLU(threshold=theta)",
    "merge": "keras.layers.concatenate(), add(), multiply(), average(), maximum() or dot()",
}


# Arguments for the sizes of a kernel, by the number of spatial axes.
_SIZES = {1: ("filter_length",), 2: ("nb_row", "nb_col"), 3: ("kernel_dim1", "kernel_dim2", "kernel_dim3")}


def _convolution(layer_class: Callable[..., Layer], rank: int, *args: object, **kwargs: object) -> Layer:
    """Create a convolution: `Convolution2D(32, 3, 3)` has a kernel of 3 x 3."""
    names = _SIZES[rank]
    positional = rank > 1 and len(args) > rank and all(isinstance(n, int) for n in args[1 : rank + 1])
    if positional or names[0] in kwargs:
        sizes = ", ".join(names)
        log_deprecated(f"Convolution{rank}D(filters, {sizes})", f"Conv{rank}D(filters, ({sizes}))")
    if positional:
        args = (args[0], tuple(args[1 : rank + 1]), *args[rank + 1 :])
    elif names[0] in kwargs:
        kwargs["kernel_size"] = tuple(kwargs.pop(name) for name in names)
    return layer_class(*args, **kwargs)


Convolution1D = functools.partial(_convolution, layers.Conv1D, 1)
Convolution2D = AtrousConvolution2D = functools.partial(_convolution, layers.Conv2D, 2)
Convolution3D = functools.partial(_convolution, layers.Conv3D, 3)
SyncBatchNormalization = functools.partial(layers.BatchNormalization, synchronized=True)


class ThresholdedReLU(layers.Layer):
    """Activation: x where x > theta, 0 elsewhere.

    Args:
        theta: Float, the threshold.
        **kwargs: Arguments of `Layer`.
    """

    def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.theta = theta

    def call(self, inputs: Tensor) -> Tensor:
        return ops.where(inputs > self.theta, inputs, ops.zeros_like(inputs))


_MERGES = {
    "ave": layers.average, "max": layers.maximum, "mul": layers.multiply, "sum": layers.add,
}  # fmt: skip


def merge(
    inputs: Sequence[TensorLike], mode: str = "sum", dot_axes: int | tuple[int, int] = -1,
    concat_axis: int = -1, name: str | None = None, **unused: object,
) -> Tensor:  # fmt: skip
    """Merge several tensors into one.

    Args:
        inputs: List of tensors.
        mode: "ave", "concat", "cos", "dot", "max", "mul" or "sum".
        dot_axes: Axis or axes of the product, for "dot" and "cos".
        concat_axis: Axis of the concatenation, for "concat".
        name: Name of the merge layer.
        **unused: Other arguments of Keras 1, ignored.

    Returns:
        Output of the merge layer.

    Raises:
        ValueError: If `mode` is unknown.
    """
    if mode == "concat":
        return layers.concatenate(inputs, axis=concat_axis, name=name)
    if mode in ("dot", "cos"):
        return layers.dot(inputs, axes=dot_axes, normalize=mode == "cos", name=name)
    if mode not in _MERGES:
        raise ValueError(f"merge: mode must be one of concat, dot, cos, {', '.join(_MERGES)}; got {mode!r}")
    return _MERGES[mode](inputs, name=name)
