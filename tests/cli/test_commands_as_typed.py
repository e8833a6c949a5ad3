"""Commands in messages work as printed: they begin with the words that started this process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hornbeam._internal import terminal


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an environment in `.venv`, in which neither program is on the PATH."""
    folder = tmp_path / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "hornbeam"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    return folder


@pytest.mark.posix
@pytest.mark.parametrize(
    ("words", "activated", "printed"),
    [
        ([".venv/bin/python", ".venv/bin/hornbeam", "mnist"], False, ".venv/bin/hornbeam"),
        (["BIN/python", "BIN/hornbeam", "mnist"], True, "hornbeam"),
        (["python", "-m", "hornbeam", "mnist"], True, "python -m hornbeam"),
        (["BIN/python", "-X", "dev", "-m", "hornbeam", "mnist"], False, ".venv/bin/python -m hornbeam"),
        (["python", "train.py"], True, "hornbeam"),
        (["BIN/python", "train.py"], False, ".venv/bin/hornbeam"),
        (["BIN/python", "-m", "pytest"], False, ".venv/bin/hornbeam"),
        (["BIN/python"], False, ".venv/bin/hornbeam"),
    ],
)
def test_the_program(
    environment: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], activated: bool, printed: str
) -> None:
    if activated:
        monkeypatch.setenv("PATH", f"{environment}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "orig_argv", [word.replace("BIN", str(environment)) for word in words])
    assert terminal.program() == printed


@pytest.mark.posix
def test_environments_without_the_program(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (environment / "hornbeam").unlink()
    monkeypatch.setattr(sys, "orig_argv", [str(environment / "python"), "train.py"])
    assert terminal.program() == ".venv/bin/python -m hornbeam"


@pytest.mark.posix
def test_paths_with_spaces_are_quoted(environment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "orig_argv", ["python", "-m", "hornbeam"])
    assert terminal.command("report", Path("my runs/one")) == "python -m hornbeam report 'my runs/one'"


def test_the_printed_command_runs(tmp_path: Path) -> None:
    code = "from hornbeam._internal.terminal import command; print(command('--version'))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    done = subprocess.run(printed.stdout, shell=True, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("hornbeam ")


def test_texts_fit() -> None:
    assert terminal.folded("one two three four", 9, "  ") == "one two\n  three\n  four"
    assert terminal.folded("a/path/that/is/long b", 8) == "a/path/that/is/long\nb"
    assert terminal.folded("as it is", None) == "as it is"
    assert terminal.shortened_inside("batch_normalization_12", 12) == "batch_…on_12"
    assert terminal.shortened_inside("dense", 12) == "dense"


def test_colors_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert terminal.uses_color(Terminal())
    assert not terminal.uses_color(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal.uses_color(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal.uses_color(Terminal())
