"""Joining tensors along axes, and splitting them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, cast_node, result_dtype
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.limits import count_elements
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown, same_shape, same_size
from hornbeam.ir.types import ShapeError
from hornbeam.ops._common import cut, node_of, one_axis, shape_of
from hornbeam.ops.shaping import ravel

# fmt: off
__all__ = [
    "append", "array_split", "concatenate", "dsplit", "dstack", "hsplit", "hstack",
    "split", "stack", "unstack", "vsplit", "vstack",
]
# fmt: on


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
        xs: Sequence of tensors, whose shapes agree except along `axis`.
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
    if axis is None:
        raise ShapeError(
            "concatenate joins along one axis, got axis=None: flatten the tensors first, with ops.ravel, or "
            "use ops.append"
        )
    return Tensor(p.concatenate(*nodes, axis=one_axis(axis, nodes[0].rank, "concatenate")))


@operation
def stack(x: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis.

    Args:
        x: Sequence of tensors of one shape.
        axis: Integer, position of the new axis in the result.

    Returns:
        Tensor with one more axis.

    Raises:
        ShapeError: If the shapes differ.

    Example:
        >>> hornbeam.ops.stack([[1, 2], [3, 4]], axis=1).shape
        (2, 2)
    """
    nodes = _unified(x)
    first = nodes[0].shape
    if not all(same_shape(n.shape, first) for n in nodes):
        raise ShapeError(f"stack needs tensors of one shape, got {[n.shape for n in nodes]}")
    at = one_axis(axis, len(first) + 1, "stack")
    return Tensor(p.concatenate(*(p.reshape(n, (*n.shape[:at], 1, *n.shape[at:])) for n in nodes), axis=at))


@operation
def append(x1: TensorLike, x2: TensorLike, axis: int | None = None) -> Tensor:
    """Join two tensors along an axis.

    Args:
        x1: Tensor of any shape.
        x2: Tensor that follows `x1`, of its shape except along `axis`.
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
        xs: Sequence of tensors, whose shapes agree except along the joined axis.

    Returns:
        Tensor of the promoted dtype.
    """
    nodes = [_at_least(n, 1) for n in _unified(xs)]
    return Tensor(p.concatenate(*nodes, axis=0 if nodes[0].rank == 1 else 1))


@operation
def vstack(xs: Sequence[TensorLike]) -> Tensor:
    """Join tensors along axis 0; vectors become rows.

    Args:
        xs: Sequence of tensors, whose shapes agree except along the joined axis.

    Returns:
        Tensor of the promoted dtype.
    """
    return Tensor(p.concatenate(*(_at_least(n, 2) for n in _unified(xs)), axis=0))


@operation
def dstack(xs: Sequence[TensorLike]) -> Tensor:
    """Join tensors along axis 2; matrices become (n, m, 1).

    Args:
        xs: Sequence of tensors, whose shapes agree except along the joined axis.

    Returns:
        Tensor of the promoted dtype.
    """
    return Tensor(p.concatenate(*(_at_least(n, 3) for n in _unified(xs)), axis=2))


def _pieces(node: Node, borders: Sequence[int], axis: int) -> list[Tensor]:
    length = node.shape[axis]
    marks = [0, *(min(b if b >= 0 else max(b + length, 0), length) for b in borders), length]
    return [Tensor(cut(node, axis, a, max(a, b))) for a, b in itertools.pairwise(marks)]


@operation
def split(x: TensorLike, indices_or_sections: int | Sequence[int], axis: int = 0) -> list[Tensor]:
    """Split along an axis into equal parts, or at given positions.

    Args:
        x: Tensor of any shape, or anything that converts to one.
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
        x: Tensor of any shape, or anything that converts to one.
        indices_or_sections: Integer, the number of parts, or sequence of integers, the positions.
        axis: Integer, the axis.

    Returns:
        List of tensors.

    Raises:
        ValueError: If the number of parts is not positive.
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
        x: Tensor of one axis at least.
        indices_or_sections: Integer, the number of equal parts, or sequence of integers, the positions.

    Returns:
        List of tensors.
    """
    return split(x, indices_or_sections, axis=0 if len(as_tensor(x).shape) == 1 else 1)


@operation
def vsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split along axis 0.

    Args:
        x: Tensor of one axis at least.
        indices_or_sections: Integer, the number of equal parts, or sequence of integers, the positions.

    Returns:
        List of tensors.
    """
    return split(x, indices_or_sections, axis=0)


@operation
def dsplit(x: TensorLike, indices_or_sections: int | Sequence[int]) -> list[Tensor]:
    """Split along axis 2.

    Args:
        x: Tensor of three axes at least.
        indices_or_sections: Integer, the number of equal parts, or sequence of integers, the positions.

    Returns:
        List of tensors.
    """
    return split(x, indices_or_sections, axis=2)


@operation
def unstack(x: TensorLike, num: int | None = None, axis: int = 0) -> list[Tensor]:
    """Split along an axis into slices without that axis.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        num: Integer, the expected number of slices, or None.
        axis: Integer, the axis.

    Returns:
        List of tensors.

    Raises:
        ShapeError: If the size of the axis is unknown, or not `num`.
    """
    node = node_of(x)
    at = one_axis(axis, node.rank, "unstack")
    count = node.shape[at]
    if num is not None:
        if not same_size(count, num):
            raise ShapeError(f"unstack: num={num}, but axis {axis} has size {count}")
        count = num
    if is_unknown(count):
        raise ShapeError(f"unstack: axis {axis} has an unknown size: give num, the number of slices")
    rest = (*node.shape[:at], *node.shape[at + 1 :])
    return [Tensor(p.reshape(cut(node, at, i, i + 1), rest)) for i in range(count)]
