"""Backups of a training: what was killed goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import callbacks, layers
from hornbeam.random import set_random_seed
from tests.helpers.builders import compiled_model
from tests.helpers.interruption import RaiseAtStep

X = np.random.default_rng(0).normal(size=(24, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


class Killed(Exception):
    pass


def build_model() -> hb.Model:
    return compiled_model(
        (3,), [layers.Dense(8, "relu"), layers.Dropout(0.5), layers.Dense(1)], hb.optimizers.Adam(0.01), "mse"
    )


def fit(model: hb.Model, *watchers: callbacks.Callback, epochs: int = 4) -> hb.callbacks.History:
    return model.fit(X, Y, epochs=epochs, batch_size=6, verbose=0, callbacks=list(watchers))


def test_a_killed_training_ends_bit_for_bit_like_one_that_was_not(tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    set_random_seed(3)
    model = build_model()
    fit(model)
    set_random_seed(3)
    with pytest.raises(Killed):
        fit(build_model(), callbacks.BackupAndRestore(folder), RaiseAtStep(10, Killed))
    assert [path.name for path in folder.iterdir()] == ["latest.weights.h5"]
    set_random_seed(99)  # another process: other seeds, other weights
    resumed = build_model()
    history = fit(resumed, callbacks.BackupAndRestore(folder))
    assert history.epoch == [0, 1, 2, 3]
    assert int(resumed.optimizer.iterations) == 16
    for ours, theirs in zip(resumed.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not folder.exists()


def test_steps_and_a_second_copy(tmp_path: Path) -> None:
    backup = callbacks.BackupAndRestore(tmp_path, save_freq=3, double_checkpoint=True)
    with pytest.raises(Killed):
        fit(build_model(), backup, RaiseAtStep(7, Killed))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["latest.weights.h5", "previous.weights.h5"]
    model = build_model()
    with pytest.raises(Killed):
        fit(model, callbacks.BackupAndRestore(tmp_path), RaiseAtStep(1, Killed))
    assert int(model.optimizer.iterations) == 7  # six steps, and the one that was killed
    (tmp_path / "latest.weights.h5").write_bytes(b"torn")
    model = build_model()
    with pytest.warns(UserWarning, match="an earlier one is read"), pytest.raises(Killed):
        fit(model, callbacks.BackupAndRestore(tmp_path), RaiseAtStep(1, Killed))
    assert int(model.optimizer.iterations) == 4


def test_what_is_not_a_backup(tmp_path: Path) -> None:
    (tmp_path / "latest.weights.h5").write_bytes(b"torn")
    with pytest.raises(hb.saving.ModelFileError, match="cannot be used"):
        fit(build_model(), callbacks.BackupAndRestore(tmp_path))
    build_model().save_weights(tmp_path / "latest.weights.h5")
    with pytest.raises(hb.saving.ModelFileError, match="no state of a training"):
        fit(build_model(), callbacks.BackupAndRestore(tmp_path))


def test_the_end_removes_its_own_files_only(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    fit(build_model(), callbacks.BackupAndRestore(tmp_path), epochs=1)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    fit(build_model(), callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False), epochs=1)
    assert fit(build_model(), callbacks.BackupAndRestore(tmp_path), epochs=3).epoch == [0, 1, 2]


def test_mistakes(tmp_path: Path) -> None:
    for wrong in (0, "batch", True, 1.5):
        with pytest.raises(ValueError, match="save_freq must be"):
            callbacks.BackupAndRestore(tmp_path, save_freq=wrong)
    with pytest.raises(ValueError, match="needs the name of a folder"):
        callbacks.BackupAndRestore("")
    model = hb.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    model._hb_trainer  # noqa: B018 - compiled, not built
    backup = callbacks.BackupAndRestore(tmp_path)
    backup.set_model(model)
    with pytest.raises(ValueError, match="is built before fit"):
        backup.on_train_begin()
