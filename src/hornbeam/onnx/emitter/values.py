"""Tensors of an ONNX model, and arithmetic with them: every operation appends a node.

A value that repeats along an axis is stored with size 1 there, since ONNX's elementwise operators broadcast
by themselves. And a transposed value is stored as it was, with a note of the order of its axes: what follows
a convolution stays channels-first, and only an operation that needs another order writes a Transpose.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.ir.sizes import is_one, is_unknown, merged_size
from hornbeam.ir.types import Shape, TensorType, is_float, is_integer, numpy_dtype
from hornbeam.onnx.emitter.kernels import NoKernelError, compute_dtype, onnx_type

if TYPE_CHECKING:
    from hornbeam.onnx.emitter.emit import Emitter

Order = tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of the model. Where `stored_shape` has size 1 and `shape` more, it broadcasts.

    Axis i of the tensor in the file is axis order[i] of the value; None for axes in order.
    """

    emitter: Emitter
    name: str
    dtype: str
    shape: Shape
    stored_shape: Shape
    order: Order = None

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
    def axes(self) -> tuple[int, ...]:
        """The axis of the value that each axis of the tensor in the file is."""
        return tuple(range(len(self.stored_shape))) if self.order is None else self.order

    @property
    def floating(self) -> bool:
        return is_float(self.dtype)

    # Arithmetic of formulas: a number beside a value is a constant of its dtype.
    def __add__(self, other: Value | float) -> Value:
        return elementwise("Add", self, other)

    __radd__ = __add__

    def __sub__(self, other: Value | float) -> Value:
        return elementwise("Sub", self, other)

    def __rsub__(self, other: float) -> Value:
        return elementwise("Sub", self.like(other), self)

    def __mul__(self, other: Value | float) -> Value:
        return elementwise("Mul", self, other)

    __rmul__ = __mul__

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
            return view(self.emitter.size(number), (), ()).cast(self.dtype)
        return self.emitter.constant(np.asarray(number).astype(numpy_dtype(self.dtype)), self.dtype)

    def full(self, number: float | np.ndarray) -> Value:
        """A number repeated to this value's shape."""
        return broadcast(self.like(number), self.shape, ())

    def cast(self, dtype: str) -> Value:
        """ONNX's Cast: integers wrap, floats round (and must fit, for integers)."""
        if dtype == self.dtype:
            return self
        return self.mapped("Cast", dtype, to=onnx_type(dtype))

    def bits(self, dtype: str) -> Value:
        """The same bits as another dtype of the same size."""
        if dtype == self.dtype:
            return self
        if self.emitter.is_zero(self):
            return broadcast(self.emitter.constant(np.zeros((), numpy_dtype(dtype)), dtype), self.shape, ())
        if self.emitter.opset < BIT_CASTS:
            if is_integer(self.dtype) and is_integer(dtype):
                return self.cast(dtype)
            raise NoKernelError(
                f"ONNX before opset {BIT_CASTS} has no cast of bits, {self.dtype} to {dtype}: an export with "
                f"opset_version={BIT_CASTS} has it"
            )
        return self.mapped("BitCast", dtype, to=onnx_type(dtype))

    def mapped(self, operator: str, dtype: str, **attributes: Any) -> Value:
        """The elements under an operator of one operand."""
        node = self.emitter.node
        return node(operator, [self], dtype, self.shape, self.stored_shape, order=self.order, **attributes)

    def contiguous(self, order: Order = None) -> Value:
        """The value with all of its elements stored, its axes in order or in the order named."""
        x = ordered(self, order)
        if x.stored_shape == x.shape:
            return x
        if 0 in x.shape:  # where Expand asks for 0, ONNX Runtime keeps an axis of size 1
            return self.emitter.constant(np.zeros(x.shape, numpy_dtype(x.dtype)), x.dtype)
        work = x.cast(compute_dtype("Expand", x.dtype))
        target = self.emitter.ints([x.shape[a] for a in order or range(x.rank)])
        out = self.emitter.node("Expand", [work, target], work.dtype, x.shape, order=order)
        return out.cast(self.dtype)


def _lifted(operands: Sequence[Value | float]) -> list[Value]:
    like = next(x for x in operands if isinstance(x, Value))
    return [x if isinstance(x, Value) else like.like(x) for x in operands]


def elementwise(operator: str, *operands: Value | float, **attributes: Any) -> Value:
    """An operator that broadcasts, on values of one dtype; the result has that dtype."""
    xs = _lifted(operands)
    if operator == "Sub" and xs[0].emitter.is_zero(xs[1]) and xs[1].shape in ((), xs[0].shape):
        return xs[0]  # ONNX Runtime's own removal of such nodes breaks some models
    work = compute_dtype(operator, xs[0].dtype)
    out = _broadcasting(operator, [x.cast(work) for x in xs], work, **attributes)
    return out.cast(xs[0].dtype)


def compare(operator: str, *operands: Value | float) -> Value:
    """A comparison of values of one dtype: a bool."""
    xs = _lifted(operands)
    work = compute_dtype(operator, xs[0].dtype)
    return _broadcasting(operator, [x.cast(work) for x in xs], "bool")


# From this version of ONNX on there are BitCast and CumProd.
BIT_CASTS = 26
# From this one on all reductions take their axes as an operand.
REDUCTIONS = 18
# From this one on the largest and the smallest of booleans are defined.
BOOL_REDUCTIONS = 20
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
    if not x.emitter.prefers_bits:
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
    return broadcast(like.emitter.constant(np.zeros((), numpy_dtype(dtype)), dtype), shape, ())


def _broadcasting(operator: str, xs: list[Value], dtype: str, **attributes: Any) -> Value:
    shape = _common([x.shape for x in xs])
    stored_shape = _common([x.stored_shape for x in xs])
    # Sizes that are equal in both may have been computed in two ways.
    lead = len(shape) - len(stored_shape)
    stored_shape = tuple([n if n == 1 else full for n, full in zip(stored_shape, shape[lead:], strict=True)])
    order = common_order(xs)
    if order is not None:
        xs = [_full_rank(x, shape, order) if x.stored_shape else x for x in xs]
    return xs[0].emitter.node(operator, xs, dtype, shape, stored_shape, order=order, **attributes)


def common_order(xs: Sequence[Value]) -> Order:
    """The order in which values are combined: that of the first one that is not in order."""
    return next((x.order for x in xs if x.order is not None), None)


def reduced(operator: str, x: Value, axes: Sequence[int], keepdims: bool = False) -> Value:
    """A reduction over `axes`, in the order in which x is stored; keepdims: they stay, with size 1."""
    x = x.contiguous(x.order)
    places = sorted(x.axes.index(a) for a in axes)
    order = x.order
    if keepdims:
        shape = tuple(1 if a in axes else n for a, n in enumerate(x.shape))
    else:
        shape = tuple(n for a, n in enumerate(x.shape) if a not in axes)
        order = _without_axes(order, axes)
    options: dict[str, Any] = {"keepdims": int(keepdims)}
    if operator != "ReduceSum" and x.emitter.opset < REDUCTIONS:
        return x.emitter.node(operator, [x], x.dtype, shape, order=order, axes=places, **options)
    return x.emitter.node(operator, [x, x.emitter.ints(places)], x.dtype, shape, order=order, **options)


def _without_axes(order: Order, axes: Sequence[int]) -> Order:
    """The order of the other axes, once `axes` are gone."""
    if order is None:
        return None
    left = [a for a in order if a not in axes]
    kept = tuple(sum(other < a for other in left) for a in left)
    return None if kept == tuple(range(len(kept))) else kept


def _full_rank(x: Value, shape: Shape, order: Order) -> Value:
    missing = len(shape) - x.rank
    if missing:
        x = view(x, (1,) * missing + x.stored_shape, (1,) * missing + x.shape)
    return ordered(x, order)


def _common(shapes: Sequence[Shape]) -> Shape:
    """The shape that operands broadcast to; unknown sizes are taken to fit."""
    if not any(is_unknown(size) for shape in shapes for size in shape):
        return np.broadcast_shapes(*shapes)
    rank = max(map(len, shapes))
    columns = zip(*([1] * (rank - len(shape)) + list(shape) for shape in shapes), strict=True)
    return tuple([merged_size(*([n for n in column if not is_one(n)] or [1])) for column in columns])


# -- moving elements -----------------------------------------------------------------------------------------
# A value of which one element is stored may be stored with no axes; nothing has to be done to move those.


def view(x: Value, stored_shape: Shape, shape: Shape) -> Value:
    """x under another shape, stored in another one of the same size."""
    if x.stored_shape == stored_shape:
        return replace(x, shape=shape)
    return Value(x.emitter, _reshaped(ordered(x), stored_shape).name, x.dtype, shape, stored_shape)


def _reshaped(x: Value, shape: Shape) -> Value:
    """The tensor of x in the file, as one of another shape: directly from what x itself was reshaped from."""
    base, tensor = x.emitter.reshaped.get(x.name, (x, tuple(x.stored_shape[a] for a in x.axes)))
    if tensor == shape:
        return base
    # Without the attribute a size of 0 would be copied from the operand.
    options: dict[str, Any] = {"allowzero": 1} if 0 in shape else {}
    result = x.emitter.node("Reshape", [base, *_target(x.emitter, tensor, shape)], x.dtype, shape, **options)
    x.emitter.reshaped[result.name] = base, tensor
    return result


def _target(emitter: Emitter, shape: Shape, target: Shape) -> list[Value]:
    """The second operand of Reshape: -1 for a size that it infers, 0 for one that it copies."""
    unknown = [axis for axis, n in enumerate(target) if is_unknown(n)]
    if not unknown or 0 in target:
        return [emitter.ints(target)]
    numbers = list(target)
    if len(unknown) > 1:
        same = [axis for axis in unknown if axis < len(shape) and shape[axis] == target[axis]]
        unknown = [axis for axis in unknown if axis not in same]
        for axis in same:
            numbers[axis] = 0
    if len(unknown) > 1:
        return [emitter.ints(target)]
    for axis in unknown:
        numbers[axis] = -1
    return [emitter.ints(numbers)]


def ordered(x: Value, order: Order = None) -> Value:
    """x stored with its axes in order, or in the order named."""
    if x.order == order or not x.stored_shape:
        return x
    axes = tuple(range(x.rank)) if order is None else order
    stored_shape = tuple(x.stored_shape[a] for a in axes)
    if [a for a in axes if not is_one(x.stored_shape[a])] == [
        a for a in x.axes if not is_one(x.stored_shape[a])
    ]:
        return replace(x, name=_reshaped(x, stored_shape).name, order=order)
    perm = [x.axes.index(a) for a in axes]
    with x.emitter.where_defined(x):
        return x.emitter.node("Transpose", [x], x.dtype, x.shape, x.stored_shape, order=order, perm=perm)


def reshape(x: Value, shape: Shape) -> Value:
    """The same elements in row-major order under another shape."""
    if x.shape == shape:
        return x
    if math.prod(x.stored_shape) == 1:
        return view(x, shape if x.stored_shape and x.size == 1 else (), shape)
    if x.stored_shape != x.shape and (stored_shape := _with_other_ones(x, shape)) is not None:
        return view(x, stored_shape, shape)
    return view(x.contiguous(), shape, shape)


def _with_other_ones(x: Value, shape: Shape) -> Shape | None:
    """The sizes that a value which repeats is stored in under a shape with axes of size 1 at other places."""
    sizes = [(n, kept) for n, kept in zip(x.shape, x.stored_shape, strict=True) if not is_one(n)]
    if [n for n, _ in sizes] != [n for n in shape if not is_one(n)]:
        return None
    kept = iter(sizes)
    return tuple(1 if is_one(n) else next(kept)[1] for n in shape)


def transpose(x: Value, perm: Sequence[int]) -> Value:
    """Axis i of the result is axis perm[i] of x. Nothing is written but a note of the order."""
    shape = tuple(x.shape[a] for a in perm)
    if not x.stored_shape:
        return view(x, (), shape)
    new_axis = {a: i for i, a in enumerate(perm)}
    order = tuple(new_axis[a] for a in x.axes)
    stored_shape = tuple(x.stored_shape[a] for a in perm)
    return replace(
        x, shape=shape, stored_shape=stored_shape, order=None if order == tuple(range(x.rank)) else order
    )


def broadcast(x: Value, shape: Shape, dims: Sequence[int]) -> Value:
    """x repeated to `shape`; its axis i becomes axis dims[i]. Nothing is written but a reshape."""
    if math.prod(x.stored_shape) == 1:
        return view(x, (), shape)
    stored_shape = [1] * len(shape)
    for size, axis in zip(x.stored_shape, dims, strict=True):
        stored_shape[axis] = size
    if len(dims) == len(shape):
        return replace(x, shape=shape, stored_shape=tuple(stored_shape))
    return view(x, tuple(stored_shape), shape)
