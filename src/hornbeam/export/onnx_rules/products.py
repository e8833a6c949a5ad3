"""Dense layers, convolutions and their normalization: one operator with weights and bias."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.engines.onnx.values import Order, Value, reshape, spread, transpose
from hornbeam.engines.onnx.windows import conv as write_conv
from hornbeam.engines.onnx.windows import conv_transpose as write_conv_transpose
from hornbeam.export.onnx_rules.activations import bounds
from hornbeam.export.onnx_rules.site import Match, Site
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import Shape

# -- dense ---------------------------------------------------------------------------------------------------


def dense(site: Site, node: Node, bias: Node | None = None) -> Match | None:
    """The product of a value with known weights."""
    x, w = node.inputs
    contract, batch = node.params["contract"], node.params["batch"]
    x_free, w_free = ([a for a in range(n.rank) if a not in c] for n, c in zip((x, w), contract, strict=True))
    if batch[0] or w not in site.known or x in site.known or not x_free or 0 in w.shape:
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
    return reshape(x, (*left, inner)).plain(), reshape(w, (inner, columns)).plain()


def _flattened(x: Node) -> Node | None:
    """The image that x has as rows."""
    if x.name != "reshape" or x.rank != 2:
        return None
    image = x.inputs[0]
    return image if image.rank > 2 and image.shape[0] == x.shape[0] else None


def _rows_of_image(x: Value, w: Value) -> tuple[Value, Value]:
    """Rows of the elements as they are stored, channels first or last, and the weights in the same order."""
    x = x.plain(x.order)
    if x.axes[0]:
        x = x.plain()
    stored = transpose(x, x.axes)
    weights = reshape(w, (*x.shape[1:], w.size // math.prod(x.shape[1:])))
    moved = transpose(weights, [*(a - 1 for a in x.axes[1:]), weights.rank - 1])
    return _rows(stored, moved, x.shape[:1])


def dense_with_bias(site: Site, node: Node) -> Match | None:
    for product, other in (node.inputs, node.inputs[::-1]):
        if product.name == "dot_general" and len(site.readers[product]) == 1:
            right = product.inputs[1].rank - len(product.params["contract"][1])
            bias = _bias(site, other, right)
            if bias is not None:
                return dense(site, product, bias)
    return None


def _bias(site: Site, node: Node, count: int) -> Node | None:
    """The known value that is repeated along all axes but the last `count`, as a vector."""
    if count == 1 and (vector := site.along(node)) is not None and vector[1] == node.rank - 1:
        return site.learn(vector[0])
    if node.name != "broadcast" or node.inputs[0] not in site.known:
        return None
    small, dims = node.inputs[0], node.params["dims"]
    sizes = {axis: size for axis, size in zip(dims, small.shape, strict=True) if size != 1}
    last = range(node.rank - count, node.rank)
    if any(sizes.get(axis, 1) != (node.shape[axis] if axis in last else 1) for axis in range(node.rank)):
        return None
    return site.learn(p.reshape(small, (math.prod(small.shape),)))


# -- integers ------------------------------------------------------------------------------------------------


def quantized_dense(site: Site, node: Node) -> Match | None:
    """The product of rows that are rounded to int8, each by its own scale, with weights of int8.

    Around both are QuantizeLinear and DequantizeLinear, which runtimes replace by a product of integers.
    """
    product, divisor = node.inputs
    if product.name != "dot_general" or divisor.name != "mul" or len(site.readers[product]) > 1:
        return None
    rounded, w = (_integers(x) for x in product.inputs)
    limits = None if rounded is None else bounds(site, rounded)
    if limits is None or limits[1:] != (-127, 127) or limits[0].name != "round" or w not in site.known:
        return None
    right = product.inputs[1].rank - len(product.params["contract"][1])
    pairs = [(x, _bias(site, y, right)) for x, y in (divisor.inputs, divisor.inputs[::-1])]
    factor, vector = next(((x, y) for x, y in pairs if y is not None), (divisor, None))
    multiply = dense(site, product)
    if vector is None or w is None or multiply is None:
        return None
    columns = w.shape[-right:]

    def write(x: Value, factor: Value, w: Value, scales: Value) -> Value:
        integers = _linear("QuantizeLinear", x, x.emitter.constant(np.float32(1), x.dtype), "int8")
        restored = _linear("DequantizeLinear", integers, x.emitter.constant(np.float32(1), x.dtype), x.dtype)
        matrix = reshape(w, (w.size // math.prod(columns), math.prod(columns))).plain()
        weights = _linear("DequantizeLinear", matrix, scales, x.dtype, axis=1)
        return multiply.write(restored, reshape(weights, w.shape)) / factor

    inverse = site.learn(1.0 / vector)
    return Match((limits[0].inputs[0], factor, w, inverse), write, node.scope)


def _integers(x: Node) -> Node | None:
    """The operand of a conversion to float of int8, itself converted from floats or known."""
    if x.name != "convert" or x.inputs[0].dtype != "int8":
        return None
    inner = x.inputs[0]
    return inner.inputs[0] if inner.name == "convert" else inner


def _linear(operator: str, x: Value, scale: Value, dtype: str, **attributes: Any) -> Value:
    zero = x.emitter.constant(np.zeros((), np.int8), "int8") if not attributes else None
    operands = [x, scale.plain()] if zero is None else [x, scale, zero]
    return x.emitter.node(operator, operands, dtype, x.shape, x.stored, order=x.order, **attributes)


# -- convolutions --------------------------------------------------------------------------------------------


def padded_by(site: Site, x: Node, value: float) -> tuple[Node, list[tuple[int, int]]]:
    """x without its padding, if that consists of `value`, and the padding."""
    none = [(0, 0)] * (x.rank - 2)
    if x.name != "pad" or not site.is_number(x.inputs[1], value) or any(x.params["interior"]):
        return x, none
    pairs = list(zip(x.params["low"], x.params["high"], strict=True))
    if (
        any(is_unknown(n) or n < 0 for pair in pairs for n in pair)
        or pairs[0] != (0, 0)
        or pairs[-1] != (0, 0)
    ):
        return x, none
    return x.inputs[0], pairs[1:-1]


def convolution(site: Site, node: Node, bias: Node | None = None) -> Match | None:
    """A convolution, or a transposed one, with known weights."""
    x, w = node.inputs
    if w not in site.known or x in site.known:
        return None
    params = dict(node.params)
    write: Any = write_conv_transpose
    if node.name == "conv":
        write = write_conv
        x, around = padded_by(site, x, 0)
        sides = zip(params["padding"], around, strict=True)
        params["padding"] = tuple((a + c, b + d) for (a, b), (c, d) in sides)
    inputs = (x, w) if bias is None else (x, w, bias)
    return Match(inputs, lambda *values: write(*values, **params), node.scope)


def convolution_with_bias(site: Site, node: Node) -> Match | None:
    for product, other in (node.inputs, node.inputs[::-1]):
        if product.name in ("conv", "conv_input_grad") and len(site.readers[product]) == 1:
            bias = _bias(site, other, 1)
            if bias is not None:
                return convolution(site, product, bias)
    return None


# -- batch normalization -------------------------------------------------------------------------------------


def _channels_first(rank: int, axis: int) -> Order:
    order = (0, axis, *(a for a in range(1, rank) if a != axis))
    return None if order == tuple(range(rank)) else order


def _scale_and_shift(site: Site, node: Node) -> tuple[Node, Node, Node, int] | None:
    """x, s and t of x s + t, where s and t are vectors along the same axis, and the axis."""
    for product, other in (node.inputs, node.inputs[::-1]):
        shift = site.along(other) if product.name == "mul" else None
        if shift is None or len(site.readers[product]) > 1:
            continue
        for x, factor in (product.inputs, product.inputs[::-1]):
            scale = site.along(factor)
            if scale is not None and scale[1] == shift[1] and x not in site.known:
                return x, site.learn(scale[0]), site.learn(shift[0]), scale[1]
    return None


def scale_and_shift(site: Site, node: Node) -> Match | None:
    """A batch normalization of which only a scale and an offset are left."""
    parts = _scale_and_shift(site, node)
    if parts is None or node.rank < 2 or parts[3] == 0:
        return None
    x, scale, shift, axis = parts

    def write(x: Value, scale: Value, shift: Value) -> Value:
        order = _channels_first(x.rank, axis)
        if x.order != order and x.stored:
            return x * spread(scale, x.shape, (axis,)) + spread(shift, x.shape, (axis,))
        return _normalized(x, order, axis, [scale, shift, None, None], 0.0)

    return Match((x, scale, shift), write)


def _normalized(x: Value, order: Order, axis: int, parts: list[Value | None], epsilon: float) -> Value:
    """BatchNormalization by scale, offset, mean and variance; None for those that change nothing."""
    count, vector = x.shape[axis], x.emitter.vector
    values = [
        vector(np.full(count, neutral, np.float32), x.dtype) if part is None else part.plain()
        for part, neutral in zip(parts, (1, 0, 0, 1), strict=True)
    ]
    operands = [x.plain(order), *values]
    return x.emitter.node("BatchNormalization", operands, x.dtype, x.shape, order=order, epsilon=epsilon)


def batch_normalization(site: Site, node: Node) -> Match | None:
    """(x - mean) * rsqrt(variance + epsilon) * gamma + beta, with the layer's own four weights."""
    parts = _scale_and_shift(site, node)
    if parts is None or node.rank < 2 or parts[3] == 0:
        return None
    x, factor, shift, axis = parts
    factor, shift = _unshaped(factor), _unshaped(shift)
    gamma, root = _product_with(site, factor, "rsqrt")
    beta, centre = _sum_with(site, shift, factor)
    if root is None or centre is None or root.inputs[0].name != "add":
        return None
    pair = [(a, site.number(b)) for a, b in (root.inputs[0].inputs, root.inputs[0].inputs[::-1])]
    variance, epsilon = next(((a, n) for a, n in pair if n is not None), (None, None))
    if variance is None or epsilon is None:
        return None
    mean = centre
    weights = [gamma, beta, mean, variance]
    order = _channels_first(node.rank, axis)

    def write(x: Value, *values: Value) -> Value:
        rest = iter(values)
        parts = [None if part is None else next(rest) for part in weights]
        return _normalized(x, order, axis, parts, epsilon)

    return Match((x, *(part for part in weights if part is not None)), write)


def image_normalization(site: Site, node: Node) -> Match | None:
    """A batch normalization of images or rows. That of sequences needs their axes in another order."""
    return None if node.rank == 3 else batch_normalization(site, node)


def _unshaped(node: Node) -> Node:
    while node.name == "reshape":
        node = node.inputs[0]
    return node


def _product_with(site: Site, node: Node, name: str) -> tuple[Node | None, Node | None]:
    """The other factor, None if there is no other, and the factor of that name, None if there is no such."""
    if node.name == name:
        return None, node
    if node.name == "mul":
        for x, y in (node.inputs, node.inputs[::-1]):
            if x.name == name:
                return y, x
    return None, None


def _sum_with(site: Site, node: Node, factor: Node) -> tuple[Node | None, Node | None]:
    """beta and mean of beta - mean * factor."""
    for centred, beta in (
        (node, None),
        *((x, y) for x, y in (node.inputs, node.inputs[::-1]) if node.name == "add"),
    ):
        if centred.name == "mul":
            for x, y in (centred.inputs, centred.inputs[::-1]):
                if x.name == "neg" and y is factor:
                    return beta, x.inputs[0]
    return None, None
