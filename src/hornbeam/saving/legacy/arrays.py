"""How Keras 1 and 2 laid out the arrays of layers, and how those of today are made of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from hornbeam import layers as own

Shape = tuple[int, ...]


class Origin(NamedTuple):
    """What wrote a file. first: Keras 1. turned: with Theano, which goes over kernels backwards."""

    first: bool
    turned: bool


@dataclass(frozen=True)
class Piece:
    """An array as it is made of stored ones: each with its `axes` in another order and the axis `dropped`, of
    size 1, left out after that; then joined along the last axis; and turned around along all but the last two
    axes."""

    sources: tuple[int, ...]
    axes: tuple[int, ...] | None = None
    dropped: int | None = None
    turned: bool = False

    def shape(self, stored: Sequence[Shape | None]) -> Shape | None:
        """The shape that it has, None where those of the stored arrays do not go together."""
        found = [self._moved(stored[i]) if i < len(stored) else None for i in self.sources]
        first = found[0]
        if first is None or any(shape is None or shape[:-1] != first[:-1] for shape in found):
            return None
        return first if len(found) == 1 else (*first[:-1], sum(shape[-1] for shape in found if shape))

    def _moved(self, shape: Shape | None) -> Shape | None:
        if shape is None or (len(self.sources) > 1 and not shape):
            return None
        if self.axes is not None:
            if len(shape) != len(self.axes):
                return None
            shape = tuple(shape[axis] for axis in self.axes)
        if self.dropped is not None:
            if shape[self.dropped] != 1:
                return None
            shape = shape[: self.dropped] + shape[self.dropped + 1 :]
        return shape

    def value(self, stored: Sequence[Any]) -> np.ndarray:
        """The array, of stored ones (datasets or arrays) that go together."""
        parts = [np.asarray(stored[i][()]) for i in self.sources]
        if self.axes is not None:
            parts = [part.transpose(self.axes) for part in parts]
        if self.dropped is not None:
            parts = [part.squeeze(self.dropped) for part in parts]
        whole = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        return np.flip(whole, tuple(range(whole.ndim - 2))) if self.turned else whole


# The order that gates have today, of those in the files of Keras 1: i, c, f, o and z, r, h.
_LSTM, _GRU = (0, 2, 1, 3), (0, 1, 2)
_CONVOLUTIONS = (own.Conv1D, own.Conv2D, own.Conv3D, own.Conv2DTranspose, own.Conv3DTranspose)


def pieces(layer: Any, stored: Sequence[Shape | None], origin: Origin) -> list[Piece] | None:
    """How each weight of a layer, trainable ones first, is made of the arrays that a file has for it; None if
    there are too many or too few. stored: their shapes."""
    variables = [*layer.trainable_weights, *layer.non_trainable_weights]
    if not (origin.first or origin.turned):
        return [Piece((i,)) for i in range(len(stored))] if len(stored) == len(variables) else None
    found: dict[int, Piece] = {}
    start = 0
    leaves = list(_leaves(layer))
    for kind in ("trainable_weights", "non_trainable_weights"):
        for leaf in leaves:
            weights = [v for v in getattr(leaf, kind) if id(v) not in found]
            made = _of_leaf(leaf, weights, stored[start:], origin) if weights else []
            for variable, piece in zip(weights, made, strict=True):
                found[id(variable)] = replace(piece, sources=tuple(start + i for i in piece.sources))
            start += sum(len(piece.sources) for piece in made)
    if start != len(stored):
        return None
    return [found[id(variable)] for variable in variables]


def has_convolutions(layer: Any) -> bool:
    """Whether a layer, or one inside of it, has kernels that Theano turns around."""
    return any(isinstance(leaf, (*_CONVOLUTIONS, own.ConvLSTM2D)) for leaf in _leaves(layer))


def padded_otherwise(model: Any) -> list[str]:
    """The layers of a model that pad where Theano padded otherwise: before the first value by half a kernel
    whatever the steps, and by still more where it pooled."""
    found = []
    for layer in _leaves(model):
        sizes = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None) or ()
        window = "kernel_size" if hasattr(layer, "kernel_size") else "pool_size"
        pads = getattr(layer, "padding", None) == "same" or isinstance(layer, own.ConvLSTM2D)
        strides = getattr(layer, "strides", None) or ()
        good = (1, 3) if window == "pool_size" else range(1, max(sizes, default=1) + 1, 2)
        if pads and not (all(n in good for n in sizes) and all(n == 1 for n in strides)):
            found.append(f"{type(layer).__name__} {layer.name!r} ({window}={sizes}, strides={strides})")
    return found


def _leaves(layer: Any) -> Iterator[Any]:
    """The layers inside of models and wrappers."""
    inner: Any = getattr(layer, "layers", None)
    if isinstance(layer, own.Bidirectional):
        inner = [layer.forward_layer, layer.backward_layer]
    elif isinstance(layer, own.Wrapper):
        inner = [layer.layer]
    if not isinstance(inner, list):
        yield layer
        return
    for one in inner:
        yield from _leaves(one)


def _of_leaf(
    layer: Any, weights: Sequence[Any], stored: Sequence[Shape | None], origin: Origin
) -> list[Piece]:
    if origin.first and isinstance(layer, (own.LSTM, own.GRU, own.ConvLSTM2D)):
        order = _GRU if isinstance(layer, own.GRU) else _LSTM
        made = _gates(layer, weights, stored, order)
    else:
        made = [Piece((i,)) for i in range(len(weights))]
    kernels = 1 if isinstance(layer, _CONVOLUTIONS) else 2 * isinstance(layer, own.ConvLSTM2D)
    if isinstance(layer, own.SeparableConv2D) and origin.first:
        kernels = 2
    for number in range(min(kernels, len(weights))):
        chosen = _fitting(layer, made[number], tuple(weights[number].shape), stored, origin)
        turned = origin.turned and not isinstance(layer, own.SeparableConv2D)
        made[number] = replace(chosen, turned=turned)
    return made


def _gates(
    layer: Any, weights: Sequence[Any], stored: Sequence[Shape | None], order: tuple[int, ...]
) -> list[Piece]:
    """Kernel, recurrent kernel and bias of each gate were arrays of their own, or one for all gates, by
    `consume_less`."""
    count = len(weights)
    first = stored[0] if stored else None
    single = (
        first is not None
        and first[-1:] == tuple(weights[0].shape)[-1:]
        and not isinstance(layer, own.ConvLSTM2D)
    )
    if single:
        return [Piece((i,)) for i in range(count)]
    return [Piece(tuple(count * gate + i for gate in order)) for i in range(count)]


def _fitting(layer: Any, piece: Piece, shape: Shape, stored: Sequence[Shape | None], origin: Origin) -> Piece:
    """The first of the ways in which a kernel was laid out that makes one of the layer's shape; as it is, if
    none does."""
    ways = [replace(piece, axes=a, dropped=d) for a, d in _layouts(layer)] if origin.first else []
    return next((way for way in ways if way.shape(stored) == shape), piece)


def _layouts(layer: Any) -> list[tuple[tuple[int, ...] | None, int | None]]:
    """Orders of axes that kernels had in Keras 1, and the axis to leave out."""
    if isinstance(layer, own.Conv1D):
        return [(None, 1), ((2, 3, 1, 0), 1)]
    first = layer.data_format == "channels_first"
    if isinstance(layer, own.Conv2DTranspose):
        return [((2, 3, 0, 1) if first else (0, 1, 3, 2), None)]
    if not first:
        return []
    return [((2, 3, 4, 1, 0) if isinstance(layer, own.Conv3D) else (2, 3, 1, 0), None)]
