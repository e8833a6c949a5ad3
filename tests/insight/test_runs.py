"""Runs as they are recorded, read, listed and compared."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam._internal.formatting import long_time
from hornbeam.callbacks import Callback, RunRecorder
from hornbeam.errors import RunError
from hornbeam.insight import read_run
from hornbeam.insight.runs import compare_runs, list_runs
from hornbeam.insight.runs.comparing import differences, sparkline
from hornbeam.insight.runs.environment import command, commit, environment
from hornbeam.insight.runs.folder import make_folder, plain, plain_name
from tests.helpers import processes
from tests.helpers.builders import compiled_model


def build_data(samples: int = 96) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(1).random((samples, 5)).astype("float32")
    return x, (x.sum(1) > 2.5).astype("int32")


def build_model(units: int = 4) -> Any:
    return compiled_model(
        (5,),
        [layers.Dense(units, activation="relu"), layers.Dense(2, activation="softmax")],
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        name="small",
    )


def recorded(folder: Path, name: str | None = None, units: int = 4, **options: Any) -> RunRecorder:
    recorder = RunRecorder(name, folder, explain=False, **options)
    x, y = build_data()
    build_model(units).fit(x, y, epochs=3, validation_split=0.25, verbose=0, callbacks=[recorder])
    return recorder


def text(shown: Any, width: int = 160) -> str:
    from rich.console import Console

    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(shown)
    return capture.get()


def test_what_is_recorded(tmp_path: Path) -> None:
    hb.utils.set_random_seed(11)
    recorder = recorded(tmp_path / "runs", "first try")
    assert recorder.path is not None
    assert recorder.path.parent == tmp_path / "runs"
    assert recorder.path.name.endswith("-first-try")
    run = read_run(recorder.path)
    assert run.name == "first try"
    assert run.finished
    assert run.info["seed"] == 11
    assert run.info["command"] == command()
    assert run.info["fit"] == {"epochs": 3, "updates_per_epoch": 3, "batch_size": 32}
    training, validation = run.info["data"]["training"], run.info["data"]["validation"]
    assert (training["samples"], validation["samples"]) == (72, 24)
    assert training["arrays"] == ["float32 5", "int32 scalar"]
    assert training["fingerprint"] != validation["fingerprint"]
    assert run.info["environment"]["hornbeam"] == hb.__version__
    assert [line["epoch"] for line in run.epochs] == [1, 2, 3]
    assert set(run.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert 0 < sum(line["seconds"] for line in run.epochs) <= run.seconds
    kept = run.parts["model"]
    assert (kept["params"], [row["kind"] for row in kept["layers"]]) == (5 * 4 + 4 + 4 * 2 + 2, ["Dense"] * 2)
    assert kept["config"]["layers"][1]["config"]["units"] == 4
    assert kept["compile"]["optimizer"]["class_name"] == "Adam"


def test_the_history_is_that_of_fit(tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path, explain=False)
    x, y = build_data()
    history = (
        build_model().fit(x, y, epochs=2, validation_split=0.25, verbose=0, callbacks=[recorder]).history
    )
    assert recorder.path is not None
    assert recorder.path.name.endswith("-small")
    assert read_run(recorder.path).history == history


def test_recording_changes_no_bit(tmp_path: Path) -> None:
    x, y = build_data()
    weights = []
    for callbacks in ([], [RunRecorder(folder=tmp_path)]):
        hb.utils.set_random_seed(5)
        trained = build_model()
        trained.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
        weights.append(trained.get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_explanations_and_weights(tmp_path: Path) -> None:
    x, y = build_data()
    trained, recorder = build_model(), RunRecorder(folder=tmp_path, save_weights=True)
    trained.fit(x, y, verbose=0, callbacks=[recorder])
    assert recorder.path is not None
    sections = read_run(recorder.path).parts["explanation"]["sections"]
    assert [section["title"].split()[0] for section in sections] == [layer.name for layer in trained.layers]
    other = build_model()
    other.load_weights(recorder.path / "final.weights.h5")
    for first, second in zip(trained.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(first, second)


def test_a_profile_is_added(tmp_path: Path) -> None:
    x, y = build_data()
    trained, recorder = build_model(), RunRecorder(folder=tmp_path, explain=False)
    with pytest.raises(RuntimeError, match="give the RunRecorder to fit"):
        recorder.keep("profile", {})
    trained.fit(x, y, verbose=0, callbacks=[recorder])
    profile = trained.profile(x, y, steps=2)
    recorder.add(profile)
    assert recorder.path is not None
    kept = read_run(recorder.path).parts["profile"]
    assert kept["seconds"] == profile.seconds
    assert [layer["name"] for layer in kept["layers"]] == [layer.name for layer in profile.layers]
    with pytest.raises(TypeError, match="does not hold a ndarray"):
        recorder.add(x)
    with pytest.raises(ValueError, match="has no part"):
        recorder.keep("../outside", {})


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "etc-passwd"),
        ("/root", "root"),
        ("..", "run"),
        ("", "run"),
        (".hidden", "hidden"),
        ("a\0b\nc", "a-b-c"),
        ("C:\\x", "C-x"),
        ("näch<b>ste", "n-ch-b-ste"),
        ("x" * 300, "x" * 40),
    ],
)
def test_names_never_are_paths(tmp_path: Path, name: str, expected: str) -> None:
    assert plain_name(name) == expected
    folder = make_folder(tmp_path / "runs", name)
    assert folder.resolve().parent == (tmp_path / "runs").resolve()
    assert folder.is_dir()


def test_two_runs_of_one_second(tmp_path: Path) -> None:
    result = [make_folder(tmp_path, "a", now=0.0) for _ in range(3)]
    assert [folder.name.removeprefix(result[0].name) for folder in result] == ["", "-2", "-3"]


def test_a_run_that_was_killed_shows_its_epochs(tmp_path: Path) -> None:
    code = f"""
import time
from tests.insight import test_runs as t
class Slow(t.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 2:
            print("there", flush=True)
            time.sleep(60)
x, y = t.build_data()
t.build_model().fit(x, y, epochs=5, verbose=0, callbacks=[t.RunRecorder("killed", {str(tmp_path)!r}), Slow()])
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=processes.environment()
    )
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "there"
    process.kill()
    process.communicate()
    (folder,) = tmp_path.iterdir()
    run = read_run(folder)
    assert not run.finished
    assert [line["epoch"] for line in run.epochs] == [1, 2]
    assert run.parts["model"]["params"] == 34
    assert "2 of " in text(list_runs(tmp_path))


def test_a_training_that_goes_on_has_one_run(tmp_path: Path) -> None:
    class Stop(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if self.model._hb_trainer.run.epoch == 2:
                raise KeyboardInterrupt

    x, y = build_data()

    def fit(*others: Callback) -> Any:
        trained, recorder = build_model(), RunRecorder("long", tmp_path / "runs", explain=False)
        trained.fit(x, y, epochs=4, verbose=0, resume=tmp_path / "checkpoints", callbacks=[recorder, *others])
        return recorder

    with pytest.raises(KeyboardInterrupt):
        fit(Stop())
    (folder,) = (tmp_path / "runs").iterdir()
    with open(folder / "history.jsonl", "a") as file:  # an epoch that no checkpoint knows of
        file.write('{"epoch": 3, "seconds": 1, "logs": {"loss": 9}}\n')
    assert fit().path == folder
    run = read_run(folder)
    assert [line["epoch"] for line in run.epochs] == [1, 2, 3, 4]
    assert run.epochs[2]["logs"]["loss"] != 9
    assert run.finished
    assert [again["epoch"] for again in run.info["resumed"]] == [3]


def test_a_checkpoint_names_no_folder_outside(tmp_path: Path) -> None:
    recorder = RunRecorder(folder=tmp_path / "runs")
    for name in ("../outside", "/root", "", None, 3, "a/b", ".."):
        recorder.set_state({"run": name})
        assert recorder._resumes_in is None
    recorder.set_state({"run": "2026-01-01-000000-a"})
    assert recorder._resumes_in == "2026-01-01-000000-a"


def test_a_model_without_a_config(tmp_path: Path) -> None:
    class Odd(hb.Model):
        def __init__(self, function: Any) -> None:
            super().__init__()
            self.inner = layers.Dense(2, activation="softmax")
            self.function = function

        def call(self, x: Any) -> Any:
            return self.inner(self.function(x))

    odd, recorder = Odd(lambda x: x * 2), RunRecorder(folder=tmp_path)
    odd.compile("sgd", "sparse_categorical_crossentropy")
    odd.fit(*build_data(), verbose=0, callbacks=[recorder])
    assert recorder.path is not None
    kept = read_run(recorder.path).parts["model"]
    assert kept["config"] is None
    assert kept["config_note"]
    assert kept["params"] == 12


def test_numbers_that_json_lacks() -> None:
    assert plain({"a": float("nan"), "b": [float("inf"), -np.inf], "c": np.float32(0.5), 1: {2}}) == {
        "a": "nan",
        "b": ["inf", "-inf"],
        "c": 0.5,
        "1": [2],
    }
    assert plain(np.arange(3)) == [0, 1, 2]
    assert plain(lambda: 0).endswith("<lambda>")


def test_losses_that_are_not_finite_are_read_back(tmp_path: Path) -> None:
    recorder = recorded(tmp_path)
    assert recorder.path is not None
    history = recorder.path / "history.jsonl"
    history.write_text('{"epoch": 1, "seconds": 1.0, "logs": {"loss": "nan", "val_loss": "inf"}}\n')
    run = read_run(recorder.path)
    assert np.isnan(run.history["loss"][0])
    assert run.history["val_loss"] == [np.inf]


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    recorder = recorded(tmp_path)
    assert recorder.path is not None
    history = recorder.path / "history.jsonl"
    history.write_text(history.read_text()[:-7])
    assert [line["epoch"] for line in read_run(recorder.path).epochs] == [1, 2]


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("run.json", b"{", "is damaged"),
        ("run.json", b"[1]", "does not hold a JSON object"),
        ("run.json", rb'{"name": "\ud800"}', "is damaged"),
        ("run.json", b"\xff\xfe", "not text"),
        ("run.json", b"[" * 100_000, "is damaged"),
        ("model.json", b"3", "does not hold a JSON object"),
        ("history.jsonl", b"{}\n", "line 1, is not an epoch"),
        ("history.jsonl", b'{"epoch": "x", "seconds": 1, "logs": {}}\n', "is not an epoch"),
        ("history.jsonl", b'{"epoch": 1, "seconds": 1, "logs": {"a": []}}\n', "is not an epoch"),
    ],
)
def test_damage_is_named(tmp_path: Path, file: str, content: bytes, message: str) -> None:
    recorder = recorded(tmp_path)
    assert recorder.path is not None
    (recorder.path / file).write_bytes(content)
    with pytest.raises(RunError, match=message):
        read_run(recorder.path)
    assert message in text(list_runs(tmp_path), width=1000)  # and other runs are still listed


def test_what_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run: it has no run\.json"):
        read_run(tmp_path)
    with pytest.raises(RunError, match="no folder"):
        list_runs(tmp_path / "none")
    assert "no runs in" in text(list_runs(tmp_path))


def test_the_list(tmp_path: Path) -> None:
    first, second = recorded(tmp_path, "first"), recorded(tmp_path, "second", units=7)
    second.keep(
        "evaluation",
        {"metrics": {"loss": {"value": 1}, "accuracy": {"value": 0.9, "low": 0.85, "high": 0.94}}},
    )
    shown = text(list_runs(tmp_path))
    assert first.path is not None
    assert first.path.name in shown
    assert shown.index("-first") < shown.index("-second")
    narrow = text(list_runs(tmp_path), width=80)
    assert first.path.name in narrow  # names can be copied
    assert "time" not in narrow
    assert "time" in shown
    assert re.search(r"[0-9.]+ s *$", shown, re.M)
    assert re.search(r"accuracy 90\.00% +85\.00% to 94\.00%", shown)
    assert f"{5 * 7 + 7 + 7 * 2 + 2}" in shown
    assert "val_accuracy" in shown


def test_the_comparison(tmp_path: Path) -> None:
    runs = []
    for name, units in (("a", 4), ("b", 6)):
        hb.utils.set_random_seed(2)
        recorder = recorded(tmp_path, name, units)
        assert recorder.path is not None
        runs.append(read_run(recorder.path))
    results = {name: pair for name, *pair in differences(*runs)}
    assert results["name"] == ["a", "b"]
    assert results["layer 1"] == ["Dense → 4, 24 parameters", "Dense → 6, 36 parameters"]
    assert results["model.layers.1.units"] == ["4", "6"]
    assert not [name for name in results if name.startswith(("environment", "data", "compile"))]
    shown = text(compare_runs(*runs))
    assert "differences" in shown
    assert "val_loss" in shown
    assert "Settings, data and environment are the same." in text(compare_runs(runs[0], runs[0]))


def test_sparklines() -> None:
    assert sparkline([0, 1, 2, 3.5, 7], 0, 7) == "▁▂▃▅█"
    assert sparkline([1, float("nan"), 1], 1, 1) == "▁·▁"
    assert len(sparkline(list(range(1000)), 0, 999)) <= 30


def test_durations() -> None:
    assert [long_time(s) for s in (3.21, 65, 3725)] == ["3.2 s", "1 min 05 s", "1 h 02 min"]


def test_the_commit_is_read_without_git(tmp_path: Path) -> None:
    def git(*args: str, cwd: Path = tmp_path) -> str:
        options = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *options, *args], cwd=cwd, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert commit(Path(os.sep)) == ""
    git("init", "-q", "-b", "main")
    assert commit(tmp_path) == ""  # nothing is committed
    git("commit", "-q", "--allow-empty", "-m", "a")
    expected = git("rev-parse", "HEAD")
    (tmp_path / "inner").mkdir()
    assert commit(tmp_path / "inner") == expected
    git("pack-refs", "--all")
    assert commit(tmp_path) == expected
    git("worktree", "add", "-q", "-b", "other", "tree")
    git("commit", "-q", "--allow-empty", "-m", "b", cwd=tmp_path / "tree")
    assert commit(tmp_path / "tree") == git("rev-parse", "HEAD", cwd=tmp_path / "tree") != expected
    git("checkout", "-q", "--detach")
    assert commit(tmp_path) == expected


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HORNBEAM_THREADS", "1 2")
    monkeypatch.setenv("SECRET_TOKEN", "hidden")
    result = environment()
    assert "HORNBEAM_THREADS='1 2'" in result["variables"]
    assert "hidden" not in json.dumps(result)
    assert result["numpy"] == np.__version__


def test_recording_is_cheap(tmp_path: Path) -> None:
    """Below 5 ms an epoch, which is more than what is written takes on a slow disk."""
    x, y = build_data()
    recorder = RunRecorder(folder=tmp_path, explain=False)
    trained = build_model()
    trained.fit(x, y, verbose=0, callbacks=[recorder])
    started = time.process_time()
    for epoch in range(50):
        recorder.on_epoch_end(epoch, {"loss": 0.5})
    assert (time.process_time() - started) / 50 < 0.005


def test_one_look_at_test_data_for_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, y = build_data(240)
    sealed = hb.data.seal(x[96:], y[96:])
    recorder = RunRecorder(folder=tmp_path, explain=False)
    with pytest.raises(RuntimeError, match="no model yet"):
        recorder.evaluate(sealed)
    trained = build_model()
    trained.fit(x[:96], y[:96], verbose=0, callbacks=[recorder])
    result = recorder.evaluate(sealed, names=["small", "large"])
    assert sealed.uses == 1
    assert recorder.path is not None
    parts = read_run(recorder.path).parts
    predicted = trained.predict(x[96:], verbose=0).argmax(1)
    assert parts["evaluation"]["metrics"]["accuracy"]["value"] == pytest.approx((predicted == y[96:]).mean())
    assert result["accuracy"].n == 144
    assert parts["evaluation"]["names"] == parts["confusion"]["names"] == ["small", "large"]
    assert np.sum(parts["confusion"]["matrix"]) == 144
    assert parts["mistakes"]["wrong"] == (predicted != y[96:]).sum()
    assert np.trace(parts["confusion"]["matrix"]) == (predicted == y[96:]).sum()
    assert parts["mistakes"]["images"] == []
    trained.fit(x[:96], y[:96], verbose=0, callbacks=[recorder])  # a second run of the same recorder
    assert set(read_run(recorder.path).parts) == {"model"}


def test_what_is_no_classifier_is_evaluated_too(tmp_path: Path) -> None:
    x, _ = build_data(200)
    regression = compiled_model((5,), [layers.Dense(1)], "sgd", "mse", metrics=["mae"])
    recorder = RunRecorder(folder=tmp_path, explain=False)
    regression.fit(x, x[:, :1], verbose=0, callbacks=[recorder])
    recorder.evaluate(x[:150], x[:150, :1])
    assert recorder.path is not None
    parts = read_run(recorder.path).parts
    assert set(parts) == {"model", "evaluation"}
    assert parts["evaluation"]["metrics"]["mae"]["low"] < parts["evaluation"]["metrics"]["mae"]["high"]
    assert "Each class" not in hb.insight.report(recorder).read_text()


FULL_DISK = """
import resource, signal, sys, numpy as np, hornbeam as hb
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
class Full(hb.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        most = int(sys.argv[1]) if epoch in (2, 3) else resource.RLIM_INFINITY
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
model = hb.Sequential([hb.Input((4,)), hb.layers.Dense(1)])
model.compile("sgd", "mse")
recorder = hb.callbacks.RunRecorder()
history = model.fit(np.ones((8, 4)), np.ones((8, 1)), epochs=6, verbose=0, callbacks=[Full(), recorder])
assert len(history.history["loss"]) == 6
run = hb.insight.read_run(recorder.path)
print([line["epoch"] for line in run.epochs], run.finished)
"""


@pytest.mark.posix
@pytest.mark.parametrize("most", [0, 150])  # bytes of a file; a line of the history has some 60
def test_a_full_disk_ends_no_training(tmp_path: Path, most: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(most)], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout in ("[1, 2, 5, 6] True\n", "[1, 2, 3, 5, 6] True\n")
    assert done.stderr.count("The training continues, and its record has gaps") == 1
