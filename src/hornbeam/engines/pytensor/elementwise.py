"""Elementwise primitives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytensor.tensor as pt

from hornbeam.engines.pytensor.ops import HALVES, Array, Variable, compute_dtype, rounded_array
from hornbeam.engines.table import Table
from hornbeam.ir.types import is_integer, numpy_dtype


def _logistic(x: Variable) -> Variable:
    """PyTensor's own loses the digits of small results."""
    return pt.reciprocal(pt.exp(-x) + np.array(1, x.dtype))


def _lgamma(x: Variable) -> Variable:
    """SciPy has -inf at -inf."""
    return pt.switch(pt.eq(x, np.array(-np.inf, x.dtype)), np.array(np.inf, x.dtype), pt.gammaln(x))


_INFINITY = np.float32(np.inf)
EXPRESSIONS: Table = {
    "neg": pt.neg, "sign": pt.sign, "abs": pt.abs, "floor": pt.floor, "ceil": pt.ceil,
    "round": lambda x: pt.round(x, mode="half_to_even"), "exp": pt.exp, "expm1": pt.expm1, "log": pt.log,
    "log1p": pt.log1p, "sqrt": pt.sqrt, "rsqrt": lambda x: pt.reciprocal(pt.sqrt(x)),
    "logistic": _logistic, "sin": pt.sin, "cos": pt.cos, "tan": pt.tan, "asin": pt.arcsin,
    "acos": pt.arccos, "atan": pt.arctan, "sinh": pt.sinh, "cosh": pt.cosh, "tanh": pt.tanh,
    "asinh": pt.arcsinh, "acosh": pt.arccosh, "atanh": pt.arctanh, "erf": pt.erf, "erf_inv": pt.erfinv,
    "lgamma": _lgamma, "digamma": pt.psi, "logical_not": pt.invert,
    "is_finite": lambda x: pt.lt(pt.abs(x), _INFINITY),
    "add": pt.add, "sub": pt.sub, "mul": pt.mul, "div": pt.true_div, "pow": pt.pow, "atan2": pt.arctan2,
    "max": pt.maximum, "min": pt.minimum, "and": pt.bitwise_and, "or": pt.bitwise_or, "xor": pt.bitwise_xor,
    "eq": pt.eq, "ne": pt.neq, "lt": pt.lt, "le": pt.le, "gt": pt.gt, "ge": pt.ge, "select": pt.switch,
}  # fmt: skip


# -- where PyTensor has nothing ------------------------------------------------------------------------------


def _shift(fn: np.ufunc) -> Callable[[Array, Array], Array]:
    """`fn` on amounts within the bit width; beyond (and below 0) all bits are gone and the sign is left."""

    def shift(x: Array, y: Array) -> Array:
        width = 8 * x.dtype.itemsize
        inside = (y >= 0) & (y < width)
        gone = fn(fn(x, x.dtype.type(width - 1)), x.dtype.type(1))
        return np.where(inside, fn(x, np.where(inside, y, 0).astype(x.dtype)), gone)

    return shift


def _convert(x: Array, *, dtype: str) -> Array:
    """PyTensor's own cast runs element by element, and wraps where floats must saturate."""
    if dtype == "bool":
        return x != 0
    if is_integer(dtype) and x.dtype.kind == "f":
        return _saturated(x, dtype)
    return x.astype(dtype) if dtype not in HALVES else rounded_array(x, dtype=dtype)


def _saturated(x: Array, dtype: str) -> Array:
    """Floats as integers: towards zero, the nearest one where they are out of range, 0 for NaN."""
    limits, truncated = np.iinfo(dtype), np.trunc(x.astype(np.float64))
    inside = (truncated > float(limits.min)) & (truncated < float(limits.max))
    clipped = np.where(truncated >= float(limits.max), limits.max, limits.min)
    clipped = np.where(np.isnan(truncated), 0, clipped).astype(dtype)
    return np.where(inside, np.where(inside, truncated, 0).astype(dtype), clipped)


def _bitcast(source: str) -> Callable[..., Array]:
    """Reinterpret bits; 16-bit floats are carried as float32."""

    def bitcast(x: Array, *, dtype: str) -> Array:
        bits = np.ascontiguousarray(x, numpy_dtype(source)).reshape(x.shape).view(numpy_dtype(dtype))
        return bits.astype(compute_dtype(dtype))

    return bitcast


def _divide(x: Array, y: Array) -> Array:
    """Of integers, towards zero; 0 where y is 0."""
    return np.floor_divide(x - np.fmod(x, y), y)


def _power(x: Array, y: Array) -> Array:
    """Of integers; negative exponents truncate 1 / x**-y."""
    result = np.power(x, np.maximum(y, 0))
    minus_one = x == np.array(-1).astype(x.dtype)
    reciprocal = np.where(x == 1, 1, np.where(minus_one, np.where(y & 1, x, 1), 0))
    return np.where(y < 0, reciprocal, result)


FUNCTIONS: Table = {
    "rem": np.fmod,
    "convert": _convert,
    "shift_left": _shift(np.left_shift),
    "shift_right": _shift(np.right_shift),
}
# In place of what is for floats.
INTEGERS: Table = {"div": _divide, "pow": _power}
# Functions of the first operand's dtype, which values do not show.
TYPED: dict[str, Callable[[str], Callable[..., Array]]] = {"bitcast": _bitcast}
