"""Elementwise primitives: arithmetic, transcendental functions, bits, comparisons, select, convert.

All operands of a node have the same shape and dtype; Python scalars become constants of its type.
Subgradients by convention: the derivative of abs at 0 is 0; max and min give half to each operand at ties;
the exponent of pow has no gradient where the base is not positive.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Sample, bind, expect_same, full, ones_like, primitive, zeros_like
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import (
    BOOL,
    COMPLEX,
    DTYPES,
    FLOATS,
    INTEGERS,
    NUMERIC,
    HornbeamTypeError,
    ShapeError,
    TensorType,
    dtype_name,
    is_complex,
    is_float,
    is_inexact,
    itemsize,
    numpy_dtype,
)
from hornbeam.primitives import numerics
from hornbeam.primitives.numerics import Array, edge_pairs, edges, quiet, rounded

# fmt: off
__all__ = [
    "absolute", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh", "bit_and", "bit_or",
    "bit_xor", "bitcast", "ceil", "convert", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "exp",
    "expm1", "floor", "ge", "gt", "is_finite", "le", "lgamma", "log", "log1p", "logical_not", "logistic",
    "lt", "maximum", "minimum", "mul", "ne", "neg", "power", "rem", "round_even", "rsqrt", "select",
    "shift_left", "shift_right", "sign", "sin", "sinh", "sqrt", "sub", "tan", "tanh",
]
# fmt: on

Operand = Node | float
Unary = Callable[[Node], Node]
Binary = Callable[[Operand, Operand], Node]
Domain = tuple[float, float]

_SHAPES: tuple[tuple[int, ...], ...] = ((3, 5), (), (1, 7), (2, 1, 3), (0, 4))


def _samples(arity: int, domain: Domain) -> list[Sample]:
    """Odd shapes, a scalar, an empty array, sizes past a vector register, and the edge values."""
    plain = [Sample((shape,) * arity, domain=domain) for shape in _SHAPES]
    long = Sample(((67,),) * arity, domain=domain)
    if arity == 1:
        extreme = Sample(((20,),), make=lambda rng, dtype: [edges(dtype)], derivative=False)
    else:
        extreme = Sample(((400,),) * 2, make=lambda rng, dtype: edge_pairs(dtype), derivative=False)
    return [*plain, long, extreme]


def _named(apply: Any, name: str, doc: str) -> Any:
    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = doc
    return apply


def _unary(
    name: str,
    doc: str,
    reference: Callable[[Array], Array],
    vjp: Callable[[Node, Node, Node], Node | None] | None,
    *,
    dtypes: tuple[str, ...] = FLOATS,
    domain: Domain = (-2.0, 2.0),
) -> Unary:
    """Register `name` and return its function. `vjp(ct, out, x)` is the cotangent of x."""
    target = primitive(
        name,
        type_rule=lambda x: x,
        reference=rounded(reference),
        vjp=(lambda ct, out, x: (vjp(ct, out, x),)) if vjp else None,
        dtypes=dtypes,
        samples=_samples(1, domain),
    )
    return _named(lambda x: bind(target, x), name, doc)


def _no_gradient(ct: Node, out: Node, x: Node) -> None:
    return None


def _logistic(x: Array) -> Array:
    left = x.real < 0
    z = np.exp(np.where(left, x, -x))  # never overflows, so small results keep their digits
    return np.where(left, z, 1) / (1 + z)


neg = _unary("neg", "-x.", np.negative, lambda ct, y, x: -ct, dtypes=NUMERIC)
sign = _unary("sign", "-1, 0 or 1; NaN stays.", np.sign, _no_gradient, dtypes=NUMERIC)
absolute = _unary("abs", "|x|; derivative 0 at 0.", np.abs, lambda ct, y, x: ct * sign(x), dtypes=NUMERIC)
floor = _unary("floor", "Largest integer <= x.", np.floor, _no_gradient)
ceil = _unary("ceil", "Smallest integer >= x.", np.ceil, _no_gradient)
round_even = _unary("round", "Nearest integer, halves to the even one.", np.rint, _no_gradient)

exp = _unary("exp", "e**x.", np.exp, lambda ct, y, x: ct * y)
expm1 = _unary("expm1", "e**x - 1, exact near 0.", np.expm1, lambda ct, y, x: ct * (y + 1))
log = _unary("log", "Natural logarithm.", np.log, lambda ct, y, x: ct / x, domain=(0.2, 4))
log1p = _unary(
    "log1p", "log(1 + x), exact near 0.", np.log1p, lambda ct, y, x: ct / (x + 1), domain=(-0.8, 3)
)
sqrt = _unary("sqrt", "Square root.", np.sqrt, lambda ct, y, x: ct * 0.5 / y, domain=(0.2, 4))
rsqrt = _unary(
    "rsqrt",
    "1 / sqrt(x).",
    lambda x: 1 / np.sqrt(x),
    lambda ct, y, x: ct * -0.5 * (y * y * y),
    domain=(0.2, 4),
)
logistic = _unary("logistic", "1 / (1 + e**-x).", _logistic, lambda ct, y, x: ct * (y * (1 - y)))

sin = _unary("sin", "Sine.", np.sin, lambda ct, y, x: ct * cos(x))
cos: Unary = _unary("cos", "Cosine.", np.cos, lambda ct, y, x: -(ct * sin(x)))
tan = _unary("tan", "Tangent.", np.tan, lambda ct, y, x: ct * (1 + y * y), domain=(-1, 1))
asin = _unary("asin", "Inverse sine.", np.arcsin, lambda ct, y, x: ct * rsqrt(1 - x * x), domain=(-0.8, 0.8))
acos = _unary(
    "acos", "Inverse cosine.", np.arccos, lambda ct, y, x: -(ct * rsqrt(1 - x * x)), domain=(-0.8, 0.8)
)
atan = _unary("atan", "Inverse tangent.", np.arctan, lambda ct, y, x: ct / (1 + x * x))
sinh = _unary("sinh", "Hyperbolic sine.", np.sinh, lambda ct, y, x: ct * cosh(x))
cosh: Unary = _unary("cosh", "Hyperbolic cosine.", np.cosh, lambda ct, y, x: ct * sinh(x))
tanh = _unary("tanh", "Hyperbolic tangent.", np.tanh, lambda ct, y, x: ct * (1 - y * y))
asinh = _unary("asinh", "Inverse hyperbolic sine.", np.arcsinh, lambda ct, y, x: ct * rsqrt(x * x + 1))
acosh = _unary(
    "acosh",
    "Inverse hyperbolic cosine.",
    np.arccosh,
    lambda ct, y, x: ct * rsqrt((x - 1) * (x + 1)),
    domain=(1.3, 4),
)
atanh = _unary(
    "atanh", "Inverse hyperbolic tangent.", np.arctanh, lambda ct, y, x: ct / (1 - x * x), domain=(-0.8, 0.8)
)

erf = _unary(
    "erf",
    "2/sqrt(pi) times the integral of exp(-t**2) from 0 to x.",
    numerics.erf,
    lambda ct, y, x: ct * (exp(-(x * x)) * (2 / math.sqrt(math.pi))),
)
erf_inv = _unary(
    "erf_inv",
    "Inverse of erf.",
    numerics.erf_inv,
    lambda ct, y, x: ct * (exp(y * y) * (math.sqrt(math.pi) / 2)),
    domain=(-0.9, 0.9),
)
lgamma = _unary(
    "lgamma",
    "log |gamma(x)|; inf at the poles.",
    numerics.lgamma,
    lambda ct, y, x: ct * digamma(x),
    domain=(0.3, 4),
)
digamma: Unary = _unary(
    "digamma",
    "Derivative of lgamma; -inf at 0 (inf at -0), NaN at the other poles.",
    numerics.digamma,
    lambda ct, y, x: ct * _trigamma(x),
    domain=(0.3, 4),
)

logical_not = _unary(
    "logical_not", "Not of a bool; all bits flipped of an integer.", np.invert, None, dtypes=BOOL + INTEGERS
)


def _trigamma(x: Node) -> Node:
    """Derivative of digamma: reflection, recurrence by 8, asymptotic series (Abramowitz & Stegun 6.4)."""
    low = lt(x, 0.5)
    z = select(low, 1 - x, x)
    total = zeros_like(x)
    for _ in range(8):
        total = total + 1 / (z * z)
        z = z + 1
    inverse = 1 / z
    square = inverse * inverse
    series = zeros_like(x)
    for coefficient in (7 / 6, -691 / 2730, 5 / 66, -1 / 30, 1 / 42, -1 / 30, 1 / 6):
        series = (series + coefficient) * square
    total = total + inverse + 0.5 * square + series * inverse
    wave = sin(select(low, x, full(0.5, x.type)) * math.pi)
    return select(low, math.pi**2 / (wave * wave) - total, total)


def _binary(
    name: str,
    doc: str,
    reference: Callable[[Array, Array], Array],
    vjp: Callable[..., tuple[Node | None, Node | None]] | None,
    *,
    dtypes: tuple[str, ...] = NUMERIC,
    domain: Domain = (-2.0, 2.0),
) -> Binary:
    """Register `name` and return its function. `vjp(ct, out, x, y)` returns the cotangents of x and y."""
    target = primitive(
        name,
        type_rule=lambda x, y: expect_same(name, x, y),
        reference=rounded(reference),
        vjp=vjp,
        dtypes=dtypes,
        samples=_samples(2, domain),
    )
    return _named(lambda x, y: bind(target, x, y), name, doc)


def _divide(x: Array, y: Array) -> Array:
    if x.dtype.kind in "fc":
        return x / y
    floor = np.floor_divide(x, np.where(y == 0, 1, y).astype(y.dtype))
    inexact = (floor * y != x) & ((x < 0) != (y < 0))  # floor went below: step back towards zero
    return np.where(y == 0, 0, floor + inexact.astype(x.dtype))


def _remainder(x: Array, y: Array) -> Array:
    if x.dtype.kind == "f":
        return np.fmod(x, y)
    return np.where(y == 0, 0, x - _divide(x, y) * y)


def _power(x: Array, y: Array) -> Array:
    if x.dtype.kind in "fc":
        return np.power(x, y)
    result, base, rest = np.ones_like(x), x, y
    for _ in range(8 * x.dtype.itemsize):
        result = np.where(rest & 1, result * base, result).astype(x.dtype)
        base, rest = base * base, rest >> 1
    minus_one = x == np.array(-1).astype(x.dtype)
    reciprocal = np.where(x == 1, 1, np.where(minus_one, np.where(y & 1, x, 1), 0))
    return np.where(y < 0, reciprocal, result)


def literal(x: Node) -> float | None:
    """Return the number with which x is filled, if it is known while tracing."""
    while x.name == "broadcast":
        x = x.inputs[0]
    if x.name != "constant" or x.shape:
        return None
    return np.frombuffer(x.params["data"], numpy_dtype(x.dtype))[0].item()


def _power_vjp(ct: Node, out: Node, x: Node, y: Node) -> tuple[Node, Node]:
    if (exponent := literal(y)) is not None:
        dx = exponent * power(x, exponent - 1) if exponent else zeros_like(x)
    else:
        constant = eq(y, 0)
        dx = select(constant, zeros_like(x), y * power(x, select(constant, ones_like(y), y) - 1))
    positive = ne(x, 0) if is_complex(x.dtype) else gt(x, 0)
    dy = out * log(select(positive, x, ones_like(x)))
    return ct * dx, ct * select(positive, dy, zeros_like(x))


def _shift(fn: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    """Apply `fn` to amounts within the bit width; beyond it (and below 0) only the sign remains."""

    def shifted(x: Array, y: Array) -> Array:
        width = 8 * x.dtype.itemsize
        inside = (y >= 0) & (y < width)
        far = fn(fn(x, np.full_like(x, width - 1)), np.ones_like(x))
        return np.where(inside, fn(x, np.where(inside, y, 0).astype(x.dtype)), far)

    return shifted


def _winner(ct: Node, x: Node, y: Node, better: Binary) -> Node:
    """Return the fraction of `ct` for x: all where x is selected, half at ties."""
    return select(better(x, y), ct, select(eq(x, y), ct * 0.5, zeros_like(ct)))


add = _binary("add", "x + y.", np.add, lambda ct, out, x, y: (ct, ct))
sub = _binary("sub", "x - y.", np.subtract, lambda ct, out, x, y: (ct, -ct))
mul = _binary("mul", "x * y.", np.multiply, lambda ct, out, x, y: (ct * y, ct * x))
div = _binary(
    "div",
    "x / y; integers truncate towards zero, and x / 0 is 0.",
    _divide,
    lambda ct, out, x, y: (quotient := ct / y, -(quotient * out)),
    domain=(0.5, 2),
)
rem = _binary(
    "rem",
    "x - trunc(x / y) * y, with the sign of x; of integers, 0 for y = 0.",
    _remainder,
    lambda ct, out, x, y: (ct, -(ct * round_even((x - out) / y))),
    domain=(0.5, 2),
)
_pow = _binary(
    "pow",
    "x**y; of integers, negative exponents truncate 1 / x**-y.",
    _power,
    _power_vjp,
    domain=(0.3, 2),
)


def power(x: Operand, y: Operand) -> Node:
    """x**y; of integers, negative exponents truncate 1 / x**-y. Exponents 0, 1 and 2 need no pow."""
    exponent = literal(y) if isinstance(y, Node) else y
    if isinstance(x, Node) and exponent in (0, 1, 2):
        return (ones_like(x), x, x * x)[(0, 1, 2).index(exponent)]
    return _pow(x, y)


atan2 = _binary(
    "atan2",
    "Angle of the point (y, x); the first operand is y.",
    np.arctan2,
    lambda ct, out, y, x: (ct * x / (x * x + y * y), -(ct * y / (x * x + y * y))),
    dtypes=FLOATS,
)
maximum = _binary(
    "max",
    "The larger one; NaN if either is.",
    np.maximum,
    lambda ct, out, x, y: (_winner(ct, x, y, gt), _winner(ct, y, x, gt)),
)
minimum = _binary(
    "min",
    "The smaller one; NaN if either is.",
    np.minimum,
    lambda ct, out, x, y: (_winner(ct, x, y, lt), _winner(ct, y, x, lt)),
)

bit_and = _binary("and", "Bitwise and; logical of bools.", np.bitwise_and, None, dtypes=BOOL + INTEGERS)
bit_or = _binary("or", "Bitwise or; logical of bools.", np.bitwise_or, None, dtypes=BOOL + INTEGERS)
bit_xor = _binary(
    "xor", "Bitwise exclusive or; logical of bools.", np.bitwise_xor, None, dtypes=BOOL + INTEGERS
)
shift_left = _binary(
    "shift_left",
    "x << y; 0 for y outside [0, bits).",
    _shift(np.left_shift),
    None,
    dtypes=INTEGERS,
    domain=(0, 7),
)
shift_right = _binary(
    "shift_right",
    "x >> y, arithmetic for signed; 0 or the sign for y outside [0, bits).",
    _shift(np.right_shift),
    None,
    dtypes=INTEGERS,
    domain=(0, 7),
)


def _compare(name: str, doc: str, reference: Callable[[Array, Array], Array]) -> Binary:
    """Register a comparison: bool, and false for NaN (ne: true)."""
    target = primitive(
        name,
        type_rule=lambda x, y: TensorType(expect_same(name, x, y).shape, "bool"),
        reference=quiet(reference),
        vjp=None,
        samples=_samples(2, (-1, 1)),
    )
    return _named(lambda x, y: bind(target, x, y), name, doc)


eq = _compare("eq", "x == y.", np.equal)
ne = _compare("ne", "x != y.", np.not_equal)
lt: Binary = _compare("lt", "x < y.", np.less)
le = _compare("le", "x <= y.", np.less_equal)
gt: Binary = _compare("gt", "x > y.", np.greater)
ge = _compare("ge", "x >= y.", np.greater_equal)


IS_FINITE = primitive(
    "is_finite",
    type_rule=lambda x: TensorType(x.shape, "bool"),
    reference=quiet(lambda x: np.isfinite(x)),
    vjp=None,
    dtypes=FLOATS,
    samples=_samples(1, (-2, 2)),
)


def is_finite(x: Node) -> Node:
    """Neither infinite nor NaN."""
    return bind(IS_FINITE, x)


def _select_type(condition: TensorType, x: TensorType, y: TensorType) -> TensorType:
    if condition.dtype != "bool":
        raise HornbeamTypeError(f"select needs a bool condition, got {condition}")
    if not same_shape(condition.shape, x.shape):
        raise ShapeError(f"select needs a condition of shape {x.shape}, got {condition.shape}")
    return expect_same("select", x, y, TensorType(condition.shape, x.dtype))


SELECT = primitive(
    "select",
    type_rule=_select_type,
    reference=quiet(lambda condition, x, y: np.where(condition, x, y)),
    vjp=lambda ct, out, condition, x, y: (
        None,
        select(condition, ct, zeros_like(ct)),
        select(condition, zeros_like(ct), ct),
    ),
    samples=[Sample((shape,) * 3, dtypes=("bool", None, None)) for shape in (*_SHAPES, (67,))],
)


def select(condition: Node, x: Operand, y: Operand) -> Node:
    """x where `condition` holds, y elsewhere."""
    like = x if isinstance(x, Node) else y
    if not isinstance(like, Node):
        raise TypeError("select needs a Node among its two values")
    return bind(SELECT, condition, *(v if isinstance(v, Node) else full(v, like.type) for v in (x, y)))


def convert_array(x: Array, dtype: str) -> Array:
    """`x` as `dtype`: floats truncate and saturate to integers (NaN is 0), integers wrap, nonzero is True.
    Of complex numbers real dtypes get the real part.
    """
    target = numpy_dtype(dtype)
    with np.errstate(all="ignore"):
        if dtype == "bool":
            return np.asarray(x != 0)
        if x.dtype.kind == "c" and not is_complex(dtype):
            x = x.real
        if not is_float(dtype_name(x.dtype)):
            wide = x.astype(np.float32) if dtype == "bfloat16" else x
            return wide.astype(target)
        if is_inexact(dtype):
            return x.astype(target)
        limits = np.iinfo(target)
        wide = np.trunc(x.astype(np.float64))
        inside = (wide > float(limits.min)) & (wide < float(limits.max))
        clipped = np.where(wide >= float(limits.max), limits.max, limits.min)
        clipped = np.where(np.isnan(wide), 0, clipped).astype(target)
        return np.where(inside, np.where(inside, wide, 0).astype(target), clipped)


def _convert_type(x: TensorType, *, dtype: str) -> TensorType:
    if dtype not in DTYPES + COMPLEX:
        raise HornbeamTypeError(
            f"convert needs the name of a dtype, got {dtype!r}; known: {', '.join(DTYPES + COMPLEX)}"
        )
    return TensorType(x.shape, dtype)


CONVERT = primitive(
    "convert",
    type_rule=_convert_type,
    reference=lambda x, *, dtype: convert_array(x, dtype),
    vjp=lambda ct, out, x, *, dtype: (convert(ct, x.dtype) if is_inexact(x.dtype) else None,),
    samples=[
        sample
        for dtype in DTYPES
        for sample in (
            Sample(((3, 5),), {"dtype": dtype}, domain=(-300, 300), derivative=dtype == "float64"),
            Sample(((20,),), {"dtype": dtype}, make=lambda rng, source: [edges(source)], derivative=False),
        )
    ],
)


def convert(x: Node, dtype: str) -> Node:
    """x in another dtype: floats truncate and saturate to integers, integers wrap, nonzero is True."""
    return x if x.dtype == dtype else bind(CONVERT, x, dtype=dtype)


def _bitcast_type(x: TensorType, *, dtype: str) -> TensorType:
    if dtype not in NUMERIC or itemsize(dtype) != itemsize(x.dtype):
        raise HornbeamTypeError(
            f"bitcast needs a numeric dtype of {itemsize(x.dtype)} bytes, got {dtype} for {x}"
        )
    return TensorType(x.shape, dtype)


BITCAST = primitive(
    "bitcast",
    type_rule=_bitcast_type,
    reference=lambda x, *, dtype: np.ascontiguousarray(x).reshape(x.shape).view(numpy_dtype(dtype)),
    vjp=None,
    dtypes=NUMERIC,
    samples=[
        Sample(((3, 5),), {"dtype": dtype}, dtypes=(source,))
        for source, dtype in (
            ("float32", "uint32"),
            ("uint32", "float32"),
            ("int32", "uint32"),
            ("float64", "uint64"),
            ("float16", "uint16"),
            ("uint16", "bfloat16"),
            ("int8", "uint8"),
        )
    ],
)


def bitcast(x: Node, dtype: str) -> Node:
    """The same bits read as another dtype of the same size."""
    return x if x.dtype == dtype else bind(BITCAST, x, dtype=dtype)
