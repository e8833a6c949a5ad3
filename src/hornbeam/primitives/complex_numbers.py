"""Complex numbers: primitives that make and split them, and the rules of the primitives that take them.

A rule computes with pairs (real, imaginary) of real values; see `ir/complex_pairs.py`. Branch cuts are
NumPy's. Rules of comparisons and sorting are in `complex_order.py`, of decompositions in `complex_linalg.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam.ir.complex_pairs import Pair, Value, lower_bodies
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import (
    COMPLEX_RULES,
    Sample,
    bind,
    constant,
    expect_same,
    full,
    ones_like,
    primitive,
    zeros_like,
)
from hornbeam.ir.types import (
    COMPLEX,
    HornbeamTypeError,
    TensorType,
    complex_dtype,
    is_complex,
    numpy_dtype,
    real_dtype,
)
from hornbeam.primitives import elementwise as e
from hornbeam.primitives.shape import concatenate, pad, reshape, slice_

__all__ = ["complex_", "conj", "imag", "magnitude", "real"]

# Primitives of complex numbers alone, which no engine sees.
LOWERED = ("complex", "conj", "imag", "magnitude", "real")

_WIDE = ("float32", "float64")
_SHAPES = ((3, 5), (), (0, 3))


# -- primitives ----------------------------------------------------------------------------------------------


def _complex_type(x: TensorType, y: TensorType) -> TensorType:
    type = expect_same("complex", x, y)
    return TensorType(type.shape, complex_dtype(type.dtype))


def _part_type(z: TensorType) -> TensorType:
    return TensorType(z.shape, real_dtype(z.dtype))


COMPLEX_ = primitive(
    "complex",
    type_rule=_complex_type,
    reference=lambda x, y: (x + 1j * y).astype(numpy_dtype(complex_dtype(x.dtype.name))),
    vjp=lambda ct, out, x, y: (real(ct), -imag(ct)),
    dtypes=_WIDE,
    samples=[Sample((s, s)) for s in _SHAPES],
)
REAL = primitive(
    "real",
    type_rule=_part_type,
    reference=lambda z: np.real(z).copy(),
    vjp=lambda ct, out, z: (complex_(ct, zeros_like(ct)),),
    dtypes=COMPLEX,
    samples=[Sample((s,)) for s in _SHAPES],
)
IMAG = primitive(
    "imag",
    type_rule=_part_type,
    reference=lambda z: np.imag(z).copy(),
    vjp=lambda ct, out, z: (complex_(zeros_like(ct), -ct),),
    dtypes=COMPLEX,
    samples=[Sample((s,)) for s in _SHAPES],
)
CONJ = primitive(
    "conj",
    type_rule=lambda z: z,
    reference=np.conj,
    vjp=lambda ct, out, z: (conj(ct),),
    dtypes=COMPLEX,
    samples=[Sample((s,)) for s in _SHAPES],
)


def _magnitude_vjp(ct: Node, out: Node, z: Node) -> tuple[Node]:
    """ct conj(z) / |z|; 0 at 0."""
    safe = e.select(e.eq(out, 0.0), ones_like(out), out)
    scale = ct / safe
    return (conj(z) * complex_(scale, zeros_like(scale)),)


MAGNITUDE = primitive(
    "magnitude",
    type_rule=_part_type,
    reference=np.abs,
    vjp=_magnitude_vjp,
    dtypes=COMPLEX,
    samples=[Sample((s,)) for s in _SHAPES],
)


def complex_(x: Node, y: Node) -> Node:
    """x + iy."""
    return bind(COMPLEX_, x, y)


def real(z: Node) -> Node:
    """Real part."""
    return bind(REAL, z)


def imag(z: Node) -> Node:
    """Imaginary part."""
    return bind(IMAG, z)


def conj(z: Node) -> Node:
    """x - iy."""
    return bind(CONJ, z)


def magnitude(z: Node) -> Node:
    """|z|, without overflow; derivative 0 at 0."""
    return bind(MAGNITUDE, z)


# -- arithmetic of pairs -------------------------------------------------------------------------------------


def _add(a: Pair, b: Pair) -> Pair:
    return Pair(a.real + b.real, a.imag + b.imag)


def _sub(a: Pair, b: Pair) -> Pair:
    return Pair(a.real - b.real, a.imag - b.imag)


def _neg(a: Pair) -> Pair:
    return Pair(-a.real, -a.imag)


def _mul(a: Pair, b: Pair) -> Pair:
    return Pair(a.real * b.real - a.imag * b.imag, a.real * b.imag + a.imag * b.real)


def _scale(a: Pair, factor: Node | float) -> Pair:
    return Pair(a.real * factor, a.imag * factor)


def _plus(a: Pair, number: float) -> Pair:
    return Pair(a.real + number, a.imag)


def _times_i(a: Pair) -> Pair:
    return Pair(-a.imag, a.real)


def _over_i(a: Pair) -> Pair:
    return Pair(a.imag, -a.real)


def _div(a: Pair, b: Pair) -> Pair:
    """Divide by Smith's method (1962), which scales by the larger part of the divisor."""
    wide = e.ge(e.absolute(b.real), e.absolute(b.imag))
    large, small = e.select(wide, b.real, b.imag), e.select(wide, b.imag, b.real)
    ratio = small / large
    total = large + small * ratio
    first, second = e.select(wide, a.real, a.imag), e.select(wide, a.imag, a.real)
    imag = e.select(wide, a.imag - a.real * ratio, a.imag * ratio - a.real)
    return Pair((first + second * ratio) / total, imag / total)


def _abs(a: Pair) -> Node:
    x, y = e.absolute(a.real), e.absolute(a.imag)
    large, small = e.maximum(x, y), e.minimum(x, y)
    plain = e.bit_and(e.gt(large, 0.0), e.lt(large, math.inf))
    ratio = small / e.select(plain, large, ones_like(large))
    return e.select(plain, large * e.sqrt(ratio * ratio + 1.0), x + y)


def _exp(z: Pair) -> Pair:
    size = e.exp(z.real)
    return Pair(size * e.cos(z.imag), size * e.sin(z.imag))


def _expm1(z: Pair) -> Pair:
    half = e.sin(z.imag * 0.5)
    return Pair(e.expm1(z.real) * e.cos(z.imag) - half * half * 2.0, e.exp(z.real) * e.sin(z.imag))


def _log(z: Pair) -> Pair:
    return Pair(e.log(_abs(z)), e.atan2(z.imag, z.real))


def _log1p(z: Pair) -> Pair:
    near = e.log1p(z.real * (z.real + 2.0) + z.imag * z.imag) * 0.5
    far = _log(_plus(z, 1.0))
    small = e.lt(_abs(z), 0.5)
    return Pair(e.select(small, near, far.real), far.imag)


def _sqrt(z: Pair) -> Pair:
    x = e.absolute(z.real)
    root = e.sqrt((x + _abs(z)) * 0.5)
    other = e.absolute(z.imag) * 0.5 / e.select(e.eq(root, 0.0), ones_like(root), root)
    right = e.ge(z.real, 0.0)
    size = e.select(right, other, root)
    return Pair(e.select(right, root, other), e.select(_negative(z.imag), -size, size))


def _negative(x: Node) -> Node:
    """Return True for a minus sign, of -0 too: it decides the side of a branch cut."""
    return e.lt(e.atan2(x, full(-1.0, x.type)), 0.0)


def _sinh(z: Pair) -> Pair:
    return Pair(e.sinh(z.real) * e.cos(z.imag), e.cosh(z.real) * e.sin(z.imag))


def _cosh(z: Pair) -> Pair:
    return Pair(e.cosh(z.real) * e.cos(z.imag), e.sinh(z.real) * e.sin(z.imag))


def _tanh(z: Pair) -> Pair:
    x = e.maximum(e.minimum(z.real, full(20.0, z.real.type)), full(-20.0, z.real.type))  # 1 from there on
    sinh, cosine = e.sinh(x), e.cos(z.imag)
    total = sinh * sinh + cosine * cosine
    return Pair(sinh * e.cosh(x) / total, e.sin(z.imag) * cosine / total)


def _asinh(z: Pair) -> Pair:
    """log(z + root) with root = sqrt(z z + 1), in the right half plane, and odd."""
    left = _negative(z.real)
    w = _select(left, _neg(z), z)
    # The root of (w + i) (w - i) does not overflow, and w + root - 1 = w + w w / (1 + root) keeps its digits.
    root = _mul(_sqrt(Pair(w.real, w.imag + 1.0)), _sqrt(Pair(w.real, w.imag - 1.0)))
    result = _log1p(_add(w, _mul(w, _div(w, _plus(root, 1.0)))))
    return _select(left, _neg(result), result)


def _acosh(z: Pair) -> Pair:
    return _log(_add(z, _mul(_sqrt(_plus(z, 1.0)), _sqrt(_plus(z, -1.0)))))


def _atanh(z: Pair) -> Pair:
    return _scale(_sub(_log1p(z), _log1p(_neg(z))), 0.5)


def _asin(z: Pair) -> Pair:
    return _over_i(_asinh(_times_i(z)))


def _acos(z: Pair) -> Pair:
    return _plus(_neg(_asin(z)), math.pi / 2)


def _power(x: Pair, y: Pair) -> Pair:
    result = _exp(_mul(y, _log(x)))
    zero, empty = _eq(x, _zeros(x)), _eq(y, _zeros(y))
    of_zero = e.convert(empty, x.real.dtype)
    return Pair(e.select(zero, of_zero, result.real), e.select(zero, zeros_like(of_zero), result.imag))


def _logistic(z: Pair) -> Pair:
    left = e.lt(z.real, 0.0)
    w = _exp(_select(left, z, _neg(z)))  # never overflows
    return _div(_select(left, w, _ones(z)), _plus(w, 1.0))


def _zeros(z: Pair) -> Pair:
    return Pair(zeros_like(z.real), zeros_like(z.imag))


def _ones(z: Pair) -> Pair:
    return Pair(ones_like(z.real), zeros_like(z.imag))


def _select(condition: Node, a: Pair, b: Pair) -> Pair:
    return Pair(e.select(condition, a.real, b.real), e.select(condition, a.imag, b.imag))


def _eq(a: Pair, b: Pair) -> Node:
    return e.bit_and(e.eq(a.real, b.real), e.eq(a.imag, b.imag))


def _ne(a: Pair, b: Pair) -> Node:
    return e.bit_or(e.ne(a.real, b.real), e.ne(a.imag, b.imag))


# -- rules ---------------------------------------------------------------------------------------------------


def _rule(name: str, fn: Callable[..., Value]) -> None:
    COMPLEX_RULES[name] = lambda node, *operands, **params: fn(*operands, **params)


_RULES: dict[str, Callable[..., Value]] = {
    "complex": Pair, "real": lambda z: z.real, "imag": lambda z: z.imag,
    "conj": lambda z: Pair(z.real, -z.imag), "magnitude": _abs,
    "add": _add, "sub": _sub, "neg": _neg, "mul": _mul, "div": _div, "pow": _power,
    "exp": _exp, "expm1": _expm1, "log": _log, "log1p": _log1p, "sqrt": _sqrt,
    "rsqrt": lambda z: _div(_ones(z), _sqrt(z)), "logistic": _logistic,
    "sinh": _sinh, "cosh": _cosh, "tanh": _tanh,
    "sin": lambda z: _over_i(_sinh(_times_i(z))), "cos": lambda z: _cosh(_times_i(z)),
    "tan": lambda z: _over_i(_tanh(_times_i(z))),
    "asinh": _asinh, "acosh": _acosh, "atanh": _atanh, "asin": _asin, "acos": _acos,
    "atan": lambda z: _over_i(_atanh(_times_i(z))),
    "eq": _eq, "ne": _ne, "select": _select,
    "is_finite": lambda z: e.bit_and(e.is_finite(z.real), e.is_finite(z.imag)),
}  # fmt: skip
for _name, _fn in _RULES.items():
    _rule(_name, _fn)


def _partwise(node: Node, *operands: Value, **params: Any) -> Value:
    """Rule of primitives that move or add elements: they do to each part what they do to real values."""
    assert node.primitive is not None
    parts = [
        bind(node.primitive, *(x[i] if isinstance(x, Pair) else x for x in operands), **params)
        for i in range(2)
    ]
    return Pair(*parts)


for _name in (
    "reshape", "transpose", "broadcast", "pad", "slice", "concatenate", "reverse", "dynamic_slice",
    "dynamic_update_slice", "gather", "reduce_sum", "cumsum", "round", "stop_gradient",
):  # fmt: skip
    COMPLEX_RULES[_name] = _partwise
for _name in ("cond", "while_loop", "scan", "optimization_barrier"):
    COMPLEX_RULES[_name] = lower_bodies


def _complex_constant(node: Node, *, data: bytes, shape: tuple[int, ...], dtype: str) -> Pair:
    array = np.frombuffer(data, numpy_dtype(dtype)).reshape(shape)
    return Pair(*(constant(part, real_dtype(dtype)) for part in (array.real, array.imag)))


def _convert(node: Node, x: Value, *, dtype: str) -> Value:
    """Real numbers get a zero imaginary part; of complex ones the real part is taken, as in NumPy."""
    part = real_dtype(dtype)
    if isinstance(x, Pair):
        if dtype == "bool":
            return _ne(x, _zeros(x))
        converted = e.convert(x.real, part)
        return Pair(converted, e.convert(x.imag, part)) if is_complex(dtype) else converted
    assert isinstance(x, Node)
    converted = e.convert(x, part)
    return Pair(converted, zeros_like(converted))


def _scatter(node: Node, x: Pair, indices: Node, updates: Pair, **params: Any) -> Value:
    if params["mode"] not in ("add", "set"):
        raise HornbeamTypeError(f"scatter of complex numbers adds or sets, it has no mode {params['mode']!r}")
    return _partwise(node, x, indices, updates, **params)


def _dot(node: Node, x: Pair, y: Pair, **params: Any) -> Pair:
    def dot(a: Node, b: Node) -> Node:
        assert node.primitive is not None
        return bind(node.primitive, a, b, **params)

    return Pair(
        dot(x.real, y.real) - dot(x.imag, y.imag),
        dot(x.real, y.imag) + dot(x.imag, y.real),
    )


def _on_both(fn: Callable[..., Node], z: Pair, *args: Any) -> Pair:
    return Pair(fn(z.real, *args), fn(z.imag, *args))


def _along(z: Pair, axis: int, start: int, stop: int) -> Pair:
    """Return the elements from `start` to `stop` along an axis."""
    shape = z.real.shape
    low = tuple(start if a == axis else 0 for a in range(len(shape)))
    high = tuple(stop if a == axis else n for a, n in enumerate(shape))
    return _on_both(slice_, z, low, high)


def _prod(node: Node, z: Pair, *, axes: tuple[int, ...]) -> Pair:
    """Multiply halves of an axis with each other until one element is left."""
    for axis in sorted(axes, reverse=True):
        while (size := z.real.shape[axis]) > 1:
            half = size // 2
            product = _mul(_along(z, axis, 0, half), _along(z, axis, half, 2 * half))
            rest = _along(z, axis, 2 * half, size)
            z = Pair(*(concatenate(a, b, axis=axis) for a, b in zip(product, rest, strict=True)))
        shape = tuple(n for a, n in enumerate(z.real.shape) if a != axis)
        z = _on_both(reshape, z, shape) if size else _ones_of(shape, z)
    return z


def _ones_of(shape: tuple[int, ...], like: Pair) -> Pair:
    type = TensorType(shape, like.real.dtype)
    return Pair(full(1.0, type), full(0.0, type))


def _cumprod(node: Node, z: Pair, *, axis: int, reverse: bool) -> Pair:
    """Multiply by the product of ever longer runs of neighbours (Hillis & Steele 1986)."""
    distance = 1
    while distance < z.real.shape[axis]:
        low = tuple((-distance if reverse else distance) if a == axis else 0 for a in range(z.real.rank))
        high = tuple(-n for n in low)
        z = _mul(z, Pair(pad(z.real, 1.0, low, high), pad(z.imag, 0.0, low, high)))
        distance *= 2
    return z


COMPLEX_RULES.update(
    constant=_complex_constant,
    convert=_convert,
    scatter=_scatter,
    dot_general=_dot,
    reduce_prod=_prod,
    cumprod=_cumprod,
)
