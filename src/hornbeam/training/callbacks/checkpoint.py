"""Checkpoints of a whole training, written while it continues, and resuming from them."""

from __future__ import annotations

import copy
import datetime
import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam._internal.warn import warn_user
from hornbeam.distribution.processes import is_first, slowest
from hornbeam.engines import current_engine
from hornbeam.training.callbacks.base import Callback, Logs, run_of
from hornbeam.training.callbacks.callback_list import CallbackList, CallbacksLike
from hornbeam.training.callbacks.monitor import Monitor
from hornbeam.training.run import TrainingRun


class CheckpointWriter(Callback):
    """Base class of callbacks that write checkpoints: copies the state between two steps, writes in a thread.

    A subclass chooses the path (`_path`) and cleans up after a write (`_written`). A checkpoint that is due
    while another is written waits, and gives way to a later one unless it is the best.
    """

    comes_last = True
    chunked = True
    background = True
    # True if a `fit` continues from its checkpoints without being asked to.
    resumes = False

    def __init__(self) -> None:
        super().__init__()
        self._writer: threading.Thread | None = None
        # The newest checkpoint, and the best one, that are not written yet.
        self._waiting: dict[str, tuple[Path, list[Any], dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._failed: OSError | None = None
        self._reported = False

    def _path(self, run: TrainingRun, finished: bool) -> Path:
        raise NotImplementedError

    def _written(self, path: Path) -> None:
        """Called, maybe in another thread, when a checkpoint is on the disk."""

    def candidates(self) -> list[Path]:
        """Return the checkpoints to resume from, the best choice first."""
        raise NotImplementedError

    def save_now(self) -> str:
        """Write a checkpoint of the present moment and wait for it.

        Returns:
            Name of the file.

        Raises:
            OSError: If the file cannot be written.
        """
        path = self._save(finished=False)
        self.wait()
        if self._failed is not None:
            raise self._failed
        return str(path)

    def wait(self) -> None:
        """Wait until everything is written."""
        writer = self._writer
        if writer is not None:
            writer.join()

    def on_train_end(self, logs: Logs | None = None) -> None:
        self.wait()
        self._report()

    def _when_interrupted(self) -> tuple[str, str]:
        checkpoints = self.candidates()
        if not checkpoints:
            return "", ""
        path = str(checkpoints[0])
        next_step = (
            "The same fit() goes on from there."
            if self.resumes
            else f"fit(..., resume={path!r}) goes on there."
        )
        return f"the training is saved in {path}", next_step

    def _save(self, finished: bool, best: bool = False) -> Path:
        from hornbeam.saving.weights import weight_groups

        self._report()
        run = run_of(self.model)
        path = self._path(run, finished)
        job = path, weight_groups(self.model, merged=False), copy.deepcopy(run.state(finished))
        if not self.background or current_engine().process[1] > 1:  # all write together, see replace_file
            self._write(*job)
            return path
        with self._lock:
            self._waiting["best" if best else "newest"] = job
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_waiting, name="hornbeam-checkpoints")
                self._writer.start()
        return path

    def _write_waiting(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._writer = None
                    return
                job = self._waiting.pop(next(iter(self._waiting)))
            self._write(*job)

    def _write(self, path: Path, groups: list[Any], state: dict[str, Any]) -> None:
        from hornbeam.saving.checkpoint import write_checkpoint

        try:
            os.makedirs(path.parent, exist_ok=True)
            write_checkpoint(path, groups, state)
            self._written(path)
            self._failed = None
        except OSError as error:  # a full disk: training continues, earlier checkpoints stay
            self._failed = error

    def _report(self) -> None:
        """Warn, once, that checkpoints cannot be written."""
        if self._failed is None or self._reported:
            self._reported = self._failed is not None
            return
        self._reported = True
        good = self.candidates()
        last = f"the last good checkpoint is {str(good[0])!r}" if good else "no checkpoint is good"
        warn_user(
            f"{type(self).__name__}: a checkpoint could not be written ({self._failed}). Training continues; "
            f"{last}",
            RuntimeWarning,
        )


class Checkpoint(Monitor, CheckpointWriter):
    """Keep checkpoints of the whole training in a folder, from which `fit(resume=folder)` continues.

    The resumed training ends as if it had never stopped: in the same bits, on the native engine.

    A checkpoint is a `.weights.h5` file, which `load_weights` (and Keras) can read. Besides the weights it
    holds the optimizer, random states, the position in the data and their order, metrics, history, and the
    state of callbacks. A thread writes it while training continues; the file is complete or absent, and
    every value in it has a checksum.

    With a Checkpoint, Ctrl-C and SIGTERM write one more at the end of the step and then end the training; a
    second Ctrl-C ends it at once. If the disk is full, training continues with a warning.

    Args:
        folder: Folder of the checkpoints, created if it does not exist.
        every: "epoch", a number of steps, or a datetime.timedelta. Steps and times are compared about eight
            times a second.
        keep: Number of newest checkpoints that stay.
        keep_best: Name of a metric, such as "val_loss": the best checkpoint stays too, its name is
            `best_path`.
        mode: "min" or "max", where the metric's name does not tell.
        background: False writes before the next step begins, instead of in a thread.

    Raises:
        ValueError: For wrong arguments.

    Example:
        >>> keep = hornbeam.callbacks.Checkpoint("run", every="epoch", keep=2, keep_best="val_loss")
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        every: str | int | datetime.timedelta = "epoch",
        keep: int = 2,
        keep_best: str | None = None,
        mode: str = "auto",
        background: bool = True,
    ) -> None:
        super().__init__(keep_best or "loss", mode)
        if not isinstance(folder, (str, os.PathLike)) or not os.fspath(folder):
            raise ValueError(f"Checkpoint needs the name of a folder, got {folder!r}")
        self.folder = Path(folder)
        is_count = isinstance(every, (int, np.integer)) and not isinstance(every, bool) and every > 0
        if every != "epoch" and not is_count and not isinstance(every, datetime.timedelta):
            raise ValueError(
                f'every must be "epoch", a number of steps or a datetime.timedelta, got {every!r}'
            )
        self.every = every
        self.keep = check_int("keep", keep, 1)
        self.keep_best = keep_best
        self.background = background
        self.best_path: str | None = None
        self.checkpointed = () if keep_best is None else ("best", "best_path")
        self._interval: Any = every.total_seconds() if isinstance(every, datetime.timedelta) else every
        self._began = 0.0

    def candidates(self) -> list[Path]:
        from hornbeam.saving.checkpoint import newest_first

        return newest_first(self.folder)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.best, self.best_path = None, None
        if self.keep_best is not None:
            self._sign()
        self._begin_interval()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        if self.every != "epoch" and self._passed() >= self._interval:
            self._save(finished=False)
            self._begin_interval()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        value = None if self.keep_best is None else self._value(logs)
        best = value is not None and self._better(value, self.best)
        if best:
            assert value is not None
            self.best = value
            self.best_path = str(self._path(run_of(self.model), finished=True))
        if best or self.every == "epoch":
            self._save(finished=True, best=best)
            self._begin_interval()

    @property
    def _timed(self) -> bool:
        return isinstance(self.every, datetime.timedelta)

    def _passed(self) -> float:
        """Return seconds or updates since the last checkpoint, equal in all processes."""
        if self._timed:
            return slowest(time.monotonic() - self._began)
        return run_of(self.model).updates_now - self._began

    def _begin_interval(self) -> None:
        self._began = time.monotonic() if self._timed else run_of(self.model).updates_now

    def _path(self, run: TrainingRun, finished: bool) -> Path:
        return self.folder / f"step-{run.updates_now:010d}.weights.h5"

    def _written(self, path: Path) -> None:
        for old in self.candidates()[self.keep :] if is_first() else ():
            if str(old) != self.best_path:
                old.unlink(missing_ok=True)


def with_checkpoint(
    callbacks: CallbacksLike, resume: str | os.PathLike[str] | None
) -> tuple[Any, list[Path] | None]:
    """Add the Checkpoint of `fit(resume=...)` to its callbacks. Also returns the files to resume from.

    The files are None for those of a callback that resumes without being asked to. Raises TypeError unless
    `resume` is a path, FileNotFoundError for a checkpoint that does not exist.
    """
    if resume is None:
        return callbacks, None
    if not isinstance(resume, (str, os.PathLike)) or not os.fspath(resume):
        raise TypeError(f"resume must be a folder for checkpoints or the file of one, got {resume!r}")
    path = Path(resume)
    if path.name.endswith(".h5"):
        if not path.is_file():
            raise FileNotFoundError(f"resume={str(path)!r}: this checkpoint does not exist")
        return callbacks, [path]
    if path.exists() and not path.is_dir():
        raise ValueError(f"resume={str(path)!r} is neither a folder nor a checkpoint (.weights.h5)")
    complete = isinstance(callbacks, CallbackList)
    members = (
        callbacks.callbacks if isinstance(callbacks, CallbackList) else CallbackList(callbacks).callbacks
    )
    writer = next((c for c in members if isinstance(c, Checkpoint) and c.folder == path), None)
    if writer is None:
        if complete:
            raise ValueError(f"resume={str(path)!r}: put a Checkpoint({str(path)!r}) into the CallbackList")
        writer = Checkpoint(path)
        members.append(writer)
    return (callbacks if complete else members), writer.candidates()


def resume_from(run: TrainingRun, candidates: Sequence[Path] | None) -> str:
    """Restore a run from the first checkpoint that is complete, if any. Returns a sentence about it.

    Without `candidates`, the checkpoints are those of a callback that resumes without being asked to. Raises
    ModelFileError if none of several is good.
    """
    if candidates is None:
        candidates = [path for saver in run.savers if saver.resumes for path in saver.candidates()]
    if not candidates:
        return ""
    # Only here: h5py takes longer to import than a small model takes to compile.
    from hornbeam.errors import ModelFileError
    from hornbeam.saving.checkpoint import read_checkpoint

    model = run.model
    if not model.built:
        raise ValueError(
            "a training can only be resumed with a model that is built before fit(): begin it with an Input, "
            "or call it on a batch of data"
        )
    optimizer = model.optimizer
    if optimizer is not None and not optimizer.built:
        optimizer.build(model.trainable_variables)
    for path in candidates:
        try:
            read_checkpoint(model, path, run.restore)
        except ModelFileError as error:
            if path == candidates[-1]:
                raise ModelFileError(f"the checkpoint {str(path)!r} cannot be used: {error}") from error
            warn_user(f"the checkpoint {str(path)!r} cannot be used, an earlier one is read: {error}")
            continue
        return f"resuming from {str(path)!r}: epoch {run.epoch + 1}, update {run.updates_now + 1:,}"
    return ""
