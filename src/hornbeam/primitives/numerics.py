"""Helpers of the primitives' NumPy references: precision, warnings, edge values, and special functions.

The references are the specification. float16 and bfloat16 are computed in float32 and rounded once; float32
is computed in float64 and rounded once, so that the reference is nearly always the correctly rounded
result.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from hornbeam.ir.types import dtype_name, is_complex, is_float, numpy_dtype, real_dtype

Array = np.ndarray
_WORKING = {"float16": "float32", "bfloat16": "float32", "float32": "float64"}


def widen(x: Array) -> Array:
    """Convert `x` to the precision of references."""
    name = dtype_name(x.dtype)
    return x.astype(_WORKING.get(name, name))


def single(x: Array) -> Array:
    """Convert float16 and bfloat16 to float32, for references that only compare and move."""
    return x.astype(np.float32) if x.dtype.itemsize == 2 and is_float(dtype_name(x.dtype)) else x


def quiet(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `fn`: no NumPy warnings, and an array as the result (not a NumPy scalar)."""

    @functools.wraps(fn)
    def wrapped(*args: Array, **params: Any) -> Any:
        with np.errstate(all="ignore"):
            out = fn(*args, **params)
        return tuple(map(np.asarray, out)) if isinstance(out, tuple) else np.asarray(out)

    return wrapped


def rounded(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap `fn`: compute in working precision, and round the result to the dtype of the first operand.

    Real results of complex operands have the dtype of their parts.
    """

    @functools.wraps(fn)
    def wrapped(*args: Array, **params: Any) -> Any:
        out = fn(*map(widen, args), **params)
        outs = tuple(map(np.asarray, out)) if isinstance(out, tuple) else (np.asarray(out),)
        dtype = args[0].dtype
        parts = numpy_dtype(real_dtype(dtype_name(dtype)))
        results = tuple(x.astype(dtype if x.dtype.kind == "c" else parts) for x in outs)
        return results if isinstance(out, tuple) else results[0]

    return quiet(wrapped)


def lowest(dtype: str) -> int | float | complex:
    """Return the least value of a dtype: -inf, or the smallest integer."""
    if is_complex(dtype):
        return complex(-np.inf, -np.inf)
    return -np.inf if is_float(dtype) else np.iinfo(numpy_dtype(dtype)).min


def highest(dtype: str) -> int | float | complex:
    """Return the greatest value of a dtype: inf, or the largest integer."""
    if is_complex(dtype):
        return complex(np.inf, np.inf)
    return np.inf if is_float(dtype) else np.iinfo(numpy_dtype(dtype)).max


def edges(dtype: str, size: int = 20) -> Array:
    """Return the values that break kernels: NaN, infinities, signed zeros, halves, the extremes of the
    dtype."""
    kind = numpy_dtype(dtype)
    if dtype == "bool":
        return np.resize(np.array([False, True, True]), size)
    if is_float(dtype):
        info = ml_dtypes.finfo(kind)
        small = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1.0, -1.0, 3.0, -7.0, 30.25]
        big = [float(info.max), float(info.min), float(info.tiny), float(info.eps)]
        return np.resize(np.array([np.nan, np.inf, -np.inf, *small, *big]), size).astype(kind)
    limits = np.iinfo(kind)
    values = [0, 1, 2, 3, 7, 100, limits.max, limits.max - 1, limits.min, limits.min + 1]
    if limits.min < 0:
        values += [-1, -2, -3, -7, -100]
    return np.resize(np.array(values, kind), size)


def edge_pairs(dtype: str) -> tuple[Array, Array]:
    """Pair every edge value with every other."""
    values = edges(dtype)
    return np.repeat(values, values.size), np.tile(values, values.size)


def _elementwise(fn: Callable[[float], float]) -> Callable[[Array], Array]:
    return np.vectorize(fn, otypes=[np.float64])


erf = _elementwise(math.erf)
_erfc = _elementwise(math.erfc)


@_elementwise
def lgamma(x: float) -> float:
    """log |gamma(x)|; inf at the poles."""
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


def erf_inv(x: Array) -> Array:
    """Inverse of erf: Winitzki's approximation, then Halley steps, in the tails on erfc."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    inside = np.where(size < 1, size, 0.0)
    tail = np.log1p(-inside * inside)
    a = 0.147
    b = 2 / (np.pi * a) + tail / 2
    y = np.sqrt(np.maximum(np.sqrt(b * b - tail / a) - b, 0.0))
    for _ in range(4):
        error = np.where(inside > 0.5, (1 - inside) - _erfc(y), erf(y) - inside)
        step = error / (2 / math.sqrt(math.pi) * np.exp(-y * y))
        y = y - step / (1 + y * step)
    y = np.where(size < 1, y, np.where(size == 1, np.inf, np.nan))
    return np.copysign(y, x)


# Bernoulli numbers B_2k / 2k of the asymptotic series of digamma (Abramowitz & Stegun 6.3.18).
_DIGAMMA_SERIES = (1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160)


@_elementwise
def digamma(x: float) -> float:
    """Derivative of lgamma: reflection below 0, recurrence up to 10, asymptotic series.

    At 0 it is infinite with the sign opposite to that of the zero; NaN at the other poles.
    """
    if x == 0:
        return -math.copysign(math.inf, x)
    if math.isnan(x) or x == -math.inf or (x <= 0 and x == math.floor(x)):
        return math.nan
    if x == math.inf:
        return x
    if x < 0:
        return float(digamma(np.float64(1 - x))) - math.pi / math.tan(math.pi * (x - round(x)))
    total = 0.0
    while x < 10:
        total -= 1 / x
        x += 1
    square = 1 / (x * x)
    series = 0.0
    for coefficient in reversed(_DIGAMMA_SERIES):
        series = (series + coefficient) * square
    return total + math.log(x) - 0.5 / x - series
