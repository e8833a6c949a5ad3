"""Elementwise primitives, and the helpers of all tables."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from hornbeam.engines.table import Table
from hornbeam.ir.types import numpy_dtype

Tensor = Any
raw = tf.raw_ops
HALVES = (tf.float16, tf.bfloat16)


def widened(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn` of 16-bit floats in float32, its result rounded once."""

    def widened(x: Tensor, *rest: Tensor, **params: Any) -> Tensor:
        if x.dtype not in HALVES:
            return fn(x, *rest, **params)
        return tf.cast(fn(tf.cast(x, tf.float32), *(tf.cast(y, tf.float32) for y in rest), **params), x.dtype)

    return widened


def in_wider_integers(
    compute_dtype: Callable[[Any], Any], fn: Callable[..., Tensor]
) -> Callable[..., Tensor]:
    """`fn` of integers in a wider dtype, where TensorFlow has it for few; results wrap."""

    def widened(x: Tensor, *rest: Tensor, **params: Any) -> Tensor:
        wide = compute_dtype(x.dtype)
        if wide == x.dtype:
            return fn(x, *rest, **params)
        return tf.cast(fn(tf.cast(x, wide), *(tf.cast(y, wide) for y in rest), **params), x.dtype)

    return widened


def long(dtype: Any) -> Any:
    return tf.int64 if dtype.is_integer and dtype not in (tf.int32, tf.int64) else dtype


# In files for inputs of unknown sizes, sizes are scalar tensors.


def sizes_of(x: Tensor) -> list[Any]:
    """The shape of x, with scalar tensors for sizes that are not known."""
    shape = x.shape.as_list()
    if None not in shape:
        return shape
    dynamic = tf.shape(x)
    return [dynamic[axis] if size is None else size for axis, size in enumerate(shape)]


def is_empty(x: Tensor) -> bool:
    """True if x is known to have no elements."""
    return x.shape.num_elements() == 0


def is_zero(size: Any) -> bool:
    """True if a size is known to be 0."""
    return isinstance(size, int) and size == 0


def at_least(size: Any, lowest: int) -> Any:
    """The larger of a size and a number."""
    return tf.maximum(size, lowest) if tf.is_tensor(size) else max(size, lowest)


def zero_like(x: Tensor) -> Tensor:
    return tf.zeros_like(x)


def _neg(x: Tensor) -> Tensor:
    return zero_like(x) - x if x.dtype.is_unsigned else tf.negative(x)


def _sign(x: Tensor) -> Tensor:
    if x.dtype.is_floating:
        return tf.where(tf.math.is_nan(x), x, tf.sign(x))
    below = tf.cast(x < zero_like(x), x.dtype)
    return tf.cast(x > zero_like(x), x.dtype) - below


def _abs(x: Tensor) -> Tensor:
    return x if x.dtype.is_unsigned else tf.abs(x)


def _minus_one(x: Tensor) -> Tensor:
    return tf.zeros_like(x, tf.bool) if x.dtype.is_unsigned else x == tf.constant(-1, x.dtype)


def _safe(y: Tensor) -> Tensor:
    """Integer divisors without 0 and -1, at which a processor stops."""
    return tf.where((y == zero_like(y)) | _minus_one(y), tf.ones_like(y), y)


def _divide(x: Tensor, y: Tensor) -> Tensor:
    if x.dtype.is_floating:
        return x / y
    quotient = tf.where(_minus_one(y), zero_like(x) - x, raw.TruncateDiv(x=x, y=_safe(y)))
    return tf.where(y == zero_like(y), zero_like(x), quotient)


def _remainder(x: Tensor, y: Tensor) -> Tensor:
    if x.dtype.is_floating:
        return raw.TruncateMod(x=x, y=y)
    safe = _safe(y)
    rest = x - raw.TruncateDiv(x=x, y=safe) * safe
    return tf.where((y == zero_like(y)) | _minus_one(y), zero_like(x), rest)


def _power(x: Tensor, y: Tensor) -> Tensor:
    if x.dtype.is_floating:
        return tf.pow(x, y)
    one, zero = tf.ones_like(x), zero_like(x)

    def odd(z: Tensor) -> Tensor:
        return tf.bitwise.bitwise_and(z, one) != zero

    result, base, rest = one, x, y
    for _ in range(8 * x.dtype.size):
        result = tf.where(odd(rest), result * base, result)
        base, rest = base * base, tf.bitwise.right_shift(rest, one)
    reciprocal = tf.where(x == one, one, tf.where(_minus_one(x), tf.where(odd(y), x, one), zero))
    return tf.where(y < zero, reciprocal, result)


def _shift(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn` on amounts within the bit width; beyond (and below 0) all bits are gone and the sign is left."""

    def shifted(x: Tensor, y: Tensor) -> Tensor:
        width = 8 * x.dtype.size
        inside = (y >= zero_like(y)) & (y < tf.constant(width, y.dtype))
        far = fn(fn(x, tf.zeros_like(x) + tf.constant(width - 1, x.dtype)), tf.ones_like(x))
        return tf.where(inside, fn(x, tf.where(inside, y, zero_like(y))), far)

    return shifted


def _logic(of_bits: Callable[..., Tensor], of_truth: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *rest: (of_truth if x.dtype == tf.bool else of_bits)(x, *rest)


def _ordered(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn` of truth values as of small integers."""

    def compared(x: Tensor, y: Tensor) -> Tensor:
        if x.dtype != tf.bool:
            return fn(x, y)
        out = fn(tf.cast(x, tf.int32), tf.cast(y, tf.int32))
        return out if out.dtype == tf.bool else tf.cast(out, tf.bool)

    return compared


def _extreme(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """`fn`, the larger or the smaller of two; XLA may lose a NaN on the way."""

    def extreme(x: Tensor, y: Tensor) -> Tensor:
        out = fn(x, y)
        if not x.dtype.is_floating:
            return out
        return tf.where(tf.math.is_nan(x), x, tf.where(tf.math.is_nan(y), y, out))

    return _ordered(extreme)


maximum, minimum = _extreme(tf.maximum), _extreme(tf.minimum)


def _digamma(x: Tensor) -> Tensor:
    """TensorFlow has NaN at zeros, where the limit has the other sign."""
    signed = tf.where(raw.Atan2(y=x, x=-tf.ones_like(x)) < 0, math.inf, -math.inf)
    return tf.where(x == 0, tf.cast(signed, x.dtype), tf.math.digamma(x))


def _convert(x: Tensor, *, dtype: str) -> Tensor:
    target = tf.as_dtype(numpy_dtype(dtype))
    if target == tf.bool:
        return x != zero_like(x)
    if not x.dtype.is_floating or not target.is_integer:
        return tf.cast(x, target)
    limits = np.iinfo(dtype)
    wide = tf.cast(x, tf.float64)
    truncated = tf.where(wide < 0, tf.math.ceil(wide), tf.floor(wide))
    inside = (truncated > float(limits.min)) & (truncated < float(limits.max))
    low, high, zero = (tf.constant(v, target) for v in (limits.min, limits.max, 0))
    clipped = tf.where(truncated >= float(limits.max), high, low)
    clipped = tf.where(tf.math.is_nan(truncated), zero, clipped)
    return tf.where(inside, tf.cast(tf.where(inside, truncated, 0.0), target), clipped)


_math, _bits = tf.math, tf.bitwise
UNARY: Table = {
    "neg": _neg, "sign": _sign, "abs": _abs, "floor": tf.floor, "ceil": _math.ceil, "round": tf.round,
    "exp": tf.exp, "expm1": _math.expm1, "log": _math.log, "log1p": _math.log1p, "sqrt": tf.sqrt,
    "rsqrt": _math.rsqrt, "logistic": tf.sigmoid, "sin": tf.sin, "cos": tf.cos, "tan": tf.tan,
    "asin": tf.asin, "acos": tf.acos, "atan": tf.atan, "sinh": tf.sinh, "cosh": tf.cosh, "tanh": tf.tanh,
    "asinh": _math.asinh, "acosh": tf.acosh, "atanh": _math.atanh, "erf": _math.erf, "erf_inv": _math.erfinv,
    "lgamma": _math.lgamma, "digamma": _digamma, "logical_not": _logic(_bits.invert, tf.logical_not),
    "is_finite": _math.is_finite, "relu": lambda x, **_: tf.where(x < zero_like(x), zero_like(x), x),
    "convert": _convert, "bitcast": lambda x, *, dtype: tf.bitcast(x, numpy_dtype(dtype)),
}  # fmt: skip
BINARY: Table = {
    "add": _logic(tf.add, tf.logical_or), "sub": tf.subtract, "mul": _logic(tf.multiply, tf.logical_and),
    "div": _divide, "rem": _remainder, "pow": _power, "atan2": tf.atan2, "max": maximum, "min": minimum,
    "and": _logic(_bits.bitwise_and, tf.logical_and),
    "or": _logic(_bits.bitwise_or, tf.logical_or), "xor": _logic(_bits.bitwise_xor, _math.logical_xor),
    "shift_left": _shift(_bits.left_shift), "shift_right": _shift(_bits.right_shift), "eq": tf.equal,
    "ne": tf.not_equal, "lt": _ordered(tf.less), "le": _ordered(tf.less_equal), "gt": _ordered(tf.greater),
    "ge": _ordered(tf.greater_equal),
}  # fmt: skip
# 16-bit floats that are computed in float32 and rounded once, as the specification is.
for _name in (
    "tan",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "asinh",
    "acosh",
    "atanh",
    "erf_inv",
    "lgamma",
    "pow",
):
    for _part in (UNARY, BINARY):
        if _name in _part:
            _part[_name] = widened(_part[_name])  # type: ignore[index]
