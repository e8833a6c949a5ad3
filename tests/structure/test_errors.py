"""`hornbeam.errors` has every error and warning that a user can meet, and costs nothing to import."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import hornbeam
from hornbeam import errors
from tests.helpers.sources import source_of

ROOT = Path(hornbeam.__file__).parent

# Errors that the module which raises them, or its caller, always turns into another one or into a line.
INTERNAL = {
    "certificate/replay.py": {"ReplayEnd", "_SegmentEnd"},
    "cli/bench/runner.py": {"WorkloadError"},
    "onnx/emitter/kernels.py": {"NoKernelError"},
    "serving/guard.py": {"DisconnectedError"},
    "serving/errors.py": {"RequestError"},
    "tuning/running.py": {"PrunedError"},
}


def _error_classes(path: Path) -> set[str]:
    """Names of the classes in a file that derive from an error or a warning, by the names of their bases."""
    suffixes = ("Error", "Warning", "Exception", "Exit")
    classes = source_of(path).classes.items()
    return {name for name, bases in classes if any(base.endswith(suffixes) for base in bases)}


def test_errors_are_defined_in_one_module() -> None:
    elsewhere = {
        str(path.relative_to(ROOT)): classes
        for path in ROOT.rglob("*.py")
        if path != ROOT / "errors.py" and (classes := _error_classes(path))
    }
    assert elsewhere == INTERNAL, "define errors that users can meet in hornbeam/errors.py"


def test_every_class_is_listed() -> None:
    assert _error_classes(ROOT / "errors.py") == set(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_errors_are_printed_under_their_public_name(name: str) -> None:
    error = getattr(errors, name)
    assert f"{error.__module__}.{error.__qualname__}" == f"hornbeam.errors.{name}"
    assert issubclass(error, Warning) == name.endswith("Warning")
    copy = pickle.loads(pickle.dumps(error("text")))
    assert type(copy) is error
    assert str(copy) == "text"
    assert error.__doc__


def test_the_module_imports_nothing() -> None:
    code = (
        "import sys, hornbeam; before = set(sys.modules); hornbeam.errors; print(*set(sys.modules) - before)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["hornbeam.errors"]


def test_a_script_shows_the_public_name() -> None:
    code = "import hornbeam as hb; hb.ops.matmul(hb.ops.ones((2, 3)), hb.ops.ones((4, 5)))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "\nhornbeam.errors.ShapeError: " in run.stderr
