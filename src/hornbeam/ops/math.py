"""The names of `ops.math`: segments, distances and ranks of predictions, and those of other modules."""

from __future__ import annotations

import math

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.core.convert import as_tensor, cast_node, result_dtype
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.primitive import full
from hornbeam.ir.sizes import in_symbolic_trace, new_size, same_shape
from hornbeam.ir.types import ShapeError, TensorType, is_float, is_integer, numpy_dtype
from hornbeam.ops._common import float_node, node_of, static_int
from hornbeam.ops.elementwise import erf, erfinv, rsqrt
from hornbeam.ops.linalg import logdet, norm, qr, solve
from hornbeam.ops.reduction import logsumexp
from hornbeam.ops.reduction import sum as total
from hornbeam.ops.selection import top_k
from hornbeam.ops.shaping import expand_dims
from hornbeam.ops.signal import extract_sequences, fft, fft2, ifft2, irfft, istft, rfft, stft

# fmt: off
__all__ = [
    "cdist", "erf", "erfinv", "extract_sequences", "fft", "fft2", "ifft2", "in_top_k", "irfft", "istft",
    "logdet", "logsumexp", "norm", "qr", "rfft", "rsqrt", "segment_max", "segment_min", "segment_prod",
    "segment_sum", "solve", "stft", "top_k",
]
# fmt: on


# -- segments ------------------------------------------------------------------------------------------------


def _neutral(dtype: str, mode: str) -> float:
    """Return the neutral element of the maximum or minimum of a dtype."""
    if is_float(dtype):
        return -math.inf if mode == "max" else math.inf
    limits = np.iinfo(numpy_dtype(dtype))
    return int(limits.min if mode == "max" else limits.max)


def _segments(
    data: TensorLike, ids: TensorLike, num_segments: int | None, mode: str, start: float | None, name: str
) -> Tensor:
    node, index = node_of(data), node_of(ids)
    if index.rank != 1 or not is_integer(index.dtype) or not same_shape(index.shape, node.shape[:1]):
        raise ShapeError(f"{name}: needs one integer segment per row of {node.shape}, got {index.type}")
    if num_segments is None:
        if in_symbolic_trace():
            return Tensor(full(0, TensorType((new_size("segments"), *node.shape[1:]), node.dtype)))
        if index.level:
            raise ShapeError(f"{name}: inside a compiled function num_segments must be given")
        values = np.asarray(as_tensor(ids))
        num_segments = int(values.max()) + 1 if values.size else 0
    count = static_int(num_segments, "num_segments")
    if start is None:
        start = _neutral(node.dtype, mode)
    # One additional row collects the rows of other segments, and is dropped.
    total = full(start, TensorType((count + 1, *node.shape[1:]), node.dtype))
    inside = p.bit_and(p.ge(index, full(0, index.type)), p.lt(index, full(count, index.type)))
    index = p.select(inside, index, full(count, index.type))
    result = p.scatter(total, p.reshape(index, (*index.shape, 1)), node, mode)
    return Tensor(p.slice_(result, (0,) * result.rank, (count, *result.shape[1:])))


@operation
def segment_sum(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Sum the rows that have the same segment id.

    Args:
        data: Tensor (n, ...).
        segment_ids: Tensor (n,) of integers; rows with ids outside 0 ... num_segments - 1 are ignored.
        num_segments: Integer; None for the largest id + 1, which a compiled function cannot know.
        sorted: Accepted, without effect.

    Returns:
        Tensor (num_segments, ...).

    Example:
        >>> np.asarray(hornbeam.ops.segment_sum([1, 2, 3], [0, 0, 1])).tolist()
        [3, 3]
    """
    return _segments(data, segment_ids, num_segments, "add", 0, "segment_sum")


@operation
def segment_prod(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Multiply the rows that have the same segment id; 1 for segments without rows.

    Args:
        data: Tensor (n, ...).
        segment_ids: Tensor (n,) of integers; rows with ids outside 0 ... num_segments - 1 are ignored.
        num_segments: Integer; None for the largest id + 1, which a compiled function cannot know.
        sorted: Accepted, without effect.

    Returns:
        Tensor (num_segments, ...).
    """
    return _segments(data, segment_ids, num_segments, "mul", 1, "segment_prod")


@operation
def segment_max(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Compute the maximum of the rows that have the same segment id; -inf (or the lowest integer) of no rows.

    Args:
        data: Tensor (n, ...).
        segment_ids: Tensor (n,) of integers; rows with ids outside 0 ... num_segments - 1 are ignored.
        num_segments: Integer; None for the largest id + 1, which a compiled function cannot know.
        sorted: Accepted, without effect.

    Returns:
        Tensor (num_segments, ...).
    """
    return _segments(data, segment_ids, num_segments, "max", None, "segment_max")


@operation
def segment_min(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Compute the minimum of the rows that have the same segment id; inf (or the highest integer) of no rows.

    Args:
        data: Tensor (n, ...).
        segment_ids: Tensor (n,) of integers; rows with ids outside 0 ... num_segments - 1 are ignored.
        num_segments: Integer; None for the largest id + 1, which a compiled function cannot know.
        sorted: Accepted, without effect.

    Returns:
        Tensor (num_segments, ...).
    """
    return _segments(data, segment_ids, num_segments, "min", None, "segment_min")


# -- ranks and distances -------------------------------------------------------------------------------------


@operation
def in_top_k(targets: TensorLike, predictions: TensorLike, k: int) -> Tensor:
    """Test if the target class is among the k classes with the highest predictions.

    Classes that tie with the k-th count as in the top k; NaN and infinite predictions do not.

    Args:
        targets: Tensor (batch,) of integers.
        predictions: Tensor (batch, classes).
        k: Integer, how many classes count.

    Returns:
        Tensor (batch,) of booleans.

    Raises:
        ShapeError: If the targets are not integers (n,), or the predictions not (n, classes).

    Example:
        >>> np.asarray(hornbeam.ops.in_top_k([1], [[0.1, 0.7, 0.2]], 1)).tolist()
        [True]
    """
    scores, labels = float_node(predictions), node_of(targets)
    if scores.rank != 2 or not same_shape(labels.shape, scores.shape[:1]) or not is_integer(labels.dtype):
        raise ShapeError(
            f"in_top_k needs int targets (n,) and predictions (n, classes), got {labels.type}, {scores.type}"
        )
    classes = p.iota(labels.dtype, scores.shape, 1)
    hit = p.eq(classes, p.broadcast(labels, scores.shape, (0,)))
    target_scores = p.reduce_sum(p.select(hit, scores, full(0, scores.type)), (1,))
    above = p.gt(scores, p.broadcast(target_scores, scores.shape, (0,)))
    better = p.reduce_sum(p.convert(above, "int32"), (1,))
    valid = p.bit_and(p.reduce_or(hit, (1,)), p.is_finite(target_scores))
    return Tensor(p.bit_and(valid, p.lt(better, full(static_int(k, "k"), better.type))))


@operation
def cdist(x: TensorLike, y: TensorLike) -> Tensor:
    """Compute the Euclidean distances between the rows of two tensors.

    Args:
        x: Tensor (..., n, d).
        y: Tensor (..., m, d).

    Returns:
        Tensor (..., n, m).

    Raises:
        ShapeError: If the tensors are not (..., n, d) and (..., m, d).
    """
    dtype = result_dtype(x, y)
    dtype = dtype if is_float(dtype) else "float32"
    a, b = Tensor(cast_node(x, dtype)), Tensor(cast_node(y, dtype))
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-1]:
        raise ShapeError(f"cdist needs (..., n, d) and (..., m, d), got {a.shape} and {b.shape}")
    gap = expand_dims(a, -2) - expand_dims(b, -3)
    squares = total(gap * gap, -1).node
    # The gradient of the root at distance 0 is defined as 0.
    zero = p.eq(squares, full(0, squares.type))
    return Tensor(
        p.select(zero, full(0, squares.type), p.sqrt(p.select(zero, full(1, squares.type), squares)))
    )


explain_missing(__name__)
