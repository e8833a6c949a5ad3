"""Composites and primitives with one operator of ONNX each, which the files use where engines do not.

Unlike the functions of the engine's table, these leave NaN to the runtime.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam.engines.onnx.values import Value, broadcast, reduced, reshape, transpose
from hornbeam.export.onnx_rules.activations import apply
from hornbeam.export.onnx_rules.matching import Match
from hornbeam.export.onnx_rules.sequences import ATTENTION
from hornbeam.export.patterns import MatchContext
from hornbeam.ir.node import Node

_GELU = 20  # The first version with Gelu.


def _unary(operator: str) -> Callable[[MatchContext, Node], Match | None]:
    return lambda context, node: Match(node.inputs[:1], lambda x: apply(operator, x))


def gelu(context: MatchContext, node: Node) -> Match | None:
    if context.opset < _GELU:
        return None
    options = {"approximate": "tanh"} if node.params["approximate"] else {}
    return Match(node.inputs, lambda x: apply("Gelu", x, **options))


def _softmax(operator: str) -> Callable[[MatchContext, Node], Match | None]:
    def rule(context: MatchContext, node: Node) -> Match | None:
        def write(x: Value) -> Value:
            x = x.contiguous(x.order)
            return apply(operator, x, axis=x.axes.index(x.rank - 1) - x.rank)

        return Match(node.inputs, write)

    return rule


def layer_norm(context: MatchContext, node: Node) -> Match | None:
    epsilon = node.params["epsilon"]

    def write(x: Value, gamma: Value, beta: Value) -> Value:
        parts = [x.contiguous(), gamma.contiguous(), beta.contiguous()]
        return x.emitter.node("LayerNormalization", parts, x.dtype, x.shape, axis=-1, epsilon=epsilon)

    return Match(node.inputs, write)


def rms_norm(context: MatchContext, node: Node) -> Match | None:
    if context.opset < ATTENTION:
        return None
    epsilon = node.params["epsilon"]

    def write(x: Value, gamma: Value) -> Value:
        parts = [x.contiguous(), gamma.contiguous()]
        return x.emitter.node("RMSNormalization", parts, x.dtype, x.shape, axis=-1, epsilon=epsilon)

    return Match(node.inputs, write)


def group_norm(context: MatchContext, node: Node) -> Match | None:
    """InstanceNormalization of the groups, each as one channel."""
    groups, axis, epsilon = (node.params[name] for name in ("groups", "axis", "epsilon"))
    if node.rank < 3:
        return None

    def write(x: Value, gamma: Value, beta: Value) -> Value:
        rank, count = x.rank, x.shape[0]
        first = transpose(x, (0, axis, *(a for a in range(1, rank) if a != axis)))
        rows = reshape(first, (count, groups, _size_of_group(first, groups))).contiguous()
        ones, zeros = (x.emitter.vector(np.full(groups, n, np.float32), x.dtype) for n in (1, 0))
        inside = x.emitter.node(
            "InstanceNormalization", [rows, ones, zeros], x.dtype, rows.shape, epsilon=epsilon
        )
        back = reshape(inside, first.shape)
        scaled = back * broadcast(gamma, first.shape, (1,)) + broadcast(beta, first.shape, (1,))
        return transpose(scaled, (0, *range(2, axis + 1), 1, *range(axis + 1, rank)))

    return Match(node.inputs, write)


def _size_of_group(x: Value, groups: int) -> Any:
    size = x.shape[1] // groups
    for n in x.shape[2:]:
        size = size * n
    return size


def _min_or_max(operator: str) -> Callable[[MatchContext, Node], Match | None]:
    def rule(context: MatchContext, node: Node) -> Match | None:
        axes = node.params["axes"]
        if not axes or 0 in node.inputs[0].shape:
            return None

        return Match(node.inputs, lambda x: reduced(operator, x, axes))

    return rule


sigmoid = _unary("Sigmoid")


def silu(context: MatchContext, node: Node) -> Match | None:
    return Match(node.inputs, lambda x: x * apply("Sigmoid", x))


softmax, log_softmax = _softmax("Softmax"), _softmax("LogSoftmax")
reduce_max, reduce_min = _min_or_max("ReduceMax"), _min_or_max("ReduceMin")
