"""`fit(engine="auto")`: two steps are measured on each engine of this machine, and the quickest is taken."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from hornbeam import tree
from hornbeam._internal.entry_points import entry_point
from hornbeam.engines import current_engine, using
from hornbeam.training.array_data import ArrayData
from hornbeam.training.compile_config import describe
from hornbeam.training.sources import Data
from hornbeam.training.step import Step
from hornbeam.training.steps import Steps, training_state

AUTO = "auto"
# Steps that are timed, after one that compiles.
_STEPS = 2


def quickest_engine(model: Steps, data: Data, steps: int | None) -> tuple[str, str]:
    """Measure the training step of a model on each candidate.

    All variables that the step reads have their values again afterwards, to the bit.

    Args:
        model: The compiled model, built.
        data: Data of the fit; its first batch is used, and not consumed.
        steps: Batches of an epoch, None for one pass.

    Returns:
        Name of the engine whose step took the least time, and a line with all of them.

    Raises:
        ValueError: If there is nothing to choose from, or nothing to measure.
        RuntimeError: If the step runs on no candidate.
    """
    if current_engine().mesh is not None:
        raise ValueError(
            'engine="auto" measures engines on one device each, and a distribution is set: name the engine'
        )
    if training_state(model).run_eagerly:
        raise ValueError('engine="auto" measures compiled steps, and run_eagerly=True runs them line by line')
    names, failures = entry_point("candidate_engines")()
    if len(names) + len(failures) < 2:
        raise ValueError(
            f'engine="auto" chooses among engines, and {" and ".join(names) or "none"} is the only one here: '
            "leave engine= out, or install another (`hornbeam devices` says which)"
        )
    seconds = {}
    for name in names:
        try:
            seconds[name] = _step_seconds(model, data, steps, name)
        except Exception as error:  # whatever a library or a driver raises rules its engine out
            failures[name] = error
    failed = [f"{name} failed: {_first_line(error)}" for name, error in failures.items()]
    if not seconds:
        cause = next(iter(failures.values()))
        text = f'engine="auto": {describe(model)} runs its training step on no engine: {"; ".join(failed)}'
        raise RuntimeError(text) from cause
    first, *others = sorted(seconds, key=seconds.__getitem__)
    times = [f"{name} {1000 * seconds[name]:.3g}" for name in others]
    line = f"engine: {first} takes {1000 * seconds[first]:.3g} ms a step"
    return first, "; ".join([", ".join([line, *times]), *failed])


def _step_seconds(model: Steps, data: Data, steps: int | None, name: str) -> float:
    """Return the time of the quicker of two steps on an engine; restore all variables."""
    with using(name):
        step = training_state(model).compiled_step("train", data.signatures(steps)[0])
        if not isinstance(step, Step):
            raise NotImplementedError(f"{describe(model)} has a train_step of another library")
        values = [(variable, np.array(variable)) for variable in step.traced.variables]
        run = _runner(step, data)
        try:
            run()
            return min(map(_timed, [run] * _STEPS))
        finally:
            for variable, value in values:
                variable.assign(value)


def _runner(step: Step, data: Data) -> Callable[[], None]:
    """Return a function that runs a step as the loop of `fit` will, and waits for its logs and its state."""
    changed = min(step.traced.updated, key=lambda variable: variable.type.size, default=None)
    if isinstance(data, ArrayData):
        every = np.arange(len(data.table)) if data.rows is None else data.rows
        rows = every[None, : data.batch_size]
    else:
        batch = data.known

    def run() -> None:
        if isinstance(data, ArrayData):
            step.run_many(*data.chunk(current_engine(), rows))
        else:
            tree.map_structure(np.asarray, step.run(batch))
        if changed is not None:
            np.asarray(changed)

    return run


def _timed(run: Callable[[], None]) -> float:
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
