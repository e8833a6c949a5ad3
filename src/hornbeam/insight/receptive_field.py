"""Receptive fields: how many positions of the input, along each axis, one output value depends on.

Layers with a window of k positions, a stride s and a dilation d: size += (k - 1) d jump, jump *= s, where
`jump` is the distance, in input positions, of neighbouring outputs (Araujo, Norris, Sim, "Computing receptive
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


@dataclass(frozen=True)
class Axis:
    """One axis of a value: `size` positions of the input, neighbours `jump` positions apart."""

    size: int = 1
    jump: Fraction = Fraction(1)

    def window(self, window: int, stride: int, dilation: int) -> Axis:
        return Axis(self.size + math.ceil((window - 1) * dilation * self.jump), self.jump * stride)

    def spread(self, window: int, stride: int) -> Axis:
        """A transposed window: every output is made of the inputs that its window reaches."""
        reached = -(-window // stride)
        return Axis(self.size + math.ceil((reached - 1) * self.jump), self.jump / stride)


@dataclass(frozen=True)
class Field:
    """What a value depends on: `axes` of the input, all of it, or what is not known. No axes: a value has no
    place.
    """

    axes: tuple[Axis, ...] = ()
    whole: bool = False
    known: bool = True

    def __str__(self) -> str:
        if not self.known or self.whole:
            return "all" if self.whole else "?"
        sizes = [str(axis.size) for axis in self.axes]
        return sizes[0] if len(set(sizes)) == 1 else "×".join(sizes)


NOWHERE, WHOLE, UNKNOWN = Field(), Field(whole=True), Field(known=False)

_WINDOWS = (
    layers.Conv1D, layers.Conv2D, layers.Conv3D, layers.DepthwiseConv1D, layers.DepthwiseConv2D,
    layers.SeparableConv1D, layers.SeparableConv2D, layers.MaxPooling1D, layers.MaxPooling2D,
    layers.MaxPooling3D,
    layers.AveragePooling1D, layers.AveragePooling2D, layers.AveragePooling3D,
)  # fmt: skip
_TRANSPOSED = (layers.Conv1DTranspose, layers.Conv2DTranspose, layers.Conv3DTranspose)
_UPSAMPLING = (layers.UpSampling1D, layers.UpSampling2D, layers.UpSampling3D)
_EVERYTHING = (
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
    # They rest outside of training, or keep what is in the middle.
    RandomImageLayer, layers.CenterCrop,
)  # fmt: skip


class Fields:
    """The fields of the symbolic tensors of a model, filled call by call in the order of the computation."""

    def __init__(self) -> None:
        self._known: dict[int, Field] = {}

    def of(self, x: KerasTensor) -> Field:
        """A value that no call has made is an input: it sees itself."""
        return self._known.get(id(x), Field((Axis(),) * _axes(x)) if _axes(x) else NOWHERE)

    def follow(self, calls: Iterable[SymbolicCall]) -> None:
        """Note the fields of what the calls make."""
        for call in calls:
            field = self._after(call)
            for x in tree.flatten(call.outputs):
                if isinstance(x, KerasTensor):
                    self._known[id(x)] = field

    def _after(self, call: SymbolicCall) -> Field:
        before = [self.of(x) for x in call.inputs]
        if not before:
            return Field((Axis(),) * _axes(tree.flatten(call.outputs)[0]))
        inner = _calls_inside(call.operation)
        if inner is not None:
            return self._through(call, *inner)
        return after(call.operation, before, call)

    def _through(
        self, call: SymbolicCall, inputs: Sequence[KerasTensor], calls: Sequence[SymbolicCall]
    ) -> Field:
        """A model inside: its own calls, begun with what comes in."""
        fields = Fields()
        fields._known.update({id(x): self.of(given) for x, given in zip(inputs, call.inputs, strict=False)})
        made = [c for c in calls if not isinstance(c.operation, layers.InputLayer)]
        fields.follow(made)
        return fields.of(tree.flatten(made[-1].outputs)[0]) if made else UNKNOWN


def _axes(x: KerasTensor) -> int:
    """Places that a value has along: all axes but the batch and the features."""
    return max(len(x.shape) - 2, 0)


def _calls_inside(operation: Any) -> tuple[list[KerasTensor], list[SymbolicCall]] | None:
    calls = calls_of(operation) if hasattr(operation, "layers") else None
    return (operation.inputs, calls) if calls else None


def calls_of(model: Any) -> list[SymbolicCall] | None:
    """The recorded calls that a functional or Sequential model is made of, or None."""
    if hasattr(model, "_graph"):
        return list(model._graph.calls)
    tensors = model._tensors.values if hasattr(model, "_tensors") else []
    return [x.history for x in tensors if x.history is not None] or None


def after(operation: Any, before: Sequence[Field], call: SymbolicCall) -> Field:
    """The field behind one call, given those in front of it."""
    merged = _merged(before)
    if merged is not None and merged.whole:
        return WHOLE
    places = max(_axes(x) for x in call.inputs)
    if isinstance(operation, _EVERYTHING):
        return WHOLE if places else NOWHERE
    if merged is None or not merged.known:
        return UNKNOWN
    if merged == NOWHERE:  # what is made of values without a place has none either, but for words in a row
        return Field((Axis(),) * _axes(call.outputs)) if isinstance(operation, layers.Embedding) else NOWHERE
    if isinstance(operation, (*_WINDOWS, *_TRANSPOSED, *_UPSAMPLING)):
        return Field(_moved(operation, merged.axes))
    return merged if _is_pointwise(operation) else UNKNOWN


def _is_pointwise(operation: Any) -> bool:
    if isinstance(operation, layers.TimeDistributed):
        return _is_pointwise(operation.layer)
    return isinstance(operation, _POINTWISE)


def _moved(operation: Any, axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Each axis behind a layer that has windows, spreads its input, or repeats it."""
    if isinstance(operation, _UPSAMPLING):
        factors = operation.size if isinstance(operation.size, (tuple, list)) else (operation.size,)
        return tuple(Axis(a.size, a.jump / factor) for a, factor in zip(axes, factors, strict=True))
    windows = operation.kernel_size if hasattr(operation, "kernel_size") else operation.pool_size
    strides = operation.strides or windows
    if isinstance(operation, _TRANSPOSED):
        return tuple(a.spread(k, s) for a, k, s in zip(axes, windows, strides, strict=True))
    dilations = getattr(operation, "dilation_rate", (1,) * len(windows))
    return tuple(a.window(k, s, d) for a, k, s, d in zip(axes, windows, strides, dilations, strict=True))


def _merged(fields: Sequence[Field]) -> Field | None:
    """Of values that are put together: the largest along each axis. None if their axes differ."""
    placed = [f for f in fields if f != NOWHERE]
    if any(f.whole for f in placed) or not all(f.known for f in placed):
        return WHOLE if any(f.whole for f in placed) else UNKNOWN
    if not placed:
        return NOWHERE
    if len({len(f.axes) for f in placed}) > 1:
        return None
    columns = zip(*(f.axes for f in placed), strict=True)
    return Field(tuple(Axis(max(a.size for a in c), max(a.jump for a in c)) for c in columns))
