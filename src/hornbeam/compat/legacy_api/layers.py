"""Layers of Keras 1: `Convolution2D(32, 3, 3)`, `merge([a, b], mode="sum")`, and layers that are gone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import layers, ops
from hornbeam.compat.messages import note
from hornbeam.saving.legacy.keras1_names import SIZES

# Name -> what to write; nothing for those that Keras 3 has, where only a way to call them is old.
NAMES = {
    "AtrousConvolution2D": "keras.layers.Conv2D(filters, kernel_size, dilation_rate=)",
    "Convolution1D": "",
    "Convolution2D": "",
    "Convolution3D": "",
    "ThresholdedReLU": "keras.layers.ReLU(threshold=theta)",
    "merge": "keras.layers.concatenate(), add(), multiply(), average(), maximum() or dot()",
}


def _convolution(kind: type, rank: int, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    """Sizes of the kernel were arguments one by one."""
    names = SIZES[rank]
    one_by_one = rank > 1 and len(args) > rank and all(isinstance(n, int) for n in args[1 : rank + 1])
    if one_by_one or names[0] in kwargs:
        note(
            f"Convolution{rank}D(filters, {', '.join(names)})", f"Conv{rank}D(filters, ({', '.join(names)}))"
        )
    if one_by_one:
        args = (args[0], tuple(args[1 : rank + 1]), *args[rank + 1 :])
    elif names[0] in kwargs:
        kwargs["kernel_size"] = tuple(kwargs.pop(name) for name in names)
    return kind(*args, **kwargs)


def Convolution1D(*args: Any, **kwargs: Any) -> Any:
    """Conv1D."""
    return _convolution(layers.Conv1D, 1, args, kwargs)


def Convolution2D(*args: Any, **kwargs: Any) -> Any:
    """Conv2D; `Convolution2D(32, 3, 3)` has a kernel of 3 x 3."""
    return _convolution(layers.Conv2D, 2, args, kwargs)


def Convolution3D(*args: Any, **kwargs: Any) -> Any:
    """Conv3D; `Convolution3D(32, 3, 3, 3)` has a kernel of 3 x 3 x 3."""
    return _convolution(layers.Conv3D, 3, args, kwargs)


AtrousConvolution2D = Convolution2D


class ThresholdedReLU(layers.Layer):
    """x above theta, 0 elsewhere."""

    def __init__(self, theta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.theta = theta

    def call(self, inputs: Any) -> Any:
        return ops.where(inputs > self.theta, inputs, ops.zeros_like(inputs))


_MERGES = {
    "ave": layers.average, "max": layers.maximum, "mul": layers.multiply, "sum": layers.add,
}  # fmt: skip


def merge(
    inputs: Sequence[Any],
    mode: str = "sum",
    dot_axes: Any = -1,
    concat_axis: int = -1,
    name: str | None = None,
    **unused: Any,
) -> Any:
    """Several tensors made into one, as `mode` says. Raises ValueError for a mode that is not known."""
    if mode == "concat":
        return layers.concatenate(inputs, axis=concat_axis, name=name)
    if mode in ("dot", "cos"):
        return layers.dot(inputs, axes=dot_axes, normalize=mode == "cos", name=name)
    if mode not in _MERGES:
        raise ValueError(f"merge: mode is one of concat, dot, cos, {', '.join(_MERGES)}; got {mode!r}")
    return _MERGES[mode](inputs, name=name)
