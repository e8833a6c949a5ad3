"""Pyright (as Pylance in VS Code) underlines nothing in right programs, and each mistake in wrong ones.

The checker runs once, as on a machine that has the package installed.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hornbeam
from tests.helpers.editor_mistakes import MISTAKES
from tools.pages import Page

pytestmark = pytest.mark.long

pytest.importorskip("basedpyright")

ROOT = Path(__file__).parents[2]
SOURCES = Path(hornbeam.__file__).parents[1]
TYPED = ROOT / "tests/structure/typed_programs"
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/course").glob("*.md")]
# Pyright's rules but two, which Pylance leaves off or shows as a hint: Keras's own guides override `compile`
# and `train_step` with other arguments, and programs use the last value of a loop after it.
SETTINGS = {
    "typeCheckingMode": "standard",
    "reportIncompatibleMethodOverride": "none",
    "reportMissingImports": "none",
    "reportPossiblyUnboundVariable": "none",
    "pythonVersion": "3.10",
    "extraPaths": [str(SOURCES)],
}


def programs() -> dict[str, str]:
    """Programs of the README, the pages and `examples/` by name, with Hornbeam where they import Keras.

    Scripts that import TensorFlow are left out: an editor checks them against TensorFlow's types.
    """
    by_name = {path.stem: "\n".join(code for code, *_ in Page(path).blocks) for path in PAGES}
    for path in (ROOT / "examples").rglob("*.py"):
        code = re.sub(r"^import keras$", "import hornbeam as keras", path.read_text(), flags=re.M)
        by_name[f"example_{path.stem}"] = re.sub(r"^from keras\b", "from hornbeam", code, flags=re.M)
    by_name |= {f"typed_{path.stem}": path.read_text() for path in TYPED.glob("*.py")}
    return {name: code for name, code in by_name.items() if code and "import tensorflow" not in code}


PROGRAMS = programs()
Messages = dict[str, list[tuple[int, str]]]


@pytest.fixture(scope="module")
def messages(tmp_path_factory: pytest.TempPathFactory) -> Messages:
    """Errors that the editor shows, as (line, text) by program."""
    folder = tmp_path_factory.mktemp("programs")
    for name, code in {**PROGRAMS, "mistakes": MISTAKES}.items():
        (folder / f"{name}.py").write_text(code)
    (folder / "pyrightconfig.json").write_text(json.dumps(SETTINGS))
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--pythonpath", sys.executable, "."]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    report = json.loads(run.stdout)
    assert report["summary"]["filesAnalyzed"] == len(PROGRAMS) + 1
    errors: Messages = {name: [] for name in [*PROGRAMS, "mistakes"]}
    for message in report["generalDiagnostics"]:
        if message["severity"] == "error":
            line = message["range"]["start"]["line"] + 1
            errors[Path(message["file"]).stem].append((line, message["message"]))
    return errors


@pytest.mark.parametrize("name", PROGRAMS)
def test_nothing_in_a_right_program_is_underlined(messages: Messages, name: str) -> None:
    assert messages[name] == []


@pytest.mark.parametrize("line", range(2, len(MISTAKES.splitlines()) + 1))
def test_mistakes_are_underlined(messages: Messages, line: int) -> None:
    assert [text for number, text in messages["mistakes"] if number == line], MISTAKES.splitlines()[line - 1]
