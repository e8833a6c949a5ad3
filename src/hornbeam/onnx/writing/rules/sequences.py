"""Embeddings, attention and recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.export.patterns import MatchContext, sequences
from hornbeam.ir.node import Node
from hornbeam.ir.types import TensorType
from hornbeam.onnx.emitter.moves import concatenate, slice_axis
from hornbeam.onnx.emitter.table import MAKERS
from hornbeam.onnx.emitter.values import Value, broadcast, compare, reshape, transpose, where
from hornbeam.onnx.writing.rules.matching import Match, rule_of

# -- embeddings ----------------------------------------------------------------------------------------------


def embedding(context: MatchContext, node: Node) -> Match | None:
    """Rows of a table of any dtype. Both we and ONNX count negative indices from the end."""
    operator = sequences.embedding(context, node)
    if operator is None:
        return None
    table, index = operator.inputs
    if index.name == "convert":  # a number that is no index is an error of the runtime's
        (index,) = index.inputs

    def write(table: Value, index: Value) -> Value:
        rows = index.cast(index.dtype if index.dtype in ("int32", "int64") else "int64").contiguous()
        return table.emitter.node("Gather", [table.contiguous(), rows], table.dtype, node.shape, axis=0)

    return Match((table, index), write)


def _column(x: Value, axis: int, index: int) -> Value:
    number = x.emitter.constant(np.array(index, np.int64), "int64")
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return x.emitter.node("Gather", [x.contiguous(), number], x.dtype, shape, axis=axis)


column = rule_of(sequences.column, _column)

# -- attention -----------------------------------------------------------------------------------------------

ATTENTION = 23  # The first version with operators of attention and of root mean squares.


def attention(context: MatchContext, node: Node) -> Match | None:
    operator = sequences.attention(context, node)
    if operator is None:
        return None
    (q, k), scale, causal = node.inputs[:2], operator.params["scale"], operator.params["causal"]
    square = q.shape[1] == k.shape[1]

    def write(q: Value, k: Value, v: Value, *bias: Value) -> tuple[Value, None, None]:
        if context.opset >= ATTENTION and (square or not causal):
            return _one_operator(q, k, v, bias, scale, causal), None, None
        return _products(q, k, v, bias, scale, causal), None, None

    return Match(node.inputs, write)


def _one_operator(q: Value, k: Value, v: Value, bias: Sequence[Value], scale: float, causal: bool) -> Value:
    heads = [reshape(x, (*x.shape[:2], x.shape[2] * x.shape[3])).contiguous() for x in (q, k, v)]
    shape = (*q.shape[:2], q.shape[2] * v.shape[3])
    options: dict[str, Any] = {"q_num_heads": q.shape[2], "kv_num_heads": k.shape[2], "scale": scale}
    if causal:
        options["is_causal"] = 1
    operands = [*heads, *(x.contiguous() for x in bias)]
    result = q.emitter.node("Attention", operands, q.dtype, shape, **options)
    return reshape(result, (*q.shape[:3], v.shape[3]))


def _for_all_heads(x: Value, heads: int) -> Value:
    b, s, h, d = x.shape
    if h == heads:
        return x
    wide = broadcast(x, (b, s, h, heads // h, d), (0, 1, 2, 4))
    return reshape(wide, (b, s, heads, d))


def _products(q: Value, k: Value, v: Value, bias: Sequence[Value], scale: float, causal: bool) -> Value:
    b, t, h, _ = q.shape
    k, v = (_for_all_heads(x, h) for x in (k, v))
    s = k.shape[1]
    node = q.emitter.node
    rows, columns = transpose(q * scale, (0, 2, 1, 3)).contiguous(), transpose(k, (0, 2, 3, 1)).contiguous()
    scores = node("MatMul", [rows, columns], q.dtype, (b, h, t, s))
    for x in bias:
        scores = scores + x
    if causal:
        scores = where(_is_before(q, t, s, scores.shape), scores, -np.inf)
    weights = node("Softmax", [scores], q.dtype, scores.shape, axis=-1)
    values = transpose(v, (0, 2, 1, 3)).contiguous()
    result = node("MatMul", [weights, values], q.dtype, (b, h, t, v.shape[3]))
    return transpose(result, (0, 2, 1, 3))


def _is_before(like: Value, t: Any, s: Any, shape: Any) -> Value:
    """True where a query may see a key, which is not behind it."""
    iota = MAKERS["iota"]
    queries, keys = (iota(like.emitter, dtype="int32", shape=(n,), axis=0) for n in (t, s))
    return compare("GreaterOrEqual", broadcast(queries, shape, (2,)), broadcast(keys, shape, (3,)))


# -- recurrent layers ----------------------------------------------------------------------------------------


def _projected(context: MatchContext, node: Node) -> tuple[Node, Node, Node | None] | None:
    """x, w and b of x w + b, for sequences x and known w and b."""
    product, bias = node, None
    if node.name == "add":
        for product, other in (node.inputs, node.inputs[::-1]):
            vector = context.along(other)
            if product.name == "dot_general" and vector is not None and vector[1] == node.rank - 1:
                bias = context.learn(vector[0])
                break
    if product.name != "dot_general" or product.params["contract"] != ((2,), (0,)):
        return None
    x, w = product.inputs
    if (
        product.params["batch"][0]
        or w.rank != 2
        or x.rank != 3
        or w not in context.known
        or x in context.known
    ):
        return None
    return x, w, bias


def _reordered(w: Value, order: Sequence[int]) -> Value:
    """Gates along the last axis, in another order."""
    size = w.shape[-1] // len(order)
    return concatenate([slice_axis(w, w.rank - 1, i * size, (i + 1) * size) for i in order], w.rank - 1)


def _gates(w: Value, order: Sequence[int]) -> Value:
    """(inputs, gates) as (1, gates, inputs)."""
    w = _reordered(w, order)
    return reshape(transpose(w, (1, 0)), (1, *w.shape[::-1])).contiguous()


def _recurrent(
    operator: str, x: Value, operands: Sequence[Value | None], states: Sequence[Value], **options: Any
) -> list[Value]:
    """All outputs (batch, steps, units), and the last of each state."""
    batch, steps = x.shape[:2]
    units = options["hidden_size"]
    sequence = transpose(x, (1, 0, 2)).contiguous()
    first: list[Value | None] = [
        None if x.emitter.is_zero(h) else reshape(h, (1, batch, units)).contiguous() for h in states
    ]
    while first and first[-1] is None:
        first.pop()
    inputs = [sequence, *operands, *([None, *first] if first else [])]
    while inputs[-1] is None:
        inputs.pop()
    types = [TensorType((steps, 1, batch, units), x.dtype)]
    types += [TensorType((1, batch, units), x.dtype)] * len(states)
    outputs, *last = x.emitter.nodes(operator, inputs, types, **options)
    return [
        transpose(reshape(outputs, (steps, batch, units)), (1, 0, 2)),
        *(reshape(h, (batch, units)) for h in last),
    ]


def lstm(context: MatchContext, node: Node) -> Match | None:
    projection = _projected(context, node.inputs[0])
    if projection is None or node.params["masked"] or not context.results_in_use(node) <= {0, 1, 2}:
        return None
    (x, w, b), (r, *states) = projection, node.inputs[1:]
    if r not in context.known:
        return None
    order = (0, 3, 1, 2)  # We have input, forget, cell, output; ONNX input, output, forget, cell.
    direction = "reverse" if node.params["reverse"] else "forward"

    def write(x: Value, w: Value, r: Value, h: Value, c: Value, *b: Value) -> tuple[Value | None, ...]:
        units = r.shape[0]
        operands: list[Value | None] = [_gates(w, order), _gates(r, order)]
        if b:
            zeros = x.emitter.vector(np.zeros(4 * units, np.float32), x.dtype)
            both = concatenate([_reordered(b[0], order), zeros], 0)
            operands.append(reshape(both, (1, 8 * units)).contiguous())
        else:
            operands.append(None)
        results = _recurrent("LSTM", x, operands, [h, c], hidden_size=units, direction=direction)
        return (*results, None, None)

    return Match((x, w, r, *states, *([] if b is None else [b])), write)


def gru(context: MatchContext, node: Node) -> Match | None:
    projection = _projected(context, node.inputs[0])
    if projection is None or node.params["masked"] or not context.results_in_use(node) <= {0, 1}:
        return None
    (x, w, b), (r, recurrent_bias, state) = projection, node.inputs[1:]
    if r not in context.known or recurrent_bias not in context.known:
        return None
    direction = "reverse" if node.params["reverse"] else "forward"

    def write(
        x: Value, w: Value, r: Value, recurrent_bias: Value, h: Value, *b: Value
    ) -> tuple[Value | None, ...]:
        units, order = r.shape[0], (0, 1, 2)
        first = b[0] if b else x.emitter.vector(np.zeros(3 * units, np.float32), x.dtype)
        both = reshape(concatenate([first, recurrent_bias], 0), (1, 6 * units)).contiguous()
        operands = [_gates(w, order), _gates(r, order), both]
        options = {"hidden_size": units, "direction": direction, "linear_before_reset": 1}
        return (*_recurrent("GRU", x, operands, [h], **options), None)

    return Match((x, w, r, recurrent_bias, state, *([] if b is None else [b])), write)


turned_twice = rule_of(sequences.turned_twice, lambda x: x)
