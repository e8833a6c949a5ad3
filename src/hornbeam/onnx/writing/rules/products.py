"""Rules that write dense layers, convolutions and normalizations as operators of ONNX, bias included.

A rule returns the `Match` of a node, or None where the operator does not hold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.export.patterns import MatchContext, products
from hornbeam.export.patterns.activations import bounds
from hornbeam.export.patterns.products import bias_of
from hornbeam.ir.node import Node
from hornbeam.ir.types import Shape
from hornbeam.onnx.emitter.values import Order, Value, broadcast, reshape, transpose
from hornbeam.onnx.emitter.windows import conv as write_conv
from hornbeam.onnx.emitter.windows import conv_transpose as write_conv_transpose
from hornbeam.onnx.writing.rules.matching import Match, rule_of

# -- dense ---------------------------------------------------------------------------------------------------


def dense(context: MatchContext, node: Node, bias: Node | None = None) -> Match | None:
    """The product of a value with known weights: Gemm for rows, MatMul for more axes."""
    x, w = node.inputs
    contract, batch_axes = node.params["contract"], node.params["batch"]
    x_free, w_free = ([a for a in range(n.rank) if a not in c] for n, c in zip((x, w), contract, strict=True))
    if batch_axes[0] or w not in context.known or x in context.known or not x_free or 0 in w.shape:
        return None
    batch_shape, columns = tuple(x.shape[a] for a in x_free), math.prod(w.shape[a] for a in w_free)
    image = _flattened(x) if len(contract[0]) == 1 else None

    def write(x: Value, w: Value, *bias: Value) -> Value:
        w = transpose(w, [*contract[1], *w_free])
        rows, matrix = (
            _rows_of_image(x, w) if image else _rows(transpose(x, [*x_free, *contract[0]]), w, batch_shape)
        )
        shape = (*batch_shape, columns)
        if len(batch_shape) == 1:
            product = rows.emitter.node("Gemm", [rows, matrix, *bias], x.dtype, shape)
        else:
            product = rows.emitter.node("MatMul", [rows, matrix], x.dtype, shape)
            for vector in bias:
                product = rows.emitter.node("Add", [product, vector], x.dtype, shape)
        return reshape(product, node.shape)

    return Match((image or x, w, *([] if bias is None else [bias])), write, node.scope)


def _rows(x: Value, w: Value, batch_shape: Shape) -> tuple[Value, Value]:
    """Merge the contracted axes: to the last one of x, and to the rows of a weight matrix."""
    depth = math.prod(x.shape[len(batch_shape) :])
    columns = w.size // depth
    return reshape(x, (*batch_shape, depth)).contiguous(), reshape(w, (depth, columns)).contiguous()


def _flattened(x: Node) -> Node | None:
    """The image (B, ..., C) of which x is the flattened form (B, features), None if there is none."""
    if x.name != "reshape" or x.rank != 2:
        return None
    image = x.inputs[0]
    return image if image.rank > 2 and image.shape[0] == x.shape[0] else None


def _rows_of_image(x: Value, w: Value) -> tuple[Value, Value]:
    """Flatten an image as it is stored, channels first or last, and reorder the weights, which are constants.

    This saves a Transpose of the image where ONNX has its channels first.
    """
    x = x.contiguous(x.order)
    if x.axes[0]:  # the batch is not the first axis in memory
        x = x.contiguous()
    as_stored = transpose(x, x.axes)
    weights = reshape(w, (*x.shape[1:], w.size // math.prod(x.shape[1:])))
    reordered = transpose(weights, [*(a - 1 for a in x.axes[1:]), weights.rank - 1])
    return _rows(as_stored, reordered, x.shape[:1])


def dense_with_bias(context: MatchContext, node: Node) -> Match | None:
    """The sum of a product that has no other reader and a known vector."""
    for product, other in (node.inputs, node.inputs[::-1]):
        if product.name == "dot_general" and len(context.readers[product]) == 1:
            columns_rank = product.inputs[1].rank - len(product.params["contract"][1])
            bias = bias_of(context, other, columns_rank)
            if bias is not None:
                return dense(context, product, bias)
    return None


# -- int8 ----------------------------------------------------------------------------------------------------


def quantized_dense(context: MatchContext, node: Node) -> Match | None:
    """The product of rows that are rounded to int8, each by its own scale, with weights of int8.

    The node is `dot(clip(round(x), -127, 127), w) / (factor * vector)`: x was multiplied by a factor for each
    row, and w by a vector with an entry for each column. The operands of the product are written as results
    of DequantizeLinear, which runtimes replace by a product of integers.
    """
    product, divisor = node.inputs
    if product.name != "dot_general" or divisor.name != "mul" or len(context.readers[product]) > 1:
        return None
    clipped, w = (_before_int8(x) for x in product.inputs)
    limits = None if clipped is None else bounds(context, clipped)
    if limits is None or limits[1:] != (-127, 127) or limits[0].name != "round" or w not in context.known:
        return None
    columns_rank = product.inputs[1].rank - len(product.params["contract"][1])
    pairs = [(x, bias_of(context, y, columns_rank)) for x, y in (divisor.inputs, divisor.inputs[::-1])]
    factor, vector = next(((x, y) for x, y in pairs if y is not None), (divisor, None))
    multiply = dense(context, product)
    if vector is None or w is None or multiply is None:
        return None
    columns = w.shape[-columns_rank:]

    def write(x: Value, factor: Value, w: Value, scales: Value) -> Value:
        integers = _quantize_op("QuantizeLinear", x, x.emitter.constant(np.float32(1), x.dtype), "int8")
        dequantized = _quantize_op(
            "DequantizeLinear", integers, x.emitter.constant(np.float32(1), x.dtype), x.dtype
        )
        matrix = reshape(w, (w.size // math.prod(columns), math.prod(columns))).contiguous()
        weights = _quantize_op("DequantizeLinear", matrix, scales, x.dtype, axis=1)
        return multiply.write(dequantized, reshape(weights, w.shape)) / factor

    inverse = context.learn(1.0 / vector)
    return Match((limits[0].inputs[0], factor, w, inverse), write, node.scope)


def _before_int8(x: Node) -> Node | None:
    """Return what x is a float copy of: the floats before a conversion to int8 and back, or known int8."""
    if x.name != "convert" or x.inputs[0].dtype != "int8":
        return None
    inner = x.inputs[0]
    return inner.inputs[0] if inner.name == "convert" else inner


def _quantize_op(operator: str, x: Value, scale: Value, dtype: str, **attributes: Any) -> Value:
    # The zero point gives the dtype of QuantizeLinear; with an axis there would have to be one per column.
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
    """Return the order in which `axis` is the second one, where BatchNormalization has its channels."""
    order = (0, axis, *(a for a in range(1, rank) if a != axis))
    return None if order == tuple(range(rank)) else order


def scale_and_shift(context: MatchContext, node: Node) -> Match | None:
    """A batch normalization of which only a scale and an offset are left after folding its statistics."""
    operator = products.scale_and_shift(context, node)
    if operator is None or node.rank < 2 or operator.params["axis"] == 0:
        return None
    axis = operator.params["axis"]

    def write(x: Value, scale: Value, shift: Value) -> Value:
        order = _channels_first(x.rank, axis)
        # Two elementwise operators, rather than a Transpose into the order of BatchNormalization.
        if x.order != order and x.stored_shape:
            return x * broadcast(scale, x.shape, (axis,)) + broadcast(shift, x.shape, (axis,))
        return _normalized(x, order, axis, [scale, shift, None, None], 0.0)

    return Match(operator.inputs, write)


def _normalized(x: Value, order: Order, axis: int, parts: list[Value | None], epsilon: float) -> Value:
    """Write BatchNormalization by `parts`: scale, offset, mean and variance, None for 1, 0, 0 and 1."""
    count, vector = x.shape[axis], x.emitter.vector
    values = [
        vector(np.full(count, identity, np.float32), x.dtype) if part is None else part.contiguous()
        for part, identity in zip(parts, (1, 0, 0, 1), strict=True)
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
