"""Profiles of training and prediction: `model.profile()` and `fit(profile=...)`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam.diagnostics.profile import Profile
from hornbeam.engines import current_engine
from hornbeam.training.compile_mixin import Bounded
from hornbeam.training.data import ArrayData, rows_of
from hornbeam.training.sources import is_stream, make_data


@contextmanager
def fresh_steps(model: Any) -> Iterator[Mapping[tuple, Any]]:
    """Inside, the model's steps are compiled anew, for a profile; afterwards the old ones are back."""
    state = model._training_state
    kept = state.steps, state.predictors
    state.steps, state.predictors = Bounded(), Bounded()
    try:
        with current_engine().profiling() as compiled:
            yield compiled
    finally:
        state.steps, state.predictors = kept


def profile_of(compiled: Mapping[tuple, Any], steps: int, seconds: float) -> Profile:
    """The profile of what the executables ran in `seconds`."""
    reports = [executable.profile() for executable in compiled.values()]
    return Profile(reports, steps, seconds, current_engine().roof())


@contextmanager
def profiled(model: Any, wanted: bool | str | os.PathLike[str], steps: list[int]) -> Iterator[None]:
    """Profile the training inside, if `wanted`; print the table at the end, or write a trace to the path
    that it is.

    `steps` holds, at the end, how many steps were made. The profile is then the history's `profile`.
    """
    if not wanted:
        yield
        return
    if wanted is not True:
        open(wanted, "w").close()  # a place that cannot be written is found before the training
    with fresh_steps(model) as compiled:
        started = time.perf_counter()
        yield
        found = profile_of(compiled, max(sum(steps), 1), time.perf_counter() - started)
    model.history.profile = found
    if wanted is True:
        print(found.table())
    else:
        found.to_chrome_trace(wanted)


def profile_model(model: Any, x: Any, y: Any, batch_size: int, steps: int) -> Profile:
    """See `Model.profile`."""
    steps = check_int("steps", steps, 1)
    if is_stream(x):
        raise ValueError("profile() takes arrays in memory: give it one batch of what the data gives")
    data = make_data(x, y, None, batch_size, "profile", run_host_layers=model._run_host_layers)
    assert isinstance(data, ArrayData)
    if model.run_eagerly:
        raise ValueError("profile() measures compiled steps, and run_eagerly=True runs them line by line")
    size = min(data.batch_size, len(data.arrays[0]))
    rows = np.arange((steps + 1) * size).reshape(steps + 1, size) % len(data.arrays[0])
    with fresh_steps(model) as compiled:
        run = _prediction(model, data, rows) if y is None else _training(model, data, rows)
        # The first step compiles, and touches memory for the first time.
        next(run)
        for executable in compiled.values():
            executable.clear_profile()
        started = time.perf_counter()
        next(run)
        seconds = time.perf_counter() - started
        found = profile_of(compiled, steps, seconds)
        next(run, None)
    return found


def _prediction(model: Any, data: ArrayData, rows: np.ndarray) -> Iterator[None]:
    """First one batch, then the others."""
    batches = [rows_of(data.data, row) for row in rows]
    model._predicted(batches[0])
    yield
    for batch in batches[1:]:
        model._predicted(batch)
    yield


def _training(model: Any, data: ArrayData, rows: np.ndarray) -> Iterator[None]:
    """First one step, then the others, then everything as it was before."""
    model._require_compiled("profile")
    step = model._step("train", data.types(rows.shape[1]))
    kept = [(variable, np.array(variable)) for variable in step.traced.variables]
    buffers = data.buffers(current_engine())
    try:
        step.run_many(buffers, rows[:1])
        yield
        step.run_many(buffers, rows[1:])
        yield
    finally:
        for variable, value in kept:
            variable.assign(value)
