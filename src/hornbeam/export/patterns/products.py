"""Biases, convolutions and their normalization."""

from __future__ import annotations

import math

from hornbeam import primitives as p
from hornbeam.export.patterns.matching import MatchContext, Operator
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown


def bias_of(context: MatchContext, node: Node, count: int) -> Node | None:
    """The known value that is repeated along all axes but the last `count`, as a vector."""
    if count == 1 and (vector := context.along(node)) is not None and vector[1] == node.rank - 1:
        return context.learn(vector[0])
    if node.name != "broadcast" or node.inputs[0] not in context.known:
        return None
    small, dims = node.inputs[0], node.params["dims"]
    sizes = {axis: size for axis, size in zip(dims, small.shape, strict=True) if size != 1}
    last = range(node.rank - count, node.rank)
    if any(sizes.get(axis, 1) != (node.shape[axis] if axis in last else 1) for axis in range(node.rank)):
        return None
    return context.learn(p.reshape(small, (math.prod(small.shape),)))


# -- convolutions --------------------------------------------------------------------------------------------


def padded_by(context: MatchContext, x: Node, value: float) -> tuple[Node, list[tuple[int, int]]]:
    """x without its padding, if that consists of `value`, and the padding."""
    none = [(0, 0)] * (x.rank - 2)
    if x.name != "pad" or not context.is_number(x.inputs[1], value) or any(x.params["interior"]):
        return x, none
    pairs = list(zip(x.params["low"], x.params["high"], strict=True))
    if (
        any(is_unknown(n) or n < 0 for pair in pairs for n in pair)
        or pairs[0] != (0, 0)
        or pairs[-1] != (0, 0)
    ):
        return x, none
    return x.inputs[0], pairs[1:-1]


def convolution(context: MatchContext, node: Node, bias: Node | None = None) -> Operator | None:
    """A convolution, or a transposed one, with known weights, and the padding before it."""
    x, w = node.inputs
    if w not in context.known or x in context.known:
        return None
    params = dict(node.params)
    if node.name == "conv":
        x, pads = padded_by(context, x, 0)
        sides = zip(params["padding"], pads, strict=True)
        params["padding"] = tuple((a + c, b + d) for (a, b), (c, d) in sides)
    inputs = (x, w) if bias is None else (x, w, bias)
    return Operator(node.name, inputs, params, node.scope)


def convolution_with_bias(context: MatchContext, node: Node) -> Operator | None:
    for product, other in (node.inputs, node.inputs[::-1]):
        if product.name in ("conv", "conv_input_grad") and len(context.readers[product]) == 1:
            bias = bias_of(context, other, 1)
            if bias is not None:
                return convolution(context, product, bias)
    return None


# -- batch normalization -------------------------------------------------------------------------------------


def scale_and_shift(context: MatchContext, node: Node) -> Operator | None:
    """x s + t, where s and t are vectors along the same axis."""
    for product, other in (node.inputs, node.inputs[::-1]):
        shift = context.along(other) if product.name == "mul" else None
        if shift is None or len(context.readers[product]) > 1:
            continue
        for x, factor in (product.inputs, product.inputs[::-1]):
            scale = context.along(factor)
            if scale is not None and scale[1] == shift[1] and x not in context.known:
                inputs = (x, context.learn(scale[0]), context.learn(shift[0]))
                return Operator("scale_and_shift", inputs, {"axis": scale[1]})
    return None


def batch_normalization(context: MatchContext, node: Node) -> Operator | None:
    """(x - mean) * rsqrt(variance + epsilon) * gamma + beta, with the layer's own weights.

    present: whether gamma, beta, mean and variance exist; those that do follow x in the inputs.
    """
    operator = scale_and_shift(context, node)
    if operator is None or node.rank < 2 or operator.params["axis"] == 0:
        return None
    x, factor, shift = operator.inputs
    factor, shift = _unshaped(factor), _unshaped(shift)
    gamma, root = _product_with(context, factor, "rsqrt")
    beta, centre = _sum_with(context, shift, factor)
    if root is None or centre is None or root.inputs[0].name != "add":
        return None
    pair = [(a, context.number(b)) for a, b in (root.inputs[0].inputs, root.inputs[0].inputs[::-1])]
    variance, epsilon = next(((a, n) for a, n in pair if n is not None), (None, None))
    if variance is None or epsilon is None:
        return None
    weights = (gamma, beta, centre, variance)
    params = {
        "axis": operator.params["axis"],
        "epsilon": epsilon,
        "present": tuple(part is not None for part in weights),
    }
    return Operator("batch_normalization", (x, *(part for part in weights if part is not None)), params)


def _unshaped(node: Node) -> Node:
    while node.name == "reshape":
        node = node.inputs[0]
    return node


def _product_with(context: MatchContext, node: Node, name: str) -> tuple[Node | None, Node | None]:
    """The other factor, None if there is no other, and the factor of that name, None if there is no such."""
    if node.name == name:
        return None, node
    if node.name == "mul":
        for x, y in (node.inputs, node.inputs[::-1]):
            if x.name == name:
                return y, x
    return None, None


def _sum_with(context: MatchContext, node: Node, factor: Node) -> tuple[Node | None, Node | None]:
    """beta and mean of beta - mean * factor."""
    sums: list[tuple[Node, Node | None]] = [(node, None)]
    if node.name == "add":
        first, second = node.inputs
        sums += [(first, second), (second, first)]
    for centred, beta in sums:
        if centred.name == "mul":
            for x, y in (centred.inputs, centred.inputs[::-1]):
                if x.name == "neg" and y is factor:
                    return beta, x.inputs[0]
    return None, None
