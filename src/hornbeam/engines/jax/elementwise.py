"""Elementwise functions and conversions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hornbeam.engines.table import Table
from hornbeam.ir.types import numpy_dtype

Array = Any


HALVES = (jnp.float16, jnp.bfloat16)


def is_float(x: Array) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def wide(x: Array) -> Array:
    """Convert 16-bit floats to float32, for results that are rounded once."""
    return x.astype(jnp.float32) if x.dtype in HALVES else x


def widened(fn: Callable[..., Array]) -> Callable[..., Array]:
    """Wrap `fn`: compute 16-bit floats in float32, and round the result once."""

    def widened(x: Array, *rest: Array, **params: Any) -> Array:
        return fn(wide(x), *map(wide, rest), **params).astype(x.dtype)

    return widened


def _divide(x: Array, y: Array) -> Array:
    if is_float(x):
        return x / y
    return jnp.where(y == 0, 0, lax.div(x, jnp.where(y == 0, 1, y).astype(y.dtype))).astype(x.dtype)


def _remainder(x: Array, y: Array) -> Array:
    if is_float(x):
        return lax.rem(x, y)
    return jnp.where(y == 0, 0, lax.rem(x, jnp.where(y == 0, 1, y).astype(y.dtype))).astype(x.dtype)


def _power(x: Array, y: Array) -> Array:
    if is_float(x):
        return lax.pow(x, y)
    result, base, rest = jnp.ones_like(x), x, y
    for _ in range(8 * x.dtype.itemsize):
        result = jnp.where(rest & 1 != 0, result * base, result)
        base, rest = base * base, rest >> 1
    if jnp.issubdtype(x.dtype, jnp.unsignedinteger):
        return result
    reciprocal = jnp.where(x == 1, 1, jnp.where(x == -1, jnp.where(y & 1 != 0, x, 1), 0)).astype(x.dtype)
    return jnp.where(y < 0, reciprocal, result)


def _digamma(x: Array) -> Array:
    """Compute digamma; JAX returns NaN at zeros, where the limit has the opposite sign."""
    return jnp.where(x == 0, -jnp.copysign(jnp.inf, x), lax.digamma(x)).astype(x.dtype)


def _shift_right(x: Array, y: Array) -> Array:
    signed = jnp.issubdtype(x.dtype, jnp.signedinteger)
    return (lax.shift_right_arithmetic if signed else lax.shift_right_logical)(x, y)


def convert(x: Array, *, dtype: str) -> Array:
    target = numpy_dtype(dtype)
    if dtype == "bool":
        return x != 0
    if not is_float(x) or not np.issubdtype(target, np.integer):
        return x.astype(target)
    limits = np.iinfo(target)
    truncated = jnp.trunc(x.astype(jnp.float64))
    inside = (truncated > float(limits.min)) & (truncated < float(limits.max))
    clipped = jnp.where(truncated >= float(limits.max), target.type(limits.max), target.type(limits.min))
    clipped = jnp.where(jnp.isnan(truncated), target.type(0), clipped)
    return jnp.where(inside, jnp.where(inside, truncated, 0).astype(target), clipped)


UNARY: Table = {
    "neg": jnp.negative, "sign": jnp.sign, "abs": jnp.abs, "floor": jnp.floor, "ceil": jnp.ceil,
    "round": jnp.rint, "exp": jnp.exp, "expm1": jnp.expm1, "log": jnp.log, "log1p": jnp.log1p,
    "sqrt": jnp.sqrt, "rsqrt": lax.rsqrt, "logistic": jax.nn.sigmoid, "sin": jnp.sin, "cos": jnp.cos,
    "tan": widened(jnp.tan), "asin": widened(jnp.arcsin), "acos": widened(jnp.arccos),
    "atan": widened(jnp.arctan), "sinh": widened(jnp.sinh), "cosh": widened(jnp.cosh), "tanh": jnp.tanh,
    "asinh": widened(jnp.arcsinh), "acosh": widened(jnp.arccosh), "atanh": widened(jnp.arctanh),
    "erf": lax.erf, "erf_inv": lax.erf_inv, "lgamma": lax.lgamma, "digamma": _digamma,
    "logical_not": jnp.invert, "is_finite": jnp.isfinite,
    "relu": lambda x, **_: jax.nn.relu(x),
}  # fmt: skip
BINARY: Table = {
    "add": lax.add, "sub": lax.sub, "mul": lax.mul, "div": _divide, "rem": _remainder, "pow": _power,
    "atan2": lax.atan2, "max": lax.max, "min": lax.min, "and": lax.bitwise_and, "or": lax.bitwise_or,
    "xor": lax.bitwise_xor, "shift_left": lax.shift_left, "shift_right": _shift_right, "eq": lax.eq,
    "ne": lax.ne, "lt": lax.lt, "le": lax.le, "gt": lax.gt, "ge": lax.ge,
}  # fmt: skip
