"""Tracing for files in which sizes are unknown: the graph, and the proof that it holds for small sizes too.

While a function is traced, unknown sizes are symbols, and Python code that compares them is told that they
are large (`ir/sizes.py`). What comes out must not be wrong for a batch of one row: the graph, with numbers in
place of symbols, is compared with what the function itself computes for these numbers.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.core.jit import Traced, trace_function
from hornbeam.core.lazy import buffer_of, evaluate
from hornbeam.core.variable import Variable
from hornbeam.engines import current_engine
from hornbeam.ir.complex_pairs import pack_array
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, topological
from hornbeam.ir.sizes import Assumptions, evaluated, named_size, noted_assumptions, symbols_of
from hornbeam.ir.trace import with_numbers
from hornbeam.ir.types import TensorType, is_inexact, numpy_dtype

if TYPE_CHECKING:
    from hornbeam.models import Model

# The first size of all inputs, and all their other unknown sizes, on which a graph is tried. Where inputs
# must be larger, as for windows without padding, the last of them is doubled.
_TRIALS = ((1, 1), (2, 2), (2, 5), (3, 40))
_LARGEST_TRIAL = 640


@dataclass(frozen=True)
class ExportTrace:
    """A function as a graph whose inputs are `traced.variables`, then `constants`, then the arguments.

    Attributes:
        traced: The trace. Values that it captured are computed in the graph, from `constants`: they may
            depend on unknown sizes.
        graph: The graph; its outputs are those of `traced.graph`.
        constants: Values outside the function.
        assumptions: Pairs of sizes that the function takes to be equal.
    """

    traced: Traced
    graph: Graph
    constants: list[Node]
    assumptions: Assumptions


def input_types(specs: Sequence[tuple[Sequence[int | None], str]]) -> list[TensorType]:
    """Return the types of inputs of shapes and dtypes: "batch" for unknown first sizes, others have names of
    their own."""
    types = []
    for i, (shape, dtype) in enumerate(specs):
        names = ["batch", *(f"size_{i}_{axis}" for axis in range(1, len(shape)))]
        sizes = [named_size(x) if n is None else n for x, n in zip(names, shape, strict=False)]
        types.append(TensorType(tuple(sizes), dtype))
    return types


def refuse_updates(model: Model, traced: Traced, file: str) -> None:
    """Raise ValueError if inference assigns variables, which a kind of file cannot."""
    if traced.updated:
        assigned = ", ".join(sorted({variable.path for variable in traced.updated}))
        raise ValueError(
            f"{model.describe()} assigns {assigned} during inference, which {file} cannot do. Create "
            "recurrent layers with stateful=False, and make their states inputs and outputs if needed."
        )


def trace_for_export(fn: Callable[..., Any], types: Sequence[TensorType], name: str) -> ExportTrace:
    """Trace `fn` on inputs of `types`, whose sizes may be symbols. `name` is that of `fn` in errors.

    Raises:
        ValueError: If `fn` computes something else for small sizes than for large ones, or takes none of
            those that are tried.
    """
    with noted_assumptions() as assumptions:
        traced = trace_function(fn, types)
    constants = [node for node in topological(traced.captured) if node.primitive is None]
    count, parameters = len(traced.variables), traced.graph.inputs
    arguments = parameters[count + len(traced.captured) :]
    graph = Graph((*parameters[:count], *constants, *arguments), traced.graph.outputs)
    result = ExportTrace(traced, graph, constants, assumptions)
    symbols = sorted({name for t in types for size in t.shape for name in symbols_of(size)})
    if not symbols:
        return result

    def is_checked(batch: int, other: int) -> bool:
        return _check(fn, result, types, {x: batch if x == "batch" else other for x in symbols}, name)

    checked = [is_checked(*trial) for trial in _TRIALS]
    batch, other = _TRIALS[-1]
    while not any(checked):
        other *= 2
        if other > _LARGEST_TRIAL:
            raise ValueError(
                f"{name} takes none of the sizes that were tried, up to {_LARGEST_TRIAL}: fix its sizes in "
                "input_signature"
            )
        checked.append(is_checked(batch, other))
    return result


def _check(
    fn: Callable[..., Any],
    trace: ExportTrace,
    types: Sequence[TensorType],
    numbers: dict[str, int],
    name: str,
) -> bool:
    """Compare the graph, with `numbers` for symbols, with a trace for these numbers.

    Return False if `fn` takes no inputs of such sizes. Raises ValueError if the results differ.
    """
    try:
        direct = trace_function(fn, [TensorType(evaluated(t.shape, numbers), t.dtype) for t in types])
    except ValueError:
        return False
    inputs = dict(zip(direct.variables, direct.graph.inputs, strict=False))
    if inputs.keys() == set(trace.traced.variables):
        arguments = direct.graph.inputs[len(inputs) + len(direct.captured) :]
        operands = [*(inputs[v] for v in trace.traced.variables), *trace.constants, *arguments]
        results = Graph(trace.graph.inputs, trace.traced.outputs)
        outputs = with_numbers(results, operands, numbers)
        # Nodes are interned: the same computation is the same node.
        if len(outputs) == len(direct.outputs) and all(map(operator.is_, outputs, direct.outputs)):
            return True
        expected = _computed(direct.outputs, inputs, arguments)
        got = _computed(outputs, inputs, arguments)
        if _close(got, expected):
            return True
    raise ValueError(
        f"{name} computes something else for {_text(numbers)} than for larger sizes: code in it depends on a "
        "size. Fix its sizes in input_signature."
    )


def _text(numbers: dict[str, int]) -> str:
    return ", ".join(f"{name}={number}" for name, number in numbers.items())


def _computed(
    outputs: Sequence[Node], variables: Mapping[Variable, Node], arguments: Sequence[Node]
) -> list[np.ndarray]:
    """Compute nodes from the values of variables, constants, and random arguments."""
    engine, rng = current_engine(), np.random.default_rng(0)
    free = (*variables.values(), *arguments)
    constants = [node for node in topological(outputs, free) if node.primitive is None]
    executable = engine.executable(Graph((*free, *constants), outputs))
    values = [variable.value.node for variable in variables]
    evaluate(values)
    arrays = [pack_array(_random(rng, node.tensor_type())) for node in arguments]
    buffers = [buffer_of(node, engine) for node in (*values, *constants)]
    return [
        np.asarray(engine.get(x))
        for x in executable.run([*buffers[: len(values)], *map(engine.put, arrays), *buffers[len(values) :]])
    ]


def _random(rng: np.random.Generator, type: TensorType) -> np.ndarray:
    """Normal numbers, or integers that most tables of an Embedding have."""
    values = rng.normal(size=type.shape) if is_inexact(type.dtype) else rng.integers(0, 2, type.shape)
    return values.astype(numpy_dtype(type.dtype))


def _close(got: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> bool:
    """Compare results, but for the rounding of numbers that are small beside the largest of all."""
    if [(x.shape, x.dtype) for x in got] != [(x.shape, x.dtype) for x in expected]:
        return False
    got, expected = ([x.astype("float64") for x in xs] for xs in (got, expected))
    scale = max(np.abs(x[np.isfinite(x)]).max(initial=0) for x in expected)
    return all(
        np.allclose(a, b, rtol=1e-3, atol=1e-4 * scale, equal_nan=True)
        for a, b in zip(got, expected, strict=True)
    )
