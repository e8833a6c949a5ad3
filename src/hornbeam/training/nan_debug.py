"""Search for the operation where NaN or infinity began: `fit(debug_nans=True)`.

Every step runs by itself, with the values of all variables kept from before it. When a loss, a metric or a
weight is not finite, the step is computed again from those, operation by operation, and followed back to the
first operation with a result that is not finite for finite operands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.lazy import buffer_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node
from hornbeam.training.nan_origin import affected_samples, describe_origin, input_name
from hornbeam.training.packing import Batch
from hornbeam.training.step import Step


class CheckedStep:
    """A step that raises FloatingPointError at the first value that is not finite, with its origin."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self.traced = step.traced
        self.compiled = step.compiled
        self.check_values = step.check_values
        # Rows of the data in the batch, if known.
        self.rows: np.ndarray | None = None

    def run(self, batch: Batch) -> Tree:
        """Run one step. Returns the result of the step."""
        traced = self.traced
        before = [np.array(variable.numpy()) for variable in traced.variables]
        logs = self._step.run(batch)
        values = {name: np.asarray(value) for name, value in tree.flatten_with_path(logs)}
        bad = [f"the log {'/'.join(map(str, path))!r}" for path, x in values.items() if not _finite(x)]
        bad += [f"the weight {v.path!r}" for v in traced.updated if not _finite(v.numpy())]
        if bad:
            raise FloatingPointError(f"{bad[0]} is not finite: {self._origin(before, batch.leaves)}")
        return logs

    def _origin(self, before: Sequence[np.ndarray], batch: Sequence[np.ndarray]) -> str:
        traced, engine = self._step.traced, self._step.engine
        captured = [engine.get(buffer_of(node, engine)) for node in traced.captured]
        origin = first_not_finite(traced.graph, [*before, *captured, *batch], (*traced.outputs,))
        if origin is None:
            return (
                "its origin is unknown: every operation computed alone, in another order, gives finite "
                "numbers"
            )
        node, value = origin
        if node in traced.graph.inputs:
            name = input_name(traced, node, len(batch))
            return f"{name} was not before this step{affected_samples(value, batch, self.rows)}"
        return f"it began {describe_origin(traced, node, value, batch, self.rows)}"


def first_not_finite(
    graph: Graph, args: Sequence[np.ndarray], preferred: Sequence[Node]
) -> tuple[Node, np.ndarray] | None:
    """Find the operation or input with which the outputs of a graph stop being finite, and its value.

    Of several causes it is that of the first output in `preferred` that is not finite, else of any output.
    NaN from infinite operands is attributed to the operation that gave those.
    """
    values: dict[Node, Any] = dict(zip(graph.inputs, args, strict=True))
    origins: dict[Node, Node] = {n: n for n in graph.inputs if not _finite(values[n])}
    for node in graph.nodes:
        operands = [values[n] for n in node.inputs]
        body = node.params.get("body") if node.primitive is not None and node.primitive.composite else None
        with np.errstate(all="ignore"):
            if body is None:
                assert node.primitive is not None
                values[node] = node.primitive.reference(*operands, **node.params)
            else:
                results = reference(body, operands)
                values[node] = tuple(results) if isinstance(node.type, tuple) else results[0]
        if not _finite(values[node]):
            bad = next((origins[n] for n in node.inputs if n in origins), None)
            origins[node] = node if bad is None else bad
    culprit = next((origins[n] for n in (*preferred, *graph.outputs) if n in origins), None)
    if culprit is None:
        return None
    value = values[culprit]
    parts = value if isinstance(value, tuple) else (value,)
    return culprit, np.asarray(next(part for part in parts if not _finite(part)))


def _finite(value: object) -> bool:
    if isinstance(value, tuple):
        return all(map(_finite, value))
    array = np.asarray(value)
    if array.dtype.kind in "biu":
        return True
    return bool(np.isfinite(array if array.dtype.kind == "f" else array.astype("float32")).all())
