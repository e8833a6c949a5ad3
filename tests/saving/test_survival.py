"""Saving that is cut off anywhere leaves what was there before or what was to be there, whole either way."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.random import set_random_seed
from hornbeam.saving import checkpoint as checkpoints
from hornbeam.saving import files
from hornbeam.saving.weights import weight_groups

posix = pytest.mark.skipif(os.name == "nt", reason="signals and limits of POSIX")

# Saves a model of ever other weights in three ways, for ever.
SAVER = """
import sys, numpy as np, hornbeam as hb
from hornbeam.saving import checkpoint
from hornbeam.saving.weights import weight_groups
folder = sys.argv[1]
model = hb.Sequential([hb.Input((64,)), hb.layers.Dense(256), hb.layers.Dense(64)])
print("ready", flush=True)
number = 0
while True:
    number += 1
    for variable in model.weights:
        variable.assign(np.full(variable.shape, number, "float32"))
    model.save(folder + "/whole.keras")
    model.save_weights(folder + "/some.weights.h5")
    checkpoint.write_checkpoint(folder + "/run.weights.h5", weight_groups(model), {"number": number})
    if number == 1:
        print("saved", flush=True)
"""


def one_value(weights: list[np.ndarray]) -> float:
    """The number that all weights of a model hold."""
    values = {float(value) for array in weights for value in np.unique(array)}
    assert len(values) == 1, f"weights of two saves: {values}"
    return values.pop()


@posix
@pytest.mark.parametrize("kills", [4, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_process_that_is_killed_while_it_saves(kills: int, tmp_path: Path) -> None:
    draw = random.Random(0)
    for _ in range(kills):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            if not (tmp_path / "run.weights.h5").exists():
                assert process.stdout.readline() == "saved\n"
            time.sleep(draw.uniform(0, 0.06))
            process.send_signal(signal.SIGKILL)
        model = hb.saving.load_model(tmp_path / "whole.keras")
        one_value(model.get_weights())
        model.load_weights(tmp_path / "some.weights.h5")
        one_value(model.get_weights())
        state = checkpoints.read_checkpoint(model, tmp_path / "run.weights.h5")
        assert one_value(model.get_weights()) == state["number"]
        # What was being staged may lie about, under a name that is no model's.
        for left in tmp_path.glob(".*.part"):
            left.unlink()
        assert len(list(tmp_path.iterdir())) == 3


def small(value: float) -> hb.Model:
    model = hb.Sequential([hb.Input((8,)), layers.Dense(8), layers.Dense(8)])
    for variable in model.weights:
        variable.assign(np.full(variable.shape, value, "float32"))
    return model


def load(path: Path) -> list[np.ndarray]:
    if path.suffix == ".keras":
        return hb.saving.load_model(path).get_weights()
    model = small(0)
    model.load_weights(path)
    return model.get_weights()


def save_checkpoint(model: hb.Model, path: Path) -> None:
    checkpoints.write_checkpoint(path, weight_groups(model), {})


SAVES: dict[str, Callable[[Any, Path], None]] = {
    "model.keras": lambda model, path: model.save(path),
    "model.weights.h5": lambda model, path: model.save_weights(path),
    "checkpoint.weights.h5": save_checkpoint,
}


class Faulty:
    """A file whose operation number `left` fails as on a full disk."""

    def __init__(self, file: Any, left: int) -> None:
        self._file, self.left = file, left

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._file, name)
        if name not in ("write", "flush", "truncate", "fileno"):
            return method

        def counted(*args: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return method(*args)

        return counted

    def __enter__(self) -> Faulty:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


@pytest.mark.parametrize("name", SAVES)
def test_every_write_may_fail(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    SAVES[name](small(1), path)
    before = path.read_bytes()
    real, failures = os.fdopen, 0
    while True:
        result: list[Faulty] = []

        def opened(*args: Any, result: list[Faulty] = result, number: int = failures + 1) -> Any:
            result.append(Faulty(real(*args), number))
            return result[0]

        monkeypatch.setattr(files.os, "fdopen", opened)
        try:
            SAVES[name](small(2), path)
        except OSError:
            assert path.read_bytes() == before
            assert [p.name for p in tmp_path.iterdir()] == [name]
            failures += 1
            continue
        finally:
            monkeypatch.setattr(files.os, "fdopen", real)
        break
    assert failures > 2
    assert one_value(load(path)) == 2


@posix
@pytest.mark.parametrize("name", SAVES)
def test_a_limit_on_the_size_of_files(name: str, tmp_path: Path) -> None:
    import resource

    path = tmp_path / name
    SAVES[name](small(1), path)
    size = path.stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in range(1, size, max(size // 25, 1)):
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
            try:
                with pytest.raises(OSError):
                    SAVES[name](small(2), path)
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            assert one_value(load(path)) == 1
            assert [p.name for p in tmp_path.iterdir()] == [name]
    finally:
        signal.signal(signal.SIGXFSZ, ignored)


TRAINER = """
import sys, numpy as np, hornbeam as hb
hb.utils.set_random_seed(1)
x = np.random.default_rng(0).normal(size=(2048, 16)).astype("float32")
model = hb.Sequential([hb.Input((16,)), hb.layers.Dense(32, "relu"), hb.layers.Dropout(0.2), hb.layers.Dense(16)])
model.compile("adam", "mse")
checkpoint = hb.callbacks.Checkpoint(sys.argv[1], every=7)
print("ready", flush=True)
model.fit(x, x, epochs=300, batch_size=8, verbose=0, callbacks=[checkpoint], resume=sys.argv[1])
model.save_weights(sys.argv[1] + "/end.weights.h5")
"""  # noqa: E501


def trained(folder: Path, seconds: float | None) -> bool:
    """Run the trainer; kill it after so many seconds of training. Whether it came to its end."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINER, str(folder)], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    if process.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(f"the trainer ended with {process.returncode}")
    return process.returncode == 0


@posix
@pytest.mark.parametrize("kills", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_a_training_that_is_killed_again_and_again(kills: int, tmp_path: Path) -> None:
    assert trained(tmp_path / "never", None)
    draw, left, runs = random.Random(1), kills, 0
    expected = checkpoint_weights(tmp_path / "never")
    while left > 0:
        folder = tmp_path / f"run{runs}"
        runs += 1
        while left > 0 and not trained(folder, draw.uniform(0.05, 1.0)):
            left -= 1
        trained(folder, None)
        for ours, theirs in zip(checkpoint_weights(folder), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def checkpoint_weights(folder: Path) -> list[np.ndarray]:
    set_random_seed(0)
    model = hb.Sequential([hb.Input((16,)), layers.Dense(32, "relu"), layers.Dropout(0.2), layers.Dense(16)])
    model.load_weights(folder / "end.weights.h5")
    return model.get_weights()
