"""`tensor[...]`: NumPy's indexing as slices, reshapes and gathers."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.formatting import brief
from hornbeam.core.convert import as_tensor, broadcast_node, broadcast_shapes
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Index, TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_size, is_unknown, maximum, minimum
from hornbeam.ir.types import ShapeError, is_integer

# An index in canonical form: None, a slice, an int, an array of non-negative ints, or a Tensor of ints.
# Ellipsis remains as a part without an axis, since it separates the array indices on its two sides.
Part = Any


@operation
def reshape(x: TensorLike, newshape: Sequence[SupportsIndex] | SupportsIndex) -> Tensor:
    """Give the same values a new shape.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        newshape: Integer or sequence of integers; one of them may be -1 and is inferred.

    Returns:
        Tensor of the new shape, in the dtype of `x`.

    Raises:
        ShapeError: If the sizes do not match.
    """
    node = as_tensor(x).node
    sizes: Any = newshape if hasattr(newshape, "__iter__") else (newshape,)
    try:
        shape = tuple(size if is_unknown(size) else operator.index(size) for size in sizes)
    except TypeError:
        hint = ": write -1 for one size that is unknown" if None in sizes else ""
        raise TypeError(f"reshape: sizes must be integers, got {brief(newshape)}{hint}") from None
    return Tensor(p.reshape(node, resolve_shape(node.shape, shape)))


def resolve_shape(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """Replace -1 in `new`. Raises ShapeError if the sizes do not match."""
    count = math.prod(old)
    if new.count(-1) > 1 or any(size < -1 for size in new):
        raise ShapeError(f"sizes must not be negative, except one -1 that is inferred; got {new}")
    known = math.prod(size for size in new if is_unknown(size) or size != -1)
    if -1 in new and known and not count % known:
        new = tuple(count // known if size == -1 else size for size in new)
        known = count
    if -1 in new or known != count:
        raise ShapeError(f"cannot reshape {old} ({count} values) to {new}")
    return new


@operation
def getitem(x: Tensor, key: Index) -> Tensor:
    """Index as NumPy does: integers, slices, None, Ellipsis, integer arrays and boolean masks.

    Masks need a known value (eager code).

    Args:
        x: Tensor.
        key: Index of one axis, or tuple of them.

    Returns:
        Tensor.

    Raises:
        IndexError: If an index is out of range. In a tensor of indices, whose values may be unknown, such an
            index is moved to the nearest end instead.
    """
    node = x.node
    parts = _expand(key if isinstance(key, tuple) else (key,), node.shape)
    node, axis_of = _basic(node, parts)
    arrays = [i for i, part in enumerate(parts) if isinstance(part, (np.ndarray, Tensor))]
    if arrays:
        node = _advanced(node, [(axis_of[i], parts[i]) for i in arrays], _target(parts, arrays))
    return Tensor(node)


def _expand(key: tuple[Any, ...], shape: tuple[int, ...]) -> list[Part]:
    """Return the key in canonical form: a part for every axis, and None or Ellipsis between them."""
    items = [item for part in key for item in _canonical(part)]
    indexed = sum(item is not None and item is not Ellipsis for item in items)
    if indexed > len(shape):
        raise IndexError(f"too many indices: {indexed} for a tensor of shape {shape}")
    ellipses = [position for position, item in enumerate(items) if item is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("an index may have only one Ellipsis ('...')")
    end = ellipses[0] + 1 if ellipses else len(items)
    items[end:end] = [slice(None)] * (len(shape) - indexed)
    axis, parts = 0, []
    for item in items:
        if item is None or item is Ellipsis:
            parts.append(item)
        else:
            parts.append(_checked(item, axis, shape[axis]))
            axis += 1
    return parts


def _canonical(part: Any) -> list[Part]:
    """Return a part of a key in canonical form; a mask becomes the indices of its true elements."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return [part]
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
        return [int(part)]
    if is_unknown(part):
        return [part]
    if isinstance(part, Tensor) and is_integer(part.dtype):
        return [part]
    array = np.asarray(part)
    if array.dtype == bool and array.ndim:
        return [_Mask(index, size) for index, size in zip(np.nonzero(array), array.shape, strict=True)]
    if array.size == 0 and not isinstance(part, (np.ndarray, Tensor)):
        array = array.astype(np.int64)  # an empty list
    if array.dtype.kind not in "iu":
        raise IndexError(
            "an index must be an int, a slice, None, Ellipsis, or an array of ints or bools; "
            f"got {array.dtype} {part!r:.40}"
        )
    return [array.astype(np.int64) if array.ndim else int(array)]


class _Mask:
    """Indices that a mask selects along one axis, and the size of the mask."""

    def __init__(self, index: np.ndarray, size: int) -> None:
        self.index = index
        self.size = size


def _checked(item: Any, axis: int, size: int) -> Part:
    """Return an index counted from the front. Raises IndexError if it is out of range."""
    if isinstance(item, _Mask):
        if item.size != size:
            raise IndexError(f"a mask of size {item.size} cannot select along axis {axis} with size {size}")
        return item.index
    if isinstance(item, (slice, Tensor)):
        return item
    if is_unknown(size) and isinstance(item, np.ndarray):
        return as_tensor(item) if np.any(item < 0) else item
    if is_size(item):
        if item < -size or item >= size:
            raise IndexError(f"index {item} is out of range for axis {axis} with size {size}")
        return item + size if item < 0 else item
    if np.any((np.asarray(item) < -size) | (np.asarray(item) >= size)):
        raise IndexError(f"index {item} is out of range for axis {axis} with size {size}")
    return item % size if size else item


def _basic(node: Node, parts: Sequence[Part]) -> tuple[Node, dict[int, int]]:
    """Apply slices, ints and None; also return the axis of the result for each part."""
    starts: list[int] = []
    stops: list[int] = []
    steps: list[int] = []
    flips: list[int] = []
    shape: list[int] = []
    axis_of: dict[int, int] = {}
    axis = 0
    for position, part in enumerate(parts):
        if part is Ellipsis:
            continue
        axis_of[position] = len(shape)
        if part is None:
            shape.append(1)
            continue
        if is_size(part):
            start, stop, step = part, part + 1, 1
        else:
            interval = part if isinstance(part, slice) else slice(None)
            start, stop, step, count = _interval(interval, node.shape[axis])
            if step < 0:
                flips.append(axis)
                start, stop, step = start + (count - 1) * step, start + 1, -step
            start, stop = (start, stop) if count else (0, 0)
            shape.append(count)
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        axis += 1
    node = p.slice_(node, tuple(starts), tuple(stops), tuple(steps))
    node = p.reverse(node, tuple(flips)) if flips else node
    return p.reshape(node, tuple(shape)), axis_of


def _interval(interval: slice, size: int) -> tuple[int, int, int, int]:
    """Return start, stop and step of a slice of an axis of `size`, and the number of its elements."""
    if not any(map(is_unknown, (size, interval.start, interval.stop))):
        start, stop, step = interval.indices(size)
        return start, stop, step, len(range(start, stop, step))
    step = 1 if interval.step is None else operator.index(interval.step)
    if step == 0:
        raise ValueError("slice step cannot be zero")
    first, last = (0, size) if step > 0 else (-1, size - 1)

    def bound(x: Any, default: Any) -> Any:
        if x is None:
            return default
        x = x + size if x < 0 else x
        return maximum(minimum(x, last), first)

    start, stop = (
        bound(interval.start, 0 if step > 0 else last),
        bound(interval.stop, last if step > 0 else first),
    )
    return start, stop, step, maximum(-((start - stop) // step), 0)


def _target(parts: Sequence[Part], arrays: Sequence[int]) -> int:
    """Return the axis at which NumPy puts the axes of the indices: their own, or 0 if they are separated.

    With arrays, ints count as such indices, too.
    """
    positions = [i for i, part in enumerate(parts) if is_size(part) or i in arrays]
    adjacent = positions[-1] - positions[0] == len(positions) - 1
    return sum(part is not Ellipsis for part in parts[: positions[0]]) if adjacent else 0


def _advanced(node: Node, arrays: Sequence[tuple[int, Any]], target: int) -> Node:
    """Gather along the axes of the arrays; the axes of the indices begin at `target` in the result."""
    axes = [axis for axis, _ in arrays]
    shape = broadcast_shapes(*(index.shape for _, index in arrays))
    columns = [broadcast_node(_index_node(index, node.shape[axis]), shape) for axis, index in arrays]
    indices = p.concatenate(*(p.reshape(c, (*shape, 1)) for c in columns), axis=len(shape))
    rest = [i for i in range(node.rank) if i not in axes]
    gathered = p.gather(p.transpose(node, (*axes, *rest)), indices)
    indexed, others = list(range(len(shape))), list(range(len(shape), gathered.rank))
    return p.transpose(gathered, (*others[:target], *indexed, *others[target:]))


def _index_node(index: Any, size: int) -> Node:
    """Convert an index to int32; negative ones of a tensor count from the end."""
    if isinstance(index, np.ndarray):
        return as_tensor(index.astype(np.int32)).node
    node = p.convert(index.node, "int32")
    return p.select(p.lt(node, p.zeros_like(node)), node + size, node)


def _reshape_method(self: Tensor, *shape: SupportsIndex | Sequence[SupportsIndex]) -> Tensor:
    """Return the same values in a new shape.

    Args:
        *shape: Integers, or one sequence of integers; one of them may be -1 and is inferred.
    """
    sizes: Any = shape[0] if len(shape) == 1 and hasattr(shape[0], "__iter__") else shape
    return reshape(self, sizes)


Tensor._install(__getitem__=getitem, reshape=_reshape_method)
