"""`hornbeam runs` and `hornbeam report`, as they are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.cli import main
from tests.helpers.builders import compiled_model


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


@pytest.mark.parametrize("words", [["compare"], ["compare", "a"], ["a", "b"]])
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
    assert main(["report", "nowhere"]) == 1
    assert "nowhere is not a run" in capsys.readouterr().err
    assert main(["report", str(newest), "-o", "nowhere/two.html"]) == 1
    assert "the folder" in capsys.readouterr().err
