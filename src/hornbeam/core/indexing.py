"""`tensor[...]`: NumPy's indexing, made of slices, reshapes and gathers."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_node, broadcast_shapes
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node
from hornbeam.ir.types import ShapeError, is_integer

if TYPE_CHECKING:
    from hornbeam._internal.typing import TensorLike

# An index in its canonical form: None, a slice, an int, an array of non-negative ints, or a Tensor of ints.
# Ellipsis stays as a part that takes no axis, since it keeps the array indices on its two sides apart.
Part = Any


@operation
def reshape(x: TensorLike, newshape: Sequence[int] | int) -> Tensor:
    """Give the same values a new shape.

    Args:
        x: Tensor or anything that converts to one.
        newshape: Integer or sequence of integers; one of them may be -1 and is inferred.

    Returns:
        Tensor of the new shape, in the dtype of `x`.

    Raises:
        ShapeError: If the sizes do not match.
    """
    node = as_tensor(x).node
    sizes = newshape if hasattr(newshape, "__iter__") else (newshape,)
    return Tensor(p.reshape(node, resolve_shape(node.shape, tuple(operator.index(size) for size in sizes))))


def resolve_shape(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """`new` with its -1 replaced. Raises ShapeError when the sizes do not match."""
    count = int(np.prod(old, dtype=np.int64))
    if new.count(-1) > 1 or any(size < -1 for size in new):
        raise ShapeError(f"sizes are not negative, but for one -1 that stands for what is left; got {new}")
    known = int(np.prod([size for size in new if size != -1], dtype=np.int64))
    if -1 in new and known and not count % known:
        new = tuple(count // known if size == -1 else size for size in new)
        known = count
    if -1 in new or known != count:
        raise ShapeError(f"cannot reshape {old} ({count} values) to {new}")
    return new


@operation
def getitem(x: Tensor, key: Any) -> Tensor:
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
    arrays = [place for place, part in enumerate(parts) if isinstance(part, (np.ndarray, Tensor))]
    if arrays:
        node = _advanced(node, [(axis_of[place], parts[place]) for place in arrays], _target(parts, arrays))
    return Tensor(node)


def _expand(key: tuple, shape: tuple[int, ...]) -> list[Part]:
    """The key's parts in canonical form, one for every axis, and None or Ellipsis between them."""
    items = [item for part in key for item in _canonical(part)]
    taken = sum(item is not None and item is not Ellipsis for item in items)
    if taken > len(shape):
        raise IndexError(f"too many indices: {taken} for a tensor of shape {shape}")
    ellipses = [place for place, item in enumerate(items) if item is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("an index may hold one Ellipsis ('...')")
    at = ellipses[0] + 1 if ellipses else len(items)
    items[at:at] = [slice(None)] * (len(shape) - taken)
    axis, parts = 0, []
    for item in items:
        if item is None or item is Ellipsis:
            parts.append(item)
        else:
            parts.append(_checked(item, axis, shape[axis]))
            axis += 1
    return parts


def _canonical(part: Any) -> list[Part]:
    """One part of a key; a mask becomes the array indices of what it holds true, with its sizes."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return [part]
    if isinstance(part, (int, np.integer)) and not isinstance(part, bool):
        return [int(part)]
    if isinstance(part, Tensor) and is_integer(part.dtype):
        return [part]
    array = np.asarray(part)
    if array.dtype == bool and array.ndim:
        return [_Mask(index, size) for index, size in zip(np.nonzero(array), array.shape, strict=True)]
    if array.size == 0 and not isinstance(part, (np.ndarray, Tensor)):
        array = array.astype(np.int64)  # an empty list
    if array.dtype.kind not in "iu":
        raise IndexError(
            f"an index is an int, a slice, None, Ellipsis, or an array of ints or bools; got {array.dtype} "
            f"{part!r:.40}"
        )
    return [array.astype(np.int64) if array.ndim else int(array)]


class _Mask:
    """What a mask selects along one axis."""

    def __init__(self, index: np.ndarray, size: int) -> None:
        self.index = index
        self.size = size


def _checked(item: Any, axis: int, size: int) -> Part:
    """Indices counted from the front, within the axis."""
    if isinstance(item, _Mask):
        if item.size != size:
            raise IndexError(f"a mask of size {item.size} cannot select along axis {axis} with size {size}")
        return item.index
    if isinstance(item, (slice, Tensor)):
        return item
    if np.any((np.asarray(item) < -size) | (np.asarray(item) >= size)):
        raise IndexError(f"index {item} is out of range for axis {axis} with size {size}")
    return item % size if size else item


def _basic(node: Node, parts: Sequence[Part]) -> tuple[Node, dict[int, int]]:
    """Apply slices, ints and None; also say at which axis of the result each part stands."""
    starts: list[int] = []
    stops: list[int] = []
    steps: list[int] = []
    flips: list[int] = []
    shape: list[int] = []
    axis_of: dict[int, int] = {}
    axis = 0
    for place, part in enumerate(parts):
        if part is Ellipsis:
            continue
        axis_of[place] = len(shape)
        if part is None:
            shape.append(1)
            continue
        if isinstance(part, int):
            start, stop, step = part, part + 1, 1
        else:
            whole = part if isinstance(part, slice) else slice(None)
            start, stop, step = whole.indices(node.shape[axis])
            count = len(range(start, stop, step))
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


def _target(parts: Sequence[Part], arrays: Sequence[int]) -> int:
    """The axis at which NumPy puts the indices' own axes: where they stand, or in front if they stand apart.

    Beside arrays, ints count as indices of that kind too.
    """
    places = [place for place, part in enumerate(parts) if isinstance(part, int) or place in arrays]
    together = places[-1] - places[0] == len(places) - 1
    return sum(part is not Ellipsis for part in parts[: places[0]]) if together else 0


def _advanced(node: Node, arrays: Sequence[tuple[int, Any]], target: int) -> Node:
    """Gather along the axes of the arrays; the axes of the result that the indices make begin at `target`."""
    axes = [axis for axis, _ in arrays]
    shape = broadcast_shapes(*(index.shape for _, index in arrays))
    columns = [broadcast_node(_index_node(index, node.shape[axis]), shape) for axis, index in arrays]
    indices = p.concatenate(*(p.reshape(c, (*shape, 1)) for c in columns), axis=len(shape))
    rest = [i for i in range(node.rank) if i not in axes]
    gathered = p.gather(p.transpose(node, (*axes, *rest)), indices)
    made, others = list(range(len(shape))), list(range(len(shape), gathered.rank))
    return p.transpose(gathered, (*others[:target], *made, *others[target:]))


def _index_node(index: Any, size: int) -> Node:
    """The index as int32; in a tensor, negative ones are counted from the end."""
    if isinstance(index, np.ndarray):
        return as_tensor(index.astype(np.int32)).node
    node = p.convert(index.node, "int32")
    return p.select(p.lt(node, p.zeros_like(node)), node + size, node)


def _reshape_method(self: Tensor, *shape: Any) -> Tensor:
    """Return the same values in a new shape.

    Args:
        *shape: Integers, or one sequence of integers; one of them may be -1 and is inferred.
    """
    return reshape(self, shape[0] if len(shape) == 1 and hasattr(shape[0], "__iter__") else shape)


Tensor._install(__getitem__=getitem, reshape=_reshape_method)
