"""Random bits, and control flow in Python."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import mlx.core as mx

from hornbeam.engines.mlx.elementwise import Array
from hornbeam.engines.mlx.precision import by_numpy
from hornbeam.engines.table import Table
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import graph_cost, graph_param

# Branches of fewer operations than this are both computed: it is quicker than to wait for the condition.
_CHEAP = 1e6
# Longer graphs, with loops unrolled, are not compiled.
_LONGEST = 10_000


def random_bits(key: Array, *, shape: tuple[int, ...]) -> Array:
    """Compute threefry-2x32 with 20 rounds; see `primitives/random.py`."""
    size = math.prod(shape)
    block = mx.arange((size + 1) // 2, dtype=mx.uint32)
    keys = (key[0], key[1], key[0] ^ key[1] ^ mx.array(0x1BD11BDA, mx.uint32))
    x, y = mx.broadcast_to(keys[0], block.shape), block + keys[1]
    for injection in range(1, 6):
        for distance in ((17, 29, 16, 24), (13, 15, 26, 6))[injection % 2]:
            x = x + y
            y = ((y << distance) | (y >> (32 - distance))) ^ x
        x = x + keys[injection % 3]
        y = y + keys[(injection + 1) % 3] + mx.array(injection, mx.uint32)
    return mx.stack([x, y], -1).reshape(-1)[:size].reshape(shape)


def reads_values(graph: Graph) -> bool:
    """Return whether a run reads values, as for the condition of a loop, or is too long to compile."""
    return _length(graph) > _LONGEST or any(map(_reads, _inside(graph)))


def _reads(node: Node) -> bool:
    if node.name == "cond":
        return not _both(*graph_param(node.params))
    return node.name == "while_loop" or by_numpy(node)


def _inside(graph: Graph) -> Iterator[Node]:
    for node in graph.nodes:
        yield node
        for body in graph_param(node.params):
            yield from _inside(body)


def _length(graph: Graph) -> int:
    return sum(
        1 + sum(_length(body) for body in graph_param(node.params)) * node.params.get("length", 1)
        for node in graph.nodes
    )


def _both(*branches: Graph) -> bool:
    """Return whether both branches are computed, and one selected."""
    reads = any(_reads(node) for branch in branches for node in _inside(branch))
    return not reads and sum(graph_cost(branch)[0] for branch in branches) < _CHEAP


def control(walk: Callable[[Graph, Sequence[Array]], list[Array]]) -> Table:
    """Build control flow in Python, which reads conditions from the device."""

    def cond(pred: Array, *operands: Array, true_graph: Graph, false_graph: Graph) -> tuple[Array, ...]:
        if not _both(true_graph, false_graph):
            return tuple(walk(true_graph if pred.item() else false_graph, operands))
        results = zip(walk(true_graph, operands), walk(false_graph, operands), strict=True)
        return tuple(mx.where(pred, x, y) for x, y in results)

    def while_loop(*values: Array, cond_graph: Graph, body_graph: Graph) -> tuple[Array, ...]:
        count = len(body_graph.outputs)
        carry, fixed = list(values[:count]), values[count:]
        while walk(cond_graph, (*carry, *fixed))[0].item():
            carry = walk(body_graph, (*carry, *fixed))
            mx.async_eval(carry)
        return tuple(carry)

    def scan(
        *values: Array, body: Graph, length: int, carries: int, sequences: int, reverse: bool
    ) -> tuple[Array, ...]:
        carry, fixed = values[:carries], values[carries + sequences :]
        steps = [mx.unstack(x, axis=0) for x in values[carries : carries + sequences]]
        rows: list[tuple[Array, ...]] = []
        for step in reversed(range(length)) if reverse else range(length):
            results = walk(body, (*carry, *(x[step] for x in steps), *fixed))
            rows.append((*results[carries:], *carry))
            carry = tuple(results[:carries])
        if reverse:
            rows.reverse()
        return (*carry, *(mx.stack(list(column)) for column in zip(*rows, strict=True)))

    return {"cond": cond, "while_loop": while_loop, "scan": scan}
