"""What writes each primitive as ONNX nodes; products, convolutions and pools stand in `onnx_windows.py`."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.engines.onnx_emit import (
    HALVES,
    Emitter,
    Functions,
    Value,
    carrier,
    compare,
    cut,
    elementwise,
    join,
    pad,
    part,
    reshape,
    spread,
    transpose,
    where,
    zeros,
)
from hornbeam.engines.onnx_linalg import LINALG
from hornbeam.engines.onnx_windows import WINDOWS
from hornbeam.ir.graph import Graph
from hornbeam.ir.types import Shape, TensorType, is_float, numpy_dtype

Unary = Callable[[Value], Value]

# -- elementwise ---------------------------------------------------------------------------------------------


def _in(dtypes: Sequence[str], work: str) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Makes a function compute in `work` for operands of `dtypes`, rounding its result once."""

    def wrap(fn: Callable[..., Value]) -> Callable[..., Value]:
        @functools.wraps(fn)
        def computed(x: Value, *rest: Value) -> Value:
            if x.dtype not in dtypes:
                return fn(x, *rest)
            return fn(x.cast(work), *(y.cast(work) for y in rest)).cast(x.dtype)

        return computed

    return wrap


_widened = _in(HALVES, "float32")
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


def _is_nan(x: Value) -> Value:
    return x.emitter.node("IsNaN", [x], "bool", x.shape, x.stored)


def _is_infinite(x: Value) -> Value:
    return _abs(x).equals(math.inf)


def _negative(x: Value) -> Value:
    """Whether the sign is minus, of zeros too."""
    return (x < 0) | (x.equals(0) & (1 / x < 0))


def _signed(size: Value, sign: Value) -> Value:
    """`size` with the sign of `sign`."""
    return where(_negative(sign), -size, size)


@_widened
def _expm1(x: Value) -> Value:
    """(e**x - 1) * x / log(e**x): both factors err alike (Kahan)."""
    grown = _exp(x)
    exact = (grown - 1) * (x / _log(grown))
    plain = grown.equals(1) | _is_infinite(grown) | (x < -30)
    return where(plain, where(grown.equals(1), x, grown - 1), exact)


@_widened
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


@_widened
def _atan2(y: Value, x: Value) -> Value:
    """The angle of the smaller by the larger side, turned into its octant."""
    tall, wide = _abs(y), _abs(x)
    small, large = elementwise("Min", tall, wide), elementwise("Max", tall, wide)
    ratio = where(small.equals(large), where(large.equals(0), large, 1), small / large)
    angle = _operator("Atan", _atan)(ratio)
    angle = where(tall > wide, math.pi / 2 - angle, angle)
    angle = _signed(where(_negative(x), math.pi - angle, angle), y)
    return where(_is_nan(x) | _is_nan(y), math.nan, angle)


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


@_widened
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
    found = above - where(low, _log(where(low, product, 1)), 0)
    mirrored = math.log(math.pi) - _log(_abs(elementwise("Sin", _offset(x)))) - found
    pole = reflected & elementwise("Round", x).equals(x)
    return where(_is_infinite(x) | pole, math.inf, where(reflected, mirrored, found))


@_precise
def _digamma(x: Value) -> Value:
    """Reflection below 0, recurrence up to 10, asymptotic series."""
    reflected = x < 0
    start = where(reflected, 1 - x, x)
    z, low = _raised(start)
    square = 1 / (z * z)
    found = _log(z) - 0.5 / z - _polynomial(square, _DIGAMMA) * square
    steps = 1 / start
    for i in range(1, _SHIFT):
        steps = steps + 1 / (start + i)
    found = found - where(low, steps, 0)
    angle = _offset(x)
    mirrored = found - elementwise("Cos", angle) / elementwise("Sin", angle) * math.pi
    pole = (reflected & elementwise("Round", x).equals(x)) | x.equals(-math.inf)
    found = where(pole, math.nan, where(reflected, mirrored, found))
    return where(x.equals(0), -_signed(x.like(math.inf), x), where(x.equals(math.inf), math.inf, found))


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
    return where(_is_nan(x), x, elementwise("Sign", x)) if x.floating else elementwise("Sign", x)


def _extreme(operator: str) -> Callable[[Value, Value], Value]:
    return lambda x, y: elementwise(operator, x, y)


def _comparison(operator: str) -> Callable[[Value, Value], Value]:
    return lambda x, y: compare(operator, x, y)


def _convert(x: Value, *, dtype: str) -> Value:
    if dtype == "bool":
        return x if x.dtype == "bool" else ~x.equals(0)
    if not x.floating or is_float(dtype):
        return x.cast(dtype)
    limits = np.iinfo(dtype)
    wide = x.cast("float32") if x.dtype in HALVES else x
    inside = (wide > float(limits.min)) & (wide < float(limits.max))
    whole = where(inside, wide, 0).cast(dtype)
    clipped = where(wide >= float(limits.max), whole.like(limits.max), whole.like(limits.min))
    return where(inside, whole, where(_is_nan(wide), 0, clipped))


_UNARY: Functions = {
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
    "neg": _negate, "sign": _sign, "expm1": _expm1, "log1p": _log1p, "logistic": _widened(_logistic),
    "rsqrt": _widened(lambda x: 1 / _sqrt(x)), "erf_inv": _erf_inv, "lgamma": _lgamma, "digamma": _digamma,
    "logical_not": lambda x: ~x, "is_finite": lambda x: _abs(x) < math.inf,
}  # fmt: skip
_BINARY: Functions = {
    "add": lambda x, y: x + y, "sub": lambda x, y: x - y, "mul": lambda x, y: x * y, "div": _divide,
    "rem": _remainder, "pow": _power, "atan2": _atan2, "max": _extreme("Max"), "min": _extreme("Min"),
    "and": lambda x, y: x & y, "or": lambda x, y: x | y, "xor": lambda x, y: x ^ y,
    "shift_left": _shift("LEFT"), "shift_right": _shift("RIGHT"), "eq": _comparison("Equal"),
    "ne": lambda x, y: ~x.equals(y), "lt": _comparison("Less"), "le": _comparison("LessOrEqual"),
    "gt": _comparison("Greater"), "ge": _comparison("GreaterOrEqual"),
}  # fmt: skip


# -- shape ---------------------------------------------------------------------------------------------------


def _constant(emitter: Emitter, *, data: bytes, shape: Shape, dtype: str) -> Value:
    return emitter.constant(np.frombuffer(data, numpy_dtype(dtype)).reshape(shape), dtype)


def _iota(emitter: Emitter, *, dtype: str, shape: Shape, axis: int) -> Value:
    size = shape[axis]
    if size <= 1024:
        steps = emitter.constant(np.arange(size).astype(numpy_dtype(dtype)), dtype)
    else:
        first, last, one = (emitter.constant(np.array(n, np.int64), "int64") for n in (0, size, 1))
        steps = emitter.node("Range", [first, last, one], "int64", (size,)).cast(dtype)
    return spread(steps, shape, (axis,))


def _clamped(x: Value, largest: int | np.ndarray) -> Value:
    """Integers of any dtype as int64 between 0 and `largest`."""
    if x.dtype == "uint64":  # beyond int64 they must stay large
        x = elementwise("Min", x, x.like(2**62))
    x = x.cast("int64")
    return elementwise("Min", elementwise("Max", x, x.like(0)), x.like(largest))


def _begin(x: Value, starts: Sequence[Value], sizes: Shape) -> Value:
    """Where a window begins, as a vector of int64, so that it fits."""
    rows = [
        reshape(_clamped(start, n - size), (1,)).plain()
        for start, n, size in zip(starts, x.shape, sizes, strict=True)
    ]
    return join(rows, 0)


def _dynamic_slice(x: Value, *starts: Value, sizes: Shape) -> Value:
    if not sizes:
        return x
    begin = _begin(x, starts, sizes)
    end = begin + x.emitter.ints(sizes)
    return x.emitter.node("Slice", [x.plain(), begin, end], x.dtype, sizes)


def _dynamic_update_slice(x: Value, update: Value, *starts: Value) -> Value:
    """The update, and where it is, padded to the size of x."""
    if not x.shape:
        return update
    begin = _begin(x, starts, update.shape)
    end = x.emitter.ints([n - size for n, size in zip(x.shape, update.shape, strict=True)]) - begin
    amounts = join([begin, end], 0)
    work = carrier("Pad", x.dtype)
    ones = x.emitter.constant(np.ones(update.shape, bool), "bool").plain()
    inside = x.emitter.node("Pad", [ones, amounts], "bool", x.shape)
    moved = x.emitter.node("Pad", [update.plain().cast(work), amounts], work, x.shape).cast(x.dtype)
    return where(inside, moved, x)


def _reverse(x: Value, *, axes: tuple[int, ...]) -> Value:
    turned = [a in axes and x.shape[a] > 1 for a in range(x.rank)]
    start = [n - 1 if yes else 0 for n, yes in zip(x.shape, turned, strict=True)]
    stop = [-1 if yes else n for n, yes in zip(x.shape, turned, strict=True)]
    return cut(x, start, stop, [-1 if yes else 1 for yes in turned])


_SHAPE: Functions = {
    "reshape": lambda x, *, shape: reshape(x, shape),
    "transpose": lambda x, *, perm: transpose(x, perm),
    "broadcast": lambda x, *, shape, dims: spread(x, shape, dims),
    "pad": lambda x, value, *, low, high, interior: pad(x, value, low, high, interior),
    "slice": lambda x, *, start, stop, step: cut(x, start, stop, step),
    "concatenate": lambda *xs, axis: join(xs, axis),
    "reverse": _reverse,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _dynamic_update_slice,
    "select": where,
    "convert": _convert,
    "bitcast": lambda x, *, dtype: x.bits(dtype),
}


# -- reductions ----------------------------------------------------------------------------------------------


def _ordered(x: Value) -> Value:
    """uint64 as int64 of the same order; all else as it is."""
    return (x ^ (1 << 63)).bits("int64") if x.dtype == "uint64" else x


def _without(shape: Shape, axes: Sequence[int]) -> Shape:
    return tuple(n for a, n in enumerate(shape) if a not in axes)


def _reduction(operator: str, neutral: Callable[[str], Any]) -> Callable[..., Value]:
    """A reduction over `axes`; of nothing it is `neutral`."""

    def reduce(x: Value, *, axes: tuple[int, ...]) -> Value:
        if not axes:
            return x
        kept = _without(x.shape, axes)
        if not x.size:
            return spread(x.like(neutral(x.dtype)), kept, ())
        work = x.plain().cast(carrier(operator, x.dtype))
        found = x.emitter.node(operator, [work, x.emitter.ints(axes)], work.dtype, kept, keepdims=0)
        return found.cast(x.dtype)

    return reduce


def _extreme_reduction(operator: str, neutral: Callable[[str], Any]) -> Callable[..., Value]:
    """ONNX Runtime's own drop NaN among others."""
    reduce, some = _reduction(operator, neutral), _reduction("ReduceMax", _lowest)

    def extreme(x: Value, *, axes: tuple[int, ...]) -> Value:
        if x.dtype == "uint64":
            return reduce(_ordered(x), axes=axes).bits("uint64") ^ (1 << 63)
        found = reduce(x, axes=axes)
        return where(some(_is_nan(x), axes=axes), math.nan, found) if x.floating else found

    return extreme


def _lowest(dtype: str) -> Any:
    return -math.inf if is_float(dtype) else False if dtype == "bool" else np.iinfo(dtype).min


def _highest(dtype: str) -> Any:
    return math.inf if is_float(dtype) else True if dtype == "bool" else np.iinfo(dtype).max


def _arg(operator: str) -> Callable[..., Value]:
    """The first of equals, NaN before all."""

    def place(x: Value, axis: int, kind: str) -> Value:
        work = x.plain().cast(carrier(kind, x.dtype))
        kept = _without(x.shape, (axis,))
        return x.emitter.node(kind, [work], "int64", kept, axis=axis, keepdims=0)

    def arg(x: Value, *, axis: int) -> Value:
        if not x.size:
            return zeros(x, _without(x.shape, (axis,)), "int32")
        found = place(_ordered(x), axis, operator)
        if x.floating:
            missing = _is_nan(x)
            some = _reduction("ReduceMax", _lowest)(missing, axes=(axis,))
            found = where(some, place(missing.cast("uint8"), axis, "ArgMax"), found)
        return found.cast("int32")

    return arg


def _cumulative(operator: str) -> Callable[..., Value]:
    def cumulative(x: Value, *, axis: int, reverse: bool) -> Value:
        if not x.size:
            return x
        work = x.plain().cast(carrier(operator, x.dtype))
        at = x.emitter.constant(np.array(axis, np.int64), "int64")
        found = x.emitter.node(operator, [work, at], work.dtype, x.shape, reverse=int(reverse))
        return found.cast(x.dtype)

    return cumulative


def _running(operator: str) -> Callable[..., Value]:
    """Largest or smallest so far, in log2(n) steps of doubling reach (Hillis & Steele 1986)."""

    def running(x: Value, *, axis: int, reverse: bool) -> Value:
        if reverse:
            return _reverse(running(_reverse(x, axes=(axis,)), axis=axis, reverse=False), axes=(axis,))
        size, distance = x.shape[axis], 1
        while distance < size:
            head, tail, before = (
                part(x, axis, *ends) for ends in ((0, distance), (distance, size), (0, size - distance))
            )
            x = join([head, elementwise(operator, tail, before)], axis)
            distance *= 2
        return x

    return running


def _sortable(x: Value) -> Value:
    """Integers (or narrow ones) in the order of x, NaN last, zeros equal."""
    if not x.floating:
        return _ordered(x)
    wide = x.cast(carrier("TopK", x.dtype))
    integer = "int64" if wide.dtype == "float64" else "int32"
    bits = where(wide.equals(0), 0, wide).bits(integer)
    largest = np.iinfo(integer).max
    return where(_is_nan(wide), largest, where(bits < 0, bits ^ largest, bits))


def _argsort(x: Value, *, axis: int) -> Value:
    if not x.size:
        return zeros(x, x.shape, "int32")
    key = _sortable(x).plain()
    key = key.cast(carrier("TopK", key.dtype))
    types = [TensorType(x.shape, key.dtype), TensorType(x.shape, "int64")]
    count = x.emitter.ints((x.shape[axis],))
    return x.emitter.nodes("TopK", [key, count], types, axis=axis, largest=0, sorted=1)[1].cast("int32")


_REDUCE: Functions = {
    "reduce_sum": _reduction("ReduceSum", lambda _: 0),
    "reduce_prod": _reduction("ReduceProd", lambda _: 1),
    "reduce_max": _extreme_reduction("ReduceMax", _lowest),
    "reduce_min": _extreme_reduction("ReduceMin", _highest),
    "reduce_and": _reduction("ReduceMin", _highest),
    "reduce_or": _reduction("ReduceMax", _lowest),
    "argmax": _arg("ArgMax"),
    "argmin": _arg("ArgMin"),
    "cumsum": _cumulative("CumSum"),
    "cumprod": _cumulative("CumProd"),
    "cummax": _running("Max"),
    "cummin": _running("Min"),
    "argsort": _argsort,
}


# -- gather, scatter -----------------------------------------------------------------------------------------


def _places(x: Value, indices: Value, batch_dims: int) -> Value:
    """`indices` as int64, clamped into the axes of x that they address."""
    sizes = x.shape[batch_dims : batch_dims + indices.shape[-1]]
    return _clamped(indices, np.array([max(size - 1, 0) for size in sizes]))


def _gather(x: Value, indices: Value, *, batch_dims: int) -> Value:
    depth, rows = indices.shape[-1], indices.shape[:-1]
    shape = rows + x.shape[batch_dims + depth :]
    if not math.prod(shape):
        return zeros(x, shape)
    if not depth:
        if batch_dims:
            lonely = reshape(x.plain(), (*x.shape[:batch_dims], 1, *x.shape[batch_dims:]))
            return _gather(lonely, zeros(x, (*rows, 1), "int64"), batch_dims=batch_dims)
        return spread(x, shape, tuple(range(len(rows), len(shape))))
    places = _places(x, indices, batch_dims).plain()
    if depth == 1 and not batch_dims:
        return x.emitter.node("Gather", [x.plain(), reshape(places, rows)], x.dtype, shape, axis=0)
    return x.emitter.node("GatherND", [x.plain(), places], x.dtype, shape, batch_dims=batch_dims)


def _row_numbers(x: Value, indices: Value, batch_dims: int) -> Value:
    """Numbers of the addressed rows, of x as (rows, rest); one per row of `indices`."""
    rows = indices.shape[:-1]
    places = _places(x, indices, batch_dims)
    number = zeros(x, rows, "int64")
    for axis in range(batch_dims):
        at = x.emitter.constant(np.arange(rows[axis], dtype=np.int64), "int64")
        number = number * x.shape[axis] + spread(at, rows, (axis,))
    for i in range(indices.shape[-1]):
        column = part(places, places.rank - 1, i, i + 1)
        number = number * x.shape[batch_dims + i] + reshape(column, rows)
    return number


_MODES = {"set": "none", "add": "add", "mul": "mul", "max": "max", "min": "min"}


def _scatter(x: Value, indices: Value, updates: Value, *, mode: str, batch_dims: int) -> Value:
    if not updates.size or not x.size:
        return x
    depth = batch_dims + indices.shape[-1]
    work = carrier("ScatterElements", x.dtype)
    if x.dtype == "bool":
        mode = {"add": "max", "mul": "min"}.get(mode, mode)
    count, width = math.prod(indices.shape[:-1]), math.prod(x.shape[depth:])
    flat = reshape(x.cast(work), (x.size // width, width)).plain()
    numbers = spread(reshape(_row_numbers(x, indices, batch_dims), (count,)), (count, width), (0,)).plain()
    parts = reshape(updates.cast(work), (count, width)).plain()
    found = x.emitter.node(
        "ScatterElements", [flat, numbers, parts], work, flat.shape, axis=0, reduction=_MODES[mode]
    )
    return reshape(found, x.shape).cast(x.dtype)


_INDEX: Functions = {"gather": _gather, "scatter": _scatter}


# -- random bits, control flow -------------------------------------------------------------------------------


def _random_bits(key: Value, *, shape: Shape) -> Value:
    """Threefry-2x32 with 20 rounds; see `primitives/random.py`."""
    size = math.prod(shape)
    if not size:
        return zeros(key, shape)
    count = (size + 1) // 2
    first, second = (part(key, 0, i, i + 1) for i in (0, 1))
    keys = (first, second, first ^ second ^ 0x1BD11BDA)
    # Fewer than 2**32 blocks: the high word of the counter is 0.
    x, y = spread(keys[0], (count,), ()), _iota(key.emitter, dtype="uint32", shape=(count,), axis=0) + keys[1]
    for injection in range(1, 6):
        for distance in ((17, 29, 16, 24), (13, 15, 26, 6))[injection % 2]:
            x = x + y
            # Products and sums are faster than shifts and ors.
            y = (y * (1 << distance) + elementwise("BitShift", y, 32 - distance, direction="RIGHT")) ^ x
        x = x + keys[injection % 3]
        y = y + (keys[(injection + 1) % 3] + injection)
    words = join([reshape(x, (count, 1)), reshape(y, (count, 1))], 1)
    return reshape(part(reshape(words, (2 * count,)), 0, 0, size), shape)


_PLUMBING: Functions = {
    "random_bits": _random_bits,
    "project": lambda values, *, index: values[index],
    "stop_gradient": lambda x: x,
    "optimization_barrier": lambda *values: values,
}


def _cond(
    emitter: Emitter, pred: Value, *operands: Value, true_graph: Graph, false_graph: Graph
) -> tuple[Value, ...]:
    branches = {}
    for name, graph in (("then_branch", true_graph), ("else_branch", false_graph)):
        branches[name], types = emitter.subgraph([], lambda graph=graph: emitter.walk(graph, operands))
    return emitter.nodes("If", [pred], types, **branches)


_LOOP_HEAD = (TensorType((), "int64"), TensorType((), "bool"))


def _while_loop(emitter: Emitter, *values: Value, cond_graph: Graph, body_graph: Graph) -> tuple[Value, ...]:
    count = len(body_graph.outputs)
    carry, fixed = values[:count], values[count:]

    def step(number: Value, going: Value, *carry: Value) -> list[Value]:
        carried = emitter.walk(body_graph, (*carry, *fixed))
        return [emitter.walk(cond_graph, (*carried, *fixed))[0], *carried]

    body, types = emitter.subgraph([*_LOOP_HEAD, *(x.type for x in carry)], step)
    going = emitter.walk(cond_graph, values)[0]
    return emitter.nodes("Loop", [None, going, *carry], types[1:], body=body)


def _scan(
    emitter: Emitter,
    *values: Value,
    body: Graph,
    length: int,
    carries: int,
    sequences: int,
    reverse: bool,
) -> tuple[Value, ...]:
    carry, xs = values[:carries], values[carries : carries + sequences]
    fixed = values[carries + sequences :]
    if not length:
        kept = [*body.outputs[carries:], *body.inputs[:carries]]
        nothing = [np.empty((0, *x.shape), numpy_dtype(x.dtype)) for x in kept]
        return (*carry, *(emitter.constant(array, x.dtype) for array, x in zip(nothing, kept, strict=True)))

    def step(*args: Value) -> list[Value]:
        own = args[: carries + sequences]
        return [*emitter.walk(body, (*own, *fixed)), *args[:carries]]

    # ONNX scans over something.
    over = xs or (zeros(carry[0], (length,), "bool"),)
    return emitter.scan(carry, over, step, reverse)


TABLE: Functions = {
    **_UNARY, **_BINARY, **_SHAPE, **_REDUCE, **_INDEX, **WINDOWS, **LINALG, **_PLUMBING
}  # fmt: skip
MAKERS: Functions = {
    "constant": _constant, "iota": _iota, "cond": _cond, "while_loop": _while_loop, "scan": _scan
}  # fmt: skip
