"""Dynamic batching: requests that arrive while others run are computed together."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from hornbeam.serving.errors import overloaded
from hornbeam.serving.models import RunnableModel, has_batch_axis

Arrays = dict[str, np.ndarray]

# The event loop makes no longer runs itself, as it answers no one else meanwhile.
INLINE_SECONDS = 0.001
# What it takes to hand a run to a thread and back.
_SWITCH_SECONDS = 0.0002
# Runs by the event loop until their least time is trusted.
_TRIALS = 3
# Signatures with sizes of which times are kept; clients choose sizes that are unknown.
_MAX_TIMES = 256


@dataclass(frozen=True)
class BatchLimits:
    """Limits of a batcher.

    Args:
        max_batch: Samples of a batch. Requests with more are computed in parts.
        max_wait: Seconds that the first request of a batch waits for others. With 0 a batch consists of those
            that arrived together, or while the one before it ran.
        max_queue: Samples that wait; requests beyond are refused with 429.
        parallel: Batches that run at once.
    """

    max_batch: int = 32
    max_wait: float = 0.0
    max_queue: int = 1024
    parallel: int = 1


@dataclass(slots=True, eq=False)
class _Waiting:
    """A request that waits for its batch; requests with equal keys can be merged."""

    key: tuple[object, ...]
    signature: str
    inputs: Arrays
    rows: int
    answer: asyncio.Future[Arrays]


@dataclass(slots=True)
class _Times:
    """Least seconds of the runs of one size: in a thread, and by the event loop with its thread alone."""

    threaded: float = math.inf
    inline: float = math.inf
    trials: int = 0

    def add(self, seconds: float, *, inline: bool) -> None:
        if inline:
            self.inline = min(self.inline, seconds)
            self.trials += 1
        else:
            self.threaded = min(self.threaded, seconds)

    def prefers_inline(self) -> bool:
        """Return whether the event loop should run it: it is brief, and no slower than in a thread."""
        if self.trials < _TRIALS:
            return self.threaded < INLINE_SECONDS
        return self.inline < min(INLINE_SECONDS, self.threaded + _SWITCH_SECONDS)


class Batcher:
    """Merges the requests for a model into batches.

    Requests of one batch have the same signature, and samples of the same shapes. A batch is padded to the
    next power of two by repeating its last sample, as each size is compiled; the results of the padding are
    dropped. A model without a batch axis computes requests one by one.

    All methods belong to one event loop; only the model runs in threads.

    Args:
        model: The model.
        limits: Sizes and deadlines.
        executor: Threads for runs that take longer than a switch of threads.
        on_batch: Function of the number of samples and the seconds of each batch.
    """

    def __init__(
        self,
        model: RunnableModel,
        limits: BatchLimits,
        executor: Executor,
        on_batch: Callable[[int, float], None] = lambda rows, seconds: None,
    ) -> None:
        self._model = model
        self._limits = limits
        self._executor = executor
        self._on_batch = on_batch
        self._batched = {name: has_batch_axis(signature) for name, signature in model.signatures.items()}
        self._names = {name: [spec.name for spec in s.inputs] for name, s in model.signatures.items()}
        self._queue: deque[_Waiting] = deque()
        self._queued_rows = 0
        self._running = 0
        self._timer: asyncio.Handle | None = None
        self._seconds_per_row = 0.0
        self._times: dict[tuple[object, ...], _Times] = {}

    @property
    def queued_rows(self) -> int:
        """Samples that wait for their batch."""
        return self._queued_rows

    def submit(self, signature: str, inputs: Arrays) -> asyncio.Future[Arrays]:
        """Queue a request; return the future of its results.

        Raises:
            RequestError: With status 429 if too many samples wait.
        """
        arrays = [inputs[name] for name in self._names[signature]]
        rows = len(arrays[0]) if self._batched[signature] else 1
        if self._queue and self._queued_rows + rows > self._limits.max_queue:
            raise overloaded(
                f"{self._queued_rows} samples wait for the model, {self._limits.max_queue} may: try again",
                self._queued_rows * self._seconds_per_row,
            )
        key = (signature, *[array.shape[1:] for array in arrays])
        answer = asyncio.get_running_loop().create_future()
        self._queue.append(_Waiting(key, signature, inputs, rows, answer))
        self._queued_rows += rows
        self._schedule()
        return answer

    def _schedule(self) -> None:
        """Plan the next batch: at the deadline, or at once if it is full, after what arrives together."""
        if not self._queue or self._running >= self._limits.parallel:
            return
        waits = self._limits.max_wait > 0 and self._queued_rows < self._limits.max_batch
        if self._timer is not None:
            if waits or not isinstance(self._timer, asyncio.TimerHandle):
                return
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = (
            loop.call_later(self._limits.max_wait, self._start) if waits else loop.call_soon(self._start)
        )

    def _start(self) -> None:
        self._timer = None
        batch = self._take()
        if batch:
            rows = sum(request.rows for request in batch)
            times = self._times_of((*batch[0].key, self._padded(rows)))
            if times.prefers_inline():
                answers, seconds = self._compute(batch)
                times.add(seconds, inline=True)
                self._finish(batch, rows, answers, seconds)
            else:
                self._running += 1
                loop = asyncio.get_running_loop()
                run = loop.run_in_executor(self._executor, self._compute, batch)
                run.add_done_callback(lambda done: self._finish_in_thread(batch, rows, times, done))
        self._schedule()

    def _times_of(self, size: tuple[object, ...]) -> _Times:
        times = self._times.get(size)
        if times is None:
            if len(self._times) >= _MAX_TIMES:
                self._times.clear()
            times = self._times[size] = _Times()
        return times

    def _take(self) -> list[_Waiting]:
        """Remove the requests of the next batch from the queue."""
        batch: list[_Waiting] = []
        rows = 0
        while self._queue:
            request = self._queue[0]
            mergeable = self._batched[request.signature] and rows + request.rows <= self._limits.max_batch
            if batch and not (mergeable and request.key == batch[0].key):
                break
            self._queue.popleft()
            self._queued_rows -= request.rows
            if not request.answer.done():  # its client gave up
                batch.append(request)
                rows += request.rows
        return batch

    def _finish_in_thread(
        self,
        batch: list[_Waiting],
        rows: int,
        times: _Times,
        done: asyncio.Future[tuple[list[Arrays | Exception], float]],
    ) -> None:
        self._running -= 1
        answers, seconds = done.result()
        times.add(seconds, inline=False)
        self._finish(batch, rows, answers, seconds)
        self._schedule()

    def _finish(
        self, batch: list[_Waiting], rows: int, answers: list[Arrays | Exception], seconds: float
    ) -> None:
        """Give each request its results."""
        for request, answer in zip(batch, answers, strict=True):
            if request.answer.done():
                continue
            if isinstance(answer, Exception):
                request.answer.set_exception(answer)
            else:
                request.answer.set_result(answer)
        self._seconds_per_row = seconds / rows
        self._on_batch(rows, seconds)

    # -- the computation, which may be in a thread -----------------------------------------------------------

    def _compute(self, batch: Sequence[_Waiting]) -> tuple[list[Arrays | Exception], float]:
        """Return the results of each request, or its error, and the seconds that they took."""
        start = time.perf_counter()
        try:
            answers: list[Arrays | Exception] = [*self._run_merged(batch)]
        except Exception as error:
            # One request of several may be the reason: it alone gets the error.
            answers = [error] if len(batch) == 1 else [self._compute([request])[0][0] for request in batch]
        return answers, time.perf_counter() - start

    def _run_merged(self, batch: Sequence[_Waiting]) -> list[Arrays]:
        first = batch[0]
        if not self._batched[first.signature]:
            return [self._model.run(first.inputs, first.signature)]
        rows = sum(request.rows for request in batch)
        if rows > self._limits.max_batch:
            return [self._run_in_parts(first)]
        size = self._padded(rows)
        merged = {
            name: _merged([request.inputs[name] for request in batch], rows, size) for name in first.inputs
        }
        results = self._model.run(merged, first.signature)
        answers, at = [], 0
        for request in batch:
            answers.append({name: array[at : at + request.rows] for name, array in results.items()})
            at += request.rows
        return answers

    def _run_in_parts(self, request: _Waiting) -> Arrays:
        """Compute a request that is larger than a batch."""
        step = self._limits.max_batch
        parts = []
        for start in range(0, request.rows, step):
            rows = min(step, request.rows - start)
            part = {name: array[start : start + rows] for name, array in request.inputs.items()}
            padded = {name: _merged([array], rows, self._padded(rows)) for name, array in part.items()}
            results = self._model.run(padded, request.signature)
            parts.append({name: array[:rows] for name, array in results.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _padded(self, rows: int) -> int:
        return min(1 << (rows - 1).bit_length(), self._limits.max_batch) if rows else 0


def _merged(arrays: Sequence[np.ndarray], rows: int, size: int) -> np.ndarray:
    """Concatenate arrays with so many rows together, and repeat the last row up to a size."""
    if len(arrays) == 1 and rows == size:
        return arrays[0]
    merged = np.empty((size, *arrays[0].shape[1:]), arrays[0].dtype)
    np.concatenate(arrays, out=merged[:rows])
    merged[rows:] = merged[rows - 1]
    return merged
