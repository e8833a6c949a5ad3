"""Embeddings, attention, and parts of sequences."""

from __future__ import annotations

from typing import Any

from hornbeam.export.patterns.matching import MatchContext, Operator
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown


def embedding(context: MatchContext, node: Node) -> Operator | None:
    """Rows of a table of any dtype. Negative indices count from the end."""
    table, indices = node.inputs
    if node.params["batch_dims"] or indices.shape[-1:] != (1,) or indices.name != "reshape":
        return None
    wrapped = indices.inputs[0]
    index = _unwrapped(context, wrapped, table.shape[0])
    if index is None or index.shape != node.shape[: index.rank]:
        return None
    return Operator("embedding", (table, index))


def _unwrapped(context: MatchContext, node: Node, count: Any) -> Node | None:
    """x of where(x < 0, x + count, x)."""
    if node.name != "select" or node.inputs[0].name != "lt":
        return None
    condition, shifted, x = node.inputs
    if condition.inputs[0] is not x or not context.is_number(condition.inputs[1], 0) or shifted.name != "add":
        return None
    return x if any(context.is_number(n, count) for n in shifted.inputs) and x in shifted.inputs else None


def column(context: MatchContext, node: Node) -> Operator | None:
    """x[:, i]: a slice of one element along an axis, without the axis."""
    inner = node.inputs[0]
    if inner.name != "slice" or any(n != 1 for n in inner.params["step"]):
        return None
    (x,), start = inner.inputs, inner.params["start"]
    short = [a for a in range(x.rank) if inner.shape[a] != x.shape[a]]
    if len(short) != 1 or is_unknown(start[short[0]]):
        return None
    axis = short[0]
    if node.shape != (*x.shape[:axis], *x.shape[axis + 1 :]) or inner.shape[axis] != 1:
        return None
    return Operator("column", (x,), {"axis": axis, "index": start[axis]})


def attention(context: MatchContext, node: Node) -> Operator | None:
    """Attention without dropout, of which nothing but the result is read."""
    if node.params["rate"] or context.results_in_use(node) != {0}:
        return None
    return Operator("attention", node.inputs, {name: node.params[name] for name in ("scale", "causal")})


def turned_twice(context: MatchContext, node: Node) -> Operator | None:
    """A sequence that two layers in a row go through backwards."""
    (inner,) = node.inputs
    if inner.name != "reverse" or inner.params["axes"] != node.params["axes"]:
        return None
    return Operator("identity", inner.inputs)
