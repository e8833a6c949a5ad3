"""The stub of the native engine agrees with the compiled module."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hornbeam


def test_stub_agrees_with_the_compiled_module(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    package = Path(hornbeam.__file__).parent
    # Alone: the stubs of the package would make mypy read all of the library.
    (tmp_path / "hornbeam").mkdir()
    (tmp_path / "hornbeam/__init__.pyi").touch()
    shutil.copy(package / "_native.pyi", tmp_path / "hornbeam")
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "hornbeam._native"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": str(tmp_path), "PYTHONPATH": str(package.parent)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues found in 1 module" in done.stdout
