"""Control flow in pieces: places of a loop's carry are those that its body keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hornbeam.ir.node import Node
from hornbeam.ir.partition.layouts import PARTIAL, Context, Cut, Place, Plan, is_dim, is_zero

Places = tuple[Place, ...]


def _taken(ins: Sequence[Place]) -> list[Place]:
    """Places without sums: those are taken before."""
    return [None if p == PARTIAL else p for p in ins]


def cond(node: Node, ins: Places, context: Context) -> Plan:
    """Both branches return values at the same places."""
    operands = _taken(ins[1:])
    graphs = {name: node.params[name] for name in ("true_graph", "false_graph")}
    first, second = (context.cut(graph, operands).places for graph in graphs.values())
    outs = tuple(a if is_dim(a) else b for a, b in zip(first, second, strict=True))
    cuts = {name: context.cut(graph, operands, outs).graph for name, graph in graphs.items()}
    return Plan((None, *operands), outs, cuts)


def _settled(carry: Sequence[Place], run: Callable[[list[Place]], Cut]) -> list[Place]:
    """Places that the body gives back as it got them, from `carry` on."""
    current = list(carry)
    taken: set[int] = set()  # sums that every step wants to be taken
    while True:
        found = run(current).places[: len(current)]
        new = list(current)
        for i, (before, after) in enumerate(zip(current, found, strict=True)):
            if before == PARTIAL and after != PARTIAL:
                taken.add(i)
                new[i] = after
            elif before is None and (after != PARTIAL or i not in taken):
                new[i] = after
        if new == current:
            return current
        current = new


def _begun(nodes: Sequence[Node], places: Sequence[Place]) -> list[Place]:
    """What begins with zeros may be a sum of what all members add."""
    return [PARTIAL if p is None and is_zero(x) else p for x, p in zip(nodes, places, strict=True)]


def _gathered_before(fixed: Sequence[Place], start: int, cut: Cut) -> list[Place]:
    """Places of what stays the same in all steps: what a step needs whole is gathered once, before them."""
    return [None if i in cut.gathered else p for i, p in enumerate(fixed, start)]


def while_loop(node: Node, ins: Places, context: Context) -> Plan:
    test, body = node.params["cond_graph"], node.params["body_graph"]
    count, given = len(body.outputs), _taken(ins)
    fixed = given[count:]

    def run(carry: list[Place]) -> Cut:
        return context.cut(body, [*carry, *fixed])

    fixed = _gathered_before(fixed, count, run(_settled(given[:count], run)))
    carry = _settled(given[:count], run)
    operands = (*carry, *fixed)
    cuts = {
        "cond_graph": context.cut(test, operands, (None,)).graph,
        "body_graph": context.cut(body, operands, tuple(carry)).graph,
    }
    return Plan(operands, tuple(carry), cuts)


def scan(node: Node, ins: Places, context: Context) -> Plan:
    """Steps follow each other on every member; what is added up from step to step stays a sum until the
    end."""
    body, carries, sequences = (node.params[name] for name in ("body", "carries", "sequences"))
    given = _taken(ins)
    first = _begun(node.inputs[:carries], given[:carries])
    xs = [None if p == 0 else p for p in given[carries : carries + sequences]]
    steps: list[Place] = [p - 1 if isinstance(p, int) else p for p in xs]
    fixed = given[carries + sequences :]

    def run(carry: list[Place]) -> Cut:
        return context.cut(body, [*carry, *steps, *fixed], partial=True)

    fixed = _gathered_before(fixed, carries + sequences, run(_settled(first, run)))
    carry = _settled(first, run)
    ys = run(carry).places[carries:]
    cut = context.cut(body, [*carry, *steps, *fixed], (*carry, *ys), partial=True)
    stacked = [p + 1 if isinstance(p, int) else p for p in (*ys, *carry)]
    return Plan((*carry, *xs, *fixed), (*carry, *stacked), {"body": cut.graph})
