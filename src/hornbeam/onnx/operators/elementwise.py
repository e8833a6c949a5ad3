"""Elementwise ONNX operators."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, unify
from hornbeam.core.symbolic import STRING
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import GraphError
from hornbeam.ir.types import is_float
from hornbeam.onnx.operators.strings import cast_text, is_text
from hornbeam.onnx.operators.vocabulary import ANY, Call, axis_of, number, operator

UNARY: dict[str, Callable[[Any], Tensor]] = {
    "Abs": ops.absolute, "Acos": ops.arccos, "Acosh": ops.arccosh, "Asin": ops.arcsin, "Asinh": ops.arcsinh,
    "Atan": ops.arctan, "Atanh": ops.arctanh, "BitwiseNot": ops.bitwise_not, "Ceil": ops.ceil,
    "Cos": ops.cos, "Cosh": ops.cosh, "Erf": ops.erf, "Exp": ops.exp, "Floor": ops.floor,
    "HardSwish": ops.hard_silu, "IsNaN": ops.isnan, "Log": ops.log,
    "Mish": lambda x: x * ops.tanh(ops.softplus(x)),
    "Neg": ops.negative, "Not": ops.logical_not, "Reciprocal": ops.reciprocal, "Relu": ops.relu,
    "Round": ops.round, "Sigmoid": ops.sigmoid, "Sign": ops.sign, "Sin": ops.sin, "Sinh": ops.sinh,
    "Softplus": ops.softplus, "Softsign": ops.softsign, "Sqrt": ops.sqrt, "Tan": ops.tan, "Tanh": ops.tanh,
}  # fmt: skip

# Comparisons, logic, and arithmetic of one dtype.
BINARY: dict[str, Callable[[Any, Any], Tensor]] = {
    "And": ops.logical_and, "Or": ops.logical_or, "Xor": ops.logical_xor, "BitwiseAnd": ops.bitwise_and,
    "BitwiseOr": ops.bitwise_or, "BitwiseXor": ops.bitwise_xor, "Equal": ops.equal, "Greater": ops.greater,
    "GreaterOrEqual": ops.greater_equal, "Less": ops.less, "LessOrEqual": ops.less_equal,
    "Sub": ops.subtract,
}  # fmt: skip

for _name, _unary in UNARY.items():
    operator(_name, ANY)(lambda call, x, fn=_unary: fn(x))
for _name, _binary in BINARY.items():
    operator(_name, ANY)(lambda call, x, y, fn=_binary: fn(x, y))
# A bias, or a scale, is trained.
operator("Add", ANY, weights=(0, 1))(lambda call, x, y: ops.add(x, y))
operator("Mul", ANY, weights=(0, 1))(lambda call, x, y: ops.multiply(x, y))


@operator("Identity Dropout", ANY, through=1, tensors=0)
def identity(call: Call, x: TensorLike, *rest: Any) -> Any:
    """Return the input; the mask of a dropout is True everywhere, since it does nothing."""
    return (x, ops.ones_like(as_tensor(x), dtype="bool"))[: call.outputs]


@operator("Div", ANY)
def divide(call: Call, x: Tensor, y: Tensor) -> Tensor:
    """Divide; integers are truncated towards 0."""
    return Tensor(p.div(*unify(x, y)))


@operator("Pow", ANY)
def power(call: Call, x: Tensor, y: Tensor) -> Tensor:
    """Raise x to the power y, in the dtype of x."""
    return ops.cast(ops.power(x, ops.cast(y, x.dtype) if is_float(x.dtype) else y), x.dtype)


@operator("Mod", ANY)
def modulo(call: Call, x: Tensor, y: Tensor) -> Tensor:
    """Compute the remainder of a division, with the sign of y, or with fmod=1 of x."""
    return Tensor(p.rem(*unify(x, y))) if call.get("fmod", 0) else ops.mod(x, y)


@operator("BitShift", ANY)
def shift(call: Call, x: Tensor, y: Tensor) -> Tensor:
    """Shift the bits of x by y."""
    function = ops.left_shift if call.get("direction", "") == "LEFT" else ops.right_shift
    return function(x, y)


def _reduce_inputs(fn: Callable[[Any, Any], Tensor]) -> Callable[..., Tensor]:
    return lambda call, *xs: functools.reduce(fn, xs)


operator("Max", ANY)(_reduce_inputs(ops.maximum))
operator("Min", ANY)(_reduce_inputs(ops.minimum))
operator("Sum", ANY)(_reduce_inputs(ops.add))


@operator("Mean", ANY)
def mean(call: Call, *xs: Tensor) -> Tensor:
    """Average several tensors elementwise."""
    return functools.reduce(ops.add, xs) / len(xs)


@operator("Where", ANY)
def where(call: Call, condition: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Select x where the condition holds, y elsewhere."""
    return ops.where(condition, x, y)


@operator("Clip", ANY)
def clip(call: Call, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    """Clip x to bounds, which are attributes before version 11 and inputs from then on."""
    if call.opset < 11:
        low, high = call.attributes.get("min"), call.attributes.get("max")
    for bound, fn in ((low, ops.maximum), (high, ops.minimum)):
        if bound is not None:
            x = fn(x, ops.cast(as_tensor(bound), x.dtype))
    return x


@operator("IsInf", ANY)
def is_infinite(call: Call, x: Tensor) -> Tensor:
    """Mark infinite elements, of the requested signs."""
    positive = ops.isposinf(x) if call.get("detect_positive", 1) else ops.zeros_like(x, dtype="bool")
    return ops.logical_or(positive, ops.isneginf(x)) if call.get("detect_negative", 1) else positive


# -- activations ---------------------------------------------------------------------------------------------


def _shrink(x: Tensor, border: float, bias: float) -> Tensor:
    return ops.where(x < -border, x + bias, ops.where(x > border, x - bias, ops.zeros_like(x)))


# Functions of x and of attributes, and the attributes with their defaults.
ACTIVATIONS: dict[str, tuple[Callable[..., Tensor], dict[str, float]]] = {
    "Celu": (ops.celu, {"alpha": 1.0}),
    "Elu": (ops.elu, {"alpha": 1.0}),
    "HardSigmoid": (lambda x, alpha, beta: ops.clip(x * alpha + beta, 0.0, 1.0), {"alpha": 0.2, "beta": 0.5}),
    "LeakyRelu": (ops.leaky_relu, {"alpha": 0.01}),
    "Selu": (
        lambda x, alpha, gamma: gamma * ops.elu(x, alpha),
        {"alpha": 1.67326319217681884765625, "gamma": 1.05070102214813232421875},
    ),
    "Shrink": (_shrink, {"lambd": 0.5, "bias": 0.0}),
    "Swish": (lambda x, alpha: x * ops.sigmoid(alpha * x), {"alpha": 1.0}),
    "ThresholdedRelu": (lambda x, alpha: ops.threshold(x, alpha, 0.0), {"alpha": 1.0}),
}


def _activation(function: Callable[..., Tensor], attributes: dict[str, float]) -> Callable[..., Tensor]:
    return lambda call, x: function(x, *(call.get(name, default) for name, default in attributes.items()))


for _name, (_function, _attributes) in ACTIVATIONS.items():
    operator(_name, ANY)(_activation(_function, _attributes))


@operator("PRelu", ANY, weights=(1,))
def prelu(call: Call, x: Tensor, negative_slope: Tensor) -> Tensor:
    """Multiply the negative part by a trained factor."""
    return ops.where(x < 0, x * negative_slope, x)


@operator("Gelu", ANY)
def gelu(call: Call, x: Tensor) -> Tensor:
    """Multiply x by the normal distribution function at x, or its approximation by tanh."""
    return ops.gelu(x, approximate=call.get("approximate", "none") == "tanh")


# -- dtypes --------------------------------------------------------------------------------------------------

# ONNX's codes of dtypes.
DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 9: "bool",
    8: STRING, 10: "float16", 11: "float64", 12: "uint32", 13: "uint64", 16: "bfloat16",
}  # fmt: skip


def dtype_of(code: Any) -> str:
    """Return the dtype of ONNX's code. Raises GraphError."""
    if code not in DTYPES:
        raise GraphError(
            f"tensors of ONNX's dtype {code!r} (complex numbers, small floats) are not supported"
        )
    return DTYPES[code]


@operator("Cast", ANY, through=1, tensors=0)
def cast(call: Call, x: TensorLike) -> Any:
    """Cast x to another dtype, which is a name before version 6."""
    call.only(saturate=1)
    to = call.get("to")
    name = (
        {"FLOAT": "float32", "DOUBLE": "float64"}.get(to, to.lower()) if isinstance(to, str) else dtype_of(to)
    )
    return cast_text(x, name) if name == STRING or is_text(x) else ops.cast(as_tensor(x), name)


@operator("CastLike", ANY, tensors=0)
def cast_like(call: Call, x: TensorLike, like: Any) -> Any:
    """Cast x to the dtype of another tensor."""
    call.only(saturate=1)
    if is_text(x) or is_text(like):
        return cast_text(x, STRING if is_text(like) else str(like.dtype))
    return ops.cast(as_tensor(x), str(like.dtype))


@operator("BitCast", ANY)
def bitcast(call: Call, x: Tensor) -> Tensor:
    """Reinterpret the bits as another dtype of the same size."""
    dtype = dtype_of(call.get("to"))
    return ops.cast(x, dtype) if "bool" in (x.dtype, dtype) else Tensor(p.bitcast(x.node, dtype))


# -- along axes, keeping them --------------------------------------------------------------------------------


def _rows(call: Call, x: Tensor, fn: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Apply `fn` along one axis; before version 13 along all axes from there on, flattened."""
    axis = call.get("axis", -1 if call.opset >= 13 else 1)
    if call.opset >= 13:
        return fn(x, axis)
    position = axis % max(len(x.shape), 1)
    matrix = ops.reshape(x, (math.prod(x.shape[:position]), math.prod(x.shape[position:])))
    return ops.reshape(fn(matrix, -1), x.shape)


operator("Softmax")(lambda call, x: _rows(call, x, ops.softmax))
operator("LogSoftmax")(lambda call, x: _rows(call, x, ops.log_softmax))


@operator("Hardmax")
def hardmax(call: Call, x: Tensor) -> Tensor:
    """Return 1 at the first largest element, 0 elsewhere."""

    def largest(rows: Tensor, axis: int) -> Tensor:
        return ops.one_hot(ops.argmax(rows, axis=axis), rows.shape[axis], axis=axis, dtype=x.dtype)

    return _rows(call, x, largest)


def _cumulative(call: Call, x: Tensor, axis: Any, rule: Callable[..., Any], neutral: float) -> Tensor:
    """Accumulate along an axis, in either direction, including the element itself or not."""
    node = x.node
    position, backwards = axis_of(number(axis, "axis"), node.rank), bool(call.get("reverse", 0))
    if call.get("exclusive", 0):
        low = [int(i == position and not backwards) for i in range(node.rank)]
        high = [int(i == position and backwards) for i in range(node.rank)]
        node = p.pad(node, neutral, tuple(low), tuple(high))
        start = tuple(high)
        stop = tuple(n - a for n, a in zip(node.shape, low, strict=True))
        node = p.slice_(node, start, stop)
    return Tensor(rule(node, position, backwards))


operator("CumSum", tensors=1)(lambda call, x, axis: _cumulative(call, x, axis, p.cumsum, 0))
operator("CumProd", tensors=1)(lambda call, x, axis: _cumulative(call, x, axis, p.cumprod, 1))
