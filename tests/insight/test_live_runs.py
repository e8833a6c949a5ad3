"""Runs that are going on: signs of life, notes, requests to stop, and runs that differ in seeds alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.callbacks import Callback, ModelCheckpoint, RunRecorder
from hornbeam.errors import RunError
from hornbeam.insight import read_run
from hornbeam.insight.runs import liveness, steering
from hornbeam.insight.runs import recorder as recorder_module
from hornbeam.insight.runs.comparing import differences
from hornbeam.insight.runs.grouping import configuration
from hornbeam.insight.runs.liveness import is_alive, is_lost, this_process
from tests.helpers.builders import compiled_model
from tests.helpers.run_folders import write_run

X, Y = np.ones((64, 3), "float32"), np.ones((64, 1), "float32")


class AskToStop(Callback):
    """Write the file that `hornbeam watch --control` writes, after an epoch, and let a second pass."""

    def __init__(self, recorder: RunRecorder, epoch: int) -> None:
        super().__init__()
        self.recorder, self.epoch = recorder, epoch
        self.ended = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if epoch == self.epoch:
            assert self.recorder.path is not None
            steering.request_stop(self.recorder.path)
        self.recorder._looked -= 1

    def on_train_end(self, logs: Any = None) -> None:
        self.ended = True


def fit(recorder: RunRecorder, *callbacks: Callback, epochs: int = 9, **options: Any) -> hb.callbacks.History:
    model = compiled_model((3,), [hb.layers.Dense(1)], "sgd", "mse")
    everything = [*callbacks, recorder]
    return model.fit(X, Y, epochs=epochs, validation_split=0.25, verbose=0, callbacks=everything, **options)


def test_a_file_stops_the_training_as_its_end_would(tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path / "runs", explain=False)
    asking = AskToStop(recorder, 1)
    history = fit(recorder, asking, ModelCheckpoint(tmp_path / "kept.keras"))
    assert recorder.path is not None
    run = read_run(recorder.path)
    assert [line["epoch"] for line in run.epochs] == [1, 2, 3]
    assert run.info["stopped"] == "on request"
    assert run.finished
    assert history.epoch == [0, 1, 2]
    assert len(history.history["val_loss"]) == 3
    assert asking.ended
    assert (tmp_path / "kept.keras").is_file()
    assert sorted(file.name for file in recorder.path.iterdir()) == [
        "history.jsonl",
        "model.json",
        "run.json",
    ]


def test_a_training_that_was_stopped_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    def train(asks_in: int) -> Path:
        recorder = RunRecorder(folder=tmp_path / "runs", explain=False)
        fit(recorder, AskToStop(recorder, asks_in), epochs=5, resume=tmp_path / "checkpoints")
        assert recorder.path is not None
        return recorder.path

    path = train(asks_in=1)
    assert len(read_run(path).epochs) == 3
    assert train(asks_in=99) == path
    run = read_run(path)
    assert [line["epoch"] for line in run.epochs] == [1, 2, 3, 4, 5]
    assert [each["epoch"] for each in run.info["resumed"]] == [4]
    assert "stopped" not in run.info


def test_the_processes_of_a_job_look_together_once_an_epoch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    votes: list[bool] = []

    def agreed(good: bool) -> bool:
        votes.append(good)
        return len(votes) < 3  # another process was asked to stop

    monkeypatch.setattr(recorder_module, "current_engine", lambda: SimpleNamespace(process=(0, 2)))
    monkeypatch.setattr(recorder_module, "agreed", agreed)
    recorder = RunRecorder(folder=tmp_path, explain=False)
    history = fit(recorder, epochs=9)
    assert votes == [True, True, True]
    assert history.epoch == [0, 1, 2]
    assert recorder.path is not None
    assert read_run(recorder.path).info["stopped"] == "on request"


def test_the_end_of_an_uninterrupted_training_says_nothing_of_a_stop(tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path, explain=False)
    fit(recorder, epochs=2)
    assert recorder.path is not None
    assert "stopped" not in read_run(recorder.path).info


def test_the_position_within_an_epoch_is_a_sign_of_life(tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path, explain=False)
    seen: list[Any] = []

    class Look(Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            recorder._looked -= 1

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            assert recorder.path is not None
            seen.append(json.loads((recorder.path / "progress.json").read_text()))

    fit(recorder, Look(), epochs=2)
    assert [each["epoch"] for each in seen] == [1, 2]
    assert all(1 <= each["step"] <= 2 and each["seconds"] >= 0 for each in seen)
    assert recorder.path is not None
    assert not (recorder.path / "progress.json").exists()


@pytest.mark.skipif(this_process() is None, reason="the system does not tell processes apart")
def test_a_process_is_known_by_its_start() -> None:
    process = this_process()
    assert process is not None
    assert is_alive(process) is True
    assert is_alive({**process, "started": process["started"] + 1}) is False
    assert is_alive({**process, "machine": "another"}) is None
    code = "from hornbeam.insight.runs.liveness import this_process; print(this_process())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert is_alive(eval(done.stdout)) is False


@pytest.mark.parametrize("process", [None, "1", {}, {"pid": "1"}, {"pid": 1}])
def test_of_unknown_processes_only_signs_of_life_tell(process: Any) -> None:
    assert is_alive(process) is None
    assert not is_lost(process, 299, 1)
    assert is_lost(process, 301, 1)
    assert not is_lost(process, 301, 200)


def test_systems_without_proc_record_no_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    process = this_process()
    monkeypatch.setattr(liveness, "_PROC", tmp_path)
    assert this_process() is None
    assert is_alive(process) in (None, False)


def test_notes_are_not_lost(tmp_path: Path) -> None:
    assert steering.read_notes(tmp_path) == ""
    steering.write_notes(tmp_path, "good\nrun", "")
    assert steering.read_notes(tmp_path) == "good\nrun"
    with pytest.raises(RunError, match="changed elsewhere"):
        steering.write_notes(tmp_path, "mine", "")
    with pytest.raises(RunError, match="at most 20,000 characters"):
        steering.write_notes(tmp_path, "x" * 20_001, "good\nrun")
    steering.write_notes(tmp_path, "", "good\nrun")
    assert not list(tmp_path.iterdir())


def test_runs_of_one_configuration_differ_in_seeds_names_and_machine(tmp_path: Path) -> None:
    first, second = (read_run(write_run(tmp_path, f"run-{seed}", seed=seed)) for seed in (1, 2))
    assert configuration(first) is not None
    assert configuration(first) == configuration(second)
    others = [
        write_run(tmp_path, "wide", units=9),
        write_run(tmp_path, "engine", environment={"engine": "torch"}),
        write_run(tmp_path, "long", fit={"epochs": 11}),
        write_run(tmp_path, "data", data={"training": {"samples": 641}}),
    ]
    assert len({configuration(read_run(path)) for path in (first.path, *others)}) == 5
    (first.path / "model.json").unlink()
    assert configuration(read_run(first.path)) is None


def test_models_that_were_built_one_after_the_other_have_one_configuration(tmp_path: Path) -> None:
    paths = []
    for seed in (1, 2):
        hb.utils.set_random_seed(seed)
        x = hb.Input((3,))
        y = hb.layers.Dense(1)(hb.layers.Dropout(0.5)(hb.layers.Dense(4)(x)))
        model = hb.Model(x, y)
        model.compile("sgd", "mse")
        recorder = RunRecorder(folder=tmp_path, explain=False)
        model.fit(X, Y, epochs=1, verbose=0, callbacks=[recorder])
        paths.append(recorder.path)
    first, second = (read_run(path) for path in paths if path is not None)
    assert first.info["seed"] != second.info["seed"]
    assert configuration(first) == configuration(second)


def test_more_than_two_runs_are_compared(tmp_path: Path) -> None:
    runs = [read_run(write_run(tmp_path, f"run-{units}", units=units)) for units in (4, 8, 8)[:2]]
    runs.append(read_run(write_run(tmp_path, "third", units=8)))
    rows = {name: values for name, *values in differences(*runs)}
    assert rows["name"] == ["run-4", "run-8", "third"]
    assert rows["model.layers.0.units"] == ["4", "8", "8"]
    assert "seed" not in rows
