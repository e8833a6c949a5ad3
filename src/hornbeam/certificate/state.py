"""State of a training at one moment, and a base class of callbacks that follow it."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.certificate.hashing import canonical, digest, hash_arrays, plain
from hornbeam.optimizers import Optimizer
from hornbeam.training.array_data import ArrayData
from hornbeam.training.callbacks.base import Callback, Logs, rated_optimizers, run_of
from hornbeam.training.callbacks.monitor import EarlyStopping, ReduceLROnPlateau
from hornbeam.training.callbacks.simple import TerminateOnNaN
from hornbeam.training.resuming import compact_position, global_words
from hornbeam.training.run import TrainingRun

if TYPE_CHECKING:
    from hornbeam.training.packing import Batch

# Callbacks that change the course of a training in a way that their arguments determine.
STEERING = (EarlyStopping, ReduceLROnPlateau, TerminateOnNaN)


@dataclass
class Snapshot:
    """State between two steps: everything that the next steps depend on, besides data and program.

    Attributes:
        weights: Values of the model's weights.
        others: Values of its other variables, of the optimizer and of metrics.
        position: Position in the training and in the order of its data.
        rates: Learning rates, as a certificate shows them.
    """

    weights: list[np.ndarray]
    others: list[np.ndarray]
    position: dict[str, Any]
    rates: dict[str, str]


def snapshot_hashes(state: Snapshot) -> tuple[str, str]:
    """Return the hashes of a state, and of its weights alone."""
    weights = hash_arrays(state.weights)
    return digest([weights, hash_arrays(state.others), plain(state.position)]), weights


def weights_of(model: Any) -> list[np.ndarray]:
    """Return the values of a model's weights."""
    return [np.asarray(variable.numpy()) for variable in model.weights]


def snapshot(run: TrainingRun, finished: bool, batches: str) -> Snapshot:
    """Return the present state. finished: the epoch is over. batches: hash of those since the last one."""
    model, weights = run.model, {id(variable) for variable in run.model.weights}
    optimizer = [] if model.optimizer is None else model.optimizer.variables
    variables = [*(v for v in model.variables if id(v) not in weights), *optimizer, *model.metrics_variables]
    position = {
        "epoch": run.epoch + finished,
        "done": 0 if finished else run.loop.done,
        "stopped": bool(model.stop_training),
        "callbacks": [
            [type(callback).__name__, callback.get_state()]
            for callback in run.callbacks.callbacks
            if type(callback) in STEERING
        ],
    }
    if isinstance(run.data, ArrayData):
        position |= {"data": compact_position(run.data.position()), "random": global_words()}
    else:  # a thread may have read ahead, so that the batches stand for the position
        position["batches"] = batches
    others = [np.asarray(variable.numpy()) for variable in variables]
    return Snapshot(weights_of(model), others, position, rates_of(model.optimizer))


def rates_of(optimizer: Optimizer | None) -> dict[str, str]:
    """Return the present learning rates; a schedule by its arguments, as it is a function of the step."""
    parts = {} if optimizer is None else rated_optimizers(optimizer)
    return {name: _rate_text(part) for name, part in parts.items()}


def _rate_text(optimizer: Optimizer) -> str:
    try:
        rate = optimizer.get_config()["learning_rate"]
    except TypeError:  # a function, which has no config
        rate = float(optimizer.learning_rate)
    return canonical(plain(rate["config"])).decode() if isinstance(rate, dict) else repr(rate)


class StateFollower(Callback):
    """Base class of callbacks that look at the state every so many steps, and at the end of every epoch.

    A subclass overrides `reached(finished, logs)`.
    """

    comes_last = True
    chunked = True

    def __init__(self, every: int) -> None:
        super().__init__()
        self.chunk_bound = self.every = every
        self.run: TrainingRun | None = None
        self._begun = False
        self._hashes: deque[str] = deque()

    def reached(self, finished: bool, logs: Logs | None) -> None:
        """Called at the start, every so many steps, and after an epoch and its validation."""
        raise NotImplementedError

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.run, self._begun = run_of(self.model), False
        data = self.run.data
        if not isinstance(data, ArrayData):
            epoch = data.epoch

            def hashed(*args: Any, **kwargs: Any) -> Generator[Batch, None, None]:
                for batch in epoch(*args, **kwargs):
                    self._hashes.append(hash_arrays(batch.leaves))
                    yield batch

            data.epoch = hashed  # type: ignore[method-assign]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._hashes.clear()
        if not self._begun:
            self._begun = True
            self.reached(False, None)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        assert self.run is not None
        done, settings = self.run.loop.done, self.run.settings
        steps = settings.steps if settings.steps is not None else self.run.data.steps
        if done % self.every == 0 and done != steps:
            self.reached(False, None)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.reached(True, logs)

    def taken(self, finished: bool, before: int) -> Snapshot:
        """Return the state. before: number of steps at the last one, for the batches since."""
        assert self.run is not None
        count = min(self.run.updates_now - before, len(self._hashes))
        batches = [self._hashes.popleft() for _ in range(count)]
        return snapshot(self.run, finished, digest(batches))


def metrics_of(logs: Logs) -> dict[str, Any]:
    """Return the metrics in logs, without the learning rate, which is part of the optimizer's state."""
    return {name: plain(value) for name, value in logs.items() if not name.startswith("learning_rate")}
