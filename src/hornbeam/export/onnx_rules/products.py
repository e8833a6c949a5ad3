"""Dense layers, convolutions and their normalization: one operator with weights and bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.engines.onnx.values import Order, Value, broadcast, reshape, transpose
from hornbeam.engines.onnx.windows import conv as write_conv
from hornbeam.engines.onnx.windows import conv_transpose as write_conv_transpose
from hornbeam.export.onnx_rules.matching import Match, rule_of
from hornbeam.export.patterns import MatchContext, products
from hornbeam.export.patterns.activations import bounds
from hornbeam.export.patterns.products import bias_of
from hornbeam.ir.node import Node
from hornbeam.ir.types import Shape

# -- dense ---------------------------------------------------------------------------------------------------


def dense(context: MatchContext, node: Node, bias: Node | None = None) -> Match | None:
    """The product of a value with known weights."""
    x, w = node.inputs
    contract, batch = node.params["contract"], node.params["batch"]
    x_free, w_free = ([a for a in range(n.rank) if a not in c] for n, c in zip((x, w), contract, strict=True))
    if batch[0] or w not in context.known or x in context.known or not x_free or 0 in w.shape:
        return None
    left, columns = tuple(x.shape[a] for a in x_free), math.prod(w.shape[a] for a in w_free)
    image = _flattened(x) if len(contract[0]) == 1 else None

    def write(x: Value, w: Value, *bias: Value) -> Value:
        w = transpose(w, [*contract[1], *w_free])
        rows, matrix = (
            _rows_of_image(x, w) if image else _rows(transpose(x, [*x_free, *contract[0]]), w, left)
        )
        shape = (*left, columns)
        if len(left) == 1:
            product = rows.emitter.node("Gemm", [rows, matrix, *bias], x.dtype, shape)
        else:
            product = rows.emitter.node("MatMul", [rows, matrix], x.dtype, shape)
            for vector in bias:
                product = rows.emitter.node("Add", [product, vector], x.dtype, shape)
        return reshape(product, node.shape)

    return Match((image or x, w, *([] if bias is None else [bias])), write, node.scope)


def _rows(x: Value, w: Value, left: Shape) -> tuple[Value, Value]:
    """Axes that are summed over as the last one of x, and as the first one of a matrix."""
    inner = math.prod(x.shape[len(left) :])
    columns = w.size // inner
    return reshape(x, (*left, inner)).contiguous(), reshape(w, (inner, columns)).contiguous()


def _flattened(x: Node) -> Node | None:
    """The image that x has as rows."""
    if x.name != "reshape" or x.rank != 2:
        return None
    image = x.inputs[0]
    return image if image.rank > 2 and image.shape[0] == x.shape[0] else None


def _rows_of_image(x: Value, w: Value) -> tuple[Value, Value]:
    """Rows of the elements as they are stored, channels first or last, and the weights in the same order."""
    x = x.contiguous(x.order)
    if x.axes[0]:
        x = x.contiguous()
    tensor = transpose(x, x.axes)
    weights = reshape(w, (*x.shape[1:], w.size // math.prod(x.shape[1:])))
    moved = transpose(weights, [*(a - 1 for a in x.axes[1:]), weights.rank - 1])
    return _rows(tensor, moved, x.shape[:1])


def dense_with_bias(context: MatchContext, node: Node) -> Match | None:
    for product, other in (node.inputs, node.inputs[::-1]):
        if product.name == "dot_general" and len(context.readers[product]) == 1:
            right = product.inputs[1].rank - len(product.params["contract"][1])
            bias = bias_of(context, other, right)
            if bias is not None:
                return dense(context, product, bias)
    return None


# -- integers ------------------------------------------------------------------------------------------------


def quantized_dense(context: MatchContext, node: Node) -> Match | None:
    """The product of rows that are rounded to int8, each by its own scale, with weights of int8.

    Around both are QuantizeLinear and DequantizeLinear, which runtimes replace by a product of integers.
    """
    product, divisor = node.inputs
    if product.name != "dot_general" or divisor.name != "mul" or len(context.readers[product]) > 1:
        return None
    rounded, w = (_integers(x) for x in product.inputs)
    limits = None if rounded is None else bounds(context, rounded)
    if limits is None or limits[1:] != (-127, 127) or limits[0].name != "round" or w not in context.known:
        return None
    right = product.inputs[1].rank - len(product.params["contract"][1])
    pairs = [(x, bias_of(context, y, right)) for x, y in (divisor.inputs, divisor.inputs[::-1])]
    factor, vector = next(((x, y) for x, y in pairs if y is not None), (divisor, None))
    multiply = dense(context, product)
    if vector is None or w is None or multiply is None:
        return None
    columns = w.shape[-right:]

    def write(x: Value, factor: Value, w: Value, scales: Value) -> Value:
        integers = _linear("QuantizeLinear", x, x.emitter.constant(np.float32(1), x.dtype), "int8")
        dequantized = _linear(
            "DequantizeLinear", integers, x.emitter.constant(np.float32(1), x.dtype), x.dtype
        )
        matrix = reshape(w, (w.size // math.prod(columns), math.prod(columns))).contiguous()
        weights = _linear("DequantizeLinear", matrix, scales, x.dtype, axis=1)
        return multiply.write(dequantized, reshape(weights, w.shape)) / factor

    inverse = context.learn(1.0 / vector)
    return Match((limits[0].inputs[0], factor, w, inverse), write, node.scope)


def _integers(x: Node) -> Node | None:
    """The operand of a conversion to float of int8, itself converted from floats or known."""
    if x.name != "convert" or x.inputs[0].dtype != "int8":
        return None
    inner = x.inputs[0]
    return inner.inputs[0] if inner.name == "convert" else inner


def _linear(operator: str, x: Value, scale: Value, dtype: str, **attributes: Any) -> Value:
    zero = x.emitter.constant(np.zeros((), np.int8), "int8") if not attributes else None
    operands = [x, scale.contiguous()] if zero is None else [x, scale, zero]
    return x.emitter.node(operator, operands, dtype, x.shape, x.stored_shape, order=x.order, **attributes)


# -- convolutions --------------------------------------------------------------------------------------------


def _convolution(*values: Value, **params: Any) -> Value:
    return (write_conv_transpose if "input_shape" in params else write_conv)(*values, **params)


convolution = rule_of(products.convolution, _convolution)
convolution_with_bias = rule_of(products.convolution_with_bias, _convolution)

# -- batch normalization -------------------------------------------------------------------------------------


def _channels_first(rank: int, axis: int) -> Order:
    order = (0, axis, *(a for a in range(1, rank) if a != axis))
    return None if order == tuple(range(rank)) else order


def scale_and_shift(context: MatchContext, node: Node) -> Match | None:
    """A batch normalization of which only a scale and an offset are left."""
    operator = products.scale_and_shift(context, node)
    if operator is None or node.rank < 2 or operator.params["axis"] == 0:
        return None
    axis = operator.params["axis"]

    def write(x: Value, scale: Value, shift: Value) -> Value:
        order = _channels_first(x.rank, axis)
        if x.order != order and x.stored_shape:
            return x * broadcast(scale, x.shape, (axis,)) + broadcast(shift, x.shape, (axis,))
        return _normalized(x, order, axis, [scale, shift, None, None], 0.0)

    return Match(operator.inputs, write)


def _normalized(x: Value, order: Order, axis: int, parts: list[Value | None], epsilon: float) -> Value:
    """BatchNormalization by scale, offset, mean and variance; None for those that change nothing."""
    count, vector = x.shape[axis], x.emitter.vector
    values = [
        vector(np.full(count, neutral, np.float32), x.dtype) if part is None else part.contiguous()
        for part, neutral in zip(parts, (1, 0, 0, 1), strict=True)
    ]
    operands = [x.contiguous(order), *values]
    return x.emitter.node("BatchNormalization", operands, x.dtype, x.shape, order=order, epsilon=epsilon)


def _batch_normalization(
    x: Value, *weights: Value, axis: int, epsilon: float, present: Sequence[bool]
) -> Value:
    rest = iter(weights)
    parts = [next(rest) if exists else None for exists in present]
    return _normalized(x, _channels_first(x.rank, axis), axis, parts, epsilon)


batch_normalization = rule_of(products.batch_normalization, _batch_normalization)


def image_normalization(context: MatchContext, node: Node) -> Match | None:
    """A batch normalization of images or rows. That of sequences needs their axes in another order."""
    return None if node.rank == 3 else batch_normalization(context, node)
