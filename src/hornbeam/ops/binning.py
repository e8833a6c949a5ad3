"""Bins: positions in sorted edges, counts of integers, histograms."""

from __future__ import annotations

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_node, cast_node, result_dtype
from hornbeam.core.dispatch import operation
from hornbeam.core.sparse import as_sparse
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import ShapeError, TensorType, is_float
from hornbeam.ops._common import check_ordered, index_node, node_of, static_int
from hornbeam.ops.creation import linspace
from hornbeam.ops.reduction import max as largest
from hornbeam.ops.reduction import min as smallest
from hornbeam.ops.selection import where

# fmt: off
__all__ = ["bincount", "digitize", "histogram", "searchsorted"]
# fmt: on


@operation
def searchsorted(sorted_sequence: TensorLike, values: TensorLike, side: str = "left") -> Tensor:
    """Return the positions at which values can be inserted into a sorted vector.

    Args:
        sorted_sequence: Tensor of one axis in ascending order.
        values: Tensor of any shape.
        side: "left" for the position before equal elements, "right" for the one after them.

    Returns:
        Tensor of the shape of `values`, int32.

    Raises:
        ShapeError: If `sorted_sequence` is not a vector.
        ValueError: If `side` is unknown.

    Example:
        >>> np.asarray(hornbeam.ops.searchsorted([1, 3, 5], [3, 4])).tolist()
        [1, 2]
    """
    if side not in ("left", "right"):
        raise ValueError(f'searchsorted: side must be "left" or "right", got {side!r}')
    dtype = result_dtype(sorted_sequence, values)
    edges, targets = cast_node(sorted_sequence, dtype), cast_node(values, dtype)
    if edges.rank != 1:
        raise ShapeError(f"searchsorted needs a sorted vector, got shape {edges.shape}")
    count = edges.shape[0]
    low = p.full(0, TensorType(targets.shape, "int32"))
    if not count:
        return Tensor(low)
    high = p.full(count, low.type)
    below = p.le if side == "right" else p.lt
    # Bisection of all values at once. An unknown count is that of a trace for types alone.
    for _ in range(32 if is_unknown(count) else count.bit_length()):
        open_ = p.lt(low, high)
        middle = p.div(low + high, p.full(2, low.type))
        edge = p.gather(edges, p.reshape(middle, (*middle.shape, 1)))
        go_right = p.bit_and(open_, below(edge, targets))
        low, high = (
            p.select(go_right, middle + 1, low),
            p.select(p.bit_and(open_, p.logical_not(go_right)), middle, high),
        )
    return Tensor(low)


@operation
def digitize(x: TensorLike, bins: TensorLike) -> Tensor:
    """Return the number of the bin of each element: i where bins[i - 1] <= x < bins[i].

    Args:
        x: Tensor of any shape, or anything that converts to one.
        bins: Tensor of one axis in ascending order, the edges.

    Returns:
        Tensor of the shape of `x`, int32.

    Example:
        >>> np.asarray(hornbeam.ops.digitize([0.5, 1.5], [0.0, 1.0])).tolist()
        [1, 2]
    """
    return searchsorted(bins, x, side="right")


@operation
def bincount(
    x: TensorLike, weights: TensorLike | None = None, minlength: int = 0, sparse: bool = False
) -> Tensor:
    """Count how often each of 0, 1, 2, ... occurs along the last axis.

    The length is the larger of `minlength` and the largest value + 1. Inside a compiled function the values
    are not known: the length is `minlength`, which must be set, and larger values are ignored.

    Args:
        x: Tensor (n,) or (batch, n) of non-negative integers.
        weights: Tensor of the shape of `x` that is summed instead of counting, or None.
        minlength: Integer, the least length of the result.
        sparse: Return a sparse tensor of the elements that are not 0; dense inside compiled functions.

    Returns:
        Tensor (length,) or (batch, length).

    Raises:
        ShapeError: If a compiled function is traced and `minlength` is not given.

    Example:
        >>> np.asarray(hornbeam.ops.bincount([0, 1, 1])).tolist()
        [1, 2]
    """
    if sparse:
        return as_sparse(bincount(x, weights, minlength))
    node = index_node(x, "bincount")
    length = static_int(minlength, "minlength")
    if not node.level:
        values = np.asarray(as_tensor(x))
        length = max(length, int(values.max()) + 1 if values.size else 0)
    elif not length:
        raise ShapeError("bincount: inside a compiled function the length must be given as minlength")
    shape = (*node.shape, length)
    dims = tuple(range(node.rank))
    hit = p.eq(p.broadcast(node, shape, dims), p.iota(node.dtype, shape, node.rank))
    if weights is None:
        return Tensor(p.reduce_sum(p.convert(hit, "int32"), (node.rank - 1,)))
    w = p.broadcast(broadcast_node(node_of(weights), node.shape), shape, dims)
    return Tensor(p.reduce_sum(p.select(hit, w, p.zeros_like(w)), (node.rank - 1,)))


@operation
def histogram(
    x: TensorLike, bins: int = 10, range: tuple[float, float] | None = None
) -> tuple[Tensor, Tensor]:
    """Count the elements in bins of equal width; the last bin includes its right edge.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        bins: Integer, number of bins.
        range: Pair of numbers, the lowest and the highest edge; None for the minimum and maximum of `x`.

    Returns:
        Pair of the counts (bins,), int32, and the edges (bins + 1,).

    Raises:
        HornbeamTypeError: If `x` is complex.
        ValueError: If `bins` is not a positive integer or `range` not a pair.

    Example:
        >>> np.asarray(hornbeam.ops.histogram([0.0, 0.4, 1.0], bins=2)[0]).tolist()
        [2, 1]
    """
    if not isinstance(bins, int) or bins < 1:
        raise ValueError(f"histogram: bins must be a positive integer, got {bins!r}")
    if range is not None and (len(range) != 2 or not range[0] <= range[1]):
        raise ValueError(f"histogram: the range is a pair (lowest edge, highest edge), got {range}")
    values = Tensor(check_ordered(node_of(x), "histogram"))
    values = values if is_float(values.dtype) else Tensor(cast_node(values, "float32"))
    low, high = range if range is not None else (smallest(values), largest(values))
    low, high = Tensor(cast_node(low, values.dtype)), Tensor(cast_node(high, values.dtype))
    flat_range = low == high
    low, high = where(flat_range, low - 0.5, low), where(flat_range, high + 0.5, high)
    edges = linspace(low, high, bins + 1, dtype=values.dtype)
    flat = Tensor(p.reshape(values.node, (values.size,)))
    inside = (flat >= low) & (flat <= high)
    places = searchsorted(edges, flat, side="right") - 1
    places = where(flat == high, bins - 1, places)
    hit = (
        Tensor(p.broadcast(places.node, (flat.size, bins), (0,)))
        == Tensor(p.iota("int32", (flat.size, bins), 1))
    ) & Tensor(p.broadcast(inside.node, (flat.size, bins), (0,)))
    return Tensor(p.reduce_sum(p.convert(hit.node, "int32"), (0,))), edges
