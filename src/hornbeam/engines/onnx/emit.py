"""Writes a graph as an ONNX model: values that stand for tensors of the model, and the nodes between them.

The shared evaluator walks a graph with `Value`s in the place of arrays; every operation on one appends a
node. Two things keep models small. A value that repeats along an axis is stored with size 1 there, since
ONNX's elementwise operators broadcast by themselves. And equal nodes are written once.

ONNX Runtime's CPU kernels take some dtypes only. `KERNELS` says which; an operator on any other computes in a
dtype that holds it exactly (16-bit floats in float32, rounded once; integers in wider ones, wrapped).

Sizes may be symbols (`ir/sizes.py`): nodes compute them from the shapes of the inputs. Since `n != 1` is
false for an unknown size, what has to hold for all of its values is asked with `==` and `not`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hornbeam.engines.table import missing_package, require_version
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import run
from hornbeam.ir.interpret import where as place_of
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import (
    axes_of_symbols,
    evaluate,
    is_one,
    is_unknown,
    maximum,
    merged_size,
    minimum,
    symbols_of,
    text_of,
)
from hornbeam.ir.types import Shape, TensorType, is_float, is_integer, numpy_dtype

try:
    import onnx as onnx
    from onnx import GraphProto, TensorProto
    from onnx import ModelProto as ModelProto
    from onnx import NodeProto as NodeProto
    from onnx import helper as helper
except ImportError as error:
    raise missing_package("onnxruntime", "ONNX", error, extra="onnx") from error
require_version("onnxruntime", "ONNX", onnx.__version__, "1.23", extra="onnx")

OPSET = 28
Functions = Mapping[str, Callable[..., Any]]
HALVES = ("float16", "bfloat16")
_TYPES = {"float32": "FLOAT", "float64": "DOUBLE"}

_WIDE = "float32 float64"
_SIGNED = "int8 int16 int32 int64"
_INTEGERS = f"{_SIGNED} uint8 uint16 uint32 uint64"
_SUMS = f"{_WIDE} int32 int64"
_EXTREMES = f"bool {_WIDE} int32 int64 int8 uint8"
# The dtypes that ONNX Runtime's CPU kernels of an operator take; operators not named here take all.
KERNELS: Mapping[str, frozenset[str]] = {
    name: frozenset(dtypes.split())
    for names, dtypes in (
        ("Abs Add Sub Mul Div", f"{_WIDE} {_INTEGERS}"),
        ("Less LessOrEqual Greater GreaterOrEqual", f"{_WIDE} {_INTEGERS}"),
        ("Equal", f"bool {_WIDE} {_INTEGERS}"),
        ("Neg", f"{_WIDE} {_SIGNED}"),
        ("Mod", f"{_WIDE} {_INTEGERS}"),
        ("Max Min", f"{_WIDE} int32 int64 int8 uint8 uint32 uint64"),
        ("Expand", f"bool float16 {_WIDE} {_INTEGERS}"),
        ("Pad", f"bool bfloat16 {_WIDE} int32 int64 int8 uint8 uint32 uint64"),
        ("Floor Ceil Exp Log Sqrt Reciprocal Sigmoid Sin Cos Tanh Round Softmax LogSoftmax", _WIDE),
        ("Erf Conv ConvTranspose Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh", "float32"),
        ("Pow Gemm", _WIDE),
        ("MatMul", f"{_WIDE} int32 int64 uint32 uint64"),
        ("ReduceSum ReduceProd CumSum", _SUMS),
        ("CumProd", f"{_SUMS} uint32 uint64"),
        ("ReduceMax ReduceMin", _EXTREMES),
        ("ArgMax ArgMin", f"{_WIDE} int32 int64 int8 uint8"),
        ("TopK", f"{_WIDE} int16 int32 int64 int8 uint8"),
        ("ScatterElements", f"{_WIDE} {_INTEGERS}"),
    )
    for name in names.split()
}
# What holds a dtype exactly, narrowest first; uint64 in int64 has the same bits and sums, not the same order.
_CARRIERS = {
    "bool": ("uint8",),
    "float16": ("float32",),
    "bfloat16": ("float32",),
    "int8": ("int16", "int32"),
    "int16": ("int32",),
    "uint8": ("uint16", "uint32", "int32"),
    "uint16": ("uint32", "int32"),
    "uint32": ("uint64", "int64"),
    "uint64": ("int64",),
}


def carrier(operator: str, dtype: str) -> str:
    """The dtype that `operator` computes in for operands of `dtype`. Raises NoKernelError if none."""
    kernels = KERNELS.get(operator)
    if kernels is None or dtype in kernels:
        return dtype
    for wider in _CARRIERS.get(dtype, ()):
        if wider in kernels:
            return wider
    raise NoKernelError(f"ONNX Runtime has no {operator} of {dtype}")


def onnx_type(dtype: str) -> int:
    """ONNX's number of a dtype."""
    return TensorProto.DataType.Value(_TYPES.get(dtype, dtype.upper()))


class NoKernelError(NotImplementedError):
    """ONNX Runtime does not compute an operator on a dtype."""


def _located(write: Callable[..., Any], node: Node) -> Callable[..., Any]:
    """`write`, whose refusals say, once, where the node comes from."""

    def located(*operands: Any, **params: Any) -> Any:
        try:
            return write(*operands, **params)
        except NoKernelError as error:
            raise NotImplementedError(f"{error}{place_of(node)}") from None

    return located


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the model. Where `stored` has size 1 and `shape` more, the value repeats."""

    emitter: Emitter
    name: str
    dtype: str
    shape: Shape
    stored: Shape

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def type(self) -> TensorType:
        return TensorType(self.shape, self.dtype)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def floating(self) -> bool:
        return is_float(self.dtype)

    # Arithmetic of formulas: a number beside a value is a constant of its dtype.
    def __add__(self, other: Value | float) -> Value:
        return elementwise("Add", self, other)

    def __radd__(self, other: float) -> Value:
        return elementwise("Add", self, other)

    def __sub__(self, other: Value | float) -> Value:
        return elementwise("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return elementwise("Sub", self.like(other), self)

    def __mul__(self, other: Value | float) -> Value:
        return elementwise("Mul", self, other)

    def __rmul__(self, other: float) -> Value:
        return elementwise("Mul", self, other)

    def __truediv__(self, other: Value | float) -> Value:
        return elementwise("Div", self, other)

    def __rtruediv__(self, other: float) -> Value:
        return elementwise("Div", self.like(other), self)

    def __floordiv__(self, other: Value | float) -> Value:
        """The floor of the quotient of integers."""
        return (self - elementwise("Mod", self, other)) / other

    def __rfloordiv__(self, other: float) -> Value:
        return self.like(other) // self

    def __neg__(self) -> Value:
        return elementwise("Neg", self)

    def __lt__(self, other: Value | float) -> Value:
        return compare("Less", self, other)

    def __gt__(self, other: Value | float) -> Value:
        return compare("Greater", self, other)

    def __ge__(self, other: Value | float) -> Value:
        return compare("GreaterOrEqual", self, other)

    def equals(self, other: Value | float) -> Value:
        return compare("Equal", self, other)

    def __and__(self, other: Value | int) -> Value:
        return elementwise("And" if self.dtype == "bool" else "BitwiseAnd", self, other)

    def __or__(self, other: Value | int) -> Value:
        return elementwise("Or" if self.dtype == "bool" else "BitwiseOr", self, other)

    def __xor__(self, other: Value | int) -> Value:
        return elementwise("Xor" if self.dtype == "bool" else "BitwiseXor", self, other)

    def __invert__(self) -> Value:
        return elementwise("Not" if self.dtype == "bool" else "BitwiseNot", self)

    def like(self, number: float | np.ndarray) -> Value:
        """A number as a constant of this value's dtype, or a size as a scalar."""
        if is_unknown(number):
            return _restored(self.emitter.size(number), (), ()).cast(self.dtype)
        return self.emitter.constant(np.asarray(number).astype(numpy_dtype(self.dtype)), self.dtype)

    def full(self, number: float | np.ndarray) -> Value:
        """A number repeated to this value's shape."""
        return spread(self.like(number), self.shape, ())

    def cast(self, dtype: str) -> Value:
        """ONNX's Cast: integers wrap, floats round (and must fit, for integers)."""
        if dtype == self.dtype:
            return self
        return self.emitter.node("Cast", [self], dtype, self.shape, self.stored, to=onnx_type(dtype))

    def bits(self, dtype: str) -> Value:
        """The same bits as another dtype of the same size."""
        if dtype == self.dtype:
            return self
        if self.emitter.is_zero(self):
            return spread(self.emitter.constant(np.zeros((), numpy_dtype(dtype)), dtype), self.shape, ())
        if self.emitter.opset < BIT_CASTS:
            if is_integer(self.dtype) and is_integer(dtype):
                return self.cast(dtype)
            raise NoKernelError(f"ONNX before opset {BIT_CASTS} has no cast of bits, {self.dtype} to {dtype}")
        return self.emitter.node("BitCast", [self], dtype, self.shape, self.stored, to=onnx_type(dtype))

    def plain(self) -> Value:
        """The value with all of its elements stored."""
        if self.stored == self.shape:
            return self
        if 0 in self.shape:  # where Expand asks for 0, ONNX Runtime keeps an axis of size 1
            return self.emitter.constant(np.zeros(self.shape, numpy_dtype(self.dtype)), self.dtype)
        work = self.cast(carrier("Expand", self.dtype))
        out = self.emitter.node("Expand", [work, self.emitter.ints(self.shape)], work.dtype, self.shape)
        return out.cast(self.dtype)


def _lifted(operands: Sequence[Value | float]) -> list[Value]:
    like = next(x for x in operands if isinstance(x, Value))
    return [x if isinstance(x, Value) else like.like(x) for x in operands]


def elementwise(operator: str, *operands: Value | float, **attributes: Any) -> Value:
    """An operator that broadcasts, on values of one dtype; the result has that dtype."""
    xs = _lifted(operands)
    if operator == "Sub" and xs[0].emitter.is_zero(xs[1]) and xs[1].shape in ((), xs[0].shape):
        return xs[0]  # ONNX Runtime's own removal of such nodes breaks some models
    work = carrier(operator, xs[0].dtype)
    out = _broadcasting(operator, [x.cast(work) for x in xs], work, **attributes)
    return out.cast(xs[0].dtype)


def compare(operator: str, *operands: Value | float) -> Value:
    """A comparison of values of one dtype: a bool."""
    xs = _lifted(operands)
    work = carrier(operator, xs[0].dtype)
    return _broadcasting(operator, [x.cast(work) for x in xs], "bool")


# From this version of ONNX on there are BitCast and CumProd.
BIT_CASTS = 26
_WORDS = {4: "int32", 8: "int64"}


def where(condition: Value, x: Value | float, y: Value | float) -> Value:
    """x where `condition` holds, y elsewhere.

    Written as arithmetic on bits, y + (x - y) * condition, which no number escapes: ONNX Runtime's own Where
    takes three times as long.
    """
    x, y = _lifted((x, y))
    if x.dtype == "bool":
        return (condition & x) | (~condition & y)
    size = numpy_dtype(x.dtype).itemsize
    if x.emitter.opset < BIT_CASTS:
        return _broadcasting("Where", [condition, x, y], x.dtype)
    if size not in _WORDS:
        work = "float32" if x.floating else "int32"
        return where(condition, x.cast(work), y.cast(work)).cast(x.dtype)
    word = _WORDS[size]
    first, second = x.bits(word), y.bits(word)
    if x.emitter.is_zero(y):
        return (first * condition.cast(word)).bits(x.dtype)
    if x.emitter.is_zero(x):
        return (second * (~condition).cast(word)).bits(x.dtype)
    return (second + (first - second) * condition.cast(word)).bits(x.dtype)


def zeros(like: Value, shape: Shape, dtype: str | None = None) -> Value:
    """Zeros in the model of `like`, of its dtype if no other is named."""
    dtype = dtype or like.dtype
    return spread(like.emitter.constant(np.zeros((), numpy_dtype(dtype)), dtype), shape, ())


def _broadcasting(operator: str, xs: list[Value], dtype: str, **attributes: Any) -> Value:
    shape = _common([x.shape for x in xs])
    stored = _common([x.stored for x in xs])
    # Sizes that are equal in both may have been computed in two ways.
    lead = len(shape) - len(stored)
    stored = tuple([n if n == 1 else full for n, full in zip(stored, shape[lead:], strict=True)])
    return xs[0].emitter.node(operator, xs, dtype, shape, stored, **attributes)


def _common(shapes: Sequence[Shape]) -> Shape:
    """The shape that operands broadcast to; unknown sizes are taken to fit."""
    if not any(is_unknown(size) for shape in shapes for size in shape):
        return np.broadcast_shapes(*shapes)
    rank = max(map(len, shapes))
    columns = zip(*([1] * (rank - len(shape)) + list(shape) for shape in shapes), strict=True)
    return tuple([merged_size(*([n for n in column if not is_one(n)] or [1])) for column in columns])


# -- moving elements -----------------------------------------------------------------------------------------
# A value of which one element is stored may be stored with no axes; nothing has to be done to move those.


def _restored(x: Value, stored: Shape, shape: Shape) -> Value:
    """x under another shape, stored in another one of the same size."""
    if x.stored == stored:
        return Value(x.emitter, x.name, x.dtype, shape, stored)
    unknown = [is_unknown(n) for n in stored]
    if sum(unknown) == 1 and 0 not in stored:  # ONNX infers a size of -1
        target = x.emitter.ints([-1 if yes else n for n, yes in zip(stored, unknown, strict=True)])
    else:
        target = x.emitter.ints(stored)
    return x.emitter.node("Reshape", [x, target], x.dtype, shape, stored, allowzero=1)


def reshape(x: Value, shape: Shape) -> Value:
    """The same elements in row-major order under another shape."""
    if math.prod(x.stored) == 1:
        return _restored(x, shape if x.stored and x.size == 1 else (), shape)
    return _restored(x.plain(), shape, shape)


def transpose(x: Value, perm: Sequence[int]) -> Value:
    """Axis i of the result is axis perm[i] of x."""
    shape = tuple(x.shape[a] for a in perm)
    if not x.stored:
        return _restored(x, (), shape)
    stored = tuple(x.stored[a] for a in perm)
    moved = [a for a in perm if not is_one(x.stored[a])]
    if moved == sorted(moved):
        return _restored(x, stored, shape)
    return x.emitter.node("Transpose", [x], x.dtype, shape, stored, perm=list(perm))


def spread(x: Value, shape: Shape, dims: Sequence[int]) -> Value:
    """x repeated to `shape`; its axis i becomes axis dims[i]. Nothing is written but a reshape."""
    if math.prod(x.stored) == 1:
        return _restored(x, (), shape)
    stored = [1] * len(shape)
    for size, axis in zip(x.stored, dims, strict=True):
        stored[axis] = size
    return _restored(x, tuple(stored), shape)


def cut(x: Value, start: Sequence[int], stop: Sequence[int], step: Sequence[int]) -> Value:
    """x[start:stop:step] on every axis; a step of -1 from the last element turns an axis round."""
    shape = tuple(_length(a, b, s) for a, b, s in zip(start, stop, step, strict=True))
    if not x.stored and 0 not in shape:
        return _restored(x, (), shape)
    if 0 in shape:
        x = x.plain()
    axes = [
        a for a in range(x.rank)
        if (start[a], stop[a], step[a]) != (0, x.shape[a], 1) and (not is_one(x.stored[a]) or x.shape[a] == 1)
    ]  # fmt: skip
    if not axes:
        return Value(x.emitter, x.name, x.dtype, shape, x.stored)
    stored = tuple(shape[a] if a in axes else x.stored[a] for a in range(x.rank))
    ends = [stop[a] if stop[a] >= 0 else np.iinfo(np.int64).min for a in axes]
    bounds = ([start[a] for a in axes], ends, axes, [step[a] for a in axes])
    return x.emitter.node("Slice", [x, *map(x.emitter.ints, bounds)], x.dtype, shape, stored)


def _length(start: int, stop: int, step: int) -> int:
    """The number of elements of a slice."""
    if not (is_unknown(start) or is_unknown(stop)):
        return len(range(start, stop, step))
    return -((start - stop) // step)


def part(x: Value, axis: int, start: int, stop: int) -> Value:
    """x[start:stop] on one axis."""
    begin, end = [0] * x.rank, list(x.shape)
    begin[axis], end[axis] = start, stop
    return cut(x, begin, end, [1] * x.rank)


def join(xs: Sequence[Value], axis: int) -> Value:
    """The values one after the other along `axis`."""
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    plain = [x.plain() for x in xs]
    return xs[0].emitter.node("Concat", plain, xs[0].dtype, tuple(shape), axis=axis)


def pad(x: Value, value: Value, low: Sequence[int], high: Sequence[int], interior: Sequence[int]) -> Value:
    """`value` before, after and between the elements of each axis; negative `low` and `high` crop."""
    for axis, gap in enumerate(interior):
        if gap and x.shape[axis] > 1:
            x = _spaced(x, value, axis, gap)
    begin, end = [maximum(n, 0) for n in low], [maximum(n, 0) for n in high]
    if not all(n == 0 for n in (*begin, *end)):
        work = carrier("Pad", x.dtype)
        shape = tuple(n + a + b for n, a, b in zip(x.shape, begin, end, strict=True))
        amounts = x.emitter.ints((*begin, *end))
        parts = [x.plain().cast(work), amounts, value.plain().cast(work)]
        x = x.emitter.node("Pad", parts, work, shape).cast(x.dtype)
    stop = [n + minimum(b, 0) for n, b in zip(x.shape, high, strict=True)]
    return cut(x, [maximum(-a, 0) for a in low], stop, [1] * x.rank)


def _spaced(x: Value, value: Value, axis: int, gap: int) -> Value:
    """`gap` elements of `value` between those of x along `axis`: padded along a new axis behind it."""
    apart = reshape(x.plain(), (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    none = [0] * apart.rank
    apart = pad(apart, value, none, [gap if a == axis + 1 else 0 for a in range(apart.rank)], none)
    size = x.shape[axis] * (gap + 1)
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    stop = [size - gap if a == axis else n for a, n in enumerate(shape)]
    return cut(reshape(apart, shape), [0] * x.rank, stop, [1] * x.rank)


# -- models --------------------------------------------------------------------------------------------------


@dataclass
class Scope:
    """The nodes of one graph of the model, the names of their outputs, and outputs by what they compute."""

    nodes: list[NodeProto] = field(default_factory=list)
    defined: set[str] = field(default_factory=set)
    known: dict[tuple[Any, ...], Value] = field(default_factory=dict)


class Emitter:
    """Collects the nodes of one model.

    Args:
        table: A function for every primitive.
        makers: Functions that also take the emitter, because they have no operand or walk a graph.
        opset: Version of the operators.
    """

    def __init__(self, table: Functions, makers: Functions, opset: int = OPSET) -> None:
        self._table, self._makers, self.opset = table, makers, opset
        self._count = 0
        self._constants: dict[tuple[Any, ...], Value] = {}
        self._zeros: set[str] = set()
        self._initializers: list[TensorProto] = []
        self._scopes: list[Scope] = []
        self._reserved: frozenset[str] = frozenset()
        # The input and its axis whose size a symbol is.
        self._symbols: dict[str, tuple[Value, int]] = {}

    def lower(self, node: Node) -> Callable[..., Any] | None:
        """The function that writes a node, or None for a composite to walk."""
        maker = self._makers.get(node.name)
        write = self._table.get(node.name) if maker is None else functools.partial(maker, self)
        return None if write is None else _located(write, node)

    def walk(self, graph: Graph, args: Sequence[Value]) -> list[Value]:
        """The outputs of `graph`, its nodes written into the current scope."""
        return run(graph, args, self.lower)

    def constant(self, array: np.ndarray, dtype: str) -> Value:
        """An initializer, shared by equal arrays. If all elements are equal, one is stored."""
        array = np.asarray(array)
        bits = array.tobytes()
        if array.size > 1 and bits == bits[: array.itemsize] * array.size:
            return spread(self.constant(array.reshape(-1)[0], dtype), array.shape, ())
        key = (dtype, array.shape, bits)
        if key not in self._constants:
            value = self._fresh(dtype, array.shape)
            self._constants[key] = value
            if not any(bits):
                self._zeros.add(value.name)
            self._initializers.append(
                helper.make_tensor(value.name, onnx_type(dtype), array.shape, bits, raw=True)
            )
        return self._constants[key]

    def is_zero(self, x: Value) -> bool:
        """True if all bits of x are known to be 0."""
        return x.name in self._zeros

    def ints(self, numbers: Sequence[int]) -> Value:
        """A vector of int64 with all its elements stored, as ONNX requires for shapes, axes and bounds."""
        if any(map(is_unknown, numbers)):
            return self._computed(numbers)
        array = np.array(numbers, np.int64)
        if len(numbers) > 1 and len(set(numbers)) == 1:  # `constant` would store one
            key = ("ints", tuple(numbers))
            if key not in self._constants:
                value = self._constants[key] = self._fresh("int64", array.shape)
                self._initializers.append(
                    helper.make_tensor(value.name, TensorProto.INT64, array.shape, array.tobytes(), raw=True)
                )
            return self._constants[key]
        return self.constant(array, "int64")

    def _computed(self, numbers: Sequence[int]) -> Value:
        """A vector of int64 with sizes that are not known."""
        parts: list[Value] = []
        for unknown, group in itertools.groupby(numbers, is_unknown):
            sizes = list(group)
            parts += map(self.size, sizes) if unknown else [self.ints(sizes)]
        return parts[0] if len(parts) == 1 else join(parts, 0)

    def size(self, size: Any) -> Value:
        """A size that is not known, as an int64 vector of one element."""
        values = {}
        for name in symbols_of(size):
            array, axis = self._symbols[name]
            values[name] = self.node("Shape", [array], "int64", (1,), start=axis, end=axis + 1)
        return evaluate(size, values, _CHOICES)

    def _fresh(self, dtype: str, shape: Shape, stored: Shape | None = None) -> Value:
        self._count += 1
        while f"v{self._count}" in self._reserved:
            self._count += 1
        return Value(self, f"v{self._count}", dtype, shape, shape if stored is None else stored)

    def nodes(
        self, operator: str, inputs: Sequence[Value | None], types: Sequence[TensorType], **attributes: Any
    ) -> tuple[Value, ...]:
        """The outputs of a new node of plain operands (None: an omitted input)."""
        names = ["" if x is None else x.plain().name for x in inputs]
        outputs = [self._fresh(t.dtype, t.shape) for t in types]
        self._add(helper.make_node(operator, names, [x.name for x in outputs], **attributes))
        return tuple(outputs)

    def node(
        self,
        operator: str,
        inputs: Sequence[Value],
        dtype: str,
        shape: Shape,
        stored: Shape | None = None,
        **attributes: Any,
    ) -> Value:
        """The output of a node; the operands are taken as they are stored. Equal nodes are written once."""
        key = (operator, *(x.name for x in inputs), dtype, str(attributes))
        for scope in reversed(self._scopes):
            if key in scope.known:  # its shape may differ, by repeating the stored elements otherwise
                known = scope.known[key]
                return Value(self, known.name, dtype, shape, known.stored if stored is None else stored)
        out = self._fresh(dtype, shape, stored)
        self._add(helper.make_node(operator, [x.name for x in inputs], [out.name], **attributes))
        self._scopes[-1].known[key] = out
        return out

    def _add(self, node: NodeProto) -> None:
        self._scopes[-1].nodes.append(node)
        self._scopes[-1].defined.update(node.output)

    @contextmanager
    def _scope(self) -> Iterator[Scope]:
        self._scopes.append(Scope())
        try:
            yield self._scopes[-1]
        finally:
            self._scopes.pop()

    def _returned(self, values: Sequence[Value]) -> list[Value]:
        """Values as outputs, which must be computed in the scope and have distinct names."""
        outputs: dict[str, Value] = {}
        for x in values:
            x = x.plain()
            if x.name not in self._scopes[-1].defined or x.name in outputs:
                (x,) = self.nodes("Identity", [x], [x.type])
            outputs[x.name] = x
        return list(outputs.values())

    def subgraph(
        self, types: Sequence[TensorType], build: Callable[..., Sequence[Value]]
    ) -> tuple[GraphProto, list[TensorType]]:
        """A nested graph, which can use outer values, and the types of its outputs."""
        args = [self._fresh(t.dtype, t.shape) for t in types]
        with self._scope() as scope:
            outputs = self._returned(build(*args))
        subgraph = helper.make_graph(scope.nodes, f"g{self._count}", _infos(args), _infos(outputs))
        return subgraph, [x.type for x in outputs]

    def scan(
        self,
        carry: Sequence[Value],
        xs: Sequence[Value],
        step: Callable[..., Sequence[Value]],
        reverse: bool = False,
    ) -> tuple[Value, ...]:
        """The last carry, and all other results of `step(*carry, *slices)` for the slices of xs, stacked."""
        length, count = xs[0].shape[0], len(carry)
        slices = [TensorType(x.shape[1:], x.dtype) for x in xs]
        body, types = self.subgraph([*(x.type for x in carry), *slices], step)
        stacked = [TensorType((length, *t.shape), t.dtype) for t in types[count:]]
        order = {"scan_input_directions": [int(reverse)] * len(xs)}
        if stacked:
            order["scan_output_directions"] = [int(reverse)] * len(stacked)
        return self.nodes(
            "Scan", [*carry, *xs], [*types[:count], *stacked], body=body, num_scan_inputs=len(xs), **order
        )

    def model(
        self,
        graph: Graph,
        weights: Sequence[tuple[str, np.ndarray, str]] = (),
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
    ) -> ModelProto:
        """`graph` as a model, its inputs and outputs in the graph's order.

        Unknown sizes are those of inputs, and what is computed from them.

        Args:
            graph: The graph.
            weights: (name, array, dtype) of the first inputs, which become part of the model.
            inputs: Names of the other inputs, by default numbers.
            outputs: Names of the outputs, by default numbers.

        Raises:
            ValueError: If a name is repeated.
        """
        count = len(weights)
        names = [*(name for name, _, _ in weights), *inputs, *outputs]
        self._reserved = frozenset(names)
        if len(self._reserved) != len(names):
            raise ValueError(f"names of values must be unique, got {sorted(names)}")
        args = [self._fresh(n.dtype, n.shape) for n in graph.inputs]
        for i, (name, array, dtype) in enumerate(weights):
            args[i] = replace(args[i], name=name)
            self._initializers.append(
                helper.make_tensor(name, onnx_type(dtype), array.shape, array.tobytes(), raw=True)
            )
        for i, name in enumerate(inputs, count):
            args[i] = replace(args[i], name=name)
        axes = axes_of_symbols(x.shape for x in args)
        self._symbols = {name: (args[i], axis) for name, (i, axis) in axes.items()}
        with self._scope() as scope:
            results = self._returned(self.walk(graph, args))
            for i, name in enumerate(outputs):
                self._add(helper.make_node("Identity", [results[i].name], [name]))
                results[i] = replace(results[i], name=name)
        proto = helper.make_graph(
            scope.nodes, "hornbeam", _infos(args[count:]), _infos(results), initializer=self._initializers
        )
        versions = [helper.make_opsetid("", self.opset)]
        options = {} if self.opset == OPSET else {"ir_version": 10}
        return helper.make_model(proto, opset_imports=versions, producer_name="hornbeam", **options)


def _infos(values: Sequence[Value]) -> list[Any]:
    shapes = [[text_of(n) if is_unknown(n) else n for n in x.shape] for x in values]
    return [
        helper.make_tensor_value_info(x.name, onnx_type(x.dtype), shape)
        for x, shape in zip(values, shapes, strict=True)
    ]


_CHOICES = {name: functools.partial(elementwise, name.capitalize()) for name in ("min", "max")}
