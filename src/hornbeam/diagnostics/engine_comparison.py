"""Comparison of engines: the same training steps, their differences, and their times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hornbeam._internal.typing import Tree
from hornbeam._internal.validation import check_int
from hornbeam.engines import current_engine, installed, using
from hornbeam.models import Model
from hornbeam.training.array_data import ArrayData
from hornbeam.training.sources import is_stream, make_data
from hornbeam.training.steps import host_part, training_state
from hornbeam.visualization.display import Document, Table


@dataclass(frozen=True)
class EngineResult:
    """Results of an engine, compared with the first engine of the comparison.

    Attributes:
        engine: Name of the engine.
        losses: Loss of each step's batch.
        loss_difference: Largest difference of these.
        weight_difference: Largest difference of a weight after the last step.
        furthest: Path of the weight with that difference.
        seconds: Median time of the steps after the first one, which compiles.
    """

    engine: str
    losses: tuple[float, ...]
    loss_difference: float
    weight_difference: float
    furthest: str
    seconds: float


@dataclass(frozen=True)
class _Run:
    losses: np.ndarray
    weights: dict[str, np.ndarray]
    seconds: float


def compare_engines(
    model: Model,
    x: Tree,
    y: Tree = None,
    steps: int = 20,
    engines: Sequence[str] | None = None,
    batch_size: int = 32,
) -> list[EngineResult]:
    """Train on each engine from the same state, and print differences and times.

    For the loss l_t of step t and weights w after the last step the differences from the first engine are
    max |l_t - l'_t| and max |w - w'|. Dropout masks are the same on all engines, so that the differences are
    rounding errors: small at first, growing from step to step.

    Args:
        model: Compiled model. Its weights, optimizer and random state are restored afterwards.
        x: Arrays of inputs of any dtype that `fit` takes, (samples, ...). Batches are taken in order,
            repeatedly.
        y: Arrays of targets, (samples, ...).
        steps: Number of steps.
        engines: Names, with or without a device. The others are compared with the first. By default all that
            are installed but the reference, which is slow.
        batch_size: Samples of a step.

    Returns:
        An `EngineResult` for each engine.

    Raises:
        ValueError: For data that are not arrays, for no engines and for a step that runs eagerly.
        ImportError: For an engine whose library is not installed.

    Example:
        >>> compare_engines(model, x, y, engines=["native", "jax"])  # doctest: +SKIP
    """
    training_state(model).require_compiled("compare_engines")
    steps = check_int("steps", steps, 1)
    names = list(installed() if engines is None else engines)
    if not names or isinstance(engines, str):
        raise ValueError(f'engines must be a list of names such as ["native", "jax"], got {engines!r}')
    if is_stream(x):
        raise ValueError("compare_engines() takes arrays in memory: give it some batches of the data")
    if model.run_eagerly:
        raise ValueError(
            "compare_engines() compares compiled steps: compile the model without run_eagerly=True"
        )
    results = engine_results(model, x, y, steps, names, batch_size)
    Document([_table(results, steps)]).show()
    return results


def engine_results(
    model: Model, x: Tree, y: Tree, steps: int, names: Sequence[str], batch_size: int
) -> list[EngineResult]:
    """Return what `compare_engines` returns, and print nothing."""
    data = make_data(x, y, None, batch_size, "compare_engines", run_host_layers=host_part(model), steps=steps)
    assert isinstance(data, ArrayData)
    size = min(batch_size, len(data.table))
    rows = np.arange(steps * size).reshape(steps, 1, size) % len(data.table)
    runs = {name: _run(model, data, rows, name) for name in names}
    return [_compared(name, run, runs[names[0]]) for name, run in runs.items()]


def _run(model: Model, data: ArrayData, rows: np.ndarray, name: str) -> _Run:
    """Run the steps on one engine, then restore all variables."""
    with using(name):
        step = training_state(model).compiled_step("train", data.signature(rows.shape[-1]))
        buffers = data.buffers(current_engine())
        variables = step.traced.variables
        values = [(variable, np.array(variable)) for variable in variables]
        losses, seconds = [], []
        try:
            for row in rows:
                model.reset_metrics()
                started = time.perf_counter()
                logs = step.run_many(buffers, row)
                losses.append(float(np.asarray(logs["loss"])[0]))
                seconds.append(time.perf_counter() - started)
            weights = {v.path: np.array(v, "float64") for v in model.weights}
        finally:
            for variable, value in values:
                variable.assign(value)
    return _Run(np.array(losses), weights, float(np.median(seconds[1:] or seconds)))


def _compared(name: str, run: _Run, first: _Run) -> EngineResult:
    differences = {path: _largest(value - first.weights[path]) for path, value in run.weights.items()}
    # Comparisons with NaN are false, so NaN comes first in the key.
    furthest = max(differences, key=lambda path: (np.isnan(differences[path]), differences[path]), default="")
    return EngineResult(
        engine=name,
        losses=tuple(run.losses.tolist()),
        loss_difference=_largest(run.losses - first.losses),
        weight_difference=differences.get(furthest, 0.0),
        furthest=furthest,
        seconds=run.seconds,
    )


def _largest(difference: np.ndarray) -> float:
    """Return the largest absolute difference, NaN if one is NaN."""
    return float(np.abs(difference).max(initial=0.0))


def _table(results: Sequence[EngineResult], steps: int) -> Table:
    rows = [
        [
            result.engine,
            f"{result.losses[-1]:.6g}",
            *(
                ["", "", ""]
                if result is results[0]
                else [f"{result.loss_difference:.1e}", f"{result.weight_difference:.1e}", result.furthest]
            ),
            f"{1000 * result.seconds:.3g}",
        ]
        for result in results
    ]
    heads = ("engine", "last loss", "loss differs by", "weights differ by", "in", "ms a step")
    return Table(f"{steps} steps, compared with {results[0].engine}", heads, rows, folding=("in",))
