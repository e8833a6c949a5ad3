"""Array layouts of Keras 1 and 2, and their conversion to today's weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hornbeam import layers as layer_types

if TYPE_CHECKING:
    from hornbeam.layers import Layer
    from hornbeam.layers.network import Network

Shape = tuple[int, ...]


class Origin(NamedTuple):
    """Writer of a file.

    Attributes:
        first: Whether it was Keras 1.
        turned: Whether it used Theano, whose convolutions flip kernels.
    """

    first: bool
    turned: bool


@dataclass(frozen=True)
class Conversion:
    """Conversion of stored arrays to one weight.

    Attributes:
        sources: Indices of the stored arrays, concatenated along the last axis at the end.
        axes: Permutation of each array's axes.
        dropped: Axis of size 1 that is removed after that.
        flipped: Whether all but the last two axes are reversed.
    """

    sources: tuple[int, ...]
    axes: tuple[int, ...] | None = None
    dropped: int | None = None
    flipped: bool = False

    def shape(self, stored: Sequence[Shape | None]) -> Shape | None:
        """Return the shape of the weight, None if the stored arrays do not fit together."""
        shapes = [self._moved(stored[i]) if i < len(stored) else None for i in self.sources]
        first = shapes[0]
        if first is None or any(shape is None or shape[:-1] != first[:-1] for shape in shapes):
            return None
        return first if len(shapes) == 1 else (*first[:-1], sum(shape[-1] for shape in shapes if shape))

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
        """Compute the weight from stored datasets or arrays that fit together."""
        arrays = [np.asarray(stored[i][()]) for i in self.sources]
        if self.axes is not None:
            arrays = [array.transpose(self.axes) for array in arrays]
        if self.dropped is not None:
            arrays = [array.squeeze(self.dropped) for array in arrays]
        array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays, axis=-1)
        return np.flip(array, tuple(range(array.ndim - 2))) if self.flipped else array


# Today's order of gates, as indices into that of Keras 1: i, c, f, o and z, r, h.
_LSTM, _GRU = (0, 2, 1, 3), (0, 1, 2)
_CONVOLUTIONS = (
    layer_types.Conv1D,
    layer_types.Conv2D,
    layer_types.Conv3D,
    layer_types.Conv2DTranspose,
    layer_types.Conv3DTranspose,
)


def conversions_of(layer: Layer, stored: Sequence[Shape | None], origin: Origin) -> list[Conversion] | None:
    """Return the conversion of stored arrays to each weight of a layer, trainable ones first.

    Args:
        layer: The layer.
        stored: Shapes of the arrays that the file has for it.
        origin: Writer of the file.

    Returns:
        List of conversions, None if the number of arrays does not fit.
    """
    variables = [*layer.trainable_weights, *layer.non_trainable_weights]
    if not (origin.first or origin.turned):
        return [Conversion((i,)) for i in range(len(stored))] if len(stored) == len(variables) else None
    conversions: dict[int, Conversion] = {}
    start = 0
    leaves = list(_leaves(layer))
    for kind in ("trainable_weights", "non_trainable_weights"):
        for leaf in leaves:
            weights = [v for v in getattr(leaf, kind) if id(v) not in conversions]
            of_leaf = _of_leaf(leaf, weights, stored[start:], origin) if weights else []
            for variable, conversion in zip(weights, of_leaf, strict=True):
                conversions[id(variable)] = replace(
                    conversion, sources=tuple(start + i for i in conversion.sources)
                )
            start += sum(len(conversion.sources) for conversion in of_leaf)
    if start != len(stored):
        return None
    return [conversions[id(variable)] for variable in variables]


def has_convolutions(layer: Layer) -> bool:
    """Return whether a layer, or one inside it, has kernels that Theano flips."""
    return any(isinstance(leaf, (*_CONVOLUTIONS, layer_types.ConvLSTM2D)) for leaf in _leaves(layer))


def incompatible_padding(model: Network) -> list[str]:
    """List the layers of a model whose padding differs from Theano's.

    Theano padded half a kernel before the first value for all strides, and more in pooling.
    """
    descriptions = []
    for layer in _leaves(model):
        sizes = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None) or ()
        window = "kernel_size" if hasattr(layer, "kernel_size") else "pool_size"
        pads = getattr(layer, "padding", None) == "same" or isinstance(layer, layer_types.ConvLSTM2D)
        strides = getattr(layer, "strides", None) or ()
        equal = (1, 3) if window == "pool_size" else range(1, max(sizes, default=1) + 1, 2)
        if pads and not (all(n in equal for n in sizes) and all(n == 1 for n in strides)):
            descriptions.append(
                f"{type(layer).__name__} {layer.name!r} ({window}={sizes}, strides={strides})"
            )
    return descriptions


def _leaves(layer: Layer) -> Iterator[Any]:
    """Yield the layers inside models and wrappers."""
    inner: Any = getattr(layer, "layers", None)
    if isinstance(layer, layer_types.Bidirectional):
        inner = [layer.forward_layer, layer.backward_layer]
    elif isinstance(layer, layer_types.Wrapper):
        inner = [layer.layer]
    if not isinstance(inner, list):
        yield layer
        return
    for child in inner:
        yield from _leaves(child)


def _of_leaf(
    layer: Layer, weights: Sequence[Any], stored: Sequence[Shape | None], origin: Origin
) -> list[Conversion]:
    if origin.first and isinstance(layer, (layer_types.LSTM, layer_types.GRU, layer_types.ConvLSTM2D)):
        order = _GRU if isinstance(layer, layer_types.GRU) else _LSTM
        conversions = _gates(layer, weights, stored, order)
    else:
        conversions = [Conversion((i,)) for i in range(len(weights))]
    kernels = 1 if isinstance(layer, _CONVOLUTIONS) else 2 * isinstance(layer, layer_types.ConvLSTM2D)
    if isinstance(layer, layer_types.SeparableConv2D) and origin.first:
        kernels = 2
    for number in range(min(kernels, len(weights))):
        fitting = _fitting(layer, conversions[number], tuple(weights[number].shape), stored, origin)
        flipped = origin.turned and not isinstance(layer, layer_types.SeparableConv2D)
        conversions[number] = replace(fitting, flipped=flipped)
    return conversions


def _gates(
    layer: Layer, weights: Sequence[Any], stored: Sequence[Shape | None], order: tuple[int, ...]
) -> list[Conversion]:
    """Convert gates: kernel, recurrent kernel and bias were stored per gate, or combined, by
    `consume_less`."""
    count = len(weights)
    first = stored[0] if stored else None
    single = (
        first is not None
        and first[-1:] == tuple(weights[0].shape)[-1:]
        and not isinstance(layer, layer_types.ConvLSTM2D)
    )
    if single:
        return [Conversion((i,)) for i in range(count)]
    return [Conversion(tuple(count * gate + i for gate in order)) for i in range(count)]


def _fitting(
    layer: Layer, conversion: Conversion, shape: Shape, stored: Sequence[Shape | None], origin: Origin
) -> Conversion:
    """Return the first layout of Keras 1 that gives a kernel the layer's shape; unchanged, if none does."""
    candidates = [replace(conversion, axes=a, dropped=d) for a, d in _layouts(layer)] if origin.first else []
    return next((c for c in candidates if c.shape(stored) == shape), conversion)


def _layouts(layer: Any) -> list[tuple[tuple[int, ...] | None, int | None]]:
    """Return the axis orders of kernels in Keras 1, and the axis to remove."""
    if isinstance(layer, layer_types.Conv1D):
        return [(None, 1), ((2, 3, 1, 0), 1)]
    first = layer.data_format == "channels_first"
    if isinstance(layer, layer_types.Conv2DTranspose):
        return [((2, 3, 0, 1) if first else (0, 1, 3, 2), None)]
    if not first:
        return []
    return [((2, 3, 4, 1, 0) if isinstance(layer, layer_types.Conv3D) else (2, 3, 1, 0), None)]
