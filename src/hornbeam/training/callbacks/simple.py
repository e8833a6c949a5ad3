"""Small callbacks: learning-rate schedule, CSV log, hooks from functions, stop on NaN."""

from __future__ import annotations

import csv
import inspect
import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam.distribution.processes import is_first, say
from hornbeam.expected import function
from hornbeam.registry import exported
from hornbeam.training.callbacks.base import Callback, Logs, learning_rates, rated_optimizers


@exported("keras.callbacks")
class LearningRateScheduler(Callback):
    """Sets the learning rate before every epoch: `schedule(epoch, lr)` or `schedule(epoch)` returns the new
    one.

    Raises TypeError if the schedule does not return a number.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = function("schedule", schedule)
        self.verbose = verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizers = rated_optimizers(self.model.optimizer)
        if not optimizers:
            raise ValueError("LearningRateScheduler needs an optimizer that has a learning_rate")
        for name, optimizer in optimizers.items():
            self._set_rate(epoch, name, optimizer)

    def _set_rate(self, epoch: int, name: str, optimizer: Any) -> None:
        rate = self._rate(epoch, float(optimizer.learning_rate))
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)):
            raise TypeError(
                f"the schedule of LearningRateScheduler must return a number, got {type(rate).__name__}"
            )
        optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            say(f"Epoch {epoch + 1}: {name.replace('_', ' ', 1)} set to {float(rate):.4g}")

    def _rate(self, epoch: int, present: float) -> Any:
        try:
            takes_two = len(inspect.signature(self.schedule).parameters) > 1
        except ValueError:  # a builtin without a signature
            takes_two = False
        return self.schedule(epoch, present) if takes_two else self.schedule(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs.update(learning_rates(self.model.optimizer))


@exported("keras.callbacks")
class CSVLogger(Callback):
    """Writes one line an epoch to a CSV file: the epoch, then the metrics in alphabetical order.

    append: go on with an existing file.
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._file: Any = None
        self._writer: Any = None
        self._names: list[str] = []

    def on_train_begin(self, logs: Logs | None = None) -> None:
        going_on = self.append and os.path.exists(self.filename) and os.path.getsize(self.filename) > 0
        self._header = not going_on
        name = self.filename if is_first() else os.devnull
        self._file = open(name, "a" if self.append else "w", newline="")  # noqa: SIM115
        self._writer = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        logs = logs or {}
        if self._writer is None:
            self._names = sorted(logs)
            self._writer = csv.DictWriter(
                self._file, ["epoch", *self._names], delimiter=self.separator, restval="NA"
            )
            if self._header:
                self._writer.writeheader()
        self._writer.writerow({"epoch": epoch, **{name: logs[name] for name in self._names if name in logs}})
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._file is not None:
            self._file.close()
            self._file = self._writer = None


@exported("keras.callbacks")
class LambdaCallback(Callback):
    """A callback out of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`.

    Takes any hook of `Callback` by name.
    """

    def __init__(
        self,
        on_epoch_begin: Callable[..., Any] | None = None,
        on_epoch_end: Callable[..., Any] | None = None,
        on_train_begin: Callable[..., Any] | None = None,
        on_train_end: Callable[..., Any] | None = None,
        on_train_batch_begin: Callable[..., Any] | None = None,
        on_train_batch_end: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        hooks = {
            "on_epoch_begin": on_epoch_begin, "on_epoch_end": on_epoch_end, "on_train_begin": on_train_begin,
            "on_train_end": on_train_end, "on_train_batch_begin": on_train_batch_begin,
            "on_train_batch_end": on_train_batch_end, **kwargs,
        }  # fmt: skip
        for name, hook in hooks.items():
            if not (name.startswith("on_") and hasattr(Callback, name)):
                raise TypeError(f"LambdaCallback does not know the hook {name!r}")
            if hook is not None:
                setattr(self, name, function(name, hook))


@exported("keras.callbacks")
class TerminateOnNaN(Callback):
    """Stops training when the loss is NaN or infinite. raise_error: raise RuntimeError instead of
    stopping."""

    chunked = True

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(float(loss)):
            return
        message = f"Batch {batch}: invalid loss ({float(loss)}), terminating training"
        if self.raise_error:
            raise RuntimeError(message)
        say(message)
        self.model.stop_training = True
