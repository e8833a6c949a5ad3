"""Profiles of training and prediction: `model.profile()` and `fit(profile=...)`."""

from __future__ import annotations

import os
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

if TYPE_CHECKING:
    from hornbeam._internal.typing import Tree
    from hornbeam.models import Model
    from hornbeam.training.profile import Profile
    from hornbeam.training.run import TrainingRun


@contextmanager
def fresh_steps(model: Model) -> Iterator[Mapping[tuple[Any, ...], Any]]:
    """Compile the model's steps anew inside of the block, for a profile; restore the old ones afterwards."""
    state = model._hb_trainer
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


@contextmanager
def profiled(run: TrainingRun, target: bool | str | os.PathLike[str]) -> Iterator[None]:
    """Profile the training inside of the block: print the table at the end, or write a trace to a path.

    The profile is then the history's `profile`. Nothing happens if `target` is False.
    """
    if not target:
        yield
        return
    if target is not True:
        open(target, "w").close()  # a path that cannot be written fails before the training
    updates = run.updates
    with fresh_steps(run.model) as compiled:
        started = time.perf_counter()
        yield
        profile = profile_of(compiled, max(run.updates - updates, 1), time.perf_counter() - started)
    run.model.history.profile = profile
    if target is True:
        print(profile.table())
    else:
        profile.to_chrome_trace(target)


def profile_model(model: Model, x: Tree, y: Tree, batch_size: int, steps: int) -> Profile:
    """See `Model.profile`."""
    steps = check_int("steps", steps, 1)
    if is_stream(x):
        raise ValueError("profile() takes arrays in memory: give it one batch of what the data gives")
    data = make_data(x, y, None, batch_size, "profile", run_host_layers=model._run_host_layers, steps=steps)
    assert isinstance(data, ArrayData)
    if model.run_eagerly:
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


def _prediction(model: Model, data: ArrayData, rows: np.ndarray) -> Iterator[None]:
    """Predict one batch, then the others."""
    batches = [data.table.take(row) for row in rows]
    model._hb_trainer.predict_batch(batches[0])
    yield
    for batch in batches[1:]:
        model._hb_trainer.predict_batch(batch)
    yield


def _training(model: Model, data: ArrayData, rows: np.ndarray) -> Iterator[None]:
    """Run one step, then the others, then restore all variables."""
    model._hb_trainer.require_compiled("profile")
    step = model._hb_trainer.compiled_step("train", data.signature(rows.shape[1]))
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
