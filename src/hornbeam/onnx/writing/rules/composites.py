"""Composites and primitives with one operator of ONNX each, which the files use where engines do not.

Unlike the functions of the engine's table, these leave NaN to the runtime.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam.export.patterns import MatchContext
from hornbeam.export.patterns.arrays import as_it_is
from hornbeam.ir.node import Node
from hornbeam.onnx.emitter.values import Value, broadcast, reduced, reshape, transpose
from hornbeam.onnx.writing.rules.activations import apply
from hornbeam.onnx.writing.rules.matching import Match, Rule, rule_of
from hornbeam.onnx.writing.rules.sequences import ATTENTION


def _since(version: int, rule: Rule) -> Rule:
    """`rule`, from one version of ONNX's operators on."""
    return lambda context, node: rule(context, node) if context.opset >= version else None


def _gelu(x: Value, approximate: bool) -> Value:
    return apply("Gelu", x, **({"approximate": "tanh"} if approximate else {}))


def _softmax(operator: str) -> Rule:
    def write(x: Value) -> Value:
        x = x.contiguous(x.order)
        return apply(operator, x, axis=x.axes.index(x.rank - 1) - x.rank)

    return rule_of(as_it_is(), write)


def _normalization(operator: str) -> Rule:
    def write(x: Value, *weights: Value, epsilon: float) -> Value:
        operands = [value.contiguous() for value in (x, *weights)]
        return x.emitter.node(operator, operands, x.dtype, x.shape, axis=-1, epsilon=epsilon)

    return rule_of(as_it_is("epsilon"), write)


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


def _min_or_max(operator: str) -> Rule:
    rule = rule_of(as_it_is("axes"), lambda x, axes: reduced(operator, x, axes))

    def of_elements(context: MatchContext, node: Node) -> Match | None:
        return rule(context, node) if node.params["axes"] and 0 not in node.inputs[0].shape else None

    return of_elements


gelu = _since(20, rule_of(as_it_is("approximate"), _gelu))
layer_norm = _normalization("LayerNormalization")
rms_norm = _since(ATTENTION, _normalization("RMSNormalization"))
sigmoid = rule_of(as_it_is(), lambda x: apply("Sigmoid", x))
silu = rule_of(as_it_is(), lambda x: x * apply("Sigmoid", x))
softmax, log_softmax = _softmax("Softmax"), _softmax("LogSoftmax")
reduce_max, reduce_min = _min_or_max("ReduceMax"), _min_or_max("ReduceMin")
