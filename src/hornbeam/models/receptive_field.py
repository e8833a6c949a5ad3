"""Receptive fields: the number of input positions, along each axis, on which one output value depends.

A layer with a window of k positions, stride s and dilation d sets size += (k - 1) d jump and jump *= s, where
`jump` is the distance of neighboring outputs in input positions (Araujo, Norris, Sim, "Computing receptive
fields of convolutional neural networks", Distill 2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from hornbeam import layers, tree
from hornbeam.core.symbolic import KerasTensor, SymbolicCall
from hornbeam.layers.augmentation.base import RandomImageLayer
from hornbeam.layers.network import Network


@dataclass(frozen=True)
class FieldAxis:
    """One axis of a tensor: each value depends on `size` input positions; neighbors are `jump` apart."""

    size: int = 1
    jump: Fraction = Fraction(1)

    def after_window(self, window: int, stride: int, dilation: int) -> FieldAxis:
        """Return the axis of the output of a layer with windows."""
        return FieldAxis(self.size + math.ceil((window - 1) * dilation * self.jump), self.jump * stride)

    def after_transposed(self, window: int, stride: int) -> FieldAxis:
        """Return the axis of the output of a transposed convolution."""
        reached = -(-window // stride)
        return FieldAxis(self.size + math.ceil((reached - 1) * self.jump), self.jump / stride)


@dataclass(frozen=True)
class ReceptiveField:
    """The input positions on which each value of a tensor depends.

    They are given along `axes`; `everything` is the whole input. Without axes the tensor has no positions.
    """

    axes: tuple[FieldAxis, ...] = ()
    everything: bool = False
    known: bool = True

    def __str__(self) -> str:
        if self.everything:
            return "all"
        if not self.known:
            return "?"
        sizes = [str(axis.size) for axis in self.axes]
        return sizes[0] if len(set(sizes)) == 1 else "×".join(sizes)


NO_POSITIONS = ReceptiveField()
EVERYTHING, UNKNOWN = ReceptiveField(everything=True), ReceptiveField(known=False)

_WINDOWS = (
    layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D,
    layers.SeparableConv1D, layers.SeparableConv2D, layers.MaxPooling1D, layers.MaxPooling2D,
    layers.MaxPooling3D,
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
)  # fmt: skip
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_UPSAMPLING = (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)
_GLOBAL = (
    layers.Flatten, layers.GlobalMaxPooling1D, layers.GlobalMaxPooling2D, layers.GlobalMaxPooling3D,
    layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D, layers.GlobalAveragePooling3D, layers.RNN,
    layers.Bidirectional, layers.MultiHeadAttention, layers.Attention, layers.AdditiveAttention,
    layers.GroupNormalization,
)  # fmt: skip
_POINTWISE = (
    layers.InputLayer, layers.Identity, layers.Activation, layers.ReLU, layers.LeakyReLU, layers.PReLU,
    layers.ELU,
    layers.Softmax, layers.Dropout, layers.SpatialDropout1D, layers.SpatialDropout2D, layers.SpatialDropout3D,
    layers.GaussianDropout, layers.GaussianNoise, layers.AlphaDropout, layers.ActivityRegularization,
    layers.BatchNormalization, layers.LayerNormalization, layers.UnitNormalization, layers.Dense,
    layers.Embedding,
    layers.Rescaling, layers.Normalization, layers.Masking,
    layers.ZeroPadding1D, layers.ZeroPadding2D, layers.ZeroPadding3D,
    layers.Cropping1D, layers.Cropping2D, layers.Cropping3D,
    layers.Add, layers.Subtract, layers.Multiply, layers.Average, layers.Maximum, layers.Minimum,
    layers.Concatenate,
    # The identity outside of training, and a crop around the centre.
    RandomImageLayer, layers.CenterCrop,
)  # fmt: skip


class ReceptiveFields:
    """Receptive fields of the symbolic tensors of a model, computed call by call in execution order."""

    def __init__(self) -> None:
        self._known: dict[int, ReceptiveField] = {}

    def of(self, x: KerasTensor) -> ReceptiveField:
        """Return the field of a tensor; a tensor that no call returned is an input."""
        return self._known.get(id(x), ReceptiveField((FieldAxis(),) * _axes(x)) if _axes(x) else NO_POSITIONS)

    def follow(self, calls: Iterable[SymbolicCall]) -> None:
        """Compute the fields of the outputs of calls."""
        for call in calls:
            field = self._after(call)
            for x in tree.flatten(call.result):
                if isinstance(x, KerasTensor):
                    self._known[id(x)] = field

    def _after(self, call: SymbolicCall) -> ReceptiveField:
        before = [self.of(x) for x in call.inputs]
        if not before:
            return ReceptiveField((FieldAxis(),) * _axes(tree.flatten(call.result)[0]))
        inner = _calls_inside(call.callee)
        if inner is not None:
            return self._through(call, *inner)
        return after(call.callee, before, call)

    def _through(
        self, call: SymbolicCall, inputs: Sequence[KerasTensor], calls: Sequence[SymbolicCall]
    ) -> ReceptiveField:
        """Return the field of the output of a model inside, from the fields of its inputs."""
        fields = ReceptiveFields()
        fields._known.update({id(x): self.of(source) for x, source in zip(inputs, call.inputs, strict=False)})
        inner_calls = [c for c in calls if not isinstance(c.callee, layers.InputLayer)]
        fields.follow(inner_calls)
        return fields.of(tree.flatten(inner_calls[-1].result)[0]) if inner_calls else UNKNOWN


def _axes(x: KerasTensor) -> int:
    """Return the number of spatial axes: all but the batch and the features."""
    return max(len(x.shape) - 2, 0)


def _calls_inside(operation: Any) -> tuple[list[KerasTensor], list[SymbolicCall]] | None:
    calls = calls_of(operation) if hasattr(operation, "layers") else None
    return (operation.inputs, calls) if calls else None


def calls_of(model: Network) -> list[SymbolicCall] | None:
    """Return the recorded calls of a functional or Sequential model, or None."""
    if hasattr(model, "_hb_graph"):
        return list(model._hb_graph.calls)
    tensors = model._hb_tensors.values if hasattr(model, "_hb_tensors") else []
    return [x.history for x in tensors if x.history is not None] or None


def after(operation: object, before: Sequence[ReceptiveField], call: SymbolicCall) -> ReceptiveField:
    """Return the field of the output of a call, from the fields of its inputs."""
    merged = _merged(before)
    if merged is not None and merged.everything:
        return EVERYTHING
    positions = max(_axes(x) for x in call.inputs)
    if isinstance(operation, _GLOBAL):
        return EVERYTHING if positions else NO_POSITIONS
    if merged is None or not merged.known:
        return UNKNOWN
    if merged == NO_POSITIONS:  # and so has the output, except for an embedding of sequences
        embeds = isinstance(operation, layers.Embedding)
        return ReceptiveField((FieldAxis(),) * _axes(call.result)) if embeds else NO_POSITIONS
    if isinstance(operation, (*_WINDOWS, *_TRANSPOSED, *_UPSAMPLING)):
        return ReceptiveField(_window_axes(operation, merged.axes))
    return merged if _is_pointwise(operation) else UNKNOWN


def _is_pointwise(operation: object) -> bool:
    if isinstance(operation, layers.TimeDistributed):
        return _is_pointwise(operation.layer)
    return isinstance(operation, _POINTWISE)


def _window_axes(operation: Any, axes: Sequence[FieldAxis]) -> tuple[FieldAxis, ...]:
    """Return the axes of the output of a layer with windows, of a transposed one, or of upsampling."""
    if isinstance(operation, _UPSAMPLING):
        factors = operation.size if isinstance(operation.size, (tuple, list)) else (operation.size,)
        return tuple(FieldAxis(a.size, a.jump / factor) for a, factor in zip(axes, factors, strict=True))
    windows = operation.kernel_size if hasattr(operation, "kernel_size") else operation.pool_size
    strides = operation.strides or windows
    if isinstance(operation, _TRANSPOSED):
        return tuple(a.after_transposed(k, s) for a, k, s in zip(axes, windows, strides, strict=True))
    dilations = getattr(operation, "dilation_rate", (1,) * len(windows))
    return tuple(
        a.after_window(k, s, d) for a, k, s, d in zip(axes, windows, strides, dilations, strict=True)
    )


def _merged(fields: Sequence[ReceptiveField]) -> ReceptiveField | None:
    """Return the largest field along each axis; None if the numbers of axes differ."""
    placed = [f for f in fields if f != NO_POSITIONS]
    if any(f.everything for f in placed):
        return EVERYTHING
    if not all(f.known for f in placed):
        return UNKNOWN
    if not placed:
        return NO_POSITIONS
    if len({len(f.axes) for f in placed}) > 1:
        return None
    columns = zip(*(f.axes for f in placed), strict=True)
    return ReceptiveField(tuple(FieldAxis(max(a.size for a in c), max(a.jump for a in c)) for c in columns))
