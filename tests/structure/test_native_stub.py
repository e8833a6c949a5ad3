"""The stub of the native engine agrees with the compiled module."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import hornbeam


@pytest.mark.long
def test_stub_agrees_with_the_compiled_module(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    source = str(Path(hornbeam.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "hornbeam._native"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "MYPYPATH": source, "PYTHONPATH": source},
    )
    assert done.returncode == 0, done.stdout + done.stderr
