"""`hornbeam course`: the notebooks that the package contains, copied into a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hornbeam.cli import main
from hornbeam.cli.course import notebooks


def test_notebooks_are_copied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "new folder" / "course"
    assert main(["course", str(folder)]) == 0
    names = sorted(path.name for path in folder.iterdir())
    assert names == [path.name for path in notebooks()]
    assert len(names) == 21
    assert json.loads((folder / "01_one_neuron.ipynb").read_text(encoding="utf-8"))["nbformat"] == 4
    out = capsys.readouterr().out
    assert "21 notebooks" in out
    # The command works as printed.
    assert f"jupyter lab '{folder}'" in out


def test_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["course"]) == 0
    assert len(list(Path("hornbeam-course").glob("*.ipynb"))) == 21


def test_changed_notebooks_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["course", str(tmp_path)])
    notebook = tmp_path / "03_the_loop.ipynb"
    notebook.write_text("mine")
    capsys.readouterr()
    assert main(["course", str(tmp_path)]) == 0
    assert notebook.read_text() == "mine"
    assert "kept: 1 that you have changed (03_the_loop.ipynb)" in capsys.readouterr().out
    assert main(["course", str(tmp_path), "--force"]) == 0
    assert notebook.read_text() != "mine"


def test_a_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("")
    assert main(["course", str(file)]) == 1
    assert "cannot write to" in capsys.readouterr().err


def test_missing_packages_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    main(["course", str(tmp_path)])
    assert "needed: pip install matplotlib pillow jupyterlab" in capsys.readouterr().out
