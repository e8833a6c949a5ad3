"""Callbacks that compare a metric with its best value so far."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from hornbeam import ops, tree
from hornbeam._internal import warning_policy
from hornbeam._internal.naming import nearest
from hornbeam._internal.validation import check_int
from hornbeam._internal.warn import warn_user
from hornbeam.core.registry import exported
from hornbeam.core.tensor import Tensor
from hornbeam.distribution.processes import print_once
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.optimizers import Optimizer
from hornbeam.training.callbacks.base import (
    BATCH_HOOKS,
    Callback,
    Logs,
    learning_rates,
    rated_optimizers,
)
from hornbeam.training.checkpoint_schema import any_array, list_of, number, optional

# Parts of names of metrics that are better if larger, and if smaller.
_UP = (
    "acc", "auc", "precision", "recall", "f1", "fbeta", "iou", "r2", "cosine", "top_k",
    "positives", "negatives", "specificity", "sensitivity",
)  # fmt: skip
_DOWN = (
    "loss", "error", "mae", "mse", "mape", "msle", "rmse", "crossentropy", "hinge", "divergence",
    "poisson", "logcosh", "log_cosh", "perplexity", "false_",
)  # fmt: skip


# Ends of names whose direction is beyond doubt.
_SURE = ("accuracy", "acc", "auc", "precision", "recall")


class Monitor(Callback):
    """Base class of callbacks that follow a metric: its direction, and its best value."""

    schemas: ClassVar[dict[str, Any]] = {"best": optional(number)}

    def __init__(self, monitor: str, mode: str = "auto", min_delta: float = 0.0) -> None:
        super().__init__()
        if mode not in ("auto", "min", "max"):
            warning_policy.on_warning(
                f'{type(self).__name__}: mode must be "auto", "min" or "max", got {mode!r}'
            )
            mode = "auto"
        if not isinstance(monitor, str):
            raise TypeError(
                f"monitor must be the name of a value in logs, such as 'val_loss', got {monitor!r}"
            )
        self.monitor = monitor
        self.mode = mode
        self.min_delta = abs(min_delta)
        self.best: float | None = None
        self._warned = False

    def _sign(self) -> float:
        """Return +1 where larger is better, -1 where smaller is. Raises ValueError for an unknown name."""
        name = self.monitor.removeprefix("val_").lower()
        if self.mode != "auto":
            if not self._warned and (name.endswith(_SURE) if self.mode == "min" else name == "loss"):
                self._warned = True
                better = "larger" if self.mode == "min" else "smaller"
                warn_user(
                    f"{type(self).__name__} watches {self.monitor!r} with mode={self.mode!r}, though "
                    f"{better} is better: leave mode out",
                    LikelyMistakeWarning,
                )
            return 1.0 if self.mode == "max" else -1.0
        metrics = getattr(self.model, "metrics", ())
        for metric in (inner for outer in metrics for inner in getattr(outer, "metrics", [outer])):
            direction = getattr(metric, "_direction", None)
            if metric.name == name and direction in ("up", "down"):
                return 1.0 if direction == "up" else -1.0
        if any(part in name for part in _DOWN):
            return -1.0
        if any(part in name for part in _UP):
            return 1.0
        names = [metric.name for metric in metrics]
        hint = nearest(self.monitor, [*names, *(f"val_{name}" for name in names)])
        raise ValueError(
            f"{type(self).__name__}(monitor={self.monitor!r}): the name does not tell whether larger is "
            f'better.{hint} Otherwise give mode="min" or mode="max"'
        )

    @property
    def monitor_op(self) -> Callable[..., Tensor]:
        """`ops.greater` where larger values are better, `ops.less` where smaller ones are."""
        return ops.greater if self._sign() > 0 else ops.less

    def _better(self, value: float, than: float | None) -> bool:
        if than is None:
            return not np.isnan(value)
        return self._sign() * (value - than) > self.min_delta

    def _value(self, logs: Logs | None) -> float | None:
        """Return the metric; None, after a warning, if it is missing or not one number."""
        logs = logs or {}
        value = np.asarray(logs.get(self.monitor, ()))
        if value.size == 1:
            return float(value.reshape(()))
        if not self._warned and self.monitor in logs:
            self._warned = True
            warn_user(
                f"{type(self).__name__} watches {self.monitor!r}, which has {value.size} values: it needs "
                "one number"
            )
        if not self._warned:
            self._warned = True
            hint = nearest(self.monitor, logs)
            if self.monitor.startswith("val_") and not any(name.startswith("val_") for name in logs):
                hint = " Nothing is validated: give fit() validation_data or validation_split."
            warn_user(
                f"{type(self).__name__} watches {self.monitor!r}, which is not among the metrics: "
                f"{', '.join(logs)}.{hint}"
            )
        return None


@exported("keras.callbacks")
class EarlyStopping(Monitor):
    """Stop training when a metric has not improved for `patience` epochs.

    Args:
        monitor: Name of the metric in the logs.
        min_delta: Changes up to this do not count.
        patience: Epochs without improvement before training stops.
        verbose: 1 prints when training stops.
        mode: "min", "max", or "auto" by the metric's name.
        baseline: Value that must be exceeded.
        restore_best_weights: End with the weights of the best epoch.
        start_from_epoch: Ignore epochs before this one, counted from 0.

    Example:
        >>> stop = hornbeam.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    """

    checkpointed = ("best", "best_epoch", "best_weights", "wait", "stopped_epoch", "_stopped")
    schemas: ClassVar[dict[str, Any]] = {**Monitor.schemas, "best_weights": optional(list_of(any_array))}

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience = check_int("patience", patience, 0)
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self._restart()

    def _restart(self) -> None:
        self.best = None
        self.best_epoch = 0
        self.best_weights: list[np.ndarray] | None = None
        self.wait = 0
        self.stopped_epoch = 0
        self._stopped = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._restart()
        self._sign()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = self._value(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        improved = self._better(value, self.best)
        if improved:
            self.best, self.best_epoch = value, epoch
        if self.restore_best_weights and (improved or self.best_weights is None):
            self.best_weights = tree.map_structure(np.array, self.model.get_weights())
        self.wait += 1
        if improved:
            if self.baseline is None or self._better(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= max(self.patience, 1) and not (epoch == 0 and self.patience == 0):
            self.stopped_epoch, self._stopped = epoch, True
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self._stopped and self.verbose > 0:
            print_once(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                print_once(f"Restoring the weights of the best epoch: {self.best_epoch + 1}")
            self.model.set_weights(self.best_weights)


@exported("keras.callbacks")
class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by `factor` when a metric has not improved for `patience` epochs.

    Args:
        monitor: Name of the metric in the logs.
        factor: Factor below 1.
        patience: Epochs without improvement before a reduction.
        verbose: 1 prints reductions.
        mode: "min", "max", or "auto" by the metric's name.
        min_delta: Changes up to this do not count.
        cooldown: Epochs to wait after a reduction.
        min_lr: Lower bound of the learning rate.
        **kwargs: None are accepted.

    Raises:
        ValueError: For a factor of 1 or more.
    """

    checkpointed = ("best", "cooldown_counter", "wait")

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 0.0001,
        cooldown: int = 0,
        min_lr: float = 0.0,
        **kwargs: Any,
    ) -> None:
        if kwargs:
            raise TypeError(f"ReduceLROnPlateau does not accept {', '.join(map(repr, kwargs))}")
        super().__init__(monitor, mode, min_delta)
        if not 0 < factor < 1:
            raise ValueError(
                f"factor must lie between 0 and 1, got {factor}: a plateau makes the learning rate smaller"
            )
        self.factor = factor
        self.patience = check_int("patience", patience, 0)
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.cooldown_counter = 0
        self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best, self.cooldown_counter, self.wait = None, 0, 0
        self._sign()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if logs is not None:
            logs.update(learning_rates(self.model.optimizer))
        value = self._value(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._better(value, self.best):
            self.best, self.wait = value, 0
        elif self.cooldown_counter == 0:
            self.wait += 1
            optimizers = rated_optimizers(self.model.optimizer)
            if self.wait >= self.patience and any([self._reduce(x, epoch) for x in optimizers.values()]):
                self.cooldown_counter, self.wait = self.cooldown, 0

    def _reduce(self, optimizer: Optimizer, epoch: int) -> bool:
        old = float(optimizer.learning_rate)
        if old <= np.float32(self.min_lr):
            return False
        new = max(old * self.factor, self.min_lr)
        optimizer.learning_rate = new
        if self.verbose > 0:
            print_once(f"Epoch {epoch + 1}: learning rate reduced from {old:.4g} to {new:.4g}")
        return True


@exported("keras.callbacks")
class ModelCheckpoint(Monitor):
    """Save the model, or its weights, while it trains.

    Args:
        filepath: Path, which may contain `epoch`, `batch` and metrics:
            "at-{epoch:02d}-{val_loss:.2f}.keras". It ends in ".keras", or in ".weights.h5" with
            save_weights_only; ".h5" writes the legacy format of Keras 2.
        monitor: Name of the metric for save_best_only.
        verbose: 1 prints every save.
        save_best_only: Save only when the metric is better than ever. Every time, with a warning, if the
            metric is missing.
        save_weights_only: Save the weights alone.
        mode: "min", "max", or "auto" by the metric's name.
        save_freq: "epoch", or a number of steps.
        initial_value_threshold: Best value to start from.

    Raises:
        ValueError: For another suffix of the path, or another save_freq.
    """

    checkpointed = ("best", "_steps")

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fsdecode(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq: Any = save_freq
        self.best = initial_value_threshold
        _check_suffix(self.filepath, save_weights_only)
        if save_freq != "epoch" and (not isinstance(save_freq, int) or save_freq <= 0):
            raise ValueError(f'save_freq must be "epoch" or a number of steps, got {save_freq!r}')
        self._steps = 0
        self._current_epoch = 0
        self._saved: tuple[str, str] = "", ""
        # Nothing to do at the end of a step, unless a subclass does something there.
        own = all(
            getattr(type(self), hook) is getattr(ModelCheckpoint, hook) for hook in BATCH_HOOKS["train"]
        )
        self.chunked = own and save_freq == "epoch"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if self.save_best_only:
            self._sign()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._current_epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self._should_save_on_batch(batch):
            self._save_model(self._current_epoch, batch, logs)

    # Subclasses of packages use the next three, which are private in Keras.

    def _should_save_on_batch(self, batch: int) -> bool:
        """Count a step; True if the model is to be saved at its end."""
        if self.save_freq == "epoch":
            return False
        self._steps += self.model.steps_per_execution
        if self._steps < self.save_freq:
            return False
        self._steps = 0
        return True

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            self._save_model(epoch, None, logs)

    def _save_model(self, epoch: int, batch: int | None, logs: Logs | None) -> None:
        """Save the model if it is to be saved."""
        path = self._get_file_path(epoch, batch, logs or {})
        if self.save_best_only:
            value = self._value(logs)
            if value is None:  # it was warned of; not to save would lose the training
                self._write(epoch, path)
                return
            if not self._better(value, self.best):
                if self.verbose > 0:
                    print_once(f"Epoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5g}")
                return
            if self.verbose > 0:
                before = "" if self.best is None else f" from {self.best:.5g}"
                improved = f"{self.monitor} improved{before} to {value:.5g}"
                print_once(f"Epoch {epoch + 1}: {improved}, saving to {path}")
            self.best = value
        elif self.verbose > 0:
            print_once(f"Epoch {epoch + 1}: saving to {path}")
        self._write(epoch, path)

    def _write(self, epoch: int, path: str) -> None:
        try:
            folder = os.path.dirname(path)
            if folder:
                os.makedirs(folder, exist_ok=True)
            if self.save_weights_only:
                self.model.save_weights(path, overwrite=True)
            else:
                self.model.save(path, overwrite=True)
        except OSError as error:
            if error.errno is None:
                raise
            save = "save_weights" if self.save_weights_only else "save"
            raise OSError(
                error.errno,
                f"ModelCheckpoint: {path} could not be written after epoch {epoch + 1} ({error.strerror}). "
                f"The model still has its weights: make room, or model.{save}(...) elsewhere. On the disk: "
                f"{self._saved[0] or 'no earlier save of this training'}",
            ) from error
        load = "model.load_weights" if self.save_weights_only else "load_model"
        self._saved = (
            f"{path} has the {'best ' if self.save_best_only else ''}weights, of epoch {epoch + 1}",
            f"{load}({path!r}) and fit(..., initial_epoch={epoch + 1}) go on from there.",
        )

    def _when_interrupted(self) -> tuple[str, str]:
        return self._saved

    def _get_file_path(self, epoch: int, batch: int | None, logs: Logs) -> str:
        """Return the path with epoch, batch and logs filled in."""
        fields = {"epoch": epoch + 1, **logs}
        if batch is not None:
            fields["batch"] = batch + 1
        try:
            return self.filepath.format(**fields)
        except KeyError as missing:
            raise KeyError(
                f"ModelCheckpoint(filepath={self.filepath!r}) asks for {missing}, the logs have: "
                f"{', '.join(fields)}"
            ) from None


def _check_suffix(path: str, save_weights_only: bool) -> None:
    """Raise ValueError unless the model, or its weights, can be saved under this name."""
    from hornbeam.saving.formats import format_of
    from hornbeam.saving.weights import with_weights_suffix

    try:
        if save_weights_only:
            with_weights_suffix(path, False)
        else:
            format_of(path)
    except ValueError as error:
        raise ValueError(f"ModelCheckpoint(save_weights_only={save_weights_only}): {error}") from None
