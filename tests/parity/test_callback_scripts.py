"""Callbacks beside Keras's: the same scripted logs, epoch by epoch, and what each does to a model."""

from __future__ import annotations

import csv
import functools
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
import pytest

import hornbeam

keras = pytest.importorskip("keras", reason="Keras is needed to compare with")

# What Keras and JAX warn of is not ours to mend.
pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.sampled]

BOTH = (hornbeam, keras)
SCRIPTS = [np.random.default_rng(seed).normal(size=12).round(1).tolist() for seed in range(4)]
# Where Keras takes a first NaN for the best value of all, we go on looking: no script begins with one.
SCRIPTS += [
    [1.0] * 12,
    [3.0, 2.0, float("nan"), 1.0, 0.9, float("nan"), float("nan"), 0.6, 0.7, 0.8, 0.9, 1.0],
]


@functools.cache
def tiny(library: Any) -> Any:
    model = library.Sequential([library.Input((1,)), library.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["accuracy"])
    model.evaluate(
        np.ones((2, 1)), np.ones((2, 1)), verbose=0
    )  # Keras's metrics know their names from here on
    return model


def drive(library: Any, callback: Any, values: list[float], name: str) -> list[tuple[Any, ...]]:
    """After each epoch: does training stop, the learning rate, what was logged, and the weights at the
    end."""
    model = tiny(library)
    model.stop_training, model.optimizer.learning_rate = False, 0.01
    callback.set_params({"epochs": len(values), "verbose": 0, "steps": 1})
    callback.set_model(model)
    callback.on_train_begin()
    seen: list[tuple[Any, ...]] = []
    for epoch, value in enumerate(values):
        logs = {name: value, "loss": value / 2}
        model.set_weights([np.full((1, 1), float(epoch)), np.zeros(1)])
        callback.on_epoch_begin(epoch)
        callback.on_train_batch_end(0, logs)
        callback.on_epoch_end(epoch, logs)
        seen.append((model.stop_training, round(float(model.optimizer.learning_rate), 7), sorted(logs)))
        if model.stop_training:
            break
    callback.on_train_end()
    return [*seen, (float(model.get_weights()[0][0, 0]),)]


def same(name: str, metric: str, values: list[float], **arguments: Any) -> None:
    ours, theirs = (drive(k, getattr(k.callbacks, name)(**arguments), values, metric) for k in BOTH)
    assert ours == theirs


@pytest.mark.parametrize("values", SCRIPTS, ids=range(len(SCRIPTS)))
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"patience": 1},
        {"patience": 3, "restore_best_weights": True},
        {"patience": 2, "min_delta": 0.5, "restore_best_weights": True},
        {"patience": 2, "baseline": 0.2, "restore_best_weights": True},
        {"patience": 2, "start_from_epoch": 4, "mode": "max"},
    ],
    ids=str,
)
def test_early_stopping(arguments: dict[str, Any], values: list[float]) -> None:
    same("EarlyStopping", "val_loss", values, **arguments)


@pytest.mark.parametrize("values", SCRIPTS, ids=range(len(SCRIPTS)))
@pytest.mark.parametrize(
    "arguments",
    [
        {"patience": 1},
        {"patience": 2, "factor": 0.5, "min_delta": 0.3},
        {"patience": 1, "cooldown": 2, "min_lr": 0.002},
        {"patience": 1, "monitor": "val_accuracy"},
    ],
    ids=str,
)
def test_reduce_on_plateau(arguments: dict[str, Any], values: list[float]) -> None:
    same("ReduceLROnPlateau", arguments.get("monitor", "val_loss"), values, **arguments)


def test_schedules_of_the_learning_rate() -> None:
    same("LearningRateScheduler", "loss", SCRIPTS[0], schedule=lambda epoch, rate: rate * 0.9)
    same("LearningRateScheduler", "loss", SCRIPTS[0], schedule=lambda epoch: 0.1 / (epoch + 1))


@pytest.mark.parametrize("values", [[1.0, float("nan"), 2.0], [1.0, float("inf"), 2.0]])
def test_terminate_on_nan(values: list[float]) -> None:
    same("TerminateOnNaN", "val_loss", values)
    for library in BOTH:
        with pytest.raises(RuntimeError):
            drive(library, library.callbacks.TerminateOnNaN(raise_error=True), values, "val_loss")


@pytest.mark.parametrize("values", SCRIPTS, ids=range(len(SCRIPTS)))
@pytest.mark.parametrize(
    "arguments",
    [
        {"save_best_only": True},
        {"save_best_only": True, "mode": "max"},
        {"save_best_only": True, "initial_value_threshold": 0.0},
        {"monitor": "val_accuracy", "save_best_only": True},
        {},
    ],
    ids=str,
)
def test_checkpoints(arguments: dict[str, Any], values: list[float], tmp_path: Path) -> None:
    names = []
    for library in BOTH:
        folder = tmp_path / library.__name__
        folder.mkdir()
        path = str(folder / "{epoch:02d}-{loss:.2f}.weights.h5")
        check = library.callbacks.ModelCheckpoint(path, save_weights_only=True, **arguments)
        drive(library, check, values, arguments.get("monitor", "val_loss"))
        names.append(sorted(file.name for file in folder.iterdir()))
    assert names[0] == names[1]


def test_csv(tmp_path: Path) -> None:
    rows = []
    for library in BOTH:
        path = tmp_path / library.__name__
        log = library.callbacks.CSVLogger(str(path), separator=";", append=True)
        drive(library, log, SCRIPTS[0][:3], "val_loss")
        drive(library, log, SCRIPTS[1][:2], "val_loss")
        rows.append(list(csv.reader(path.read_text().splitlines(), delimiter=";")))
    assert rows[0] == rows[1]


def test_lambdas() -> None:
    hooks = (
        "on_epoch_begin", "on_epoch_end", "on_train_begin", "on_train_end", "on_train_batch_begin",
        "on_train_batch_end", "on_test_begin", "on_predict_batch_end",
    )  # fmt: skip
    calls: list[list[str]] = []
    for library in BOTH:
        seen: list[str] = []
        result = {hook: lambda *args, hook=hook, seen=seen, **kwargs: seen.append(hook) for hook in hooks}
        model = tiny(library)
        watch = library.callbacks.LambdaCallback(**result)
        model.fit(np.ones((4, 1)), np.ones((4, 1)), batch_size=2, verbose=0, callbacks=[watch])
        model.predict(np.ones((4, 1)), batch_size=2, verbose=0, callbacks=[watch])
        calls.append(seen)
    assert calls[0] == calls[1]
