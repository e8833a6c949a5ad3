"""Trackers: what they are sent, and failures that must not stop a training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.callbacks import RunRecorder, Tracker
from tests.helpers.event_files import events, number

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = (X.sum(1) > 0).astype("int32")


class Memory(Tracker):
    """A tracker that keeps what it is sent, and fails when told to."""

    def __init__(self, failing: tuple[str, ...] = (), **options: Any) -> None:
        super().__init__(**options)
        self.failing = set(failing)
        self.records: list[tuple[str, Any]] = []

    def _record(self, kind: str, value: Any) -> None:
        if kind in self.failing:
            raise ConnectionError("the server is gone")
        self.records.append((kind, value))

    def start(self, name: str, run_id: str | None) -> None:
        self._record("start", (name, run_id))
        self.run_id = run_id or "run-1"

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        self._record("settings", dict(settings))

    def log_facts(self, facts: Mapping[str, str]) -> None:
        self._record("facts", dict(facts))

    def log_metrics(self, metrics: Mapping[str, float], epoch: int) -> None:
        self._record("metrics", (epoch, dict(metrics)))

    def log_scores(self, scores: Mapping[str, float]) -> None:
        self._record("scores", dict(scores))

    def log_file(self, name: str, text: str) -> None:
        self._record("file", name)

    def log_model(self, model: hb.Model) -> None:
        self._record("model", model)

    def end(self) -> None:
        self._record("end", None)

    def of(self, kind: str) -> list[Any]:
        return [value for name, value in self.records if name == kind]


def build() -> hb.Model:
    model = hb.Sequential(
        [hb.Input((3,)), layers.Dense(4), layers.Dense(2, activation="softmax")], name="net"
    )
    model.compile(hb.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(*callbacks: Any, epochs: int = 2) -> tuple[hb.Model, dict[str, list[float]]]:
    model = build()
    history = model.fit(
        X, Y, epochs=epochs, batch_size=8, validation_split=0.2, callbacks=list(callbacks), verbose=0
    )
    return model, history.history


def test_a_training_is_sent() -> None:
    tracker = Memory(save_model=True)
    model, history = fit(tracker)
    assert tracker.records[0] == ("start", ("net", None))
    assert tracker.records[-1] == ("end", None)
    settings = {name: value for part in tracker.of("settings") for name, value in part.items()}
    expected = {
        "epochs": 2, "batch_size": 8, "data.training.samples": 32, "data.validation.samples": 8,
        "model.class": "Sequential", "model.params": 26, "optimizer.class_name": "Adam",
        "optimizer.learning_rate": 0.05, "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"],
    }  # fmt: skip
    assert {name: settings[name] for name in expected} == expected
    assert {"engine", "hornbeam", "command"} <= set(tracker.of("facts")[0])
    assert [epoch for epoch, _ in tracker.of("metrics")] == [0, 1]
    for epoch, metrics in tracker.of("metrics"):
        assert metrics.pop("epoch_seconds") > 0
        assert metrics == {name: pytest.approx(values[epoch]) for name, values in history.items()}
    assert tracker.of("model") == [model]
    assert {"model.json", "model_summary.txt"} <= set(tracker.of("file"))


def test_scores_have_their_intervals() -> None:
    tracker = Memory()
    fit(tracker)
    result = tracker.evaluate(X, Y)
    (scores,) = tracker.of("scores")
    interval = result.metrics["accuracy"].interval
    assert interval is not None
    assert scores["test_accuracy"] == result.metrics["accuracy"].value
    assert (scores["test_accuracy_low"], scores["test_accuracy_high"]) == (interval.low, interval.high)
    assert {"evaluation.json", "confusion.json", "mistakes.json"} <= set(tracker.of("file"))


@pytest.mark.parametrize("failing", ["start", "settings", "metrics", "end"])
def test_a_failure_does_not_stop_the_training(failing: str) -> None:
    tracker = Memory(failing=(failing,))
    _, expected = fit()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        _, history = fit(tracker, epochs=2)
    assert len(history["loss"]) == len(expected["loss"]) == 2
    messages = [str(warning.message) for warning in seen]
    assert messages[0].startswith("Memory could not send: ConnectionError: the server is gone. The training")
    assert len(messages) == 2
    assert "of the run (ConnectionError: the server is gone). A run that callbacks.RunRecorder" in messages[1]


def test_what_was_kept_is_sent_when_the_tracker_answers_again() -> None:
    class Repair(hb.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 1:
                tracker.failing.clear()

    tracker = Memory(failing=("metrics",))
    with pytest.warns(UserWarning, match="could not send") as seen:
        fit(Repair(), tracker, epochs=3)
    assert len(seen) == 1
    assert [epoch for epoch, _ in tracker.of("metrics")] == [0, 1, 2]
    assert tracker.records[-1] == ("end", None)


def test_a_record_that_always_fails_is_dropped_alone() -> None:
    tracker = Memory(failing=("facts",))
    with (
        pytest.warns(UserWarning, match="the server is gone. The training goes on"),
        pytest.warns(UserWarning, match="could not send 1 record of the run"),
    ):
        fit(tracker)
    assert len(tracker.of("metrics")) == 2


def test_a_resumed_training_continues_its_run(tmp_path: Path) -> None:
    def train(epochs: int) -> Memory:
        tracker = Memory()
        saving = hb.callbacks.Checkpoint(tmp_path / "checkpoints")
        build().fit(
            X, Y, epochs=epochs, verbose=0, callbacks=[saving, tracker], resume=tmp_path / "checkpoints"
        )
        return tracker

    assert train(1).of("start") == [("net", None)]
    resumed = train(3)
    assert resumed.of("start") == [("net", "run-1")]
    assert [epoch for epoch, _ in resumed.of("metrics")] == [1, 2]


def test_a_recorded_run_is_sent(tmp_path: Path) -> None:
    recorder = RunRecorder("first", tmp_path)
    _, history = fit(recorder)
    recorder.evaluate(X, Y)
    assert recorder.path is not None
    tracker = Memory()
    assert tracker.send(hb.insight.read_run(recorder.path)) == "run-1"
    assert tracker.of("start") == [("first", None)]
    assert [metrics["val_loss"] for _, metrics in tracker.of("metrics")] == history["val_loss"]
    assert "test_accuracy_low" in tracker.of("scores")[0]
    assert {"explanation.json", "evaluation.json"} <= set(tracker.of("file"))
    assert tracker.records[-1] == ("end", None)


def test_wrong_arguments() -> None:
    with pytest.raises(TypeError, match="Memory: name must be a string, got 3"):
        Memory(name=3)
    with pytest.raises(RuntimeError, match=r"no model yet: give the Memory to fit\(callbacks=...\) first"):
        Memory().evaluate(X, Y)


def test_models_of_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    several = SimpleNamespace(process=(0, 2))
    monkeypatch.setattr("hornbeam.insight.trackers.tracker.current_engine", lambda: several)
    with pytest.raises(ValueError, match="Memory: save_model=True needs a training in one process"):
        fit(Memory(save_model=True))


def test_a_recorded_run_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX")
    from hornbeam.insight.trackers.tensorboard import TensorBoardTracker

    recorder = RunRecorder("first", tmp_path / "runs")
    _, history = fit(recorder)
    recorder.evaluate(X, Y)
    assert recorder.path is not None
    TensorBoardTracker(tmp_path / "logs", "mine").send(hb.insight.read_run(recorder.path))
    train, validation = events(tmp_path / "logs/mine/train"), events(tmp_path / "logs/mine/validation")
    assert [number(train["epoch_loss"][epoch]) for epoch in range(2)] == pytest.approx(history["loss"])
    assert [number(validation["epoch_accuracy"][epoch]) for epoch in range(2)] == pytest.approx(
        history["val_accuracy"]
    )
    top = events(tmp_path / "logs/mine")
    assert {
        "environment",
        "test_accuracy",
        "_hparams_/session_start_info",
        "_hparams_/session_end_info",
    } <= set(top)
