"""ONNX operators that hold graphs: branches and loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.layers.onnx_graph.vocabulary import Call, GraphError, operator


def _graph(call: Call, name: str) -> Any:
    found = call.attributes.get(name)
    if not isinstance(found, dict):
        raise GraphError(f"it needs a graph as its attribute {name!r}")
    return found


def _tensors(xs: Any) -> list[Tensor]:
    return [as_tensor(x) for x in xs]


@operator("If")
def if_(call: Call, condition: Any) -> Any:
    """One of two graphs; which one is known, or they are both of the same shapes."""
    then, other = _graph(call, "then_branch"), _graph(call, "else_branch")
    if isinstance(condition, np.ndarray):
        return call.branch(then if condition.reshape(-1)[0] else other)
    test = ops.reshape(as_tensor(condition), ())
    return ops.cond(test, lambda: _tensors(call.branch(then)), lambda: _tensors(call.branch(other)))


@operator("Scan")
def scan(call: Call, *inputs: Any) -> list[Tensor]:
    """A graph for every slice of sequences, which takes and gives states."""
    body, count = _graph(call, "body"), call.get("num_scan_inputs", 0)
    states, sequences = _tensors(inputs[: len(inputs) - count]), _tensors(inputs[len(inputs) - count :])
    results = call.outputs - len(states)
    for name in ("scan_input_axes", "scan_output_axes"):
        if any(call.attributes.get(name, ())):
            raise GraphError(f"{name} other than 0 are not there")
    back, back_out = (
        [bool(x) for x in call.attributes.get(name, [0] * n)]
        for name, n in (("scan_input_directions", count), ("scan_output_directions", results))
    )
    turned = [ops.flip(x, 0) if way else x for x, way in zip(sequences, back, strict=True)]

    def step(carry: list[Tensor], now: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        made = _tensors(call.branch(body, *carry, *now))
        return made[: len(carry)], made[len(carry) :]

    last, every = ops.scan(step, states, turned)
    return [*last, *(ops.flip(x, 0) if way else x for x, way in zip(every, back_out, strict=True))]


@operator("Loop")
def loop(call: Call, limit: Any, condition: Any, *inputs: Any) -> list[Tensor]:
    """A graph as long as its condition holds, and at most so often."""
    if call.outputs > len(inputs):
        raise GraphError("results of every round are not there, only those of the last one (Scan has them)")
    body = _graph(call, "body")
    start = as_tensor(np.array(True) if condition is None else condition)
    most = as_tensor(np.array(np.iinfo(np.int64).max) if limit is None else limit)
    zero = as_tensor(np.array(0, "int64"))

    def again(number: Tensor, holds: Tensor, *states: Tensor) -> Tensor:
        return ops.logical_and(holds, number < ops.reshape(most, ()))

    def once(number: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        holds, *made = _tensors(call.branch(body, number, *values))
        return number + 1, ops.reshape(holds, ()), *made

    return list(ops.while_loop(again, once, (zero, ops.reshape(start, ()), *_tensors(inputs)))[2:])
