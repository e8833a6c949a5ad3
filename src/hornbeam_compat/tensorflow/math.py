"""tf.math: arithmetic, functions and reductions. Arguments are TensorFlow's."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import SupportsInt

import numpy as np

from hornbeam import SparseTensor, Tensor, ops
from hornbeam.errors import ShapeError
from hornbeam.extensions.tensors import as_tensor
from hornbeam.extensions.tracing import Running
from hornbeam_compat.tensorflow.nn import (
    in_top_k,
    l2_normalize,
    log_softmax,
    softmax,
    softplus,
    softsign,
    top_k,
    zero_fraction,
)
from hornbeam_compat.tensorflow.strings import StringTensor, holds_text
from hornbeam_compat.tensorflow.tensors import axes_of, binary, reduction, unary
from hornbeam_compat.tensorflow.typing import AxisLike, DTypeLike, TensorLike, Tensors

abs = unary(ops.absolute)
acos, asin, atan = unary(ops.arccos), unary(ops.arcsin), unary(ops.arctan)
acosh, asinh, atanh = unary(ops.arccosh), unary(ops.arcsinh), unary(ops.arctanh)
ceil, floor, rint = unary(ops.ceil), unary(ops.floor), unary(ops.round)
round = unary(ops.round)
cos, cosh, sin, sinh, tan, tanh = map(unary, (ops.cos, ops.cosh, ops.sin, ops.sinh, ops.tan, ops.tanh))
erf, erfinv = unary(ops.erf), unary(ops.erfinv)
exp, expm1, log, log1p = map(unary, (ops.exp, ops.expm1, ops.log, ops.log1p))
is_finite, is_inf, is_nan = unary(ops.isfinite), unary(ops.isinf), unary(ops.isnan)
log_sigmoid, sigmoid = unary(ops.log_sigmoid), unary(ops.sigmoid)
logical_not, negative, sign = unary(ops.logical_not), unary(ops.negative), unary(ops.sign)
real, imag, conj, angle = map(unary, (ops.real, ops.imag, ops.conj, ops.angle))
reciprocal, rsqrt, sqrt, square = map(unary, (ops.reciprocal, ops.rsqrt, ops.sqrt, ops.square))

add, subtract, multiply = binary(ops.add), binary(ops.subtract), binary(ops.multiply)
divide = truediv = binary(ops.divide)
divide_no_nan, floordiv = binary(ops.divide_no_nan), binary(ops.floor_divide)
mod = floormod = binary(ops.mod)
maximum, minimum, pow = binary(ops.maximum), binary(ops.minimum), binary(ops.power)
atan2 = binary(ops.arctan2)
greater, greater_equal, less = binary(ops.greater), binary(ops.greater_equal), binary(ops.less)
less_equal = binary(ops.less_equal)
logical_and, logical_or, logical_xor = map(binary, (ops.logical_and, ops.logical_or, ops.logical_xor))

reduce_all, reduce_any = reduction(ops.all), reduction(ops.any)
reduce_logsumexp = reduction(ops.logsumexp)
reduce_max, reduce_min, reduce_prod = reduction(ops.max), reduction(ops.min), reduction(ops.prod)
reduce_std, reduce_variance = reduction(ops.std), reduction(ops.var)


def _keep_dtype(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Wrap a reduction so that its result has the dtype of the input, as in TensorFlow."""

    def call(input_tensor: TensorLike, axis: AxisLike = None, keepdims: bool = False) -> Tensor:
        tensor = as_tensor(input_tensor)
        result = fn(tensor, axis=axis, keepdims=keepdims)
        dtype = "int32" if tensor.dtype == "bool" else tensor.dtype
        return result if result.dtype == dtype else ops.cast(result, dtype)

    return call


reduce_sum, reduce_mean = reduction(_keep_dtype(ops.sum)), reduction(_keep_dtype(ops.mean))


def equal(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """Compare elementwise, numbers or strings."""
    if holds_text(x) or holds_text(y):
        return StringTensor(x) == StringTensor(y)
    return ops.equal(x, y)


def not_equal(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """Compare elementwise, numbers or strings."""
    return ops.logical_not(equal(x, y))


def squared_difference(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """Compute (x - y)^2."""
    return ops.square(ops.subtract(x, y))


def multiply_no_nan(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """Compute x y, with 0 where y is 0."""
    return ops.where(ops.equal(y, 0), ops.zeros_like(ops.multiply(x, y)), ops.multiply(x, y))


def add_n(inputs: Tensors, name: str | None = None) -> Tensor:
    """Add several tensors."""
    total = as_tensor(inputs[0])
    for x in inputs[1:]:
        total = total + x
    return total


accumulate_n = add_n


def reduce_euclidean_norm(
    input_tensor: TensorLike, axis: AxisLike = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Compute the square root of the sum of squares."""
    return ops.sqrt(ops.sum(ops.square(input_tensor), axis=axes_of(axis), keepdims=keepdims))


def xlogy(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
    """Compute x log(y), with 0 where x is 0."""
    is_zero = ops.equal(x, 0)
    return ops.where(is_zero, ops.zeros_like(y), x * ops.log(ops.where(is_zero, ops.ones_like(y), y)))


def _position(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def position(
        input: TensorLike, axis: int | None = None, output_type: DTypeLike = "int64", name: str | None = None
    ) -> Tensor:
        """Return the index of the largest or smallest element along an axis, the first by default."""
        return ops.cast(fn(input, axis=0 if axis is None else axis), output_type)

    return position


argmax, argmin = _position(ops.argmax), _position(ops.argmin)


def cumsum(
    x: TensorLike, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Tensor:
    """Compute cumulative sums, optionally exclusive, or from the end."""
    tensor = as_tensor(x)
    sums = ops.flip(ops.cumsum(ops.flip(tensor, axis), axis), axis) if reverse else ops.cumsum(tensor, axis)
    return sums - tensor if exclusive else sums


def cumprod(
    x: TensorLike, axis: int = 0, exclusive: bool = False, reverse: bool = False, name: str | None = None
) -> Tensor:
    """Compute cumulative products, optionally exclusive, or from the end."""
    factors = as_tensor(x)
    factors = ops.flip(factors, axis) if reverse else factors
    if exclusive:
        rows = ops.moveaxis(factors, axis, 0)
        factors = ops.moveaxis(ops.concatenate([ops.ones_like(rows[:1]), rows[:-1]], axis=0), 0, axis)
    products = ops.cumprod(factors, axis)
    return ops.flip(products, axis) if reverse else products


def count_nonzero(
    input: TensorLike, axis: AxisLike = None, keepdims: bool | None = None, dtype: DTypeLike = "int64",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Count the elements that are not 0."""
    ones = ops.cast(ops.not_equal(input, 0), "int32")
    return ops.cast(ops.sum(ones, axis=axes_of(axis), keepdims=builtins.bool(keepdims)), dtype)


def confusion_matrix(
    labels: TensorLike, predictions: TensorLike, num_classes: int | None = None,
    weights: TensorLike | None = None, dtype: DTypeLike = "int32", name: str | None = None,
) -> Tensor:  # fmt: skip
    """Count predictions by true class (rows) and predicted class (columns)."""
    true, predicted = np.asarray(labels).reshape(-1), np.asarray(predictions).reshape(-1)
    count = int(max(true.max(), predicted.max())) + 1 if num_classes is None else num_classes
    matrix = np.zeros((count, count), np.float64)
    np.add.at(matrix, (true, predicted), 1 if weights is None else np.asarray(weights))
    return ops.cast(as_tensor(matrix), dtype)


def bincount(
    arr: TensorLike, weights: TensorLike | None = None, minlength: int | None = None,
    maxlength: int | None = None, dtype: DTypeLike = "int32", name: str | None = None,
    axis: int | None = None, binary_output: bool = False,
) -> Tensor:  # fmt: skip
    """Count the occurrences of each integer, or sum their weights.

    Args:
        arr: Integers that are not negative: a matrix with `axis=-1`.
        weights: Tensor of the shape of `arr` that is summed instead of counting.
        minlength: Least length of the result.
        maxlength: Largest length of the result: integers from it on are skipped.
        dtype: Dtype of counts. Sums have that of the weights.
        name: Ignored.
        axis: None or 0 for all integers, -1 for those of each row.
        binary_output: Return 1 for an integer that occurs, not how often.
    """
    if axis not in (None, 0, -1):
        raise ValueError(f"tf.math.bincount: axis must be 0 or -1, got {axis}")
    if binary_output and weights is not None:
        raise ValueError("tf.math.bincount takes weights or binary_output=True, not both")
    if isinstance(arr, SparseTensor):
        raise TypeError("tf.math.bincount takes no sparse tensors here: pass arr.values for their counts")
    integers, least = as_tensor(arr), minlength or 0
    if axis != -1:
        integers = integers.reshape(-1)
        weights = None if weights is None else ops.reshape(weights, -1)
    if not Running.traces() and (np.asarray(integers) < 0).any():
        raise ShapeError("tf.math.bincount takes integers that are not negative")
    if Running.traces() and maxlength is not None and least < maxlength:
        raise ShapeError(
            "tf.math.bincount: inside a compiled function the length must be known: pass minlength=maxlength"
        )
    if maxlength is not None:
        integers = ops.minimum(integers, maxlength)  # long results cost memory
    counts = ops.bincount(integers, weights, least)[..., :maxlength]
    counts = counts > 0 if binary_output else counts
    return counts if weights is not None else ops.cast(counts, dtype)


def polyval(coeffs: Tensors, x: TensorLike, name: str | None = None) -> Tensor:
    """Evaluate a polynomial, the coefficient of the highest power first."""
    total = ops.zeros_like(as_tensor(x))
    for coefficient in coeffs:
        total = total * x + coefficient
    return total


def _sorted_segments(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(data: TensorLike, segment_ids: TensorLike, name: str | None = None) -> Tensor:
        return fn(data, segment_ids, sorted=True)

    return call


def _unsorted_segments(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def call(
        data: TensorLike, segment_ids: TensorLike, num_segments: SupportsInt, name: str | None = None
    ) -> Tensor:
        return fn(data, segment_ids, num_segments=int(num_segments))

    return call


def _segment_means(
    data: TensorLike, segment_ids: TensorLike, num_segments: int | None = None, sorted: bool = False
) -> Tensor:
    """Compute the mean of each segment, 0 for an empty one."""
    totals = ops.segment_sum(data, segment_ids, num_segments=num_segments)
    counts = ops.segment_sum(
        ops.ones(as_tensor(segment_ids).shape, totals.dtype), segment_ids, num_segments=num_segments
    )
    counts = ops.reshape(counts, (-1, *(1 for _ in totals.shape[1:])))
    return totals / ops.maximum(counts, 1)


segment_sum, segment_max = _sorted_segments(ops.segment_sum), _sorted_segments(ops.segment_max)
segment_min, segment_mean = _sorted_segments(ops.segment_min), _sorted_segments(_segment_means)
unsorted_segment_sum = _unsorted_segments(ops.segment_sum)
unsorted_segment_max = _unsorted_segments(ops.segment_max)
unsorted_segment_min = _unsorted_segments(ops.segment_min)
unsorted_segment_mean = _unsorted_segments(_segment_means)

__all__ = [
    "abs", "accumulate_n", "acos", "acosh", "add", "add_n", "angle", "argmax", "argmin", "asin", "asinh",
    "atan", "atan2", "atanh", "bincount", "ceil", "confusion_matrix", "conj", "cos", "cosh", "count_nonzero",
    "cumprod", "cumsum", "divide", "divide_no_nan", "equal", "erf", "erfinv", "exp", "expm1", "floor",
    "floordiv", "floormod", "greater", "greater_equal", "imag", "in_top_k", "is_finite", "is_inf", "is_nan",
    "l2_normalize", "less", "less_equal", "log", "log1p", "log_sigmoid", "log_softmax", "logical_and",
    "logical_not", "logical_or", "logical_xor", "maximum", "minimum", "mod", "multiply", "multiply_no_nan",
    "negative", "not_equal", "polyval", "pow", "real", "reciprocal", "reduce_all", "reduce_any",
    "reduce_euclidean_norm", "reduce_logsumexp", "reduce_max", "reduce_mean", "reduce_min", "reduce_prod",
    "reduce_std", "reduce_sum", "reduce_variance", "rint", "round", "rsqrt", "segment_max", "segment_mean",
    "segment_min", "segment_sum", "sigmoid", "sign", "sin", "sinh", "softmax", "softplus", "softsign", "sqrt",
    "square", "squared_difference", "subtract", "tan", "tanh", "top_k", "truediv", "unsorted_segment_max",
    "unsorted_segment_mean", "unsorted_segment_min", "unsorted_segment_sum", "xlogy", "zero_fraction",
]  # fmt: skip
