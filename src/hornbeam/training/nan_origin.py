"""Cause of a loss that became NaN or infinite, told when it has happened.

Training keeps no copies of old weights, so the step that failed cannot be run again as it was. What remains
is the course of the loss, and one run of the step on the same batch, with newly drawn values for the weights
that are not finite any more. It finds whatever fails for usual weights, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.jit import Traced
from hornbeam.core.lazy import buffer_of
from hornbeam.core.variable import Variable
from hornbeam.engines import Engine
from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import where
from hornbeam.ir.node import Node
from hornbeam.ir.scope import BACKWARD, Located
from hornbeam.ir.types import TensorType, is_float
from hornbeam.layers.network import Network
from hornbeam.training.batches import putter
from hornbeam.training.step import Step

# The loss "grew" if it became this many times its least value.
_GROWTH = 10.0
# An update that changes a weight by this much comes from the learning rate.
_LARGE_UPDATE = 1e6

_ADVICE = {
    "log": "a logarithm of zero or less: add a small number to its argument, or clip it",
    "log1p": "a logarithm of zero or less: clip its argument",
    "div": "a division by zero: add a small number to the divisor",
    "rsqrt": "a division by the root of zero: add a small number to its argument",
    "sqrt": "the root of a negative number: clip its argument",
    "pow": "a power of zero or of a negative number: clip its base",
    "exp": "an exponential that is too large for its dtype: subtract the largest argument first, or clip",
}


class FailedStep(NamedTuple):
    """A step whose loss is not finite: the compiled step, the arrays of its batch, and their row numbers."""

    step: Step
    batch: Sequence[np.ndarray]
    rows: np.ndarray | None = None


# -- the cause -----------------------------------------------------------------------------------------------


def explain_loss(model: Network, losses: np.ndarray, failed: Callable[[], FailedStep | None]) -> str:
    """Return sentences on why the loss is not finite. losses: those of the steps before, the last one bad."""
    growth = describe_growth(losses)
    if growth is not None:
        return f"{growth}: {_smaller_updates(model)}"
    step = failed()
    origin = None if step is None else _origin_in_step(model, step)
    if origin is not None:
        return origin
    bad = [v.path for v in model.weights if not _finite(v)]
    count = len(model.weights)
    finite = "The data are finite where fit() could check them"
    if bad and step is not None and len(losses) == 1:  # no update came before
        return (
            f"{finite}, and so is the step with newly drawn weights: the weights were not finite, or too "
            "large, before fit(). Load an earlier file, or build the model anew"
        )
    if 0 < len(bad) < count:
        return (
            f"{len(bad)} of {count} weights are not finite, the first is {bad[0]!r}. fit(debug_nans=True) "
            "finds the operation where it begins"
        )
    if step is None:
        return f"{finite}: {_smaller_updates(model)}. Without run_eagerly=True fit() finds the layer"
    return (
        f"{finite}, and so is the step with newly drawn weights: {_smaller_updates(model)}. "
        "fit(debug_nans=True) finds the operation where it begins"
    )


def describe_growth(losses: np.ndarray) -> str | None:
    """Return a sentence on a loss that grew before its last value, None if it did not."""
    finite = losses[:-1][np.isfinite(losses[:-1])].astype(np.float64)
    if len(finite) < 2:
        return None
    least = int(finite.argmin())
    if finite[-1] <= _GROWTH * max(abs(finite[least]), 1e-3):
        return None
    steps = len(finite) - 1 - least
    return (
        f"It diverged: the loss grew from {finite[least]:.4g} to {finite[-1]:.4g} in the {steps} step(s) "
        "before this"
    )


def _smaller_updates(model: Network) -> str:
    """Return the remedy for updates that are too large."""
    rate: Any = getattr(model.optimizer, "learning_rate", None)
    present = f" (now {float(rate.numpy()):g})" if isinstance(rate, Variable) else ""
    return f"try a tenth of the learning rate{present}, or clipnorm=1.0 in the optimizer"


def _finite(variable: Variable) -> bool:
    return not is_float(variable.dtype) or bool(np.isfinite(np.asarray(variable.numpy(), np.float32)).all())


def _origin_in_step(model: Network, failed: FailedStep) -> str | None:
    """Run the step again on its batch, and describe where a value is not finite, None if all are."""
    traced, engine = failed.step.traced, failed.step.engine
    if engine.mesh is not None:
        return None
    values, drawn = usual_values(traced.variables)
    arrays = [*values, *(engine.get(buffer_of(node, engine)) for node in traced.captured), *failed.batch]
    try:
        origin = find_origin(engine, traced.graph, arrays, traced.outputs)
        updates = None if origin is not None else _large_update(engine, traced, arrays)
    except (MemoryError, MissingPrimitiveError):  # of the larger graph; the training itself goes on
        return None
    if origin is None:
        return None if updates is None else f"{updates}: {_smaller_updates(model)}"
    began = "Run again with newly drawn weights, it begins" if drawn else "It began"
    return f"{began} {describe_origin(traced, *origin, failed.batch, failed.rows)}"


def usual_values(variables: Sequence[Variable]) -> tuple[list[np.ndarray], bool]:
    """Return the values of variables, drawn anew where they are not finite, and whether any was drawn."""
    values = [np.array(variable.numpy()) for variable in variables]
    drawn = False
    random = np.random.default_rng(0)
    for index, variable in enumerate(variables):
        if _finite(variable):
            continue
        drawn = True
        value = values[index]
        if variable.trainable and value.ndim > 1:
            fans = value.shape[-1] + int(np.prod(value.shape[:-1]))
            fresh = random.normal(0, np.sqrt(2 / fans), value.shape)
        else:
            fresh = np.full(value.shape, 1.0 if _is_factor(variable) else 0.0)
        values[index] = fresh.astype(value.dtype)
    return values, drawn


def _is_factor(variable: Variable) -> bool:
    return any(word in variable.name for word in ("gamma", "scale", "variance"))


def _large_update(engine: Engine, traced: Traced, arrays: Sequence[np.ndarray]) -> str | None:
    """Return a sentence on a weight that one step changes by very much."""
    put = putter(engine)
    results = engine.executable(traced.graph).run([put(array) for array in arrays])
    before = dict(zip(traced.variables, arrays, strict=False))
    for variable, buffer in zip(traced.updated, results, strict=False):
        if not variable.trainable or not is_float(variable.dtype):
            continue
        old = before[variable].astype(np.float64)
        change = np.abs(np.asarray(engine.get(buffer)).astype(np.float64) - old).max(initial=0.0)
        if not change <= _LARGE_UPDATE * (1 + np.abs(old).max(initial=0.0)):
            return f"One update changes the weight {variable.path!r} by {change:.2g}"
    return None


# -- the origin ----------------------------------------------------------------------------------------------


def find_origin(
    engine: Engine, graph: Graph, arrays: Sequence[np.ndarray], preferred: Sequence[Node]
) -> tuple[Node, np.ndarray] | None:
    """Find the operation or input with which the outputs of a graph stop being finite, and its value.

    The engine computes, for every value of the graph, how many of its elements are not finite. Of several
    causes it is that of the first output in `preferred` that is not finite, else of any output.
    """
    checked = [
        n for n in (*graph.inputs, *graph.nodes) if isinstance(n.type, TensorType) and is_float(n.dtype)
    ]
    put = putter(engine)
    buffers = [put(np.asarray(array, order="C")) for array in arrays]
    counts = engine.executable(Graph(graph.inputs, [_count_not_finite(n) for n in checked])).run(buffers)
    bad = {n for n, count in zip(checked, counts, strict=True) if np.asarray(engine.get(count)) > 0}
    origins: dict[Node, Node] = {n: n for n in graph.inputs if n in bad}
    for node in graph.nodes:
        cause = next((origins[n] for n in node.inputs if n in origins), None)
        if node in bad:
            origins[node] = cause or node
        elif cause is not None and not isinstance(node.type, TensorType):
            origins[node] = cause  # several results, of which `project` nodes select one
    culprit = next((origins[n] for n in (*preferred, *graph.outputs) if n in origins and n in bad), None)
    if culprit is None:
        return None
    if culprit in graph.inputs:
        return culprit, np.asarray(arrays[graph.inputs.index(culprit)])
    (value,) = engine.executable(Graph(graph.inputs, [culprit])).run(buffers)
    return culprit, np.asarray(engine.get(value))


def _count_not_finite(node: Node) -> Node:
    flags = p.convert(p.logical_not(p.is_finite(node)), "float32")
    return p.reduce_sum(flags, tuple(range(node.rank))) if node.rank else flags


def describe_origin(
    traced: Traced,
    node: Node,
    value: np.ndarray,
    batch: Sequence[np.ndarray],
    rows: np.ndarray | None = None,
) -> str:
    """Describe an operation of a step that gave a value which is not finite: layer, samples and remedy."""
    derivative = "the derivative of " if str(node.scope).endswith(BACKWARD) else ""
    layer = str(node.scope).removesuffix(BACKWARD)
    if node in traced.graph.inputs:
        return f"in {input_name(traced, node, len(batch))}{affected_samples(value, batch, rows)}"
    at = f"in {derivative}{layer}, " if layer else ""
    line = where(node).strip(" ()").split(", ")[-1] if isinstance(node.scope, Located) else ""
    advice = _ADVICE.get(node.name)
    return (
        f"{at}where {node.name!r} gave {_kinds(value)}{affected_samples(value, batch, rows)}"
        + (f" ({line})" if line else "")
        + (f". It is {advice}" if advice else "")
    )


def input_name(traced: Traced, node: Node, arrays: int) -> str:
    """Name an input of a step: a weight, a constant, or one of the `arrays` of the batch."""
    names = [f"the weight {v.path!r}" for v in traced.variables] + ["a constant"] * len(traced.captured)
    names += [f"array {i + 1} of the data" for i in range(arrays)]
    return names[traced.graph.inputs.index(node)]


def affected_samples(value: np.ndarray, batch: Sequence[np.ndarray], rows: np.ndarray | None) -> str:
    """Name the samples of the batch for which a value is not finite, if it has a row for each."""
    count = len(batch[0]) if batch else 0
    if value.ndim == 0 or value.shape[0] != count:
        return ""
    bad = np.flatnonzero(~np.isfinite(value.astype("float64")).reshape(count, -1).all(axis=1))
    if len(bad) == count:
        return " for every sample of the batch"
    shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
    of_data = ""
    if rows is not None:
        of_data = f" (rows {', '.join(map(str, rows[bad[:5]]))} of the data)"
    return f" for sample {shown} of the batch{of_data}"


def _kinds(value: np.ndarray) -> str:
    wide = value.astype("float64")
    kinds = [name for name, hits in (("NaN", np.isnan(wide)), ("infinity", np.isinf(wide))) if hits.any()]
    return " and ".join(kinds)
