"""Elementwise primitives as ONNX nodes, and formulas for those that ONNX has no operator for."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.ir.types import is_float, numpy_dtype
from hornbeam.onnx.emitter.emit import Functions
from hornbeam.onnx.emitter.kernels import HALVES
from hornbeam.onnx.emitter.values import Value, compare, elementwise, where

Unary = Callable[[Value], Value]


def _in(dtypes: Sequence[str], work: str) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Makes a function compute in `work` for operands of `dtypes`, rounding its result once."""

    def wrap(fn: Callable[..., Value]) -> Callable[..., Value]:
        @functools.wraps(fn)
        def computed(x: Value, *rest: Value, **params: Any) -> Value:
            if x.dtype not in dtypes:
                return fn(x, *rest, **params)
            return fn(x.cast(work), *(y.cast(work) for y in rest), **params).cast(x.dtype)

        return computed

    return wrap


widened = _in(HALVES, "float32")
_precise = _in((*HALVES, "float32"), "float64")


def _operator(name: str, double: Unary | None = None) -> Unary:
    """ONNX's own operator; `double` computes float64 where ONNX Runtime does not."""

    def apply(x: Value) -> Value:
        return double(x) if double is not None and x.dtype == "float64" else elementwise(name, x)

    return apply


def _abs(x: Value) -> Value:
    return elementwise("Abs", x)


def _sqrt(x: Value) -> Value:
    return elementwise("Sqrt", x)


def _exp(x: Value) -> Value:
    return elementwise("Exp", x)


def _log(x: Value) -> Value:
    return elementwise("Log", x)


def is_nan(x: Value) -> Value:
    return x.mapped("IsNaN", "bool")


def _is_infinite(x: Value) -> Value:
    return _abs(x).equals(math.inf)


def _negative(x: Value) -> Value:
    """True where the sign bit is set, of zeros too."""
    return (x < 0) | (x.equals(0) & (1 / x < 0))


def _signed(size: Value, sign: Value) -> Value:
    """`size` with the sign of `sign`."""
    return where(_negative(sign), -size, size)


@widened
def _expm1(x: Value) -> Value:
    """(e**x - 1) * x / log(e**x): both factors err alike (Kahan)."""
    grown = _exp(x)
    exact = (grown - 1) * (x / _log(grown))
    direct = grown.equals(1) | _is_infinite(grown) | (x < -30)
    return where(direct, where(grown.equals(1), x, grown - 1), exact)


@widened
def _log1p(x: Value) -> Value:
    """log(1 + x) * x / ((1 + x) - 1): both factors err alike (Kahan)."""
    grown = x + 1
    logarithm = _log(grown)
    exact = logarithm * (x / (grown - 1))
    return where(grown.equals(1), x, where(_is_infinite(grown) | grown.equals(0), logarithm, exact))


def _atan(x: Value) -> Value:
    """One step from the float32 result: tan(atan(x) - y) = (x cos y - sin y) / (cos y + x sin y)."""
    y = elementwise("Atan", x.cast("float32")).cast("float64")
    cosine, sine = elementwise("Cos", y), elementwise("Sin", y)
    refined = y + (x * cosine - sine) / (cosine + x * sine)
    return where(_is_infinite(x), _signed(x.like(math.pi / 2), x), refined)


def _halves(x: Value) -> tuple[Value, Value]:
    """e**|x| / 2 and e**-|x| / 2, the first finite wherever it can be."""
    root = _exp(_abs(x) * 0.5)
    return root * 0.5 * root, 0.5 / root / root


def _sinh(x: Value) -> Value:
    rising, falling = _halves(x)
    small = _expm1(_abs(x))
    near = (small + small / (small + 1)) * 0.5
    return _signed(where(_abs(x) < 1, near, rising - falling), x)


def _asinh(x: Value) -> Value:
    size = _abs(x)
    near = _log1p(size + size * size / (_sqrt(size * size + 1) + 1))
    return _signed(where(size > 1e100, _log(size) + math.log(2), near), x)


def _acosh(x: Value) -> Value:
    above = x - 1
    near = _log1p(above + _sqrt(above * (x + 1)))
    return where(x < 1, math.nan, where(x > 1e100, _log(x) + math.log(2), near))


def _atanh(x: Value) -> Value:
    size = _abs(x)
    return _signed(_log1p(size * 2 / (1 - size)) * 0.5, x)


@widened
def _atan2(y: Value, x: Value) -> Value:
    """The angle of the smaller by the larger side, turned into its octant."""
    tall, wide = _abs(y), _abs(x)
    small, large = elementwise("Min", tall, wide), elementwise("Max", tall, wide)
    ratio = where(small.equals(large), where(large.equals(0), large, 1), small / large)
    angle = _operator("Atan", _atan)(ratio)
    angle = where(tall > wide, math.pi / 2 - angle, angle)
    angle = _signed(where(_negative(x), math.pi - angle, angle), y)
    return where(is_nan(x) | is_nan(y), math.nan, angle)


def _logistic(x: Value) -> Value:
    return 1 / (_exp(-x) + 1)


# Giles, "Approximating the erfinv function", GPU Computing Gems 2, 2011: in w = -log(1 - x**2), for w < 5 of
# w - 2.5, else of sqrt(w) - 3.
_ERF_INV = (
    (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503,
     -0.00417768164, 0.246640727, 1.50140941),
    (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613,
     0.00943887047, 1.00167406, 2.83297682),
)  # fmt: skip


def _polynomial(x: Value, coefficients: Sequence[float]) -> Value:
    """From the highest power."""
    total = x * 0 + coefficients[0]
    for coefficient in coefficients[1:]:
        total = total * x + coefficient
    return total


@widened
def _erf_inv(x: Value) -> Value:
    w = -_log((1 - x) * (1 + x))
    scaled = where(w < 5, _polynomial(w - 2.5, _ERF_INV[0]), _polynomial(_sqrt(w) - 3, _ERF_INV[1]))
    return where(_abs(x).equals(1), x * math.inf, scaled * x)


# Stirling's series of log gamma and of its derivative, last term first (Abramowitz & Stegun 6.1.41, 6.3.18).
_LGAMMA = (1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12)
_DIGAMMA = (1 / 12, -691 / 32760, 1 / 132, -1 / 240, 1 / 252, -1 / 120, 1 / 12)
_SHIFT = 10


def _raised(z: Value) -> tuple[Value, Value]:
    """z at 10 or above, and whether it was below."""
    low = z < _SHIFT
    return where(low, z + _SHIFT, z), low


def _offset(x: Value) -> Value:
    """pi times the distance from the nearest integer."""
    return (x - elementwise("Round", x)) * math.pi


@_precise
def _lgamma(x: Value) -> Value:
    """Reflection below 1/2, recurrence up to 10, Stirling's series."""
    reflected = x < 0.5
    z, low = _raised(where(reflected, 1 - x, x))
    series = _polynomial(1 / (z * z), _LGAMMA) / z
    above = z * (_log(z) - 1) - _log(z) * 0.5 + (0.5 * math.log(2 * math.pi)) + series
    product = z - 1
    for i in range(2, _SHIFT + 1):
        product = product * (z - i)
    value = above - where(low, _log(where(low, product, 1)), 0)
    mirrored = math.log(math.pi) - _log(_abs(elementwise("Sin", _offset(x)))) - value
    pole = reflected & elementwise("Round", x).equals(x)
    return where(_is_infinite(x) | pole, math.inf, where(reflected, mirrored, value))


@_precise
def _digamma(x: Value) -> Value:
    """Reflection below 0, recurrence up to 10, asymptotic series."""
    reflected = x < 0
    start = where(reflected, 1 - x, x)
    z, low = _raised(start)
    square = 1 / (z * z)
    value = _log(z) - 0.5 / z - _polynomial(square, _DIGAMMA) * square
    steps = 1 / start
    for i in range(1, _SHIFT):
        steps = steps + 1 / (start + i)
    value = value - where(low, steps, 0)
    angle = _offset(x)
    mirrored = value - elementwise("Cos", angle) / elementwise("Sin", angle) * math.pi
    pole = (reflected & elementwise("Round", x).equals(x)) | x.equals(-math.inf)
    value = where(pole, math.nan, where(reflected, mirrored, value))
    return where(x.equals(0), -_signed(x.like(math.inf), x), where(x.equals(math.inf), math.inf, value))


def _negate(x: Value) -> Value:
    return x.like(0) - x if x.dtype.startswith("u") else -x


def _minus_one(x: Value) -> Value:
    return x.full(0).equals(1) if x.dtype.startswith("u") else x.equals(-1)


def _quotient(x: Value, y: Value) -> Value:
    """x / y of integers. Processors stop at x / 0, and at the lowest integer / -1."""
    minus = _minus_one(y)
    quotient = x / where(y.equals(0) | minus, 1, y)
    return where(y.equals(0), 0, where(minus, _negate(x), quotient))


def _divide(x: Value, y: Value) -> Value:
    return x / y if x.floating else _quotient(x, y)


def _remainder(x: Value, y: Value) -> Value:
    if x.floating:
        return elementwise("Mod", x, y, fmod=1)
    return where(y.equals(0), 0, x - _quotient(x, y) * y)


def _power(x: Value, y: Value) -> Value:
    if x.floating:
        return elementwise("Pow", x, y)
    width = 8 * numpy_dtype(x.dtype).itemsize
    result, base, rest = x.full(1), x, y
    for _ in range(width):
        result = where((rest & 1).equals(1), result * base, result)
        base, rest = base * base, _shifted("RIGHT", rest, rest.like(1))
    reciprocal = where(_minus_one(x), where((y & 1).equals(1), x, 1), 0)
    return where(y < 0, where(x.equals(1), 1, reciprocal), result)


def _shifted(direction: str, x: Value, y: Value) -> Value:
    """ONNX's shift for amounts within the bit width; to the right the sign comes along."""
    unsigned = "u" + x.dtype.removeprefix("u")
    bits, amount = x.bits(unsigned), y.bits(unsigned)
    if direction == "LEFT" or x.dtype == unsigned:
        return elementwise("BitShift", bits, amount, direction=direction).bits(x.dtype)
    flipped = where(x < 0, ~x, x).bits(unsigned)
    moved = elementwise("BitShift", flipped, amount, direction="RIGHT").bits(x.dtype)
    return where(x < 0, ~moved, moved)


def _shift(direction: str) -> Callable[[Value, Value], Value]:
    """Beyond the bit width (and below 0) all bits are gone and the sign is left."""

    def shift(x: Value, y: Value) -> Value:
        width = 8 * numpy_dtype(x.dtype).itemsize
        inside = (y < width) if x.dtype.startswith("u") else (y < width) & (y >= 0)
        gone = x.full(0)
        if direction == "RIGHT" and not x.dtype.startswith("u"):
            gone = where(x < 0, -1, gone)
        return where(inside, _shifted(direction, x, where(inside, y, 0)), gone)

    return shift


def _sign(x: Value) -> Value:
    return where(is_nan(x), x, elementwise("Sign", x)) if x.floating else elementwise("Sign", x)


def _min_or_max(operator: str) -> Callable[[Value, Value], Value]:
    return lambda x, y: elementwise(operator, x, y)


def _comparison(operator: str) -> Callable[[Value, Value], Value]:
    return lambda x, y: compare(operator, x, y)


def convert(x: Value, *, dtype: str) -> Value:
    if dtype == "bool":
        return x if x.dtype == "bool" else ~x.equals(0)
    if not x.floating or is_float(dtype):
        return x.cast(dtype)
    limits = np.iinfo(dtype)
    wide = x.cast("float32") if x.dtype in HALVES else x
    inside = (wide > float(limits.min)) & (wide < float(limits.max))
    converted = where(inside, wide, 0).cast(dtype)
    clipped = where(wide >= float(limits.max), converted.like(limits.max), converted.like(limits.min))
    return where(inside, converted, where(is_nan(wide), 0, clipped))


UNARY: Functions = {
    **{
        name: _operator(operator)
        for name, operator in {
            "abs": "Abs", "floor": "Floor", "ceil": "Ceil", "round": "Round", "exp": "Exp", "log": "Log",
            "sqrt": "Sqrt", "sin": "Sin", "cos": "Cos", "tanh": "Tanh", "erf": "Erf",
        }.items()
    },
    "asin": _operator("Asin", lambda x: _atan(x / _sqrt((1 - x) * (1 + x)))),
    "acos": _operator("Acos", lambda x: _atan(_sqrt((1 - x) / (1 + x))) * 2),
    "atan": _operator("Atan", _atan),
    "tan": _operator("Tan", lambda x: elementwise("Sin", x) / elementwise("Cos", x)),
    "sinh": _operator("Sinh", _sinh),
    "cosh": _operator("Cosh", lambda x: sum(_halves(x)[1:], _halves(x)[0])),
    "asinh": _operator("Asinh", _asinh),
    "acosh": _operator("Acosh", _acosh),
    "atanh": _operator("Atanh", _atanh),
    "neg": _negate, "sign": _sign, "expm1": _expm1, "log1p": _log1p, "logistic": widened(_logistic),
    "rsqrt": widened(lambda x: 1 / _sqrt(x)), "erf_inv": _erf_inv, "lgamma": _lgamma, "digamma": _digamma,
    "logical_not": lambda x: ~x, "is_finite": lambda x: _abs(x) < math.inf,
}  # fmt: skip
BINARY: Functions = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": _divide,
    "rem": _remainder, "pow": _power, "atan2": _atan2, "max": _min_or_max("Max"), "min": _min_or_max("Min"),
    "and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y,
    "shift_left": _shift("LEFT"), "shift_right": _shift("RIGHT"), "eq": _comparison("Equal"),
    "ne": lambda x, y: ~x.equals(y), "lt": _comparison("Less"), "le": _comparison("LessOrEqual"),
    "gt": _comparison("Greater"), "ge": _comparison("GreaterOrEqual"),
}  # fmt: skip
