"""Backups of a training that may be cut off, and going on from them."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.distribution.processes import is_first, wait_for_all
from hornbeam.random import global_seed_generator
from hornbeam.registry import exported
from hornbeam.training.callbacks.base import Callback, Logs


@exported("keras.callbacks")
class BackupAndRestore(Callback):
    """Backs training up to a folder, so that a `fit` that was killed goes on where the last backup was made.

    backup_dir: the folder, made if need be, for this training alone. save_freq: "epoch", or a number of
    steps; a backup from the middle of an epoch has its weights, and the epoch is begun again.
    double_checkpoint: keep the backup before the last one too, for the case that the last one cannot be
    read. delete_checkpoint: remove the backup when training ends; False keeps it, and a later `fit` with
    more epochs goes on from there.

    One file holds everything (weights, random states, optimizer, epoch) and replaces the one before as a
    whole: a kill at any moment leaves a good backup. The model must be built before `fit`.

    Raises ValueError for wrong arguments and for a model that is not built, ModelFileError for a backup that
    does not fit the model or cannot be read.

    >>> backup = hornbeam.callbacks.BackupAndRestore("backup", save_freq="epoch")
    """

    def __init__(
        self,
        backup_dir: Any,
        save_freq: Any = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not backup_dir:
            raise ValueError("BackupAndRestore needs the name of a folder as backup_dir")
        whole = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq > 0
        if save_freq != "epoch" and not whole:
            raise ValueError(f'save_freq must be "epoch" or a number of steps, got {save_freq!r}')
        self.backup_dir = os.fspath(backup_dir)
        self.save_freq = save_freq
        self.double_checkpoint = double_checkpoint
        self.delete_checkpoint = delete_checkpoint
        self._latest = Path(self.backup_dir, "latest.weights.h5")
        self._previous = Path(self.backup_dir, "previous.weights.h5")
        self._epoch = 0
        self._steps = 0
        if save_freq != "epoch":
            self.on_train_batch_end = self._count_batch  # type: ignore[method-assign]

    def on_train_begin(self, logs: Logs | None = None) -> None:
        if not self.model.built:
            raise ValueError(
                "BackupAndRestore needs a model that is built before fit(): begin it with an Input, or call "
                "it on a batch of data"
            )
        from hornbeam.saving import ModelFileError

        self._steps = 0
        for path in (self._latest, self._previous):
            if not path.exists():
                continue
            try:
                self._restore(path)
                return
            except ModelFileError as error:
                if path is self._previous or not self._previous.exists():
                    raise ModelFileError(f"the backup {str(path)!r} cannot be used: {error}") from error
                warnings.warn(f"the backup {str(path)!r} cannot be read, the one before is taken: {error}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epoch = epoch + 1
        if self.save_freq == "epoch":
            self._save()

    def _count_batch(self, batch: int, logs: Logs | None = None) -> None:
        self._steps += 1
        if self._steps % self.save_freq == 0:
            self._save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.delete_checkpoint and is_first():
            self._latest.unlink(missing_ok=True)
            self._previous.unlink(missing_ok=True)
            folder = Path(self.backup_dir)
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        wait_for_all()

    def _save(self) -> None:
        from hornbeam.saving.files import replace_file
        from hornbeam.saving.weights import write_weights

        os.makedirs(self.backup_dir, exist_ok=True)
        if self.double_checkpoint and self._latest.exists() and is_first():
            os.replace(self._latest, self._previous)
        state = global_seed_generator().state.numpy()
        note = json.dumps({"epoch": self._epoch, "seed": [int(word) for word in state]})
        with replace_file(self._latest) as file:
            write_weights(self.model, file, note=note)

    def _restore(self, path: Path) -> None:
        from hornbeam.saving.weights import read_note, read_weights

        optimizer = self.model.optimizer
        if optimizer is not None and not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        with open(path, "rb") as file:
            note = _checked(read_note(file))
            read_weights(self.model, file)
        self.model._initial_epoch = self._epoch = note["epoch"]
        global_seed_generator().state.assign(np.array(note["seed"], "uint32"))


def _checked(text: str) -> dict[str, Any]:
    """What a backup notes beside its weights."""
    from hornbeam.saving import ModelFileError

    try:
        note = json.loads(text)
        words = np.array(note["seed"], "uint32")
        good = isinstance(note["epoch"], int) and note["epoch"] >= 0
        if not good or words.shape != global_seed_generator().state.shape:
            raise ValueError(text)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ModelFileError("it does not say which epoch it was made in") from error
    return note
