"""Profiles of training and prediction: `model.profile()` and `fit(profile=...)`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam.engines import current_engine
from hornbeam.training.array_data import ArrayData
from hornbeam.training.bounded import Bounded
from hornbeam.training.sources import is_stream, make_data
from hornbeam.training.steps import Steps, host_part, training_state

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.training.profile import Profile


@contextmanager
def fresh_steps(model: Steps) -> Iterator[Mapping[tuple[Any, ...], Any]]:
    """Compile the model's steps anew inside of the block, for a profile; restore the old ones afterwards."""
    state = training_state(model)
    previous = state.steps, state.predictors
    state.steps, state.predictors = Bounded(), Bounded()
    try:
        with current_engine().profiling() as compiled:
            yield compiled
    finally:
        state.steps, state.predictors = previous


def profile_of(compiled: Mapping[tuple[Any, ...], Any], steps: int, seconds: float) -> Profile:
    """Build the profile of executables that ran `steps` steps in `seconds`."""
    from hornbeam.training.profile import Profile  # which training without profiles does not import

    reports = [executable.profile() for executable in compiled.values()]
    return Profile(reports, steps, seconds, current_engine().peak())


def profile_model(model: Steps, x: Tree, y: Tree, batch_size: int, steps: int) -> Profile:
    """See `Model.profile`."""
    steps = check_int("steps", steps, 1)
    if is_stream(x):
        raise ValueError("profile() takes arrays in memory: give it one batch of what the data gives")
    data = make_data(x, y, None, batch_size, "profile", run_host_layers=host_part(model), steps=steps)
    assert isinstance(data, ArrayData)
    if training_state(model).run_eagerly:
        raise ValueError("profile() measures compiled steps, and run_eagerly=True runs them line by line")
    size = min(data.batch_size, len(data.table))
    rows = np.arange((steps + 1) * size).reshape(steps + 1, size) % len(data.table)
    with fresh_steps(model) as compiled:
        run = _prediction(model, data, rows) if y is None else _training(model, data, rows)
        # The first step compiles, and touches memory for the first time.
        next(run)
        for executable in compiled.values():
            executable.clear_profile()
        started = time.perf_counter()
        next(run)
        seconds = time.perf_counter() - started
        profile = profile_of(compiled, steps, seconds)
        next(run, None)
    return profile


def _prediction(model: Steps, data: ArrayData, rows: np.ndarray) -> Iterator[None]:
    """Predict one batch, then the others."""
    batches = [data.table.take(row) for row in rows]
    training_state(model).predict_batch(batches[0])
    yield
    for batch in batches[1:]:
        training_state(model).predict_batch(batch)
    yield


def _training(model: Steps, data: ArrayData, rows: np.ndarray) -> Iterator[None]:
    """Run one step, then the others, then restore all variables."""
    training_state(model).require_compiled("profile")
    step = training_state(model).compiled_step("train", data.signature(rows.shape[1]))
    values = [(variable, np.array(variable)) for variable in step.traced.variables]
    buffers = data.buffers(current_engine())
    try:
        step.run_many(buffers, rows[:1])
        yield
        step.run_many(buffers, rows[1:])
        yield
    finally:
        for variable, value in values:
            variable.assign(value)
