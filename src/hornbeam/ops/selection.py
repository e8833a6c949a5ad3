"""Selection and order: where, take, sort, search, histograms and sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, overload

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_node, broadcast_shapes, cast_node, result_dtype, unify
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import in_symbolic_trace, new_size
from hornbeam.ir.types import ShapeError
from hornbeam.ops._common import index_node, node_of, one_axis, shape_of, static_int

# fmt: off
__all__ = [
    "argpartition", "argsort", "isin", "nonzero", "select", "sort", "take", "take_along_axis", "top_k",
    "unravel_index", "where",
]
# fmt: on


@overload
def where(condition: TensorLike) -> tuple[Tensor, ...]: ...
@overload
def where(condition: TensorLike, x1: TensorLike, x2: TensorLike) -> Tensor: ...
@operation
def where(
    condition: TensorLike, x1: TensorLike | None = None, x2: TensorLike | None = None
) -> Tensor | tuple[Tensor, ...]:
    """Return `x1` where a condition holds and `x2` elsewhere; with the condition alone, `nonzero(condition)`.

    Args:
        condition: Tensor of booleans of any shape; nonzero is true.
        x1: Tensor that broadcasts against `condition`, or None together with `x2`.
        x2: Tensor that broadcasts against `condition`, or None together with `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.

    Raises:
        ValueError: If one of `x1` and `x2` is given without the other.

    Example:
        >>> np.asarray(hornbeam.ops.where([True, False], 1, 2)).tolist()
        [1, 2]
    """
    if x1 is None and x2 is None:
        return nonzero(condition)
    if x1 is None or x2 is None:
        raise ValueError("where needs both x1 and x2, or neither")
    dtype = result_dtype(x1, x2)
    test, a, b = cast_node(condition, "bool"), cast_node(x1, dtype), cast_node(x2, dtype)
    shape = broadcast_shapes(test.shape, a.shape, b.shape)
    return Tensor(p.select(*(broadcast_node(n, shape) for n in (test, a, b))))


@operation
def select(condlist: Sequence[Any], choicelist: Sequence[Any], default: TensorLike = 0) -> Tensor:
    """Return, elementwise, the choice whose condition is the first to hold.

    Args:
        condlist: Sequence of boolean tensors.
        choicelist: Sequence of tensors, one for each condition.
        default: Tensor that broadcasts to the choices, where no condition holds.

    Returns:
        Tensor of the broadcast shape.

    Raises:
        ValueError: If there is not one choice for each condition.

    Example:
        >>> np.asarray(hornbeam.ops.select([[True, False]], [[1, 2]], 9)).tolist()
        [1, 9]
    """
    if len(condlist) != len(choicelist):
        raise ValueError(f"select: {len(condlist)} conditions for {len(choicelist)} choices")
    result: Any = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, choice, result)
    return result


@operation
def nonzero(x: TensorLike) -> tuple[Tensor, ...]:
    """Return the indices of the nonzero elements.

    Their number depends on the values, so `x` must be known: a model that uses it runs eagerly.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tuple of int32 vectors, one for each axis.

    Raises:
        ConcretizationError: If it is called inside a compiled function.

    Example:
        >>> [np.asarray(i).tolist() for i in hornbeam.ops.nonzero([0, 5, 6])]
        [[1, 2]]
    """
    if in_symbolic_trace():
        count = new_size("nonzero")
        return tuple(Tensor(p.iota("int32", (count,), 0)) for _ in range(node_of(x).rank))
    return tuple(as_tensor(i.astype(np.int32)) for i in np.nonzero(np.asarray(x)))


def _from_front(index: Node, length: int) -> Node:
    """Count negative indices from the front."""
    if index.dtype.startswith("uint"):
        return index
    return p.select(p.lt(index, p.zeros_like(index)), index + length, index)


@operation
def take(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Take slices at `indices` along an axis.

    Negative indices count from the end; indices that are out of range give the nearest slice.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        indices: Tensor of integers of any shape.
        axis: Integer, the axis; None for the flattened `x`.

    Returns:
        Tensor with the shape of `indices` in place of `axis`.

    Example:
        >>> np.asarray(hornbeam.ops.take([10, 20, 30], [2, 0])).tolist()
        [30, 10]
    """
    node, index = node_of(x), index_node(indices, "take")
    if axis is None:
        node, axis = p.reshape(node, (math.prod(node.shape),)), 0
    at = one_axis(axis, node.rank, "take")
    index = _from_front(index, node.shape[at])
    # Every position along the axes before takes the same slices.
    before, rank = node.shape[:at], at + index.rank
    shared = p.broadcast(index, (*before, *index.shape), tuple(range(at, rank)))
    return Tensor(p.gather(node, p.reshape(shared, (*shared.shape, 1)), batch_dims=at))


@operation
def take_along_axis(x: TensorLike, indices: TensorLike, axis: int | None = None) -> Tensor:
    """Take elements along an axis: x[..., indices[..., j], ...].

    Negative indices count from the end.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        indices: Tensor of integers with as many axes as `x`; the other axes broadcast.
        axis: Integer, the axis; None for the flattened `x`.

    Returns:
        Tensor of the shape of `indices`, broadcast along the other axes.

    Raises:
        ShapeError: If the numbers of axes differ.

    Example:
        >>> np.asarray(hornbeam.ops.take_along_axis([[1, 2], [3, 4]], [[1], [0]], axis=1)).tolist()
        [[2], [3]]
    """
    node, index = node_of(x), index_node(indices, "take_along_axis")
    if axis is None:
        node, axis = p.reshape(node, (math.prod(node.shape),)), 0
        index = p.reshape(index, (math.prod(index.shape),))
    if index.rank != node.rank:
        raise ShapeError(f"take_along_axis: x has {node.rank} axes, indices {index.rank}")
    at = one_axis(axis, node.rank, "take_along_axis")
    index = _from_front(index, node.shape[at])
    rest = [i for i in range(node.rank) if i != at]
    lead = broadcast_shapes(tuple(node.shape[i] for i in rest), tuple(index.shape[i] for i in rest))
    rows = broadcast_node(p.transpose(node, (*rest, at)), (*lead, node.shape[at]))
    columns = broadcast_node(p.transpose(index, (*rest, at)), (*lead, index.shape[at]))
    gathered = p.gather(rows, p.reshape(columns, (*columns.shape, 1)), batch_dims=len(lead))
    perm = [*range(at), node.rank - 1, *range(at, node.rank - 1)]
    return Tensor(p.transpose(gathered, tuple(perm)))


# -- order ---------------------------------------------------------------------------------------------------


def _along_last(node: Node, axis: int) -> tuple[Node, tuple[int, ...]]:
    """Move `axis` to the end; also return the inverse permutation."""
    rest = [i for i in range(node.rank) if i != axis]
    return p.transpose(node, (*rest, axis)), tuple([*range(axis), node.rank - 1, *range(axis, node.rank - 1)])


def _sortable(x: TensorLike, axis: int | None, name: str) -> tuple[Node, int]:
    node = node_of(x)
    node = p.convert(node, "int32") if node.dtype == "bool" else node
    if axis is None:
        return p.reshape(node, (math.prod(node.shape),)), 0
    return node, one_axis(axis, node.rank, name)


@operation
def sort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """Sort along an axis in ascending order; NaN last, equal elements keep their order.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.

    Returns:
        Tensor of the shape of `x`, or a vector if `axis` is None.

    Example:
        >>> np.asarray(hornbeam.ops.sort([3, 1, 2])).tolist()
        [1, 2, 3]
    """
    node, at = _sortable(x, axis, "sort")
    transposed, back = _along_last(node, at)
    return Tensor(p.convert(p.transpose(p.sort(transposed), back), as_tensor(x).dtype))


@operation
def argsort(x: TensorLike, axis: int | None = -1) -> Tensor:
    """Return the indices that sort along an axis; equal elements keep their order.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        axis: Integer, the axis; None for the flattened tensor.

    Returns:
        Tensor of the shape of `x`, or a vector if `axis` is None, int32.

    Example:
        >>> np.asarray(hornbeam.ops.argsort([3, 1, 2])).tolist()
        [1, 2, 0]
    """
    # The order of one number is [0], as in NumPy.
    return Tensor(p.argsort(*_sortable(x, axis if as_tensor(x).ndim else None, "argsort")))


@operation
def argpartition(x: TensorLike, kth: int, axis: int | None = -1) -> Tensor:
    """Return indices that put the k-th element in its sorted place, smaller ones before it.

    Here all other elements are sorted, too.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        kth: Integer, the position of the element that is in its sorted place.
        axis: Integer, the axis; None for the flattened tensor.

    Returns:
        Tensor of the shape of `x`, or a vector if `axis` is None, int32.
    """
    node, at = _sortable(x, axis, "argpartition")
    one_axis(kth, node.shape[at], "argpartition: kth")
    return Tensor(p.argsort(node, at))


@operation
def top_k(x: TensorLike, k: int, sorted: bool = True) -> tuple[Tensor, Tensor]:
    """Return the k largest elements along the last axis in descending order, and their indices.

    Of equal elements the first comes first.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        k: Integer, the number of elements.
        sorted: Accepted; the elements are always sorted.

    Returns:
        Pair of tensors (..., k): the elements, and their int32 indices.

    Raises:
        ShapeError: If the axis has fewer than `k` elements.

    Example:
        >>> [np.asarray(t).tolist() for t in hornbeam.ops.top_k([1.0, 3.0, 2.0], 2)]
        [[3.0, 2.0], [1, 2]]
    """
    node, count = node_of(x), static_int(k, "k")
    if not node.rank or not 0 <= count <= node.shape[-1]:
        raise ShapeError(f"top_k: k={count}, but the axis has {node.shape[-1] if node.rank else 0} elements")
    results = p.top_k(node, k=count)
    return Tensor(p.project(results, 0)), Tensor(p.project(results, 1))


@operation
def isin(x1: TensorLike, x2: TensorLike, assume_unique: bool = False, invert: bool = False) -> Tensor:
    """Test elementwise if `x1` is among the elements of `x2`.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor of any shape, or anything that converts to one.
        assume_unique: Accepted, without effect.
        invert: Test if it is not.

    Returns:
        Tensor of the shape of `x1`, of booleans.

    Example:
        >>> np.asarray(hornbeam.ops.isin([1, 2], [2, 3])).tolist()
        [False, True]
    """
    dtype = result_dtype(x1, x2)
    a, b = cast_node(x1, dtype), cast_node(x2, dtype)
    b = p.reshape(b, (math.prod(b.shape),))
    shape = (*a.shape, b.shape[0])
    hit = p.eq(p.broadcast(a, shape, tuple(range(a.rank))), p.broadcast(b, shape, (a.rank,)))
    is_member = p.reduce_or(hit, (a.rank,))
    return Tensor(p.logical_not(is_member) if invert else is_member)


@operation
def unravel_index(indices: TensorLike, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Convert flat indices to one index for each axis.

    Args:
        indices: Tensor of integers.
        shape: Sequence of integers, the shape of the indexed tensor.

    Returns:
        Tuple of tensors of the shape of `indices`.

    Example:
        >>> [int(i) for i in hornbeam.ops.unravel_index(5, (2, 3))]
        [1, 2]
    """
    node, sizes = index_node(indices, "unravel_index"), shape_of(shape)
    node = _from_front(node, math.prod(sizes))
    columns: list[Tensor] = []
    for length in reversed(sizes):
        a, b = unify(Tensor(node), length, dtype=node.dtype)
        columns.insert(0, Tensor(p.rem(a, b)))
        node = p.div(a, b)
    return tuple(columns)
