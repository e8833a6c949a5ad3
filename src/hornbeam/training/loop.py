"""The loop over batches, for training and testing."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.warn import warn_user
from hornbeam.data.pipeline.prefetch import prefetch_if_worthwhile
from hornbeam.distribution.processes import slowest
from hornbeam.engines import current_engine
from hornbeam.training.array_data import ArrayData
from hornbeam.training.callbacks.callback_list import CallbackList
from hornbeam.training.logs import as_floats, checked_logs, flattened
from hornbeam.training.nan_debug import CheckedStep
from hornbeam.training.nan_origin import FailedStep, explain_loss
from hornbeam.training.packing import Batch
from hornbeam.training.signals import check_interrupts, handled_interrupts, uninterrupted
from hornbeam.training.step import EagerStep, Step
from hornbeam.training.stream_data import StreamData

if TYPE_CHECKING:
    from hornbeam.training.trainer import Trainer


class Loop:
    """Runs a model's steps of `mode` ("train" or "test") over data and calls the callbacks."""

    def __init__(self, trainer: Trainer, mode: str, callbacks: CallbackList | None) -> None:
        self.trainer = trainer
        self.model = trainer.model
        self.mode = mode
        self.callbacks = callbacks
        self.every_batch = callbacks is not None and callbacks.wants_batches(mode)
        # Chunks end at multiples of these numbers of steps.
        self.bounds = callbacks.chunk_bounds if callbacks is not None and mode == "train" else []
        self.done = 0
        self.logs: dict[str, Any] = {}
        # First step of the execution whose end the batch callbacks have not seen; None between executions.
        self._begun: int | None = None
        self._reported_nan = False
        # Losses of the chunk before the present one, and those of the present one.
        self._losses: tuple[Any, Any] = (None, None)
        self.epoch = 0
        # Asked between two steps; the run that the loop belongs to replaces it.
        self.stop_requested: Callable[[], bool] = lambda: False

    def begin(self, epoch: int) -> None:
        """Prepare for a complete epoch."""
        self.done, self.logs, self.epoch, self._begun = 0, {}, epoch, None

    def run(self, data: ArrayData | StreamData, steps: int | None) -> dict[str, Any]:
        """Run the steps of an epoch that are not done yet. Returns the logs of the last one as floats."""
        left = None if steps is None else max(steps - self.done, 0)
        if self.done and (left == 0 or (data.at_end and not data.endless)):
            return self.logs
        with handled_interrupts():
            if isinstance(data, ArrayData):
                self._run_arrays(data, left)
            else:
                self._run_stream(data, left)
        self._end_execution()
        return self.logs

    @property
    def _stopped(self) -> bool:
        model = self.model
        stop = model.stop_training if self.mode == "train" else model.stop_evaluating
        return stop or self.stop_requested()

    # -- arrays in memory --------------------------------------------------------------------------

    def _run_arrays(self, data: ArrayData, steps: int | None) -> None:
        for rows in data.epoch(steps):
            step = self.trainer.compiled_step(self.mode, data.signature(rows.shape[1]))
            if isinstance(step, Step):
                self._run_chunks(step, data, rows)
            else:
                self._run_single_steps(step, data, rows)

    def _run_chunks(self, step: Step, data: ArrayData, rows: np.ndarray) -> None:
        """Run a step for each row of the matrix `rows`, in chunks of one engine call each."""
        at = 0
        while at < len(rows) and not self._stopped:
            size = self._begin_execution() if self.every_batch else step.chunk_size
            bounds = [bound - self.done % bound for bound in self.bounds]
            chunk = rows[at : at + min(size, data.most_steps(rows.shape[1]) or size, *bounds)]
            started = time.perf_counter()
            with uninterrupted():
                stacked = flattened(step.run_many(*data.chunk(current_engine(), chunk)))
            seconds = time.perf_counter() - started
            if not self.every_batch and len(chunk) == size:  # equal in all processes, for equal times
                step.chunk_size = Step.next_chunk(step.chunk_size, slowest(seconds))
            at += len(chunk)
            data.cursor.consumed += len(chunk)

            def failed(index: int, chunk: np.ndarray = chunk) -> FailedStep:
                return FailedStep(step, data.table.take(chunk[index]).leaves, chunk[index])

            self._end(len(chunk), stacked, failed)

    def _run_single_steps(self, step: EagerStep | CheckedStep, data: ArrayData, rows: np.ndarray) -> None:
        for batch_rows in rows:
            if self._stopped:
                return
            if isinstance(step, CheckedStep):
                step.rows = batch_rows
            self._run_one(step, data.table.take(batch_rows), data)

    # -- streams of batches ------------------------------------------------------------------------

    def _run_stream(self, data: StreamData, steps: int | None) -> None:
        batches = data.epoch(steps, begins=self.done == 0)
        if not self.every_batch and not self.trainer.run_eagerly:
            batches = prefetch_if_worthwhile(batches, current_engine().threads)
        with closing(batches):
            for batch in batches:
                self._run_one(self.trainer.compiled_step(self.mode, batch.signature()), batch, data)
                if self._stopped:
                    return

    def _run_one(self, step: Any, batch: Batch, data: ArrayData | StreamData) -> None:
        if self.every_batch:
            self._begin_execution()
        with uninterrupted():
            logs = step.run(batch)
            values = {name: np.asarray(value)[None] for name, value in checked_logs(logs, self.mode).items()}
        data.cursor.consumed += 1
        self._end(1, values, lambda _: FailedStep(step, batch.leaves) if isinstance(step, Step) else None)

    # -- callbacks ---------------------------------------------------------------------------------

    def _begin_execution(self) -> int:
        """Call the hooks before the first of `steps_per_execution` steps. Returns how many are to come."""
        if self._begun is None:
            self._begun = self.done
            getattr(self.callbacks, f"on_{self.mode}_batch_begin")(self.done)
        return self._begun + self.model.steps_per_execution - self.done

    def _end_execution(self) -> None:
        """Call the hooks after the last step of an execution. An epoch may end within one.

        They get the number of its last step, as if all of its steps were made.
        """
        if self._begun is not None:
            last, self._begun = self._begun + self.model.steps_per_execution - 1, None
            getattr(self.callbacks, f"on_{self.mode}_batch_end")(last, self.logs)

    def _end(self, count: int, stacked: dict[str, Any], failed: Callable[[int], FailedStep | None]) -> None:
        """Log `count` steps, whose values are `stacked` along the first axis.

        failed: returns one of the steps by its number among them.
        """
        first = self.done
        self.done += count
        last = tree.map_structure(
            lambda value: value[-1] if isinstance(value, np.ndarray) else value, dict(stacked)
        )
        self.logs = as_floats(last)
        if self.mode == "train" and not self._reported_nan:
            self._losses = self._losses[1], stacked.get("loss")
            self._report_nan(first, failed)
        if self.every_batch:
            if self._begun is not None and self.done - self._begun >= self.model.steps_per_execution:
                self._end_execution()
        elif self.callbacks is not None and self.callbacks.has_chunked:
            self.callbacks.call_chunked(self.mode, self.done - 1, self.logs)
        check_interrupts()

    def _report_nan(self, first: int, failed: Callable[[int], FailedStep | None]) -> None:
        """Warn, once, at which step the loss became NaN or infinite, and why."""
        before, losses = self._losses
        if not isinstance(losses, np.ndarray) or np.isfinite(losses[-1]).all():
            return
        self._reported_nan = True
        by_step = losses.reshape(len(losses), -1)
        index = int((~np.isfinite(by_step).all(axis=1)).argmax())
        course = by_step[: index + 1, 0]
        if isinstance(before, np.ndarray) and before.ndim == losses.ndim:
            course = np.concatenate([before.reshape(len(before), -1)[:, 0], course])
        warn_user(
            f"the loss is {float(by_step[index, 0])} from epoch {self.epoch + 1}, step {first + index + 1} "
            f"on. {explain_loss(self.model, course, lambda: failed(index))}. The callback TerminateOnNaN "
            "stops training here",
            RuntimeWarning,
        )
