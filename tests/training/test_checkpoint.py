"""Checkpoints of a whole training: whatever the data, a run that is cut off ends like one that was not."""

from __future__ import annotations

import datetime
import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import callbacks, layers
from hornbeam.data import Dataset
from hornbeam.errors import LikelyMistakeWarning
from hornbeam.random import set_random_seed
from hornbeam.saving import checkpoint as files
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(26, 3)).astype("float32")
Y = X.sum(1, keepdims=True)
EPOCHS = 4


class Killed(Exception):
    pass


class Kill(callbacks.Callback):
    """Ends training behind a step, counted over all epochs, and keeps the logs of every step."""

    def __init__(self, step: int = 0) -> None:
        super().__init__()
        self.left = step
        self.seen: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.seen.append(logs["loss"])
        self.left -= 1
        if self.left == 0:
            raise Killed


class Noisy(hb.utils.PyDataset):
    """Batches with noise from NumPy's global generator."""

    def __len__(self) -> int:
        return 5

    def __getitem__(self, index: int) -> Any:
        rows = slice(index * 5, index * 5 + 5)
        return X[rows] + np.random.normal(size=(5, 3)).astype("float32"), Y[rows]


def generated() -> Iterator[Any]:
    while True:
        rows = np.random.randint(0, len(X), 6)
        yield X[rows], Y[rows]


def noisy(x: Any, y: Any) -> Any:
    return x + hb.random.normal((3,)), y


DATA: dict[str, Callable[[], dict[str, Any]]] = {
    "arrays": lambda: {"x": X, "y": Y, "batch_size": 4},
    "arrays in order": lambda: {"x": X, "y": Y, "batch_size": 4, "shuffle": False},
    "batches": lambda: {"x": X, "y": Y, "batch_size": 4, "shuffle": "batch"},
    "steps": lambda: {"x": X, "y": Y, "batch_size": 4, "steps_per_epoch": 7},
    "more steps than a pass": lambda: {"x": X, "y": Y, "batch_size": 10, "steps_per_epoch": 5},
    "split": lambda: {"x": X, "y": Y, "batch_size": 4, "validation_split": 0.2},
    "table": lambda: {"x": Dataset.from_tensor_slices((X, Y)).shuffle(10).batch(4)},
    "table and steps": lambda: {
        "x": Dataset.from_tensor_slices((X, Y)).shuffle(26).batch(4).repeat(),
        "steps_per_epoch": 5,
    },
    "pipeline": lambda: {"x": Dataset.from_tensor_slices((X, Y)).shuffle(26).map(noisy).batch(4)},
    "validated": lambda: {
        "x": X,
        "y": Y,
        "batch_size": 4,
        "validation_data": Dataset.from_tensor_slices((X, Y)).shuffle(26).batch(4),
        "validation_steps": 2,
    },
    "numbered": lambda: {"x": Noisy()},
    "generator": lambda: {"x": generated(), "steps_per_epoch": 5},
}


def build_model() -> hb.Model:
    hidden = [layers.Dense(8, "relu"), layers.Dropout(0.5), layers.BatchNormalization()]
    model = hb.Sequential([hb.Input((3,)), *hidden, layers.Dense(1)])
    schedule = hb.optimizers.schedules.ExponentialDecay(0.02, 5, 0.9)
    model.compile(hb.optimizers.Adam(schedule, use_ema=True), "mse", metrics=["mae"])
    return model


def fit(data: dict[str, Any], *watchers: callbacks.Callback, **more: Any) -> tuple[hb.Model, dict[str, Any]]:
    model = build_model()
    history = model.fit(**data, epochs=EPOCHS, verbose=0, callbacks=list(watchers), **more)
    return model, history.history


def same(ours: hb.Model, theirs: hb.Model) -> None:
    for mine, other in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy(), err_msg=mine.path)
    for mine, other in zip(ours.optimizer.variables, theirs.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine.numpy(), other.numpy(), err_msg=mine.path)


@pytest.mark.filterwarnings("ignore:epoch 2 ended with the data", "ignore:steps_per_epoch=5, but the data")
@pytest.mark.parametrize("kind", DATA)
def test_a_run_that_goes_on_ends_like_one_that_never_stopped(kind: str, tmp_path: Path) -> None:
    set_random_seed(3)
    watch = Kill()
    full, history = fit(DATA[kind](), watch)
    for step in (3, 5, 9, len(watch.seen) - 1):
        folder = tmp_path / str(step)
        set_random_seed(3)
        with pytest.raises(Killed):
            fit(DATA[kind](), callbacks.Checkpoint(folder, every=1), Kill(step + 1))
        set_random_seed(99)  # another process: other seeds, other weights
        rest = Kill()
        resumed, again = fit(DATA[kind](), rest, resume=folder)
        assert rest.seen == watch.seen[step:]
        assert again == history
        same(resumed, full)


def test_checkpoints_change_nothing(tmp_path: Path) -> None:
    set_random_seed(3)
    plain, _ = fit(DATA["arrays"]())
    set_random_seed(3)
    kept, _ = fit(DATA["arrays"](), resume=tmp_path)
    same(plain, kept)


def test_callbacks_go_on_with_what_they_know(tmp_path: Path) -> None:
    def watchers() -> list[callbacks.Callback]:
        return [
            callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True),
            callbacks.ReduceLROnPlateau("loss", patience=1, factor=0.5),
            callbacks.CSVLogger(tmp_path / "log.csv"),
        ]

    def trained(*more: callbacks.Callback, **settings: Any) -> tuple[hb.Model, Any, list[Any]]:
        model = compiled_model((3,), [layers.Dense(1)], hb.optimizers.SGD(0.8), "mse")
        mine = watchers()
        history = model.fit(X, Y, epochs=20, verbose=0, callbacks=[*mine, *more], **settings)
        return model, history.history, mine

    set_random_seed(5)
    model, history, first = trained()
    log = (tmp_path / "log.csv").read_text()
    set_random_seed(5)
    with pytest.raises(Killed):
        trained(callbacks.Checkpoint(tmp_path / "run"), Kill(4))
    resumed, again, second = trained(resume=tmp_path / "run")
    assert again == history
    same(resumed, model)
    for one, other in zip(first[:2], second[:2], strict=True):
        assert (one.best, one.wait) == (other.best, other.wait)
    assert (tmp_path / "log.csv").read_text() == log


def test_what_stays_in_the_folder(tmp_path: Path) -> None:
    keep = callbacks.Checkpoint(
        tmp_path, keep=2, keep_best="loss", mode="max", background=False
    )  # the first epoch is worst
    with pytest.warns(LikelyMistakeWarning, match="smaller is better"):
        fit(DATA["arrays"](), keep)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"step-{n:010d}.weights.h5" for n in (7, 21, 28)]
    assert keep.best_path == str(tmp_path / names[0])


def test_times_and_counts(tmp_path: Path) -> None:
    fit(DATA["arrays"](), callbacks.Checkpoint(tmp_path, every=5, keep=99, background=False), Kill())
    assert [int(p.name[5:15]) for p in files.newest_first(tmp_path)] == [25, 20, 15, 10, 5]
    fit(DATA["arrays"](), callbacks.Checkpoint(tmp_path / "t", every=datetime.timedelta(hours=1)))
    assert not (tmp_path / "t").exists()
    fit(DATA["arrays"](), callbacks.Checkpoint(tmp_path / "t", every=datetime.timedelta(0)), Kill())
    assert files.newest_first(tmp_path / "t")


def test_a_finished_run_is_finished(tmp_path: Path) -> None:
    full, history = fit(DATA["arrays"](), resume=tmp_path)
    watch = Kill()
    again, same_history = fit(DATA["arrays"](), watch, resume=tmp_path)
    assert watch.seen == []
    assert history == same_history
    for mine, other in zip(full.get_weights(), again.get_weights(), strict=True):
        assert mine.shape == other.shape


def test_one_file_can_be_gone_on_from(tmp_path: Path) -> None:
    fit(DATA["arrays"](), callbacks.Checkpoint(tmp_path, keep=9, background=False))
    second = files.newest_first(tmp_path)[2]
    watch = Kill()
    fit(DATA["arrays"](), watch, resume=second)
    assert len(watch.seen) == 14
    assert len(files.newest_first(tmp_path)) == 4  # and nothing was written


def test_damage_is_found_and_named(tmp_path: Path) -> None:
    fit(DATA["arrays"](), callbacks.Checkpoint(tmp_path, background=False))
    newest, before = files.newest_first(tmp_path)
    assert files.verify_checkpoint(newest) == []
    with h5py.File(newest, "r+") as store:
        store["layers/dense/vars/0"][0, 0] += 1
    assert files.verify_checkpoint(newest) == ["layers/dense/vars/0 has a wrong checksum"]
    with pytest.warns(UserWarning, match="layers/dense/vars/0 has a wrong checksum"):
        fit(DATA["arrays"](), resume=tmp_path)
    before.unlink()
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.raises(hb.saving.ModelFileError, match="cannot be used"):
        fit(DATA["arrays"](), resume=newest)
    build_model().save_weights(tmp_path / "plain.weights.h5")
    with pytest.raises(hb.saving.ModelFileError, match="no state of a training"):
        fit(DATA["arrays"](), resume=tmp_path / "plain.weights.h5")


def test_other_data_and_models_are_noticed(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        fit(DATA["arrays"](), callbacks.Checkpoint(tmp_path, every=1), Kill(3))
    with pytest.raises(
        ValueError, match="26 samples in batches of 4, and cannot continue with 26 samples in batches of 8"
    ):
        fit({"x": X, "y": Y, "batch_size": 8}, resume=tmp_path)
    other = compiled_model((3,), [layers.Dense(9), layers.Dense(1)], "adam", "mse")
    before = other.get_weights()
    with pytest.raises(hb.saving.ModelFileError, match="shape"):
        other.fit(X, Y, batch_size=4, verbose=0, resume=files.newest_first(tmp_path)[0])
    for mine, now in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, now)


def test_a_full_disk_stops_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, writes = files.write_checkpoint, []

    def full(path: Any, *rest: Any) -> None:
        writes.append(path)
        if len(writes) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, *rest)

    monkeypatch.setattr(files, "write_checkpoint", full)
    with pytest.warns(RuntimeWarning, match="No space left.*last good checkpoint is '.*step-0000000007"):
        _, history = fit(DATA["arrays"](), callbacks.Checkpoint(tmp_path, background=False))
    assert len(history["loss"]) == EPOCHS
    assert [path.name for path in tmp_path.iterdir()] == ["step-0000000007.weights.h5"]


def test_mistakes(tmp_path: Path) -> None:
    for wrong in ("batch", 0, True, 1.5, None):
        with pytest.raises(ValueError, match="every must be"):
            callbacks.Checkpoint(tmp_path, every=wrong)
    for wrong in ("", None, 3):
        with pytest.raises(ValueError, match="name of a folder"):
            callbacks.Checkpoint(wrong)
    with pytest.raises(ValueError, match="keep must be"):
        callbacks.Checkpoint(tmp_path, keep=0)
    with pytest.raises(TypeError, match="resume must be"):
        fit(DATA["arrays"](), resume=3)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        fit(DATA["arrays"](), resume=tmp_path / "x.weights.h5")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="neither a folder nor a checkpoint"):
        fit(DATA["arrays"](), resume=tmp_path / "file")


SCRIPT = """
import sys, numpy as np, hornbeam as hb
hb.utils.set_random_seed(1)
x = np.random.default_rng(0).normal(size=(4096, 64)).astype("float32")
hidden = [hb.layers.Dense(64, "relu"), hb.layers.Dropout(0.2)]
model = hb.Sequential([hb.Input((64,)), *hidden, hb.layers.Dense(64)])
model.compile("adam", "mse")
print("ready", flush=True)
model.fit(x, x, epochs=int(sys.argv[2]), batch_size=32, verbose=0, resume=sys.argv[1])
print(sum(float(np.abs(w).sum()) for w in model.get_weights()), flush=True)
"""


def started(folder: Path, epochs: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SCRIPT, str(folder), str(epochs)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_save_and_leave(number: signal.Signals, tmp_path: Path) -> None:
    process = started(tmp_path / "cut", 100_000)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    while not (tmp_path / "cut").exists():
        time.sleep(0.02)
    sent = time.monotonic()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert time.monotonic() - sent < 10  # 2 s on a machine that does nothing else
    assert process.returncode in (128 + number, -number), errors
    assert f"{number.name}: saving after this step" in errors
    assert "continues it" in errors
    updates = int(files.newest_first(tmp_path / "cut")[0].name[5:15])
    epochs = str(updates // 128 + 1)
    ends = []
    for folder in ("cut", "never"):
        output, errors = started(tmp_path / folder, int(epochs)).communicate(timeout=120)
        assert errors == ""
        ends.append(output)
    assert ends[0] == ends[1]


class Signals(callbacks.Callback):
    """Sends itself signals at the end of an epoch."""

    def __init__(self, epoch: int, *numbers: signal.Signals) -> None:
        super().__init__()
        self.at, self.numbers = epoch, numbers

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.at:
            for number in self.numbers:
                os.kill(os.getpid(), number)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("epoch", [1, EPOCHS - 1])
def test_a_signal_between_epochs_or_behind_the_last_is_not_lost(epoch: int, tmp_path: Path) -> None:
    set_random_seed(3)
    full, _ = fit(DATA["arrays"]())
    set_random_seed(3)
    with pytest.raises(KeyboardInterrupt, match=f"at update {7 * (epoch + 1)}"):
        fit(DATA["arrays"](), Signals(epoch, signal.SIGINT), resume=tmp_path)
    set_random_seed(99)
    resumed, _ = fit(DATA["arrays"](), resume=tmp_path)
    same(resumed, full)


class Before(callbacks.Callback):
    """Sends itself a signal when validation begins."""

    def on_test_begin(self, logs: Any = None) -> None:
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_signal_before_the_first_batch_of_validation(tmp_path: Path) -> None:
    set_random_seed(3)
    full, history = fit(DATA["validated"]())
    set_random_seed(3)
    with pytest.raises(KeyboardInterrupt, match="at update 7;"):
        fit(DATA["validated"](), Before(), resume=tmp_path)
    set_random_seed(99)
    resumed, again = fit(DATA["validated"](), resume=tmp_path)
    same(resumed, full)
    assert again == history


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_an_evaluation_of_the_user_s_comes_to_its_end(tmp_path: Path) -> None:
    seen: list[Any] = []

    class Looking(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            seen.append(self.model.evaluate(X, Y, verbose=0))

    with pytest.raises(KeyboardInterrupt):
        fit(DATA["arrays"](), Looking(), resume=tmp_path)
    assert len(seen) == 1


TWICE = """
import os, signal, sys, time, numpy as np, hornbeam as hb
class Long(hb.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.3)
        time.sleep(60)
model = hb.Sequential([hb.Input((3,)), hb.layers.Dense(1)])
model.compile("sgd", "mse")
model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0, callbacks=[Long()], resume=sys.argv[1])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_second_interrupt_leaves_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", TWICE, str(tmp_path)], timeout=60, check=False)
    assert done.returncode == 128 + signal.SIGINT
    assert time.monotonic() - began < 30  # the step would have taken a minute
