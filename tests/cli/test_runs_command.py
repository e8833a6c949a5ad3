"""`hornbeam runs` and `hornbeam report`, as they are called."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.cli import main
from tests.helpers.builders import compiled_model
from tests.helpers.event_files import events


def record(folder: Path, name: str) -> str:
    model = compiled_model((3,), [hb.layers.Dense(1)], "sgd", "mse")
    recorder = hb.callbacks.RunRecorder(name, folder)
    model.fit(np.ones((8, 3), "float32"), np.ones((8, 1), "float32"), verbose=0, callbacks=[recorder])
    return str(recorder.path)


def test_the_list(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["runs"]) == 1
    assert "no folder runs" in capsys.readouterr().err
    record(Path("runs"), "one")
    assert main(["runs"]) == 0
    assert "one" in capsys.readouterr().out


def test_the_comparison(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = record(tmp_path, "one"), record(tmp_path, "two")
    assert main(["runs", "compare", first, second]) == 0
    assert "differences" in capsys.readouterr().out
    assert main(["runs", "compare", first, str(tmp_path)]) == 1
    assert "is not a run" in capsys.readouterr().err


def test_runs_are_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboardX")
    monkeypatch.chdir(tmp_path)
    first, second = (record(Path("runs"), name) for name in ("one", "two"))
    assert main(["runs", "send", first, second, "--to", "tensorboard"]) == 0
    assert f"sent {first} to tensorboard: {Path(first).name}" in capsys.readouterr().out
    assert sorted(path.name for path in Path("logs").iterdir()) == [Path(first).name, Path(second).name]
    assert "epoch_loss" in events(Path("logs", Path(second).name, "train"))


def test_a_run_that_cannot_be_sent(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = record(tmp_path, "one")
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(["runs", "send", run, "--to", "wandb"]) == 1
    error = " ".join(capsys.readouterr().err.split())
    assert "one was not sent: WandbTracker needs wandb: pip install" in error


@pytest.mark.parametrize(
    "words",
    [["compare"], ["compare", "a"], ["a", "b"], ["send", "a"], ["send", "--to", "mlflow"], ["--to", "wandb"]],
)
def test_wrong_arguments(words: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["runs", *words])


def test_the_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report"]) == 1
    assert "no folder runs" in capsys.readouterr().err
    record(Path("runs"), "one")
    newest = Path(record(Path("runs"), "two"))
    assert main(["report"]) == 0
    assert capsys.readouterr().out.strip() == str(newest / "report.html")
    assert main(["report", str(newest), "-o", "two.html"]) == 0
    assert Path("two.html").read_text() == (newest / "report.html").read_text()
    assert main(["report", newest.name, "-o", "three.html"]) == 0  # as `hornbeam runs` lists it
    assert main(["runs", "compare", newest.name, str(newest)]) == 0
    assert "two" in capsys.readouterr().out
    assert main(["report", "nowhere"]) == 1
    assert "nowhere is not a run" in capsys.readouterr().err
    assert main(["report", str(newest), "-o", "nowhere/two.html"]) == 1
    assert "the folder" in capsys.readouterr().err


def test_the_list_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [record(tmp_path, "one"), record(tmp_path, "two")]
    assert main(["runs", str(tmp_path)]) == 0
    head, *lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [line[0] for line in lines] == [Path(path).name for path in paths]
    assert all(len(line) == len(head) for line in lines)
    first = dict(zip(head, lines[0], strict=True))
    assert (first["status"], first["epochs"], first["params"]) == ("finished", "1", "4")
    assert main(["runs", str(tmp_path), "--json"]) == 0
    records = json.loads(capsys.readouterr().out)
    assert [record["run"] for record in records] == [line[0] for line in lines]
    assert records[0]["best_value"] == float(first["best_value"])
    assert records[0]["test_value"] is None


def test_the_reader_of_a_pipe_may_stop(tmp_path: Path) -> None:
    record(tmp_path, "one")
    line = f"{sys.executable} -m hornbeam runs {tmp_path} | true"
    done = subprocess.run(line, shell=True, capture_output=True, text=True)
    assert done.stderr == ""


def test_the_report_is_opened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)) or len(opened) < 2)
    run = record(tmp_path, "one")
    assert main(["report", run, "--open"]) == 0
    assert opened == [(Path(run) / "report.html").resolve().as_uri()]
    assert main(["report", run, "--open"]) == 1
    assert "no browser could be opened" in capsys.readouterr().err
