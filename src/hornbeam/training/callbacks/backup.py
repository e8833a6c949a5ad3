"""Backups of a training run that may be interrupted: checkpoints under Keras's name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hornbeam.core.registry import exported
from hornbeam.distribution.processes import is_first, wait_for_all
from hornbeam.training.callbacks.base import Logs, run_of
from hornbeam.training.callbacks.checkpoint import CheckpointWriter
from hornbeam.training.run import TrainingRun


@exported("keras.callbacks")
class BackupAndRestore(CheckpointWriter):
    """Back up a training to a folder, so that a `fit` that was killed continues from the last backup.

    A backup is a checkpoint (see `Checkpoint`): training continues after its last step, to the same bits on
    the native engine as if it had not stopped, where Keras begins the epoch anew. A kill at any moment
    leaves a good backup.

    Args:
        backup_dir: Folder for this training alone, created if it does not exist.
        save_freq: "epoch", or a number of steps.
        double_checkpoint: Also keep the backup before the last one, in case the last one cannot be read.
        delete_checkpoint: Remove the backup when training ends. With False, a later `fit` with more epochs
            continues from it.

    Raises:
        ValueError: For wrong arguments, and for a model that is not built when training begins.
        ModelFileError: For a backup that does not fit the model or cannot be read.

    Example:
        >>> backup = hornbeam.callbacks.BackupAndRestore("backup", save_freq="epoch")
    """

    resumes = True
    # A backup is on the disk before the next step begins.
    background = False

    def __init__(
        self,
        backup_dir: str | os.PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(backup_dir, (str, os.PathLike)) or not os.fspath(backup_dir):
            raise ValueError(f"BackupAndRestore needs the name of a folder as backup_dir, got {backup_dir!r}")
        is_count = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq > 0
        if save_freq != "epoch" and not is_count:
            raise ValueError(f'save_freq must be "epoch" or a number of steps, got {save_freq!r}')
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq: Any = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._latest = Path(self.backup_dir, "latest.weights.h5")
        self._previous = Path(self.backup_dir, "previous.weights.h5")
        if save_freq != "epoch":
            self.chunked = False
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]

    def candidates(self) -> list[Path]:
        return [path for path in (self._latest, self._previous) if path.exists()]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore needs a model that is built before fit(): begin it with an Input, or call "
                "it on a batch of data"
            )

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if self.save_freq == "epoch":
            self._save(finished=True)

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        now = run_of(self.model).updates_now
        before = now - self.model.steps_per_execution
        if now // self.save_freq > before // self.save_freq:
            self._save(finished=False)

    def on_train_end(self, logs: Logs | None = None) -> None:
        super().on_train_end(logs)
        if self.delete_checkpoint and is_first():
            self._latest.unlink(missing_ok=True)
            self._previous.unlink(missing_ok=True)
            folder = Path(self.backup_dir)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        wait_for_all()

    def _path(self, run: TrainingRun, finished: bool) -> Path:
        return self._latest

    def _write(self, path: Path, groups: list[Any], state: dict[str, Any]) -> None:
        if self.double_checkpoint and self._latest.exists() and is_first():
            os.replace(self._latest, self._previous)
        super()._write(path, groups, state)
