"""Repeating and padding along axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.limits import count_elements
from hornbeam.ir.sizes import is_unknown, maximum
from hornbeam.ir.types import HornbeamTypeError, ShapeError
from hornbeam.ops._common import array_functions, node_of, one_axis, shape_of
from hornbeam.ops.selection import take

# fmt: off
__all__ = ["pad", "repeat", "tile"]
# fmt: on


@operation
def repeat(x: TensorLike, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Repeat each element, or each slice along an axis.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        repeats: Integer, or list of known integers, one for each slice.
        axis: Integer, the axis; None for the flattened tensor.

    Returns:
        Tensor in the dtype of `x`.

    Raises:
        HornbeamTypeError: If `repeats` are not integers.
        ShapeError: If there is not one count for each element of the axis.

    Example:
        >>> np.asarray(hornbeam.ops.repeat([1, 2], 2)).tolist()
        [1, 1, 2, 2]
    """
    node = node_of(x)
    if axis is None:
        node, axis = p.reshape(node, (math.prod(node.shape),)), 0
    at = one_axis(axis, node.rank, "repeat")
    one = _one_count(repeats)
    counts = np.asarray(() if one is not None else repeats).reshape(-1)
    if one is None and counts.dtype.kind not in "iu":
        raise HornbeamTypeError(f"repeat: repeats must be integers, got {repeats!r}")
    times: Any = one if one is not None else int(counts[0]) if counts.size == 1 else None
    if times is not None:
        shape = (*node.shape[: at + 1], times, *node.shape[at + 1 :])
        dims = tuple(i for i in range(len(shape)) if i != at + 1)
        merged = (*node.shape[:at], node.shape[at] * times, *node.shape[at + 1 :])
        return Tensor(p.reshape(p.broadcast(node, shape, dims), merged))
    if counts.size != node.shape[at]:
        raise ShapeError(f"repeat: {counts.size} counts for an axis of size {node.shape[at]}")
    count_elements(int(counts.sum()))
    return take(Tensor(node), np.repeat(np.arange(counts.size, dtype=np.int32), counts), at)


def _one_count(repeats: Any) -> Any:
    """Return a size that is unknown until the model gets data, alone or alone in a sequence, or None."""
    if isinstance(repeats, (list, tuple)) and len(repeats) == 1:
        repeats = repeats[0]
    return repeats if is_unknown(repeats) else None


@operation
def tile(x: TensorLike, repeats: int | Sequence[int]) -> Tensor:
    """Repeat the whole tensor along its axes.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        repeats: Integer or sequence of integers, one for each axis; fewer apply to the last axes.

    Returns:
        Tensor in the dtype of `x`.

    Example:
        >>> np.asarray(hornbeam.ops.tile([1, 2], 2)).tolist()
        [1, 2, 1, 2]
    """
    node, times = node_of(x), shape_of(repeats)
    rank = max(node.rank, len(times))
    sizes = (1,) * (rank - node.rank) + node.shape
    times = (1,) * (rank - len(times)) + times
    shape = tuple(n for pair in zip(times, sizes, strict=True) for n in pair)
    repeated = p.broadcast(p.reshape(node, sizes), shape, tuple(range(1, 2 * rank, 2)))
    return Tensor(p.reshape(repeated, tuple(t * n for t, n in zip(times, sizes, strict=True))))


@operation
def pad(
    x: TensorLike,
    pad_width: int | Sequence[Any],
    mode: str = "constant",
    constant_values: float | None = None,
) -> Tensor:
    """Pad along every axis.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        pad_width: Integer, pair (before, after), or a pair for each axis.
        mode: "constant", "edge", "reflect" (without the border itself), "symmetric" (with it) or "wrap".
        constant_values: Number of the padding in "constant" mode; None for 0.

    Returns:
        Tensor in the dtype of `x`.

    Raises:
        ValueError: If `mode` is unknown, a width is negative, or `constant_values` are given for another
            mode.

    Example:
        >>> np.asarray(hornbeam.ops.pad([1, 2], 1)).tolist()
        [0, 1, 2, 0]
    """
    node = node_of(x)
    widths = np.asarray(pad_width, dtype=np.int64)
    pairs = [(int(a), int(b)) for a, b in np.broadcast_to(widths, (node.rank, 2))]
    if any(a < 0 or b < 0 for a, b in pairs):
        raise ValueError(f"pad: widths must not be negative, got {pad_width}")
    if mode == "constant":
        value = cast_node(0 if constant_values is None else constant_values, node.dtype)
        return Tensor(p.pad(node, value, tuple(a for a, _ in pairs), tuple(b for _, b in pairs)))
    if constant_values is not None:
        raise ValueError(
            f"pad: Argument `constant_values` can only be provided when `mode == 'constant'`, got {mode!r}"
        )
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(
            f'pad: mode must be "constant", "edge", "reflect", "symmetric" or "wrap", got {mode!r}'
        )
    for axis, (before, after) in enumerate(pairs):
        if before or after:
            size = node.shape[axis]
            count_elements(before + size + after)
            node = take(Tensor(node), _padded_order(size, before, after, mode), axis).node
    return Tensor(node)


def _padded_order(size: int, before: int, after: int, mode: str) -> Any:
    """Return the index of the element at each position of a padded axis."""
    xp = array_functions(size)
    index = xp.arange(before + size + after, dtype="int32") - before
    if mode == "edge":
        return xp.clip(index, 0, size - 1)
    if mode == "wrap":
        return index % size
    # There and back again: a mirror repeats the element at the edge ("symmetric") or not.
    period = 2 * size if mode == "symmetric" else maximum(2 * size - 2, 1)
    index = index % period
    return xp.minimum(index, (2 * size - 1 if mode == "symmetric" else 2 * size - 2) - index)
