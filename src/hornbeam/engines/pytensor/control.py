"""Loops and branches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytensor
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op
from pytensor.ifelse import ifelse

from hornbeam.engines.pytensor.ops import Array, Variable, kind
from hornbeam.engines.table import Table
from hornbeam.ir.graph import Graph

Walk = Callable[[Graph, Sequence[Variable]], list[Variable]]
Compile = Callable[[Graph], Callable[..., list[Array]]]


class While(Op):
    """A loop of unknown length; PyTensor's scan wants to know a largest one, and room for it."""

    def __init__(self, test: Graph, body: Graph, compile: Compile) -> None:
        self._test, self._body = compile(test), compile(body)
        self._kinds = [kind(type) for type in body.out_types]

    def make_node(self, *inputs: Variable) -> Apply:
        """See `Op.make_node`."""
        return Apply(self, list(inputs), [kind() for kind in self._kinds])

    def perform(self, node: Apply, inputs: Sequence[Array], output_storage: list[list[Any]]) -> None:
        """See `Op.perform`."""
        carry, fixed = list(inputs[: len(self._kinds)]), inputs[len(self._kinds) :]
        while self._test(*carry, *fixed)[0]:
            carry = self._body(*carry, *fixed)
        for storage, value, initial in zip(output_storage, carry, inputs, strict=False):
            storage[0] = value.copy() if value is initial else value


def control(walk: Walk, compile: Compile, mode: Any) -> Table:
    """Control flow; `walk` evaluates a body, `compile` makes a function of one."""

    def cond(pred: Variable, *operands: Variable, true_graph: Graph, false_graph: Graph) -> Any:
        sides = [walk(graph, operands) for graph in (true_graph, false_graph)]
        return tuple(ifelse(pred, *sides))

    def while_loop(*values: Variable, cond_graph: Graph, body_graph: Graph) -> Any:
        return tuple(While(cond_graph, body_graph, compile)(*values, return_list=True))

    def scan(
        *values: Variable, body: Graph, length: int, carries: int, sequences: int, reverse: bool
    ) -> tuple[Variable, ...]:
        carry = values[:carries]
        xs, fixed = list(values[carries : carries + sequences]), list(values[carries + sequences :])
        kept = [*body.out_types[carries:], *body.out_types[:carries]]
        if not length:
            return (*carry, *(pt.zeros((0, *kind(t).shape), kind(t).dtype) for t in kept))

        def step(*args: Variable) -> list[Variable]:
            # PyTensor passes the slices first.
            state = args[sequences : sequences + carries]
            return walk(body, (*state, *args[:sequences], *args[sequences + carries :]))

        rows = len(body.outputs) - carries
        outputs = pytensor.scan(
            step,
            sequences=xs,
            outputs_info=[*carry, *[None] * rows],
            non_sequences=fixed,
            n_steps=length,
            go_backwards=reverse,
            mode=mode,
            strict=True,
            return_list=True,
            return_updates=False,
        )
        after = outputs[:carries]
        # The carry before each step, beginning with the initial one.
        before = [pt.join(0, x[None], rest[:-1]) for x, rest in zip(carry, after, strict=True)]
        stacked = [*outputs[carries:], *before]
        if reverse:
            stacked = [x[::-1] for x in stacked]
        return (*(x[-1] for x in after), *stacked)

    return {"cond": cond, "while_loop": while_loop, "scan": scan}
