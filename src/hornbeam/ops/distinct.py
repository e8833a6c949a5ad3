"""Distinct elements of a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, overload

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.sizes import in_symbolic_trace, new_size
from hornbeam.ir.types import ShapeError
from hornbeam.ops._common import cut, node_of, one_axis, static_int
from hornbeam.ops.binning import searchsorted

__all__ = ["unique"]


@overload
def unique(
    x: TensorLike,
    sorted: bool = ...,
    return_index: Literal[False] = ...,
    return_inverse: Literal[False] = ...,
    return_counts: Literal[False] = ...,
    axis: int | None = ...,
    size: int | None = ...,
    fill_value: float | None = ...,
) -> Tensor: ...
@overload
def unique(
    x: TensorLike,
    sorted: bool = ...,
    return_index: bool = ...,
    return_inverse: bool = ...,
    return_counts: bool = ...,
    axis: int | None = ...,
    size: int | None = ...,
    fill_value: float | None = ...,
) -> tuple[Tensor, ...]: ...
def unique(
    x: TensorLike,
    sorted: bool = True,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    size: int | None = None,
    fill_value: float | None = None,
) -> Tensor | tuple[Tensor, ...]:
    """Return the distinct elements in ascending order.

    Their number depends on the values: `x` must be known (a model that uses it runs eagerly), unless `size`
    is given. No NaN equals another one.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        sorted: Accepted; the elements are always sorted.
        return_index: Return the indices of the first occurrences, too.
        return_inverse: Return the indices that rebuild `x`, too.
        return_counts: Return how often each element occurs, too.
        axis: Integer, the axis whose slices are compared; None for the elements of the flattened tensor.
        size: Integer, the length to which the result is cut or filled, or None.
        fill_value: Number that fills up to `size`; None for the smallest element. Indices are filled with
            that of the smallest element, counts with 0.

    Returns:
        Tensor, or a tuple of it and the requested int32 tensors.

    Raises:
        ConcretizationError: If it is called inside a compiled function without `size`.

    Example:
        >>> np.asarray(hornbeam.ops.unique([3, 1, 3])).tolist()
        [1, 3]
    """
    if size is not None:
        results = _unique(x, axis, static_int(size, "size"), fill_value)
    else:
        results = _all_unique(x, axis)
    wanted = (True, return_index, return_inverse, return_counts)
    chosen = tuple(result for result, is_wanted in zip(results, wanted, strict=True) if is_wanted)
    return chosen[0] if len(chosen) == 1 else chosen


@operation
def _all_unique(x: TensorLike, axis: int | None) -> tuple[Tensor, ...]:
    """Return all distinct slices, their first indices, the inverse and the counts, of known values."""
    if in_symbolic_trace():
        return _unique(x, axis, new_size("distinct"), None)
    array = np.asarray(x)
    values, index, inverse, counts = np.unique(
        array, return_index=True, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    inverse = inverse.reshape(array.shape if axis is None else -1)
    extras = (as_tensor(part.astype(np.int32)) for part in (index, inverse, counts))
    return as_tensor(values, as_tensor(x).dtype), *extras


@operation
def _unique(x: TensorLike, axis: int | None, size: int, fill_value: float | None) -> tuple[Tensor, ...]:
    """Return `size` distinct slices, their first indices, the inverse and the counts, as part of a graph."""
    node = node_of(x)
    at = 0 if axis is None else one_axis(axis, node.rank, "unique")
    front = (at, *(i for i in range(node.rank) if i != at))
    moved = p.reshape(node, (math.prod(node.shape),)) if axis is None else p.transpose(node, front)
    length, lead = moved.shape[0], moved.shape[1:]
    if not length:
        raise ShapeError(f"unique: no element fills the result up to size={size}, x has shape {node.shape}")
    rows = p.reshape(p.convert(moved, "int32") if node.dtype == "bool" else moved, (length, math.prod(lead)))
    order = _lexicographic(rows)
    ordered = _rows_at(rows, order)
    differs = p.reduce_or(p.ne(cut(ordered, 0, 1, length), cut(ordered, 0, 0, length - 1)), (1,))
    rank = p.cumsum(p.convert(p.pad(differs, p.constant(False, "bool"), (1,), (0,)), "int32"), 0)

    slots = Tensor(p.iota("int32", (size,), 0))
    first, end = (searchsorted(Tensor(rank), slots, side).node for side in ("left", "right"))
    used = p.lt(first, end)
    position = p.select(used, first, full(0, first.type))
    values = p.reshape(p.convert(_rows_at(ordered, position), node.dtype), (size, *lead))
    if fill_value is not None:
        filling = full(fill_value, values.type)
        values = p.select(p.broadcast(used, values.shape, (0,)), values, filling)
    back = tuple(front.index(i) for i in range(node.rank))
    inverse = _rows_at(rank, p.argsort(order, 0))
    return (
        Tensor(values if axis is None else p.transpose(values, back)),
        Tensor(_rows_at(order, position)),
        Tensor(p.reshape(inverse, node.shape if axis is None else (length,))),
        Tensor(end - first),
    )


def _rows_at(node: Node, index: Node) -> Node:
    return p.gather(node, p.reshape(index, (*index.shape, 1)))


def _lexicographic(rows: Node) -> Node:
    """Return the order of rows by first, second, ... column: stable sorts by one each, the last first."""
    count, columns = rows.shape

    def step(carry: Sequence[Node], items: Sequence[Node]) -> tuple[list[Node], list[Node]]:
        return [_rows_at(carry[0], p.argsort(_rows_at(items[0], carry[0]), 0))], []

    start = p.iota("int32", (count,), 0)
    return p.scan(step, [start], [p.transpose(rows, (1, 0))], length=columns, reverse=True)[0][0]
