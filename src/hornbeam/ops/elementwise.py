"""Elementwise functions: arithmetic, transcendental functions, rounding, comparisons of floats."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, unify
from hornbeam.core.dispatch import operation
from hornbeam.core.operators import absolute, true_divide
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.types import HornbeamTypeError, is_complex, is_float, is_inexact, is_integer, itemsize
from hornbeam.ops._common import check_ordered, float_node, float_pair, node_of

# fmt: off
__all__ = [
    "abs", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "cbrt", "ceil",
    "clip", "cos", "cosh", "deg2rad", "divide", "divide_no_nan", "erf", "erfc", "erfinv", "exp",
    "exp2", "expm1", "fabs", "floor", "fmax", "fmin", "fmod", "heaviside", "hypot", "i0", "ldexp",
    "log", "log1p", "log2", "log10", "logaddexp", "logaddexp2", "maximum", "minimum", "nextafter",
    "rad2deg", "reciprocal", "round", "rsqrt", "sigmoid", "sign", "signbit", "sin", "sinc", "sinh",
    "sqrt", "square", "tan", "tanh", "trunc",
]
# fmt: on

Unary = Callable[[Any], Tensor]


def _floats(name: str, rule: Callable[[Node], Node], doc: str, example: str) -> Unary:
    """Make a function of one float argument; integers and booleans are computed as floats."""

    def apply(x: TensorLike) -> Tensor:
        return Tensor(rule(float_node(x)))

    apply.__name__ = apply.__qualname__ = name
    argument, value = example.split(" -> ")
    apply.__doc__ = f"""Compute {doc}

    Args:
        x: Tensor of any shape; integers and booleans are computed as floats.

    Returns:
        Tensor of floats, of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.{name}({argument}))
        {value}
    """
    return operation(apply)


def _cbrt(x: Node) -> Node:
    return p.mul(p.sign(x), p.power(p.absolute(x), full(1 / 3, x.type)))


def _sinc(x: Node) -> Node:
    zero = p.eq(x, zeros_like(x))
    angle = p.select(zero, ones_like(x), x) * math.pi
    return p.select(zero, ones_like(x), p.sin(angle) / angle)


def _trunc(x: Node) -> Node:
    return p.select(p.lt(x, zeros_like(x)), p.ceil(x), p.floor(x))


# Modified Bessel function of order 0: Abramowitz & Stegun, Handbook of Mathematical Functions, 9.8.1 and
# 9.8.2.
_I0_SMALL = (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.0360768, 0.0045813)
_I0_LARGE = (
    0.39894228, 0.01328592, 0.00225319, -0.00157565, 0.00916281, -0.02057706, 0.02635537, -0.01647633,
    0.00392377,
)  # fmt: skip


def _polynomial(x: Node, coefficients: tuple[float, ...]) -> Node:
    total = full(coefficients[-1], x.type)
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def _i0(x: Node) -> Node:
    size = p.absolute(x)
    limit = full(3.75, x.type)
    small, large = p.minimum(size, limit), p.maximum(size, limit)
    ratio = small / 3.75
    inner = _polynomial(ratio * ratio, _I0_SMALL)
    outer = p.exp(large) * p.rsqrt(large) * _polynomial(3.75 / large, _I0_LARGE)
    return p.select(p.lt(size, limit), inner, outer)


# fmt: off
exp = _floats("exp", p.exp, "e to the power x elementwise.", "0.0 -> 1.0")
exp2 = _floats("exp2", lambda x: p.power(full(2.0, x.type), x), "2 to the power x elementwise.", "3.0 -> 8.0")
expm1 = _floats("expm1", p.expm1, "exp(x) - 1 elementwise, accurate near 0.", "0.0 -> 0.0")
log = _floats("log", p.log, "the natural logarithm elementwise; -inf at 0, NaN below.", "1.0 -> 0.0")
log2 = _floats("log2", lambda x: p.log(x) / math.log(2), "the base-2 logarithm.", "8.0 -> 3.0")
log10 = _floats("log10", lambda x: p.log(x) / math.log(10), "the base-10 logarithm.", "10.0 -> 1.0")
log1p = _floats("log1p", p.log1p, "log(1 + x) elementwise, accurate near 0.", "0.0 -> 0.0")
sqrt = _floats("sqrt", p.sqrt, "the square root elementwise; NaN below 0.", "9.0 -> 3.0")
rsqrt = _floats("rsqrt", p.rsqrt, "1 / sqrt(x) elementwise.", "4.0 -> 0.5")
cbrt = _floats("cbrt", _cbrt, "the cube root elementwise, negative for negative x.", "0.0 -> 0.0")
reciprocal = _floats("reciprocal", lambda x: 1.0 / x, "1 / x elementwise.", "4.0 -> 0.25")
sigmoid = _floats("sigmoid", p.logistic, "the logistic function 1 / (1 + exp(-x)).", "0.0 -> 0.5")

sin = _floats("sin", p.sin, "the sine of an angle in radians.", "0.0 -> 0.0")
cos = _floats("cos", p.cos, "the cosine of an angle in radians.", "0.0 -> 1.0")
tan = _floats("tan", p.tan, "the tangent of an angle in radians.", "0.0 -> 0.0")
arcsin = _floats("arcsin", p.asin, "the inverse sine in [-pi/2, pi/2]; NaN outside [-1, 1].", "0.0 -> 0.0")
arccos = _floats("arccos", p.acos, "the inverse cosine in [0, pi]; NaN outside [-1, 1].", "1.0 -> 0.0")
arctan = _floats("arctan", p.atan, "the inverse tangent in (-pi/2, pi/2).", "0.0 -> 0.0")
sinh = _floats("sinh", p.sinh, "the hyperbolic sine.", "0.0 -> 0.0")
cosh = _floats("cosh", p.cosh, "the hyperbolic cosine.", "0.0 -> 1.0")
tanh = _floats("tanh", p.tanh, "the hyperbolic tangent.", "0.0 -> 0.0")
arcsinh = _floats("arcsinh", p.asinh, "the inverse hyperbolic sine.", "0.0 -> 0.0")
arccosh = _floats("arccosh", p.acosh, "the inverse hyperbolic cosine; NaN below 1.", "1.0 -> 0.0")
arctanh = _floats("arctanh", p.atanh, "the inverse hyperbolic tangent; NaN outside [-1, 1].", "0.0 -> 0.0")
deg2rad = _floats("deg2rad", lambda x: x * (math.pi / 180), "radians from degrees: x pi / 180.", "0.0 -> 0.0")
rad2deg = _floats("rad2deg", lambda x: x * (180 / math.pi), "degrees from radians: 180 x / pi.", "0.0 -> 0.0")
sinc = _floats("sinc", _sinc, "sin(pi x) / (pi x), 1 at 0.", "0.0 -> 1.0")

erf = _floats("erf", p.erf, "the error function: 2/sqrt(pi) integral of exp(-t^2), 0 to x.", "0.0 -> 0.0")
erfc = _floats("erfc", lambda x: 1.0 - p.erf(x), "1 - erf(x).", "0.0 -> 1.0")
erfinv = _floats("erfinv", p.erf_inv, "the inverse error function; NaN outside [-1, 1].", "0.0 -> 0.0")
i0 = _floats("i0", _i0, "the modified Bessel function I0 of the first kind (about 7 digits).", "0.0 -> 1.0")
# fmt: on


def _numeric_node(x: TensorLike) -> Node:
    """Convert to a node of a number dtype: booleans become int32."""
    node = node_of(x)
    return p.convert(node, "int32") if node.dtype == "bool" else node


floor = _floats("floor", p.floor, "the largest integer <= x elementwise, as a float.", "1.5 -> 1.0")
ceil = _floats("ceil", p.ceil, "the smallest integer >= x elementwise, as a float.", "1.5 -> 2.0")


@operation
def trunc(x: TensorLike) -> Tensor:
    """Round toward 0 elementwise; integers stay as they are.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x` and in its dtype.

    Raises:
        HornbeamTypeError: If `x` is complex.

    Example:
        >>> float(hornbeam.ops.trunc(-1.5))
        -1.0
    """
    node = check_ordered(node_of(x), "trunc")
    return Tensor(_trunc(node) if is_float(node.dtype) else node)


@operation
def round(x: TensorLike, decimals: int = 0) -> Tensor:
    """Round elementwise to a number of decimals, halves to even.

    The dtype is kept; booleans become int32.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        decimals: Integer, places after the decimal point; negative ones round to tens, hundreds and so on.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.round(2.5))
        2.0
    """
    node = _numeric_node(x)
    if is_inexact(node.dtype):
        if not decimals:
            return Tensor(p.round_even(node))
        factor = 10.0**decimals
        return Tensor(p.round_even(node * factor) / factor)
    if decimals >= 0:
        return Tensor(node)
    wide = p.convert(node, "float64")
    return Tensor(p.convert(p.round_even(wide * 10.0**decimals) / 10.0**decimals, node.dtype))


abs = absolute


@operation
def fabs(x: TensorLike) -> Tensor:
    """Compute the absolute value elementwise, as a float.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of floats.

    Example:
        >>> float(hornbeam.ops.fabs(-2))
        2.0
    """
    return Tensor(p.absolute(float_node(x)))


@operation
def sign(x: TensorLike) -> Tensor:
    """Compute the sign elementwise: -1, 0 or 1, and z / |z| of complex numbers; NaN stays NaN.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x` and in its dtype.

    Example:
        >>> int(hornbeam.ops.sign(-3))
        -1
    """
    node = _numeric_node(x)
    if is_complex(node.dtype):
        size = p.magnitude(node)
        size = p.select(p.eq(size, 0.0), ones_like(size), size)
        return Tensor(node / p.convert(size, node.dtype))
    return Tensor(p.sign(node))


@operation
def signbit(x: TensorLike) -> Tensor:
    """Test elementwise if the sign bit is set; that of -0.0 is.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`, of booleans.

    Raises:
        HornbeamTypeError: If `x` is complex.

    Example:
        >>> bool(hornbeam.ops.signbit(-0.0))
        True
    """
    node = check_ordered(_numeric_node(x), "signbit")
    if is_float(node.dtype):
        node = p.bitcast(node, f"int{8 * itemsize(node.dtype)}")
    elif node.dtype.startswith("uint"):
        return Tensor(full(False, p.eq(node, node).type))
    return Tensor(p.lt(node, zeros_like(node)))


@operation
def square(x: TensorLike) -> Tensor:
    """Square elementwise; booleans become int32.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> int(hornbeam.ops.square(3))
        9
    """
    node = _numeric_node(x)
    return Tensor(p.mul(node, node))


# -- two operands --------------------------------------------------------------------------------------------

divide = true_divide


@operation
def divide_no_nan(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Divide `x1` by `x2` elementwise, with 0 where `x2` is 0.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of floats.

    Example:
        >>> float(hornbeam.ops.divide_no_nan(1.0, 0.0))
        0.0
    """
    a, b = float_pair(x1, x2)
    zero = p.eq(b, zeros_like(b))
    return Tensor(p.select(zero, zeros_like(a), p.div(a, p.select(zero, ones_like(b), b))))


@operation
def maximum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise maximum; NaN if either operand is. The gradient at ties is shared equally.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.

    Example:
        >>> int(hornbeam.ops.maximum(1, 3))
        3
    """
    a, b = unify(x1, x2)
    return Tensor(p.bit_or(a, b) if a.dtype == "bool" else p.maximum(a, b))


@operation
def minimum(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise minimum; NaN if either operand is. The gradient at ties is shared equally.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.

    Example:
        >>> int(hornbeam.ops.minimum(1, 3))
        1
    """
    a, b = unify(x1, x2)
    return Tensor(p.bit_and(a, b) if a.dtype == "bool" else p.minimum(a, b))


def _ignoring_nan(rule: Callable[[Node, Node], Node], x1: TensorLike, x2: TensorLike) -> Tensor:
    a, b = unify(x1, x2)
    if a.dtype == "bool":
        a, b = p.convert(a, "int32"), p.convert(b, "int32")
    result = rule(a, b)
    return Tensor(p.select(p.ne(a, a), b, p.select(p.ne(b, b), a, result)))


@operation
def fmax(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise maximum, ignoring a NaN in one of the operands.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    return _ignoring_nan(p.maximum, x1, x2)


@operation
def fmin(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise minimum, ignoring a NaN in one of the operands.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.
    """
    return _ignoring_nan(p.minimum, x1, x2)


@operation
def fmod(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise remainder with the sign of `x1`; `mod` has the sign of `x2`.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, in the promoted dtype.

    Example:
        >>> float(hornbeam.ops.fmod(-7.0, 3.0))
        -1.0
    """
    a, b = unify(x1, x2)
    if a.dtype == "bool":
        a, b = p.convert(a, "int32"), p.convert(b, "int32")
    return Tensor(p.rem(a, b))


@operation
def arctan2(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the elementwise angle of the point (x2, x1) in radians, in [-pi, pi].

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of floats.

    Example:
        >>> float(hornbeam.ops.arctan2(0.0, 1.0))
        0.0
    """
    return Tensor(p.atan2(*float_pair(x1, x2)))


@operation
def hypot(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute sqrt(x1^2 + x2^2) elementwise, without intermediate overflow.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of floats.

    Example:
        >>> float(hornbeam.ops.hypot(3.0, 4.0))
        5.0
    """
    a, b = (p.absolute(n) for n in float_pair(x1, x2))
    large, small = p.maximum(a, b), p.minimum(a, b)
    trivial = p.bit_or(p.eq(large, zeros_like(large)), p.eq(large, full(math.inf, large.type)))
    ratio = small / p.select(trivial, ones_like(large), large)
    return Tensor(p.select(trivial, large, large * p.sqrt(1.0 + ratio * ratio)))


@operation
def logaddexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute log(exp(x1) + exp(x2)) elementwise, without overflow.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of floats.

    Example:
        >>> round(float(hornbeam.ops.logaddexp(0.0, 0.0)), 4)
        0.6931
    """
    a, b = float_pair(x1, x2)
    # The difference of equal operands is 0, also of two infinities.
    gap = p.select(p.eq(a, b), zeros_like(a), a - b)
    above = p.ge(gap, zeros_like(gap))
    return Tensor(p.select(above, a, b) + p.log1p(p.exp(p.select(above, -gap, gap))))


@operation
def logaddexp2(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute log2(2^x1 + 2^x2) elementwise, without overflow.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of floats.

    Example:
        >>> float(hornbeam.ops.logaddexp2(1.0, 1.0))
        2.0
    """
    a, b = float_pair(x1, x2)
    scale = math.log(2)
    return logaddexp(Tensor(a * scale), Tensor(b * scale)) / scale


@operation
def heaviside(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute the Heaviside step function elementwise: 0 for x1 < 0, 1 for x1 > 0, `x2` where `x1` is 0.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of floats.

    Raises:
        HornbeamTypeError: If an operand is complex.

    Example:
        >>> float(hornbeam.ops.heaviside(0.0, 0.5))
        0.5
    """
    a, b = float_pair(x1, x2)
    check_ordered(a, "heaviside")
    zero = zeros_like(a)
    step = p.select(p.lt(a, zero), zero, p.select(p.gt(a, zero), ones_like(a), b))
    return Tensor(p.select(p.ne(a, a), a, step))


@operation
def ldexp(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Compute x1 * 2^x2 elementwise.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor of integers, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of floats.

    Raises:
        HornbeamTypeError: If `x2` does not hold integers.

    Example:
        >>> float(hornbeam.ops.ldexp(3.0, 2))
        12.0
    """
    if not is_integer(as_tensor(x2).dtype):
        raise HornbeamTypeError(f"ldexp needs an integer exponent, got {as_tensor(x2).dtype}")
    a, b = float_pair(x1, x2)
    return Tensor(p.mul(a, p.power(full(2.0, b.type), b)))


@operation
def nextafter(x1: TensorLike, x2: TensorLike) -> Tensor:
    """Return the next representable number after `x1` in the direction of `x2`, elementwise.

    Args:
        x1: Tensor of any shape, or anything that converts to one.
        x2: Tensor or anything that converts to one, broadcast against `x1`.

    Returns:
        Tensor of the broadcast shape, of floats.
    """
    a, b = float_pair(x1, x2)
    kind = f"int{8 * itemsize(a.dtype)}"
    bits, zero = p.bitcast(a, kind), zeros_like(a)
    one = ones_like(bits)
    away = p.eq(p.gt(b, a), p.gt(a, zero))
    neighbor = p.bitcast(p.select(away, bits + one, bits - one), a.dtype)
    smallest = p.bitcast(one, a.dtype)
    neighbor = p.select(p.eq(a, zero), p.select(p.lt(b, zero), -smallest, smallest), neighbor)
    unknown = p.bit_or(p.ne(a, a), p.ne(b, b))
    return Tensor(p.select(unknown, a + b, p.select(p.eq(a, b), b, neighbor)))


@operation
def clip(x: TensorLike, x_min: TensorLike, x_max: TensorLike) -> Tensor:
    """Limit the elements to [x_min, x_max].

    The gradient is 1 inside, the limits included, and 0 outside.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        x_min: Number or tensor that broadcasts to `x`, the lower limit.
        x_max: Number or tensor that broadcasts to `x`, the upper limit.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> float(hornbeam.ops.clip(5.0, 0.0, 1.0))
        1.0
    """
    a, low, high = unify(x, x_min, x_max)
    if a.dtype == "bool":
        a, low, high = (p.convert(n, "int32") for n in (a, low, high))
    raised = p.select(p.lt(a, low), low, a)
    return Tensor(p.select(p.gt(raised, high), high, raised))
