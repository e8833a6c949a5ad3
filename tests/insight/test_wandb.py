"""Trainings in Weights & Biases, written by the real client in its offline mode."""

from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.callbacks import RunRecorder, WandbTracker

wandb: Any = pytest.importorskip("wandb")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

X = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
Y = (X.sum(1) > 0).astype("int32")


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))


def build() -> hb.Model:
    model = hb.Sequential(
        [hb.Input((3,)), layers.Dense(4), layers.Dense(2, activation="softmax")], name="net"
    )
    model.compile(hb.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(*callbacks: Any) -> dict[str, list[float]]:
    history = build().fit(
        X, Y, epochs=2, batch_size=8, validation_split=0.2, verbose=0, callbacks=list(callbacks)
    )
    return history.history


def records(folder: Path) -> list[Any]:
    """Read the records of the only run in a folder, once the client has written the last one."""
    (path,) = folder.rglob("offline-run-*/run-*.wandb")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        entries = _records_in(path.read_bytes())
        if any(record.WhichOneof("record_type") == "exit" for record in entries):
            return entries
        time.sleep(0.05)
    raise AssertionError(f"{path} has no end")


def _records_in(data: bytes) -> list[Any]:
    """Parse a log of LevelDB, with 7 bytes before it."""
    from wandb.proto import wandb_internal_pb2

    at, message, entries = 7, b"", []
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:  # no header fits into the rest of a block
            at += left
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        if at + 7 + length > len(data):
            break
        message += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # complete, or its last part
            entries.append(wandb_internal_pb2.Record.FromString(message))
            message = b""
    return entries


def epochs(entries: list[Any]) -> list[dict[str, Any]]:
    return [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in entries
        if record.WhichOneof("record_type") == "history"
    ]


def test_a_training_is_a_run(tmp_path: Path) -> None:
    tracker = WandbTracker("digits", "first", save_model=True, tags=["test"], dir=tmp_path)
    history = fit(tracker)
    result = tracker.evaluate(X, Y)
    run = tracker.run
    assert (run.project, run.name, tuple(run.tags)) == ("digits", "first", ("test",))
    assert run.config["optimizer.learning_rate"] == 0.05
    assert run.config["environment"]["engine"] == "native"
    assert run.summary["test_accuracy"] == result.metrics["accuracy"].value
    assert run.summary["test_accuracy_low"] < run.summary["test_accuracy_high"]
    tracker.finish()
    entries = records(tmp_path)
    lines = epochs(entries)
    assert [line["epoch"] for line in lines] == [0, 1]
    assert [line["val_loss"] for line in lines] == history["val_loss"]
    names = {path.name for path in tmp_path.rglob("files/*")}
    assert {"model.json", "model_summary.txt", "evaluation.json"} <= names
    requests = {r.request.WhichOneof("request_type") for r in entries if r.HasField("request")}
    assert "log_artifact" in requests or any(r.HasField("artifact") for r in entries)


def test_a_run_of_the_user_is_used_and_left_open(tmp_path: Path) -> None:
    with wandb.init(project="digits", dir=tmp_path) as run:
        tracker = WandbTracker()
        fit(tracker)
        assert tracker.run_id == run.id
        tracker.finish()
        run.log({"still": 1})
        assert run.summary["still"] == 1
        assert run.config["epochs"] == 2


def test_each_training_is_a_run_of_its_own(tmp_path: Path) -> None:
    tracker = WandbTracker("digits", dir=tmp_path)
    fit(tracker)
    first = tracker.run_id
    fit(tracker)
    assert tracker.run_id != first
    tracker.finish()


def test_a_failure_does_not_stop_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**options: Any) -> None:
        raise wandb.errors.CommError("no route to the server")

    monkeypatch.setattr(wandb, "init", fail)
    with (
        pytest.warns(UserWarning, match="WandbTracker could not send: CommError: no route to the server"),
        pytest.warns(UserWarning, match="could not send 9 records of the run"),
    ):
        history = fit(WandbTracker("digits"))
    assert len(history["loss"]) == 2


def test_a_recorded_run_is_sent(tmp_path: Path) -> None:
    recorder = RunRecorder("past", tmp_path / "runs")
    history = fit(recorder)
    assert recorder.path is not None
    tracker = WandbTracker("digits", dir=tmp_path)
    tracker.send(hb.insight.read_run(recorder.path))
    tracker.finish()
    assert [line["loss"] for line in epochs(records(tmp_path))] == history["loss"]
