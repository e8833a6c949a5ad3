"""ONNX operators with graphs as attributes: branches and loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.lazy import evaluate
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.errors import BranchError, GraphError, ValueNeededError
from hornbeam.ir.limits import count_steps
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import is_float
from hornbeam.onnx.operators.sizes import depends_on_open_sizes
from hornbeam.onnx.operators.vocabulary import Call, number, operator, resolved

# Work that a loop is counted as for each iteration, against the limit of a file.
STEPS_OF_ITERATION = 10


def _graph(call: Call, name: str) -> Any:
    graph = call.attributes.get(name)
    if not isinstance(graph, dict):
        raise GraphError(f"it needs a graph as its attribute {name!r}")
    return graph


def _tensors(xs: Any) -> list[Tensor]:
    return [as_tensor(x) for x in xs]


@operator("If", tensors=0)
def if_(call: Call, condition: TensorLike) -> Any:
    """Run one of two graphs. The condition is known, or both have the same output shapes."""
    then, other = _graph(call, "then_branch"), _graph(call, "else_branch")
    condition = resolved(condition)
    if isinstance(condition, np.ndarray):
        return call.branch(then if condition.reshape(-1)[0] else other)
    test = ops.reshape(as_tensor(condition), ())
    try:
        return ops.cond(test, lambda: _tensors(call.branch(then)), lambda: _tensors(call.branch(other)))
    except BranchError as error:
        raise ValueNeededError(f"{error}: its condition has to be known, as in model(x)") from error


@operator("Scan")
def scan(call: Call, *inputs: Tensor) -> list[Tensor]:
    """Run a graph for every slice of sequences, with states from one to the next."""
    if call.opset < 9:
        raise GraphError("its form of version 8, with a batch axis and lengths, is not supported")
    body, count = _graph(call, "body"), call.get("num_scan_inputs", 0)
    states, sequences = list(inputs[: len(inputs) - count]), list(inputs[len(inputs) - count :])
    results = call.outputs - len(states)
    for name in ("scan_input_axes", "scan_output_axes"):
        if any(call.attributes.get(name, ())):
            raise GraphError(f"{name} other than 0 are not supported")
    reverse_inputs, reverse_outputs = (
        [bool(x) for x in call.attributes.get(name, [0] * n)]
        for name, n in (("scan_input_directions", count), ("scan_output_directions", results))
    )
    oriented = [
        ops.flip(x, 0) if reverse else x for x, reverse in zip(sequences, reverse_inputs, strict=True)
    ]

    def step(carry: list[Tensor], slices: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        outputs = _tensors(call.branch(body, *carry, *slices))
        return outputs[: len(carry)], outputs[len(carry) :]

    last, stacked = ops.scan(step, states, oriented)
    return [
        *last,
        *(ops.flip(x, 0) if reverse else x for x, reverse in zip(stacked, reverse_outputs, strict=True)),
    ]


@operator("Loop", tensors=0)
def loop(call: Call, limit: Any, condition: Any, *inputs: Any) -> list[Any]:
    """Run a graph while its condition holds, at most `limit` times.

    Where every iteration has results, or states are sequences, the number of iterations has to be known.
    """
    body = _graph(call, "body")
    if call.outputs > len(inputs) or any(isinstance(x, list) for x in inputs):
        return _unrolled(call, body, limit, condition, list(inputs))
    initial = as_tensor(np.array(True) if condition is None else condition)
    max_count = as_tensor(np.array(np.iinfo(np.int64).max) if limit is None else limit)
    inputs = tuple(_tensors(inputs))
    zero = as_tensor(np.array(0, "int64"))

    def test(number: Tensor, holds: Tensor, *states: Tensor) -> Tensor:
        return ops.logical_and(holds, number < ops.reshape(max_count, ()))

    def step(number: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        holds, *new_states = _tensors(call.branch(body, number, *values))
        return number + 1, ops.reshape(holds, ()), *new_states

    try:
        return list(ops.while_loop(test, step, (zero, ops.reshape(initial, ()), *inputs))[2:])
    except ValueNeededError:  # its graph reads a value, which each iteration has outside of a trace
        return _unrolled(call, body, limit, condition, list(inputs))


def _counted(x: TensorLike, name: str) -> Any:
    """Return one number that is known. A size that is open would be taken for a large one, without end."""
    if isinstance(x, Tensor) and depends_on_open_sizes(x.node):
        raise ValueNeededError(f"its {name} depends on sizes that are not known yet")
    return number(x, name)


def _computed(xs: list[Any]) -> list[Any]:
    """Compute the results of an iteration together, outside of traces. Integers are returned as arrays.

    Else each value that a later iteration reads would be looked for in the history of all before it.
    """
    if current_level():
        return xs
    lazy = [x for x in xs if isinstance(x, Tensor) and x.node.level == 0]
    if lazy:
        evaluate([x.node for x in lazy])
    return [resolved(x) if isinstance(x, Tensor) and not is_float(x.dtype) else x for x in xs]


def _unrolled(call: Call, body: Any, limit: Any, condition: Any, states: list[Any]) -> list[Any]:
    most = np.inf if limit is None else _counted(limit, "limit")
    holds, count, rows = True if condition is None else _counted(condition, "condition"), 0, []
    while holds and count < most:
        count_steps(STEPS_OF_ITERATION)
        test, *results = _computed(call.branch(body, np.array(count, "int64"), np.array(True), *states))
        holds, count = _counted(test, "condition"), count + 1
        states, row = results[: len(states)], results[len(states) :]
        rows.append(row)
    if not rows and call.outputs > len(states):
        raise GraphError("a loop with results of every iteration makes none")
    return [*states, *(ops.stack(_tensors(column), axis=0) for column in zip(*rows, strict=True))]
