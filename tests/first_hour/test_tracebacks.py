"""Uncaught errors show the user's frames and the message; frames inside of Hornbeam are hidden, not lost."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import hornbeam as hb
from hornbeam._internal import tracebacks

# What the first hour shows: a target of the wrong shape, reported a dozen frames inside of `fit`.
WRONG_TARGETS = """
import hornbeam as hb
import numpy as np

def train():
    model = hb.Sequential([hb.layers.Dense(3)])
    model.compile("adam", "mse")
    model.fit(np.ones((4, 2)), np.ones((4, 5)), verbose=0)
"""
USER_LINE = "    model.fit(np.ones((4, 2)), np.ones((4, 5)), verbose=0)\n"
NOTE = "inside of Hornbeam hidden; hornbeam.config.disable_traceback_filtering() shows all.)"
PACKAGE = str(Path(hb.__file__).parent)


def _run(folder: Path, code: str, *command: str) -> str:
    """Run a script as a process of its own; return what it wrote to stderr."""
    script = folder / "script.py"
    script.write_text(code)
    run = subprocess.run(
        [sys.executable, *command, str(script)], capture_output=True, text=True, cwd=folder, timeout=120
    )
    assert run.returncode == 1, run.stderr
    assert run.stdout == ""
    return run.stderr


@pytest.mark.parametrize("command", [(), ("-m", "hornbeam", "run")], ids=["python", "hornbeam run"])
def test_a_script_shows_its_own_frames(tmp_path: Path, command: tuple[str, ...]) -> None:
    shown = _run(tmp_path, WRONG_TARGETS + "\ntrain()\n", *command)
    assert shown.count("  File ") == 2
    note, shown = shown.split("\n", 1)
    assert note.endswith(NOTE)
    assert shown.startswith("Traceback (most recent call last):\n  File ")
    assert ", in <module>\n    train()\n" in shown
    assert USER_LINE in shown
    assert PACKAGE not in shown
    assert "runpy" not in shown
    assert "hornbeam.errors.ShapeError: model 'sequential', output 'dense': mean_squared_error:" in shown


@pytest.mark.parametrize("command", [(), ("-m", "hornbeam", "run")], ids=["python", "hornbeam run"])
def test_the_switch_shows_all_frames(tmp_path: Path, command: tuple[str, ...]) -> None:
    shown = _run(tmp_path, WRONG_TARGETS + "\nhb.config.disable_traceback_filtering()\ntrain()\n", *command)
    assert shown.count(PACKAGE) > 5
    assert USER_LINE in shown
    assert NOTE not in shown


def test_a_thread_shows_its_own_frames(tmp_path: Path) -> None:
    code = (
        WRONG_TARGETS + "import threading\nt = threading.Thread(target=train)\nt.start()\nt.join()\n1 / 0\n"
    )
    shown = _run(tmp_path, code)
    assert NOTE + "\nException in thread Thread-1 (train):\nTraceback" in shown
    assert USER_LINE in shown
    assert PACKAGE not in shown


def test_causes_are_shortened_too(tmp_path: Path) -> None:
    code = WRONG_TARGETS + (
        "\ntry:\n    train()\nexcept ValueError as error:\n    raise RuntimeError('no training') from error\n"
    )
    shown = _run(tmp_path, code)
    assert "The above exception was the direct cause of the following exception:" in shown
    assert shown.count("  File ") == 3
    assert "RuntimeError: no training" in shown
    assert PACKAGE not in shown


def test_a_syntax_error_of_a_script_has_no_frames(tmp_path: Path) -> None:
    shown = _run(tmp_path, "import keras\nx = = 3\n", "-m", "hornbeam", "run")
    assert shown.startswith('  File "')
    assert shown.endswith("SyntaxError: invalid syntax\n")


def test_an_error_of_the_user_alone_is_unchanged(tmp_path: Path) -> None:
    shown = _run(tmp_path, "import hornbeam\n\n{}['key']\n")
    assert shown.count("  File ") == 1
    assert shown.endswith("KeyError: 'key'\n")


def test_frames_of_callbacks_stay(tmp_path: Path) -> None:
    code = WRONG_TARGETS.replace(
        "np.ones((4, 5)), verbose=0", "np.ones((4, 3)), verbose=0, callbacks=[Broken()]"
    )
    code += (
        "\nclass Broken(hb.callbacks.Callback):\n    def on_epoch_end(self, epoch, logs):\n        1 / 0\n"
    )
    shown = _run(tmp_path, code + "\ntrain()\n")
    assert "in on_epoch_end\n    1 / 0\n" in shown
    assert shown.count("  File ") == 3
    assert PACKAGE not in shown


@pytest.mark.parametrize(
    "before",
    [
        "import sys\nsys.excepthook = lambda *error: sys.stderr.write('mine\\n')\nimport hornbeam\n",
        "import sys, hornbeam\nsys.excepthook = lambda *error: sys.stderr.write('mine\\n')\n",
    ],
    ids=["installed before", "installed after"],
)
def test_a_handler_of_the_user_is_respected(tmp_path: Path, before: str) -> None:
    assert _run(tmp_path, before + "1 / 0\n") == "mine\n"


def test_errors_keep_their_frames() -> None:
    """For pytest, loggers and debuggers: the display alone is short."""
    with pytest.raises(hb.errors.ShapeError) as caught:
        hb.ops.matmul(hb.ops.ones((2, 3)), hb.ops.ones((2, 3)))
    error = caught.value
    before = traceback.format_exception(error)
    with tracebacks.displayable(error, error.__traceback__) as note:
        assert note.endswith(NOTE)
        assert len(traceback.extract_tb(error.__traceback__)) == 1
    assert traceback.format_exception(error) == before
    assert not hasattr(error, "__notes__")


def test_ipython_shows_the_cells(tmp_path: Path) -> None:
    pytest.importorskip("IPython")
    code = f"""
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("colors", "NoColor")
shell.run_cell({WRONG_TARGETS!r})
shell.run_cell("train()")
shell.run_cell("hb.config.disable_traceback_filtering()")
shell.run_cell("train()")
shell.run_cell("hb.ops.sum(1.0, dim=0)")
"""
    script = tmp_path / "script.py"
    script.write_text(code)
    environment = {"IPYTHONDIR": str(tmp_path), "PATH": "", "HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**environment, "PYTHONPATH": str(Path(PACKAGE).parent)},
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    short, complete, hint = run.stdout.split("Traceback (most recent call last)")[1:]
    assert "model.fit(np.ones((4, 2)), np.ones((4, 5)), verbose=0)" in short
    assert "ShapeError: model 'sequential'" in short
    assert "training" not in short
    assert complete.count("hornbeam") > 5
    assert "Here it is called 'axis'." in hint
    if sys.version_info >= (3, 11):
        assert NOTE in short


def test_another_handler_of_ipython_is_respected() -> None:
    class Shell:
        custom_exceptions: tuple[type, ...] = (KeyError,)

        def set_custom_exc(self, *arguments: object) -> None:
            raise AssertionError

    class IPython:
        @staticmethod
        def get_ipython() -> Shell:
            return Shell()

    before = sys.modules.get("IPython")
    sys.modules["IPython"] = IPython  # type: ignore[assignment]
    try:
        tracebacks.install_in_ipython()
    finally:
        del sys.modules["IPython"]
        if before is not None:
            sys.modules["IPython"] = before
