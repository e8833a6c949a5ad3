"""Small callbacks: learning-rate schedule, CSV log, hooks from functions, stop on NaN."""

from __future__ import annotations

import csv
import inspect
import math
import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from hornbeam._internal.call_errors import check_accepts
from hornbeam._internal.naming import nearest
from hornbeam._internal.validation import check_callable
from hornbeam.core.registry import exported
from hornbeam.distribution.processes import is_first, print_once
from hornbeam.optimizers import Optimizer
from hornbeam.training.callbacks.base import Callback, Logs, current_run, learning_rates, rated_optimizers
from hornbeam.training.callbacks.callback_list import CallbacksLike
from hornbeam.training.callbacks.log_failures import LogFailures


@exported("keras.callbacks")
class LearningRateScheduler(Callback):
    """Set the learning rate before every epoch.

    Args:
        schedule: Function `schedule(epoch, lr)` or `schedule(epoch)` that returns the new rate; epochs count
            from 0.
        verbose: 1 prints every rate.

    Raises:
        TypeError: If the schedule does not return a number.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule = check_callable("schedule", schedule)
        self.verbose = verbose
        if not self._takes_two():
            check_accepts(schedule, "epoch", "a schedule")

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizers = rated_optimizers(self.model.optimizer)
        if not optimizers:
            raise ValueError("LearningRateScheduler needs an optimizer that has a learning_rate")
        for name, optimizer in optimizers.items():
            self._set_rate(epoch, name, optimizer)

    def _set_rate(self, epoch: int, name: str, optimizer: Optimizer) -> None:
        rate = self._rate(epoch, float(optimizer.learning_rate))
        if isinstance(rate, bool) or not isinstance(rate, (int, float, np.number)):
            raise TypeError(
                f"the schedule of LearningRateScheduler must return a number, got {type(rate).__name__}"
            )
        optimizer.learning_rate = float(rate)
        if self.verbose > 0:
            print_once(f"Epoch {epoch + 1}: {name.replace('_', ' ', 1)} set to {float(rate):.4g}")

    def _takes_two(self) -> bool:
        try:
            return len(inspect.signature(self.schedule).parameters) > 1
        except ValueError:  # a builtin without a signature
            return False

    def _rate(self, epoch: int, present: float) -> Any:
        return self.schedule(epoch, present) if self._takes_two() else self.schedule(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs.update(learning_rates(self.model.optimizer))


@exported("keras.callbacks")
class CSVLogger(Callback):
    """Write one line per epoch to a CSV file: the epoch, then the metrics in alphabetical order.

    Metrics of a validation that an epoch does not have (`validation_freq`) are "NA". A full disk ends no
    training: a warning says that lines are missing.

    Args:
        filename: Path of the file.
        separator: Character between columns.
        append: Continue an existing file instead of replacing it.
    """

    def __init__(self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename = os.fspath(filename)
        self.separator = separator
        self.append = append
        self._names: list[str] = []
        # Length of the file at the end of the last epoch: lines after a checkpoint are written again.
        self._length = 0
        self._failures = LogFailures("CSVLogger")

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if is_first():
            open(self.filename, "a").close()  # a path that cannot be written fails now
        self._names, self._length = [], 0
        self._failures = LogFailures("CSVLogger")

    def get_state(self) -> dict[str, Any]:
        return {"length": self._length}

    def set_state(self, state: dict[str, Any]) -> None:
        self._length = state["length"]

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not is_first():
            return
        if not self._names:
            self._names = self._columns(logs or {})
            size = os.path.getsize(self.filename)
            self._length = min(self._length or (size if self.append else 0), size)
            os.truncate(self.filename, self._length)
        with self._failures.caught(self.filename):
            try:
                self._write_line(epoch, logs or {})
            except OSError:
                os.truncate(self.filename, self._length)  # no part of a line stays
                raise

    def _write_line(self, epoch: int, logs: dict[str, Any]) -> None:
        with open(self.filename, "a", newline="") as file:
            writer = csv.DictWriter(file, ["epoch", *self._names], delimiter=self.separator, restval="NA")
            if not self._length:
                writer.writeheader()
            writer.writerow({"epoch": epoch, **{name: logs[name] for name in self._names if name in logs}})
        self._length = os.path.getsize(self.filename)

    def _columns(self, logs: dict[str, Any]) -> list[str]:
        """Return the names of the columns: also of a validation that comes in later epochs."""
        names = sorted(logs)
        run = current_run(self.model)
        if run is None or run.validation is None or any(name.startswith("val_") for name in names):
            return names
        return names + [f"val_{name}" for name in names if not name.startswith("learning_rate")]


@exported("keras.callbacks")
class LambdaCallback(Callback):
    """Callback made of functions: `LambdaCallback(on_epoch_end=lambda epoch, logs: ...)`.

    Args:
        on_epoch_begin: Function `(epoch, logs)`.
        on_epoch_end: Function `(epoch, logs)`.
        on_train_begin: Function `(logs)`.
        on_train_end: Function `(logs)`.
        on_train_batch_begin: Function `(batch, logs)`.
        on_train_batch_end: Function `(batch, logs)`.
        **kwargs: Any other hook of `Callback` by name, and attributes for them to use.

    Raises:
        TypeError: For unknown hooks, which are names that begin with "on_".
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
            if not name.startswith("on_"):
                setattr(self, name, hook)
                continue
            if not hasattr(Callback, name):
                known = [hook for hook in dir(Callback) if hook.startswith("on_")]
                raise TypeError(f"LambdaCallback does not know the hook {name!r}.{nearest(name, known)}")
            if hook is not None:
                setattr(self, name, check_callable(name, hook))


@exported("keras.callbacks")
class TerminateOnNaN(Callback):
    """Stop training when the loss is NaN or infinite, and name the first weight that is.

    With it `fit` warns of data that are not finite, where it raises ValueError otherwise.

    Args:
        raise_error: Raise RuntimeError instead of stopping.
    """

    chunked = True

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        loss = (logs or {}).get("loss")
        if loss is None or math.isfinite(float(loss)):
            return
        bad = next(
            (v.path for v in self.model.weights if not np.isfinite(np.asarray(v.numpy(), float)).all()), ""
        )
        cause = f"the first weight that is not finite is {bad!r}" if bad else "all weights are finite"
        message = (
            f"Batch {batch}: invalid loss ({float(loss)}), terminating training; {cause}. "
            "fit(debug_nans=True) finds where it begins"
        )
        if self.raise_error:
            raise RuntimeError(message)
        print_once(message)
        self.model.stop_training = True


def stops_at_nan(callbacks: CallbacksLike) -> bool:
    """Return whether a `TerminateOnNaN` is among callbacks as `fit` takes them."""
    listed: Iterable[Any] = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    inner = [each for one in listed for each in getattr(one, "callbacks", [one])]
    return any(isinstance(each, TerminateOnNaN) for each in inner)
