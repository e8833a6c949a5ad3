"""Elementwise functions and conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mlx.core as mx
import numpy as np

from hornbeam.engines.mlx.special import digamma, erf, lgamma
from hornbeam.engines.table import Table

Array = Any

HALVES = (mx.float16, mx.bfloat16)
_UNSIGNED = {mx.int8: mx.uint8, mx.int16: mx.uint16, mx.int32: mx.uint32, mx.int64: mx.uint64}


def mlx_dtype(name: str) -> mx.Dtype:
    return getattr(mx, "bool_" if name == "bool" else name)


def dtype_name(dtype: mx.Dtype) -> str:
    return str(dtype).removeprefix("mlx.core.")


def is_float(x: Array) -> bool:
    return mx.issubdtype(x.dtype, mx.floating)


def wide(x: Array) -> Array:
    """Convert 16-bit floats to float32, for results that are rounded once."""
    return x.astype(mx.float32) if x.dtype in HALVES else x


def widened(fn: Callable[..., Array]) -> Callable[..., Array]:
    """Wrap `fn`: compute 16-bit floats in float32, and round the result once."""

    def widened(x: Array, *rest: Array, **params: Any) -> Array:
        return fn(wide(x), *map(wide, rest), **params).astype(x.dtype)

    return widened


def _magnitude(x: Array) -> Array:
    """Return |x| of integers as unsigned ones, so that the lowest integer has one too."""
    unsigned = _UNSIGNED.get(x.dtype)
    return x if unsigned is None else mx.where(x < 0, -x, x).view(unsigned)


def _quotient(x: Array, y: Array) -> Array:
    """Divide integers, truncating; x / 0 is 0."""
    below = _magnitude(y)
    quotient = mx.where(y == 0, mx.zeros_like(below), _magnitude(x) // mx.maximum(below, 1))
    if quotient.dtype == x.dtype:
        return quotient
    quotient = quotient.view(x.dtype)
    return mx.where((x < 0) != (y < 0), -quotient, quotient)


def _divide(x: Array, y: Array) -> Array:
    return x / y if is_float(x) else _quotient(x, y)


def _remainder(x: Array, y: Array) -> Array:
    if not is_float(x):
        return mx.where(y == 0, mx.zeros_like(x), x - _quotient(x, y) * y)
    # MLX's remainder has the sign of the divisor; of magnitudes it is fmod.
    rest = mx.remainder(mx.abs(x), mx.abs(y))
    rest = mx.where(mx.isinf(y) & mx.isfinite(x), mx.abs(x), rest)
    return mx.where(_is_negative(x), -rest, rest)


def _is_negative(x: Array) -> Array:
    """Read the sign bit, which -0.0 has too."""
    bits = {2: mx.int16, 4: mx.int32, 8: mx.int64}[x.itemsize]
    return x.view(bits) < 0


def _power(x: Array, y: Array) -> Array:
    if is_float(x):
        return mx.power(x, y)
    result, base, rest = mx.ones_like(x), x, y
    for _ in range(8 * x.itemsize):
        result = mx.where((rest & 1) != 0, result * base, result)
        base, rest = base * base, rest >> 1
    if x.dtype not in _UNSIGNED:
        return result
    zero = mx.zeros_like(x)
    reciprocal = mx.where(x == 1, x, mx.where(x == -1, mx.where((y & 1) != 0, x, -x), zero))
    return mx.where(y < 0, reciprocal, result)


def _shift(fn: Callable[..., Array]) -> Callable[..., Array]:
    """Apply `fn` to amounts within the bit width; beyond it (and below 0) only the sign remains."""

    def shifted(x: Array, y: Array) -> Array:
        width = 8 * x.itemsize
        inside = (y >= 0) & (y < width)
        far = fn(fn(x, mx.full(x.shape, width - 1, x.dtype)), mx.ones_like(x))
        return mx.where(inside, fn(x, mx.where(inside, y, mx.zeros_like(y))), far)

    return shifted


def _sign(x: Array) -> Array:
    return mx.where(mx.isnan(x), x, mx.sign(x)) if is_float(x) else mx.sign(x)


def _logical_not(x: Array) -> Array:
    return mx.logical_not(x) if x.dtype == mx.bool_ else mx.bitwise_invert(x)


def _logical(bits: Callable[..., Array], bools: Callable[..., Array]) -> Callable[..., Array]:
    return lambda x, y: (bools if x.dtype == mx.bool_ else bits)(x, y)


def convert(x: Array, *, dtype: str) -> Array:
    """Convert: floats truncate and saturate to integers, NaN to 0."""
    if dtype == "bool":
        return x != 0
    target = mlx_dtype(dtype)
    if not is_float(x) or not mx.issubdtype(target, mx.integer):
        return x.astype(target)
    # Limits of integers are floats or lie below a power of two, so no wider floats are needed.
    limits = np.iinfo(dtype)
    truncated = mx.trunc(wide(x))
    inside = (truncated > float(limits.min)) & (truncated < float(limits.max))
    low, high = (mx.array(np.array(n, dtype)) for n in (limits.min, limits.max))
    clipped = mx.where(truncated >= float(limits.max), high, low)
    clipped = mx.where(mx.isnan(truncated), mx.array(0, target), clipped)
    return mx.where(inside, mx.where(inside, truncated, 0.0).astype(target), clipped)


UNARY: Table = {
    "neg": mx.negative, "sign": _sign, "abs": mx.abs, "floor": mx.floor, "ceil": mx.ceil, "round": mx.round,
    "exp": widened(mx.exp), "expm1": widened(mx.expm1), "log": widened(mx.log), "log1p": widened(mx.log1p),
    "sqrt": mx.sqrt, "rsqrt": widened(mx.rsqrt), "logistic": widened(mx.sigmoid), "sin": widened(mx.sin),
    "cos": widened(mx.cos), "tan": widened(mx.tan), "asin": widened(mx.arcsin), "acos": widened(mx.arccos),
    "atan": widened(mx.arctan), "sinh": widened(mx.sinh), "cosh": widened(mx.cosh),
    "tanh": widened(mx.tanh), "asinh": widened(mx.arcsinh), "acosh": widened(mx.arccosh),
    "atanh": widened(mx.arctanh), "erf": widened(erf), "erf_inv": widened(mx.erfinv),
    "lgamma": widened(lgamma), "digamma": widened(digamma), "logical_not": _logical_not,
    "is_finite": mx.isfinite,
}  # fmt: skip
BINARY: Table = {
    "add": mx.add, "sub": mx.subtract, "mul": mx.multiply, "div": _divide, "rem": widened(_remainder),
    "pow": widened(_power), "atan2": widened(mx.arctan2), "max": mx.maximum, "min": mx.minimum,
    "and": _logical(mx.bitwise_and, mx.logical_and), "or": _logical(mx.bitwise_or, mx.logical_or),
    "xor": _logical(mx.bitwise_xor, mx.not_equal), "shift_left": _shift(mx.left_shift),
    "shift_right": _shift(mx.right_shift), "eq": mx.equal, "ne": mx.not_equal, "lt": mx.less,
    "le": mx.less_equal, "gt": mx.greater, "ge": mx.greater_equal,
}  # fmt: skip
