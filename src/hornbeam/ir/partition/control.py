"""Rules of control flow: the placements of a loop's carry are a fixed point of its body."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hornbeam.ir.node import Node
from hornbeam.ir.partition.layouts import (
    PARTIAL,
    Context,
    LocalGraph,
    Placement,
    ShardingPlan,
    is_sharded,
    is_zero,
)

Placements = tuple[Placement, ...]


def _reduced(ins: Sequence[Placement]) -> list[Placement]:
    """Return placements without partial sums, which are reduced first."""
    return [None if p == PARTIAL else p for p in ins]


def cond(node: Node, ins: Placements, context: Context) -> ShardingPlan:
    """Give the results of both branches the same placements."""
    operands = _reduced(ins[1:])
    graphs = {name: node.params[name] for name in ("true_graph", "false_graph")}
    first, second = (context.partition(graph, operands).placements for graph in graphs.values())
    outs = tuple(a if is_sharded(a) else b for a, b in zip(first, second, strict=True))
    cuts = {name: context.partition(graph, operands, outs).graph for name, graph in graphs.items()}
    return ShardingPlan((None, *operands), outs, cuts)


def _loop_invariant(
    carry: Sequence[Placement], run: Callable[[list[Placement]], LocalGraph]
) -> list[Placement]:
    """Return the fixed point of the body's placements, beginning with `carry`."""
    current = list(carry)
    reduced: set[int] = set()  # partial sums that every step reduces
    while True:
        results = run(current).placements[: len(current)]
        new = list(current)
        for i, (before, after) in enumerate(zip(current, results, strict=True)):
            if before == PARTIAL and after != PARTIAL:
                reduced.add(i)
                new[i] = after
            elif before is None and (after != PARTIAL or i not in reduced):
                new[i] = after
        if new == current:
            return current
        current = new


def _initial_placements(nodes: Sequence[Node], placements: Sequence[Placement]) -> list[Placement]:
    """Let a carry that begins with zeros be a partial sum, to which every rank adds."""
    return [PARTIAL if p is None and is_zero(x) else p for x, p in zip(nodes, placements, strict=True)]


def _gather_outside(fixed: Sequence[Placement], start: int, cut: LocalGraph) -> list[Placement]:
    """Return placements of loop invariants: those that a step gathers are gathered once, before the loop."""
    return [None if i in cut.gathered else p for i, p in enumerate(fixed, start)]


def while_loop(node: Node, ins: Placements, context: Context) -> ShardingPlan:
    test, body = node.params["cond_graph"], node.params["body_graph"]
    count, operands_in = len(body.outputs), _reduced(ins)
    fixed = operands_in[count:]

    def run(carry: list[Placement]) -> LocalGraph:
        return context.partition(body, [*carry, *fixed])

    fixed = _gather_outside(fixed, count, run(_loop_invariant(operands_in[:count], run)))
    carry = _loop_invariant(operands_in[:count], run)
    operands = (*carry, *fixed)
    cuts = {
        "cond_graph": context.partition(test, operands, (None,)).graph,
        "body_graph": context.partition(body, operands, tuple(carry)).graph,
    }
    return ShardingPlan(operands, tuple(carry), cuts)


def scan(node: Node, ins: Placements, context: Context) -> ShardingPlan:
    """Run all steps on every rank. A sum that is accumulated over steps stays partial until the end."""
    body, carries, sequences = (node.params[name] for name in ("body", "carries", "sequences"))
    operands_in = _reduced(ins)
    first = _initial_placements(node.inputs[:carries], operands_in[:carries])
    xs = [None if p == 0 else p for p in operands_in[carries : carries + sequences]]
    steps: list[Placement] = [p - 1 if isinstance(p, int) else p for p in xs]
    fixed = operands_in[carries + sequences :]

    def run(carry: list[Placement]) -> LocalGraph:
        return context.partition(body, [*carry, *steps, *fixed], partial=True)

    fixed = _gather_outside(fixed, carries + sequences, run(_loop_invariant(first, run)))
    carry = _loop_invariant(first, run)
    ys = run(carry).placements[carries:]
    cut = context.partition(body, [*carry, *steps, *fixed], (*carry, *ys), partial=True)
    stacked = [p + 1 if isinstance(p, int) else p for p in (*ys, *carry)]
    return ShardingPlan((*carry, *xs, *fixed), (*carry, *stacked), {"body": cut.graph})
