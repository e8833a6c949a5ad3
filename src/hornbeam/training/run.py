"""A running `fit`: its epochs, and the state from which another process can resume it."""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.naming import NamedValues
from hornbeam._internal.resume_point import ResumePoint
from hornbeam._internal.warn import warn_user
from hornbeam.distribution.processes import slowest
from hornbeam.random import random_state, set_random_state
from hornbeam.training.array_data import ArrayData
from hornbeam.training.callbacks.callback_list import CallbackList
from hornbeam.training.checkpoint_schema import check_callback_state, check_state
from hornbeam.training.fit_settings import FitSettings
from hornbeam.training.loop import Loop
from hornbeam.training.profiler import fresh_steps, profile_of
from hornbeam.training.resuming import compact_position, global_words, seek, set_global_words
from hornbeam.training.signals import GracefulShutdown, check_interrupts, handled_interrupts
from hornbeam.training.sources import Data

if TYPE_CHECKING:
    from hornbeam.training.trainer import Trainer


class TrainingRun:
    """Progress of one `fit`.

    epoch: the present one, from 0. updates: of the optimizer, before this epoch. With `state()` and
    `restore()` another `fit` with the same model, data and callbacks ends as this one would have.
    """

    def __init__(
        self,
        trainer: Trainer,
        data: Data,
        validation: Data | None,
        callbacks: CallbackList,
        settings: FitSettings,
    ) -> None:
        self.trainer = trainer
        self.model = trainer.model
        self.data = data
        self.validation = validation
        self.callbacks = callbacks
        self.settings = settings
        self.epoch = settings.initial_epoch
        self.updates = 0
        self.loop = Loop(trainer, "train", callbacks)
        self.loop.begin(self.epoch)
        self.loop.stop_requested = self.stop_requested
        # True if the first batches of the present epoch were done before the training was resumed.
        self.resumed = False
        # State of the global generator before the data of this training were split.
        self.start: list[int] = []
        # True if the training only pauses: `fit(resume=...)` continues it.
        self.is_paused = False
        # True while the callbacks of the end of an epoch are called.
        self.epoch_is_over = False
        self._warned_without_data = False
        self.shutdown: GracefulShutdown | None = None

    # -- epochs ------------------------------------------------------------------------------------

    def train(self) -> dict[str, Any]:
        """Run the epochs that are left. Returns the logs of the last one."""
        logs: dict[str, Any] = {}
        while self.epoch < self.settings.epochs and not self.model.stop_training:
            logs = self._run_epoch()
            check_interrupts()
        return logs

    def _run_epoch(self) -> dict[str, Any]:
        """Run the present epoch, or the rest of it, with validation and callbacks. Returns its logs."""
        model, loop, callbacks, steps = self.model, self.loop, self.callbacks, self.settings.steps
        epoch = self.epoch
        if not self.resumed:
            model.reset_metrics()
        self.resumed = False
        callbacks.on_epoch_begin(epoch)
        logs = NamedValues("logs", dict(sorted(loop.run(self.data, steps).items())))
        self.stop_if_requested()
        if loop.done == 0 or (steps is not None and loop.done < steps and not model.stop_training):
            self._warn_without_data()
        if loop.done:
            if self.validation is not None and self.settings.validates_after(epoch):
                steps = self.settings.validation_steps
                results = self.trainer.run_evaluation(self.validation, callbacks, steps, self)
                logs.update({f"val_{name}": value for name, value in sorted(results.items())})
            self.epoch_is_over = True
            callbacks.on_epoch_end(epoch, logs)
            self.epoch_is_over = False
            self.trainer.resume_point = self.resume_point()
        self._finish_epoch()
        return logs

    def _finish_epoch(self) -> None:
        self.updates += self.loop.done
        self.epoch += 1
        self.loop.begin(self.epoch)

    def _warn_without_data(self) -> None:
        """Warn of an epoch with too few batches, and end the training if there are no more."""
        steps, epochs, done = self.settings.steps, self.settings.epochs, self.loop.done
        if done and (isinstance(self.data, ArrayData) or not self.data.once):
            if not self._warned_without_data:
                self._warned_without_data = True
                warn_user(
                    f"epoch {self.epoch + 1} ended with the data, after {done} of {steps} steps. Omit "
                    "steps_per_epoch for epochs of one pass, or repeat the data: Dataset.repeat()"
                )
            return
        goal = f"{steps} steps in each of {epochs} epochs" if steps is not None else f"{epochs} epochs"
        warn_user(
            f"the data ran out in epoch {self.epoch + 1} after {done} steps; fit() was to make "
            f"{goal}. A generator can be read once: let it run for ever and give steps_per_epoch, or use a "
            "PyDataset"
        )
        self.model.stop_training = True

    @property
    def updates_now(self) -> int:
        """Updates so far, over all epochs."""
        return self.updates + self.loop.done

    # -- signals -----------------------------------------------------------------------------------

    def stop_requested(self) -> bool:
        """Return whether a signal in any process asks to save and stop: all stop at the same step."""
        if self.shutdown is not None:
            self.shutdown.requested = int(slowest(self.shutdown.requested or 0)) or None
        return self.shutdown is not None and self.shutdown.requested is not None

    def stop_if_requested(self) -> None:
        """Save and stop if a signal asks for it. Raises KeyboardInterrupt or SystemExit."""
        if self.shutdown is None or not self.stop_requested():
            return
        paths = [saver.save_now() for saver in self.savers]
        self.shutdown.exit(
            f"the training was cut off at update {self.updates_now:,}; fit(resume={paths[0]!r}) continues it"
        )

    @property
    def savers(self) -> list[Any]:
        """Callbacks that write checkpoints."""
        return [callback for callback in self.callbacks.callbacks if hasattr(callback, "save_now")]

    # -- resuming from a saved model ---------------------------------------------------------------

    def resume_point(self) -> ResumePoint:
        """Return the point after the present epoch, whose last step is done."""
        return ResumePoint(
            epoch=self.epoch + 1,
            form=dict(self.data.description),
            start=self.start,
            random=global_words(),
            data=compact_position(self.data.position()),
            validation=None if self.validation is None else compact_position(self.validation.position()),
        )

    def continue_from(self, point: ResumePoint) -> bool:
        """Continue the order of the data from a point. Returns False, and changes nothing, for other data."""
        if point.form != self.data.description:
            return False
        before = random_state()
        try:
            seek(self.data, point.data)
            if self.validation is not None and point.validation is not None:
                seek(self.validation, point.validation)
        except ValueError as error:  # of another pipeline, or a stream with fewer batches
            set_random_state(before)
            self.data.rewind()
            warn_user(
                f"fit(initial_epoch={point.epoch}) cannot continue the order of the saved training: {error}"
            )
            return False
        if not point.data["ahead"]:
            set_global_words(point.random)
        self.start = point.start
        return True

    # -- checkpoints -------------------------------------------------------------------------------

    def state(self, finished: bool) -> dict[str, Any]:
        """Return everything besides weights and the optimizer's state, as JSON values and arrays.

        finished: True if the epoch is over, callbacks included.
        """
        return {
            "epoch": self.epoch + finished,
            "done": 0 if finished else self.loop.done,
            "updates": self.updates_now if finished else self.updates,
            "logs": {} if finished else self.loop.logs,
            "stopped": bool(self.model.stop_training) and not self.is_paused,
            "form": self.data.description,
            "data": self.data.position(),
            "validation": None if self.validation is None else self.validation.position(),
            "random": random_state(),
            "metrics": [np.array(v.numpy()) for v in self.model.metrics_variables],
            "callbacks": [
                {"class": type(callback).__name__, "state": callback.get_state()}
                for callback in self.callbacks.callbacks
            ],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state()`.

        Raises ModelFileError for anything else, ValueError if data or metrics differ from those before.
        Everything is then unchanged, except for a stream, whose consumed batches are gone.
        """
        check_state(state)
        backup = self._backup()
        try:
            self._restore(state)
        except BaseException as error:
            self._undo(backup)
            if isinstance(error, (KeyError, TypeError, AttributeError, IndexError, OverflowError)):
                from hornbeam.errors import ModelFileError

                raise ModelFileError(
                    f"the checkpoint's state does not fit this training: {error!r:.200}"
                ) from error
            raise

    def _backup(self) -> list[Any]:
        """Copy what `_restore` changes."""
        metrics = [np.array(v.numpy()) for v in self.model.metrics_variables]
        states = [copy.deepcopy(callback.get_state()) for callback in self.callbacks.callbacks]
        return [random_state(), metrics, states]

    def _undo(self, backup: list[Any]) -> None:
        random, metrics, states = backup
        set_random_state(random)
        for variable, array in zip(self.model.metrics_variables, metrics, strict=True):
            variable.assign(array)
        for callback, state in zip(self.callbacks.callbacks, states, strict=True):
            callback.set_state(state)

    def _restore(self, state: dict[str, Any]) -> None:
        before, now = _describe(state["form"]), _describe(self.data.description)
        same_data = state["form"] == self.data.description
        if state["done"] and not same_data:
            raise ValueError(
                f"the training was cut off in the middle of an epoch over {before}, and cannot continue with "
                f"{now}"
            )
        if same_data:
            self.data.seek(state["data"])
        else:
            warn_user(f"the training continues with {now}, it began with {before}")
        if self.validation is not None and state["validation"] is not None:
            self.validation.seek(state["validation"])
        if not state["data"].get("ahead"):
            set_random_state(state["random"])
        self._restore_metrics(state)
        self._restore_callbacks(state["callbacks"])
        self.epoch, self.updates = state["epoch"], state["updates"]
        self.loop.begin(self.epoch)
        self.loop.done, self.loop.logs = state["done"], dict(state["logs"])
        self.resumed = state["done"] > 0
        self.model.stop_training = state["stopped"]

    def _restore_metrics(self, state: dict[str, Any]) -> None:
        variables, arrays = self.model.metrics_variables, state["metrics"]
        if [v.shape for v in variables] != [a.shape for a in arrays]:
            if not state["done"]:
                return  # they begin anew with the epoch
            raise ValueError(
                "the training was cut off in the middle of an epoch with other metrics: compile the model "
                "as it was"
            )
        for variable, array in zip(variables, arrays, strict=True):
            variable.assign(array)

    def _restore_callbacks(self, states: list[dict[str, Any]]) -> None:
        """Match states to callbacks by class, in order: the first EarlyStopping gets the first one's."""
        left = list(states)
        for callback in self.callbacks.callbacks:
            match = next((s for s in left if s["class"] == type(callback).__name__), None)
            if match is not None:
                left = [s for s in left if s is not match]
                present = callback.get_state()
                check_callback_state(match["class"], match["state"], present, callback.schemas)
                callback.set_state(match["state"])
        lost = [s["class"] for s in left if s["state"]]
        if lost:
            warn_user(f"the training had {', '.join(lost)} among its callbacks before, which are missing now")


@contextmanager
def running(run: TrainingRun) -> Iterator[TrainingRun]:
    """Make the run its trainer's present one; if it writes checkpoints, signals make it save and stop."""
    trainer = run.trainer
    trainer.run, trainer.debug_nans = run, run.settings.debug_nans
    try:
        if run.savers:
            with GracefulShutdown() as run.shutdown:
                yield run
        else:
            with handled_interrupts():
                yield run
    finally:
        trainer.run, trainer.debug_nans = None, False
        for saver in run.savers:
            saver.wait()


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


def _describe(description: dict[str, Any]) -> str:
    """Data in words."""
    if "samples" in description:
        return f"{description['samples']:,} samples in batches of {description['batch_size']}"
    batches = description["batches"]
    return "a stream of batches" if batches is None else f"{batches:,} batches"
