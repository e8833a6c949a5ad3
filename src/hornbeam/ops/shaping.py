"""Shapes: adding, removing, moving and merging axes; joining, splitting, repeating, padding and reversing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_node, broadcast_shapes, cast_node, result_dtype
from hornbeam.core.dispatch import operation
from hornbeam.core.indexing import getitem, reshape
from hornbeam.core.tensor import Tensor
from hornbeam.ir.limits import count_elements
from hornbeam.ir.node import Node
from hornbeam.ir.types import HornbeamTypeError, ShapeError
from hornbeam.ops._common import many_axes, node_of, one_axis, shape_of, static_int

if TYPE_CHECKING:
    from hornbeam._internal.typing import Axis, Index, TensorLike

# fmt: off
__all__ = [
    "append", "array_split", "broadcast_to", "concatenate", "diagonal", "dsplit", "dstack", "expand_dims",
    "flip", "fliplr", "flipud", "get_item", "hsplit", "hstack", "moveaxis", "ndim", "pad", "ravel",
    "repeat", "reshape", "roll", "rot90", "size", "split", "squeeze", "stack", "swapaxes", "tile",
    "transpose", "unstack", "vsplit", "vstack",
]
# fmt: on


@operation
def get_item(x: TensorLike, key: Index) -> Tensor:
    """Index as NumPy does: x[key].

    Args:
        x: Tensor or anything that converts to one.
        key: Integers, slices, None, Ellipsis, integer arrays or (known) boolean masks, or a tuple of them.

    Returns:
        Tensor.

    Example:
        >>> np.asarray(hornbeam.ops.get_item([1, 2, 3], slice(1, None))).tolist()
        [2, 3]
    """
    return getitem(as_tensor(x), key)


def ndim(x: TensorLike) -> int:
    """Return the number of axes.

    Args:
        x: Tensor or anything that converts to one.

    Returns:
        Integer.
    """
    return len(as_tensor(x).shape)


def size(x: TensorLike) -> int | Any:
    """Return the number of elements; None if a size of a symbolic tensor is unknown.

    Args:
        x: Tensor or anything that converts to one.

    Returns:
        Integer or None.
    """
    shape = as_tensor(x).shape
    return None if None in shape else math.prod(shape)


@operation
def ravel(x: TensorLike) -> Tensor:
    """Flatten to a vector in row-major order.

    Args:
        x: Tensor or anything that converts to one.

    Returns:
        Tensor of one axis.
    """
    return reshape(x, (-1,)) if as_tensor(x).size else reshape(x, (0,))


@operation
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Permute the axes.

    Args:
        x: Tensor or anything that converts to one.
        axes: Sequence of integers, the axes of `x` in the order of the result; None reverses them.

    Returns:
        Tensor with permuted axes.

    Raises:
        ShapeError: If `axes` does not contain each axis once.

    Example:
        >>> hornbeam.ops.transpose(hornbeam.ops.zeros((2, 3))).shape
        (3, 2)
    """
    node = node_of(x)
    order = tuple(reversed(range(node.rank))) if axes is None else tuple(axes)
    perm = tuple(one_axis(a, node.rank, "transpose") for a in order)
    if sorted(perm) != list(range(node.rank)):
        raise ShapeError(f"transpose: axes {order} must name each of {node.rank} axes once")
    return Tensor(p.transpose(node, perm))


@operation
def swapaxes(x: TensorLike, axis1: int, axis2: int) -> Tensor:
    """Exchange two axes.

    Args:
        x: Tensor or anything that converts to one.
        axis1, axis2: Integers, the axes.

    Returns:
        Tensor with exchanged axes.
    """
    node = node_of(x)
    perm = list(range(node.rank))
    a, b = one_axis(axis1, node.rank, "swapaxes"), one_axis(axis2, node.rank, "swapaxes")
    perm[a], perm[b] = b, a
    return Tensor(p.transpose(node, tuple(perm)))


@operation
def moveaxis(x: TensorLike, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move axes to other positions; the remaining axes keep their order.

    Args:
        x: Tensor or anything that converts to one.
        source: Integer or sequence of integers, the axes to move.
        destination: Integer or sequence of integers, their positions in the result.

    Returns:
        Tensor with moved axes.

    Example:
        >>> hornbeam.ops.moveaxis(hornbeam.ops.zeros((2, 3, 4)), 0, -1).shape
        (3, 4, 2)
    """
    node = node_of(x)
    sources = [one_axis(a, node.rank, "moveaxis") for a in _listed(source)]
    targets = [one_axis(a, node.rank, "moveaxis") for a in _listed(destination)]
    if len(sources) != len(targets) or len(set(sources)) != len(sources) or len(set(targets)) != len(targets):
        raise ShapeError(f"moveaxis: {source} and {destination} must name the same number of different axes")
    order = [a for a in range(node.rank) if a not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return Tensor(p.transpose(node, tuple(order)))


def _listed(axis: int | Sequence[int]) -> list[int]:
    axes: Any = axis
    return list(axes) if isinstance(axes, (tuple, list)) else [axes]


@operation
def expand_dims(x: TensorLike, axis: int | Sequence[int]) -> Tensor:
    """Insert axes of size 1.

    Args:
        x: Tensor or anything that converts to one.
        axis: Integer or sequence of integers, positions of the new axes in the result.

    Returns:
        Tensor with more axes.

    Example:
        >>> hornbeam.ops.expand_dims([1, 2], -1).shape
        (2, 1)
    """
    node = node_of(x)
    rank = node.rank + len(_listed(axis))
    axes = many_axes(_listed(axis), rank, "expand_dims")
    rest = iter(node.shape)
    return Tensor(p.reshape(node, tuple(1 if i in axes else next(rest) for i in range(rank))))


@operation
def squeeze(x: TensorLike, axis: Axis = None) -> Tensor:
    """Remove axes of size 1.

    Args:
        x: Tensor or anything that converts to one.
        axis: Integer or sequence of integers, the axes to remove; None for all axes of size 1.

    Returns:
        Tensor with fewer axes.

    Raises:
        ShapeError: If an axis to remove is not of size 1.
    """
    node = node_of(x)
    if axis is None:
        return Tensor(p.reshape(node, tuple(n for n in node.shape if n != 1)))
    axes = many_axes(axis, node.rank, "squeeze")
    if any(node.shape[a] != 1 for a in axes):
        raise ShapeError(f"squeeze: axes {axes} of shape {node.shape} are not all of size 1")
    return Tensor(p.reshape(node, tuple(n for i, n in enumerate(node.shape) if i not in axes)))


@operation
def broadcast_to(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """Broadcast to a shape by NumPy's rule.

    Args:
        x: Tensor or anything that converts to one.
        shape: Sequence of integers, the shape of the result.

    Returns:
        Tensor of `shape`.

    Raises:
        ShapeError: If `x` does not broadcast to `shape`.
    """
    node, target = node_of(x), shape_of(shape)
    if len(target) < node.rank or broadcast_shapes(node.shape, target) != target:
        raise ShapeError(f"broadcast_to: shape {node.shape} does not broadcast to {target}")
    return Tensor(broadcast_node(node, target))


# -- joining and cutting -------------------------------------------------------------------------------------


def _unified(xs: Sequence[TensorLike]) -> list[Node]:
    """Convert tensors to one dtype; each keeps its shape."""
    items = list(xs)
    if not items:
        raise ValueError("at least one tensor is needed")
    dtype = result_dtype(*items)
    return [cast_node(x, dtype) for x in items]


@operation
def concatenate(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join tensors along an existing axis.

    Args:
        xs: Sequence of tensors.
        axis: Integer, the axis.

    Returns:
        Tensor of the promoted dtype.

    Raises:
        ShapeError: If the sizes of the other axes differ.

    Example:
        >>> hornbeam.ops.concatenate([[1, 2], [3]]).shape
        (3,)
    """
    nodes = _unified(xs)
    return Tensor(p.concatenate(*nodes, axis=one_axis(axis, nodes[0].rank, "concatenate")))


@operation
def stack(x: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis.

    Args:
        x: Sequence of tensors of one shape.
        axis: Integer, position of the new axis in the result.

    Returns:
        Tensor with one more axis.

    Example:
        >>> hornbeam.ops.stack([[1, 2], [3, 4]], axis=1).shape
        (2, 2)
    """
    nodes = _unified(x)
    first = nodes[0].shape
    if any(n.shape != first for n in nodes):
        raise ShapeError(f"stack needs tensors of one shape, got {[n.shape for n in nodes]}")
    at = one_axis(axis, len(first) + 1, "stack")
    shape = (*first[:at], 1, *first[at:])
    return Tensor(p.concatenate(*(p.reshape(n, shape) for n in nodes), axis=at))


@operation
def append(x1: TensorLike, x2: TensorLike, axis: int | None = None) -> Tensor:
    """Join two tensors along an axis.

    Args:
        x1: Tensor.
        x2: Tensor that follows `x1`.
        axis: Integer, the axis; None flattens both first.

    Returns:
        Tensor of the promoted dtype.
    """
    if axis is None:
        return concatenate([ravel(x1), ravel(x2)])
    return concatenate([x1, x2], axis)


def _at_least(node: Node, rank: int) -> Node:
    """Add axes as NumPy's vstack and dstack do: vectors are rows, matrices get a last axis."""
    if rank == 1 and not node.rank:
        return p.reshape(node, (1,))
    if rank == 2 and node.rank < 2:
        return p.reshape(node, (1, math.prod(node.shape)))
    if rank == 3 and node.rank < 3:
        shape = (1, math.prod(node.shape), 1) if node.rank < 2 else (*node.shape, 1)
        return p.reshape(node, shape)
    return node


@operation
def hstack(xs: Sequence[TensorLike]) -> Tensor:
    """Join tensors along axis 1; vectors along axis 0.

    Args:
        xs: Sequence of tensors.

    Returns:
        Tensor of the promoted dtype.
    """
    nodes = [_at_least(n, 1) for n in _unified(xs)]
    return Tensor(p.concatenate(*nodes, axis=0 if nodes[0].rank == 1 else 1))


@operation
def vstack(xs: Sequence[TensorLike]) -> Tensor:
    """Join tensors along axis 0; vectors become rows.

    Args:
        xs: Sequence of tensors.

    Returns:
        Tensor of the promoted dtype.
    """
    return Tensor(p.concatenate(*(_at_least(n, 2) for n in _unified(xs)), axis=0))


@operation
def dstack(xs: Sequence[TensorLike]) -> Tensor:
    """Join tensors along axis 2; matrices become (n, m, 1).

    Args:
        xs: Sequence of tensors.

    Returns:
        Tensor of the promoted dtype.
    """
    return Tensor(p.concatenate(*(_at_least(n, 3) for n in _unified(xs)), axis=2))


def _cut(node: Node, axis: int, low: int, high: int) -> Node:
    start, stop = [0] * node.rank, list(node.shape)
    start[axis], stop[axis] = low, high
    return p.slice_(node, tuple(start), tuple(stop))


def _pieces(node: Node, borders: Sequence[int], axis: int) -> list[Tensor]:
    length = node.shape[axis]
    marks = [0, *(min(b if b >= 0 else max(b + length, 0), length) for b in borders), length]
    return [Tensor(_cut(node, axis, a, max(a, b))) for a, b in itertools.pairwise(marks)]


@operation
def split(x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Split along an axis into equal parts, or at given positions.

    Args:
        x: Tensor or anything that converts to one.
        indices_or_sections: Integer, the number of equal parts, or sequence of integers, the positions.
        axis: Integer, the axis.

    Returns:
        List of tensors.

    Raises:
        ShapeError: If the number of parts does not divide the size of the axis.

    Example:
        >>> [t.shape for t in hornbeam.ops.split([1, 2, 3, 4], 2)]
        [(2,), (2,)]
    """
    node = node_of(x)
    at = one_axis(axis, node.rank, "split")
    length = node.shape[at]
    if isinstance(indices_or_sections, (int, np.integer)):
        parts = int(indices_or_sections)
        if parts < 1 or length % parts:
            raise ShapeError(f"split: an axis of size {length} does not divide into {parts} equal parts")
        count_elements(parts)
        each = length // parts
        return _pieces(node, [each * i for i in range(1, parts)], at)
    return _pieces(node, list(shape_of(indices_or_sections)), at)


@operation
def array_split(x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Split along an axis into parts whose sizes differ by at most 1; the first parts are larger.

    Args:
        x: Tensor or anything that converts to one.
        indices_or_sections: Integer, the number of parts, or sequence of integers, the positions.
        axis: Integer, the axis.

    Returns:
        List of tensors.
    """
    if not isinstance(indices_or_sections, (int, np.integer)):
        return split(x, indices_or_sections, axis)
    node = node_of(x)
    at = one_axis(axis, node.rank, "array_split")
    parts = int(indices_or_sections)
    if parts < 1:
        raise ValueError(f"array_split: the number of parts must be positive, got {parts}")
    count_elements(parts)
    each, extra = divmod(node.shape[at], parts)
    sizes = [each + (i < extra) for i in range(parts)]
    return _pieces(node, list(np.cumsum(sizes)[:-1].tolist()), at)


@operation
def hsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split along axis 1; a vector along axis 0.

    Args:
        x: Tensor or anything that converts to one.
        indices_or_sections: Integer, the number of equal parts, or sequence of integers, the positions.

    Returns:
        List of tensors.
    """
    return split(x, indices_or_sections, axis=0 if len(as_tensor(x).shape) == 1 else 1)


@operation
def vsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split along axis 0.

    Args:
        x: Tensor or anything that converts to one.
        indices_or_sections: Integer, the number of equal parts, or sequence of integers, the positions.

    Returns:
        List of tensors.
    """
    return split(x, indices_or_sections, axis=0)


@operation
def dsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split along axis 2.

    Args:
        x: Tensor or anything that converts to one.
        indices_or_sections: Integer, the number of equal parts, or sequence of integers, the positions.

    Returns:
        List of tensors.
    """
    return split(x, indices_or_sections, axis=2)


@operation
def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """Split along an axis into slices without that axis.

    Args:
        x: Tensor or anything that converts to one.
        num: Integer, the expected number of slices, or None.
        axis: Integer, the axis.

    Returns:
        List of tensors.
    """
    node = node_of(x)
    at = one_axis(axis, node.rank, "unstack")
    count = node.shape[at]
    if num is not None and num != count:
        raise ShapeError(f"unstack: num={num}, but axis {axis} has size {count}")
    rest = (*node.shape[:at], *node.shape[at + 1 :])
    return [Tensor(p.reshape(_cut(node, at, i, i + 1), rest)) for i in range(count)]


# -- repeating -----------------------------------------------------------------------------------------------


@operation
def repeat(x: TensorLike, repeats: int | Sequence[int], axis: int | None = None) -> Tensor:
    """Repeat each element, or each slice along an axis.

    Args:
        x: Tensor or anything that converts to one.
        repeats: Integer, or list of known integers, one for each slice.
        axis: Integer, the axis; None for the flattened tensor.

    Returns:
        Tensor in the dtype of `x`.

    Example:
        >>> np.asarray(hornbeam.ops.repeat([1, 2], 2)).tolist()
        [1, 1, 2, 2]
    """
    node = node_of(x)
    if axis is None:
        node, axis = p.reshape(node, (math.prod(node.shape),)), 0
    at = one_axis(axis, node.rank, "repeat")
    counts = np.asarray(repeats).reshape(-1)
    if counts.dtype.kind not in "iu":
        raise HornbeamTypeError(f"repeat: repeats must be integers, got {repeats!r}")
    if counts.size == 1:
        times = int(counts[0])
        shape = (*node.shape[: at + 1], times, *node.shape[at + 1 :])
        dims = tuple(i for i in range(len(shape)) if i != at + 1)
        merged = (*node.shape[:at], node.shape[at] * times, *node.shape[at + 1 :])
        return Tensor(p.reshape(p.broadcast(node, shape, dims), merged))
    if counts.size != node.shape[at]:
        raise ShapeError(f"repeat: {counts.size} counts for an axis of size {node.shape[at]}")
    from hornbeam.ops.selection import take

    count_elements(int(counts.sum()))
    return take(Tensor(node), np.repeat(np.arange(node.shape[at], dtype=np.int32), counts), at)


@operation
def tile(x: TensorLike, repeats: int | Sequence[int]) -> Tensor:
    """Repeat the whole tensor along its axes.

    Args:
        x: Tensor or anything that converts to one.
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


# -- turning and shifting ------------------------------------------------------------------------------------


@operation
def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """Reverse the order of the elements along axes.

    Args:
        x: Tensor or anything that converts to one.
        axis: Integer or sequence of integers; None for all axes.

    Returns:
        Tensor of the shape of `x` and in its dtype.
    """
    node = node_of(x)
    return Tensor(p.reverse(node, many_axes(axis, node.rank, "flip")))


@operation
def fliplr(x: TensorLike) -> Tensor:
    """Reverse the order along axis 1.

    Args:
        x: Tensor or anything that converts to one.

    Returns:
        Tensor of the shape of `x` and in its dtype.
    """
    return flip(x, 1)


@operation
def flipud(x: TensorLike) -> Tensor:
    """Reverse the order along axis 0.

    Args:
        x: Tensor or anything that converts to one.

    Returns:
        Tensor of the shape of `x` and in its dtype.
    """
    return flip(x, 0)


@operation
def rot90(array: TensorLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Tensor:
    """Rotate by 90 degrees in the plane of two axes, from the first toward the second.

    Args:
        array: Tensor of at least two axes.
        k: Integer, number of quarter turns.
        axes: Pair of integers, the axes of the plane.

    Returns:
        Tensor in the dtype of `array`.
    """
    node = node_of(array)
    if len(axes) != 2:
        raise ShapeError(f"rot90 needs two axes, got {axes}")
    first, second = (one_axis(a, node.rank, "rot90") for a in axes)
    if first == second:
        raise ShapeError(f"rot90 needs two different axes, got {axes}")
    turns = k % 4
    if turns == 2:
        return flip(array, (first, second))
    if not turns:
        return Tensor(node)
    if turns == 1:
        return swapaxes(flip(array, second), first, second)
    return flip(swapaxes(array, first, second), second)


@operation
def roll(x: TensorLike, shift: int | Sequence[int], axis: Axis = None) -> Tensor:
    """Shift the elements along axes; those pushed out enter at the other end.

    Args:
        x: Tensor or anything that converts to one.
        shift: Integer or sequence of integers, one for each axis.
        axis: Integer or sequence of integers; None rolls the flattened tensor and restores its shape.

    Returns:
        Tensor of the shape of `x` and in its dtype.

    Example:
        >>> np.asarray(hornbeam.ops.roll([1, 2, 3], 1)).tolist()
        [3, 1, 2]
    """
    node = node_of(x)
    if axis is None:
        flat = p.reshape(node, (math.prod(node.shape),))
        return Tensor(p.reshape(roll(Tensor(flat), shift, 0).node, node.shape))
    axes = _listed(axis)
    shifts: list[Any] = list(shift) if isinstance(shift, (tuple, list)) else [shift] * len(axes)
    if len(shifts) != len(axes):
        raise ShapeError(f"roll: {len(shifts)} shifts for {len(axes)} axes")
    for a, by in zip(axes, shifts, strict=True):
        at = one_axis(a, node.rank, "roll")
        length = node.shape[at]
        offset = static_int(by, "shift") % length if length else 0
        if offset:
            node = p.concatenate(
                _cut(node, at, length - offset, length), _cut(node, at, 0, length - offset), axis=at
            )
    return Tensor(node)


@operation
def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Extract a diagonal of the matrices in two axes, as a new last axis.

    Args:
        x: Tensor or anything that converts to one.
        offset: Integer, the diagonal: 0 for the main one, positive above it, negative below it.
        axis1, axis2: Integers, the axes of rows and columns.

    Returns:
        Tensor without the two axes, with the diagonal last.

    Example:
        >>> np.asarray(hornbeam.ops.diagonal([[1, 2], [3, 4]])).tolist()
        [1, 4]
    """
    node = node_of(x)
    a, b = one_axis(axis1, node.rank, "diagonal"), one_axis(axis2, node.rank, "diagonal")
    if a == b:
        raise ShapeError("diagonal needs two different axes")
    rest = [i for i in range(node.rank) if i not in (a, b)]
    rows, columns = node.shape[a], node.shape[b]
    first_row, first_column = max(-offset, 0), max(offset, 0)
    count = max(min(rows - first_row, columns - first_column), 0)
    lead = tuple(node.shape[i] for i in rest)
    flat = p.reshape(p.transpose(node, (*rest, a, b)), (*lead, rows * columns))
    start = first_row * columns + first_column if count else 0
    stop = start + (count - 1) * (columns + 1) + 1 if count else 0
    none = (0,) * len(lead)
    ones = (1,) * len(lead)
    return Tensor(p.slice_(flat, (*none, start), (*lead, stop), (*ones, columns + 1)))


# -- padding -------------------------------------------------------------------------------------------------


@operation
def pad(
    x: TensorLike,
    pad_width: int | Sequence[Any],
    mode: str = "constant",
    constant_values: float | None = None,
) -> Tensor:
    """Pad along every axis.

    Args:
        x: Tensor or anything that converts to one.
        pad_width: Integer, pair (before, after), or a pair for each axis.
        mode: "constant", "edge", "reflect" (without the border itself), "symmetric" (with it) or "wrap".
        constant_values: Number of the padding in "constant" mode; None for 0.

    Returns:
        Tensor in the dtype of `x`.

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
        raise ValueError(f'pad: constant_values goes with mode="constant", got mode={mode!r}')
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ValueError(
            f'pad: mode must be "constant", "edge", "reflect", "symmetric" or "wrap", got {mode!r}'
        )
    from hornbeam.ops.selection import take

    for axis, (before, after) in enumerate(pairs):
        if before or after:
            count_elements(before + node.shape[axis] + after)
            order = np.pad(np.arange(node.shape[axis], dtype=np.int32), (before, after), mode=mode)  # type: ignore[call-overload]
            node = take(Tensor(node), order, axis).node
    return Tensor(node)
