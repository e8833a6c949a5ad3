"""The one loop over batches, for training and testing."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from contextlib import closing
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam.data.pipeline.prefetch import prefetch_if_worthwhile
from hornbeam.distribution.processes import slowest
from hornbeam.engines import current_engine
from hornbeam.training.callbacks.base import CallbackList
from hornbeam.training.data import ArrayData, StreamData, rows_of, types_of
from hornbeam.training.nan_debug import CheckedStep
from hornbeam.training.step import EagerStep, uninterrupted

# A chunk of steps should take about as long as the eye needs to see the bar move.
CHUNK_SECONDS = 0.12


def as_floats(logs: Any) -> dict[str, Any]:
    """Logs as Python floats, those of inner dicts beside the others; what is not a single number stays an
    array."""
    return {name: _plain(value) for name, value in _flat(logs).items()}


def _flat(logs: dict[str, Any]) -> dict[str, Any]:
    """Without dicts in the dict: a metric that is made of several gives all of theirs under its one name."""
    flat: dict[str, Any] = {}
    for name, value in logs.items():
        flat.update(_flat(value) if isinstance(value, dict) else {name: value})
    return flat


def _plain(value: Any) -> Any:
    if isinstance(value, (int, float)):
        return value
    array = np.asarray(value)
    return float(array) if array.ndim == 0 else array


class Loop:
    """Runs `model`'s steps of `mode` ("train" or "test") over data and tells `callbacks`."""

    def __init__(self, model: Any, mode: str, callbacks: CallbackList | None) -> None:
        self.model = model
        self.mode = mode
        self.callbacks = callbacks
        self.every_batch = callbacks is not None and callbacks.wants_batches(mode)
        self.done = 0
        self.logs: dict[str, Any] = {}
        self._reported = False
        self.epoch = 0
        # Whether a signal asks to end between two steps; the run that a loop belongs to says so.
        self.stop_requested: Callable[[], bool] = lambda: False

    def begin(self, epoch: int) -> None:
        """The next `run` is that of a whole epoch."""
        self.done, self.logs, self.epoch = 0, {}, epoch

    def run(self, data: ArrayData | StreamData, steps: int | None) -> dict[str, Any]:
        """The steps of an epoch, or those that are not done yet. Returns the logs of the last one as
        floats."""
        left = None if steps is None else max(steps - self.done, 0)
        if self.done and (left == 0 or (steps is None and data.at_end)):
            return self.logs
        if isinstance(data, ArrayData):
            self._arrays(data, left)
        else:
            self._stream(data, left)
        return self.logs

    @property
    def _stopped(self) -> bool:
        return self.stop_requested() or (self.mode == "train" and self.model.stop_training)

    # -- arrays in memory --------------------------------------------------------------------------

    def _arrays(self, data: ArrayData, steps: int | None) -> None:
        engine = current_engine()
        for part in data.epoch(steps):
            step = self.model._step(self.mode, data.types(part.shape[1]))
            if isinstance(step, (EagerStep, CheckedStep)):
                for rows in part:
                    if self._stopped:
                        return
                    if isinstance(step, CheckedStep):
                        step.rows = rows
                    self._one(step, rows_of(data.data, rows), data)
                continue
            at = 0
            while at < len(part) and not self._stopped:
                size = self.model.steps_per_execution if self.every_batch else step.chunk
                chunk = part[at : at + size]
                if self.every_batch:
                    self._begin()
                started = time.perf_counter()
                with uninterrupted():
                    stacked = _flat(step.run_many(data.buffers(engine), chunk))
                taken = time.perf_counter() - started
                if len(chunk) == size:
                    step.chunk = next_chunk(step.chunk, slowest(taken))  # all processes take equal ones
                at += len(chunk)
                data.cursor.consumed += len(chunk)
                self._end(len(chunk), stacked)

    # -- streams of batches ------------------------------------------------------------------------

    def _stream(self, data: StreamData, steps: int | None) -> None:
        batches = data.epoch(steps)
        if not self.every_batch and not self.model._training_state.run_eagerly:
            batches = prefetch_if_worthwhile(batches, current_engine().threads)
        with closing(batches):
            for batch in batches:
                self._one(self.model._step(self.mode, types_of(batch)), batch, data)
                if self._stopped:
                    return

    def _one(self, step: Any, batch: Any, data: ArrayData | StreamData) -> None:
        if self.every_batch:
            self._begin()
        with uninterrupted():
            logs = step.run(batch)
            values = {name: np.asarray(value)[None] for name, value in checked_logs(logs, self.mode).items()}
        data.cursor.consumed += 1
        self._end(1, values)

    # -- watching ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        assert self.callbacks is not None
        getattr(self.callbacks, f"on_{self.mode}_batch_begin")(self.done)

    def _end(self, count: int, stacked: dict[str, Any]) -> None:
        """After `count` steps, whose logs are `stacked`."""
        first = self.done
        self.done += count
        last = tree.map_structure(
            lambda value: value[-1] if isinstance(value, np.ndarray) else value, dict(stacked)
        )
        self.logs = as_floats(last)
        if self.mode == "train" and not self._reported:
            self._report_nan(first, stacked.get("loss"))
        if self.every_batch:
            getattr(self.callbacks, f"on_{self.mode}_batch_end")(self.done - 1, self.logs)
        elif self.callbacks is not None and self.callbacks.watches:
            self.callbacks.call_chunked(self.mode, self.done - 1, self.logs)

    def _report_nan(self, first: int, losses: Any) -> None:
        """Say, once, at which step the loss stopped being a number."""
        if not isinstance(losses, np.ndarray) or np.isfinite(losses[-1]).all():
            return
        self._reported = True
        bad = ~np.isfinite(losses.reshape(len(losses), -1)).all(axis=1)
        step = first + int(bad.argmax())
        warnings.warn(
            f"the loss is {float(losses.reshape(len(losses), -1)[bad.argmax(), 0])} from epoch "
            f"{self.epoch + 1}, step {step + 1} "
            "on. The data are finite where fit() could check them, so look at the learning rate (try a "
            "tenth), at logarithms and "
            "divisions in your own code, and at clipnorm=1.0 in the optimizer. fit(debug_nans=True) says "
            "where it begins, the callback TerminateOnNaN stops training here",
            RuntimeWarning,
            stacklevel=7,
        )


def next_chunk(size: int, seconds: float) -> int:
    """The chunk size after one of `size` steps took `seconds`."""
    if seconds < CHUNK_SECONDS / 2:
        return min(size * 2, 4096) if seconds < CHUNK_SECONDS / 4 else size + max(size // 2, 1)
    if seconds > CHUNK_SECONDS * 2:
        return max(size // 2, 1)
    return size


def checked_logs(logs: Any, mode: str) -> dict[str, Any]:
    """What a step returned, without inner dicts. Raises TypeError unless it is a dict."""
    if not isinstance(logs, dict):
        raise TypeError(
            f"{mode}_step must return a dict of logs such as {{'loss': loss}}, got {type(logs).__name__}"
        )
    return _flat(logs)
