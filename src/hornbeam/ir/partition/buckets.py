"""Join independent collectives into one call: the latency of a call dominates for small values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder, topological
from hornbeam.ir.primitive import PRIMITIVES, bind
from hornbeam.ir.scope import scope
from hornbeam.ir.trace import new_level
from hornbeam.ir.types import TensorType

# Larger values are sent alone: joining them takes a copy, which costs more than a call.
LARGE = 4 << 20


def bucketed(graph: Graph) -> Graph:
    """Join all_reduces, all_gathers and reduce_scatters of one kind.

    Gathers of inputs are joined at the beginning, all others as late as their readers allow. The height of a
    node is the number of collectives on the longest path from it; nodes of equal height are independent.
    """
    heights = _heights(graph)
    groups: dict[Any, list[Node]] = {}
    for node in graph.nodes:
        if _joins(node):
            groups.setdefault(_kind(node, heights[node]), []).append(node)
    if all(len(nodes) == 1 for nodes in groups.values()):
        return graph
    with new_level() as level:
        known = {x: placeholder(x.type, level) for x in graph.inputs}  # type: ignore[arg-type]
        for node in sorted(graph.nodes, key=lambda node: -heights[node]):
            if node in known:
                continue
            group = groups[_kind(node, heights[node])] if _joins(node) else []
            with scope(node.scope):
                if len(group) > 1:
                    known.update(zip(group, _joined(group, [known[x.inputs[0]] for x in group]), strict=True))
                elif node.primitive is not None:
                    known[node] = bind(node.primitive, *(known[x] for x in node.inputs), **node.params)
    return Graph([known[x] for x in graph.inputs], [known[x] for x in graph.outputs]).copy()


def _joins(node: Node) -> bool:
    """Return whether a node may be joined with others."""
    if node.name not in ("all_reduce", "all_gather", "reduce_scatter") or node.params.get("dim", 0):
        return False
    return max(_bytes(node), _bytes(node.inputs[0])) <= LARGE


def _bytes(node: Node) -> int:
    assert isinstance(node.type, TensorType)
    return node.type.nbytes


def _kind(node: Node, height: int) -> Any:
    return height, node.primitive, node.dtype, tuple(sorted(node.params.items()))


def _heights(graph: Graph) -> dict[Node, int]:
    heights = dict.fromkeys((*graph.inputs, *graph.nodes), 0)
    for node in reversed(graph.nodes):
        height = heights[node] + _joins(node)
        for x in node.inputs:
            heights[x] = max(heights[x], height)
    after: set[Node] = set()  # nodes that depend on a collective
    first = len(graph.nodes)
    for node in graph.nodes:
        if not after.isdisjoint(node.inputs):
            after.add(node)
        elif _joins(node):
            after.add(node)
            if node.name == "all_gather":
                heights.update(dict.fromkeys(topological(node.inputs, graph.inputs), first + 1))
                heights[node] = first
    return heights


def _joined(nodes: Sequence[Node], operands: Sequence[Node]) -> list[Node]:
    """Compute the results of `nodes`, which are of one kind, by one collective.

    Its operand is a matrix of all operands side by side, with a row for each shard that is sent or received.
    """
    first = nodes[0]
    assert first.primitive is not None
    size = first.params["size"]
    before, after = {"all_gather": (1, size), "reduce_scatter": (size, 1)}.get(first.name, (1, 1))
    flat = [_shaped(x, (before, math.prod(x.shape) // before)) for x in operands]
    joined = bind(first.primitive, bind(PRIMITIVES["concatenate"], *flat, axis=1), **first.params)
    results, at = [], 0
    for node, x in zip(nodes, flat, strict=True):
        width = x.shape[1]
        columns = bind(PRIMITIVES["slice"], joined, start=(0, at), stop=(after, at + width), step=(1, 1))
        results.append(_shaped(columns, node.shape))
        at += width
    return results


def _shaped(x: Node, shape: tuple[int, ...]) -> Node:
    return x if x.shape == shape else bind(PRIMITIVES["reshape"], x, shape=shape)
