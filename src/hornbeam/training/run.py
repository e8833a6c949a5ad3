"""A running `fit` as a value: what must be known to go on with it, in another process and on another day."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbeam.distribution.processes import slowest
from hornbeam.random import random_state, set_random_state
from hornbeam.training.callbacks.base import CallbackList
from hornbeam.training.checkpoint_schema import check_callback_state, check_state
from hornbeam.training.data import ArrayData, StreamData
from hornbeam.training.loop import Loop
from hornbeam.training.signals import GracefulShutdown

Data = ArrayData | StreamData


class TrainingRun:
    """Where a `fit` stands.

    epoch: the one that runs. updates: of the optimizer, before this epoch. `state()` and `restore()` together
    let another `fit` with the same model, data and callbacks end as this one would have.
    """

    def __init__(
        self, model: Any, data: Data, validation: Data | None, callbacks: CallbackList, epoch: int
    ) -> None:
        self.model = model
        self.data = data
        self.validation = validation
        self.callbacks = callbacks
        self.epoch = epoch
        self.updates = 0
        self.loop = Loop(model, "train", callbacks)
        self.loop.begin(epoch)
        self.loop.stop_requested = self.stop_requested
        # Whether the epoch that runs was begun before: its first batches are behind it.
        self.continues = False
        self.shutdown: GracefulShutdown | None = None
        # Whether every step is looked at for what is not finite.
        self.debug_nans = False

    def stop_requested(self) -> bool:
        """Whether a signal asks the run to save and leave: in any process of a job, for they stop at one
        step."""
        if self.shutdown is not None:
            self.shutdown.requested = int(slowest(self.shutdown.requested or 0)) or None
        return self.shutdown is not None and self.shutdown.requested is not None

    def stop_if_requested(self) -> None:
        """Save and leave as a signal asked to. Raises KeyboardInterrupt or SystemExit."""
        if self.shutdown is None or not self.stop_requested():
            return
        places = [saver.save_now() for saver in self.savers]
        self.shutdown.exit(
            f"the training was cut off at update {self.updates_now:,}; fit(resume={places[0]!r}) goes on "
            "there"
        )

    def finish_epoch(self) -> None:
        """The epoch is over, callbacks included: the next one begins with nothing done."""
        self.updates += self.loop.done
        self.epoch += 1
        self.loop.begin(self.epoch)

    @property
    def savers(self) -> list[Any]:
        """The callbacks that keep checkpoints."""
        return [callback for callback in self.callbacks.callbacks if hasattr(callback, "save_now")]

    @property
    def updates_now(self) -> int:
        """Updates so far, over all epochs."""
        return self.updates + self.loop.done

    def state(self, finished: bool) -> dict[str, Any]:
        """Everything besides weights and the optimizer's state, as JSON values and arrays.

        finished: whether the epoch is over, callbacks included.
        """
        return {
            "epoch": self.epoch + finished,
            "done": 0 if finished else self.loop.done,
            "updates": self.updates_now if finished else self.updates,
            "logs": {} if finished else self.loop.logs,
            "stopped": bool(self.model.stop_training),
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
        """Go on from a `state()`. Raises ModelFileError for what is none, ValueError if data or metrics are
        others than they were; everything is then as it was, but for a stream, of which batches are gone.
        """
        check_state(state)
        before = self._standing()
        try:
            self._take(state)
        except BaseException as error:
            self._go_back(before)
            if isinstance(error, (KeyError, TypeError, AttributeError, IndexError, OverflowError)):
                from hornbeam.saving.files import ModelFileError

                raise ModelFileError(
                    f"the checkpoint's state does not fit this training: {error!r:.200}"
                ) from error
            raise

    def _standing(self) -> list[Any]:
        """What `_take` changes, to be put back."""
        metrics = [np.array(v.numpy()) for v in self.model.metrics_variables]
        kept = [copy.deepcopy(callback.get_state()) for callback in self.callbacks.callbacks]
        return [random_state(), metrics, kept]

    def _go_back(self, before: list[Any]) -> None:
        random, metrics, kept = before
        set_random_state(random)
        for variable, array in zip(self.model.metrics_variables, metrics, strict=True):
            variable.assign(array)
        for callback, state in zip(self.callbacks.callbacks, kept, strict=True):
            callback.set_state(state)

    def _take(self, state: dict[str, Any]) -> None:
        if state["done"] and state["form"] != self.data.description:
            raise ValueError(
                f"the training was cut off in the middle of an epoch over {_form(state['form'])}, and cannot "
                f"go on with {_form(self.data.description)}"
            )
        if state["form"] != self.data.description:
            warnings.warn(
                f"the training goes on with {_form(self.data.description)}, it began with "
                f"{_form(state['form'])}",
                stacklevel=4,
            )
        else:
            self.data.seek(state["data"])
        if self.validation is not None and state["validation"] is not None:
            self.validation.seek(state["validation"])
        if not state["data"].get("ahead"):
            set_random_state(state["random"])
        self._restore_metrics(state)
        self._restore_callbacks(state["callbacks"])
        self.epoch, self.updates = state["epoch"], state["updates"]
        self.loop.begin(self.epoch)
        self.loop.done, self.loop.logs = state["done"], dict(state["logs"])
        self.continues = state["done"] > 0
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
        """By class, in order: the first EarlyStopping goes on as the first one did."""
        left = list(states)
        for callback in self.callbacks.callbacks:
            found = next((s for s in left if s["class"] == type(callback).__name__), None)
            if found is not None:
                left = [s for s in left if s is not found]
                check_callback_state(callback, found["state"])
                callback.set_state(found["state"])
        lost = [s["class"] for s in left if s["state"]]
        if lost:
            warnings.warn(
                f"the training had {', '.join(lost)} among its callbacks before: they are not there any more",
                stacklevel=5,
            )


@contextmanager
def running(run: TrainingRun) -> Iterator[TrainingRun]:
    """Make the run its model's `_training_run`; with checkpoints, signals make it save and stop."""
    run.model._training_run = run
    try:
        if run.savers:
            with GracefulShutdown() as run.shutdown:
                yield run
        else:
            yield run
    finally:
        run.model._training_run = None
        for saver in run.savers:
            saver.wait()


def _form(form: dict[str, Any]) -> str:
    """Data in words."""
    if "samples" in form:
        return f"{form['samples']:,} samples in batches of {form['batch_size']}"
    return "a stream of batches" if form["batches"] is None else f"{form['batches']:,} batches"
