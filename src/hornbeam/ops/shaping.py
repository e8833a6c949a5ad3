"""Shapes: adding, removing, moving and merging axes; joining, splitting, repeating, padding and reversing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hornbeam import primitives as p
from hornbeam._internal.typing import Axis
from hornbeam.core.convert import as_tensor, broadcast_node, broadcast_shapes
from hornbeam.core.dispatch import operation
from hornbeam.core.indexing import getitem, reshape
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import Index, TensorLike
from hornbeam.ir.sizes import is_one, maximum, minimum, same_shape
from hornbeam.ir.types import ShapeError
from hornbeam.ops._common import cut, many_axes, node_of, one_axis, shape_of, static_int

# fmt: off
__all__ = [
    "broadcast_to", "diagonal", "expand_dims", "flip", "fliplr", "flipud", "get_item", "moveaxis", "ndim",
    "ravel", "reshape", "roll", "rot90", "size", "squeeze", "swapaxes", "transpose",
]
# fmt: on


@operation
def get_item(x: TensorLike, key: Index) -> Tensor:
    """Index as NumPy does: x[key].

    Args:
        x: Tensor of any shape, or anything that converts to one.
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
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Integer.
    """
    return len(as_tensor(x).shape)


def size(x: TensorLike) -> int | Any:
    """Return the number of elements.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Integer; a symbolic tensor of one if a size of a symbolic tensor is unknown.
    """
    x = as_tensor(x)
    shape = x.shape
    return _unknown_count(x) if None in shape else math.prod(shape)


@operation
def _unknown_count(x: Tensor) -> int:
    return math.prod(x.shape)


@operation
def ravel(x: TensorLike) -> Tensor:
    """Flatten to a vector in row-major order.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of one axis.
    """
    return reshape(x, (-1,)) if as_tensor(x).size else reshape(x, (0,))


@operation
def transpose(x: TensorLike, axes: Sequence[int] | None = None) -> Tensor:
    """Permute the axes.

    Args:
        x: Tensor of any shape, or anything that converts to one.
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
        x: Tensor of any shape, or anything that converts to one.
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
        x: Tensor of any shape, or anything that converts to one.
        source: Integer or sequence of integers, the axes to move.
        destination: Integer or sequence of integers, their positions in the result.

    Returns:
        Tensor with moved axes.

    Raises:
        ShapeError: If `source` and `destination` do not name equally many different axes.

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
        x: Tensor of any shape, or anything that converts to one.
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
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer or sequence of integers, the axes to remove; None for all axes of size 1.

    Returns:
        Tensor with fewer axes.

    Raises:
        ShapeError: If an axis to remove is not of size 1, or of unknown size.
    """
    node = node_of(x)
    if axis is None:
        return Tensor(p.reshape(node, tuple(n for n in node.shape if not is_one(n))))
    axes = many_axes(axis, node.rank, "squeeze")
    if not all(is_one(node.shape[a]) for a in axes):
        raise ShapeError(f"squeeze: axes {axes} of shape {node.shape} are not all of size 1")
    return Tensor(p.reshape(node, tuple(n for i, n in enumerate(node.shape) if i not in axes)))


@operation
def broadcast_to(x: TensorLike, shape: Sequence[int]) -> Tensor:
    """Broadcast to a shape by NumPy's rule.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        shape: Sequence of integers, the shape of the result.

    Returns:
        Tensor of `shape`.

    Raises:
        ShapeError: If `x` does not broadcast to `shape`.
    """
    node, target = node_of(x), shape_of(shape)
    if len(target) < node.rank or not same_shape(broadcast_shapes(node.shape, target), target):
        raise ShapeError(f"broadcast_to: shape {node.shape} does not broadcast to {target}")
    return Tensor(broadcast_node(node, target))


# -- turning and shifting ------------------------------------------------------------------------------------


@operation
def flip(x: TensorLike, axis: Axis = None) -> Tensor:
    """Reverse the order of the elements along axes.

    Args:
        x: Tensor of any shape, or anything that converts to one.
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
        x: Tensor of two axes at least.

    Returns:
        Tensor of the shape of `x` and in its dtype.
    """
    return flip(x, 1)


@operation
def flipud(x: TensorLike) -> Tensor:
    """Reverse the order along axis 0.

    Args:
        x: Tensor of one axis at least.

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

    Raises:
        ShapeError: If `axes` are not two different axes.
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
        x: Tensor of any shape, or anything that converts to one.
        shift: Integer or sequence of integers, one for each axis.
        axis: Integer or sequence of integers; None rolls the flattened tensor and restores its shape.

    Returns:
        Tensor of the shape of `x` and in its dtype.

    Raises:
        ShapeError: If there is not one shift for each axis.

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
                cut(node, at, length - offset, length), cut(node, at, 0, length - offset), axis=at
            )
    return Tensor(node)


@operation
def diagonal(x: TensorLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Extract a diagonal of the matrices in two axes, as a new last axis.

    Args:
        x: Tensor of two axes at least.
        offset: Integer, the diagonal: 0 for the main one, positive above it, negative below it.
        axis1, axis2: Integers, the axes of rows and columns.

    Returns:
        Tensor without the two axes, with the diagonal last.

    Raises:
        ShapeError: If the axes are the same.

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
    count = maximum(minimum(rows - first_row, columns - first_column), 0)
    lead = tuple(node.shape[i] for i in rest)
    flat = p.reshape(p.transpose(node, (*rest, a, b)), (*lead, rows * columns))
    start = first_row * columns + first_column if count else 0
    stop = start + (count - 1) * (columns + 1) + 1 if count else 0
    none = (0,) * len(lead)
    ones = (1,) * len(lead)
    return Tensor(p.slice_(flat, (*none, start), (*lead, stop), (*ones, columns + 1)))
