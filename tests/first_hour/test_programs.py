"""Twelve programs that people write from memory of Keras run unchanged, each in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hornbeam

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
WITHOUT_TENSORFLOW = [path for path in PROGRAMS if "tensorflow" not in path.read_text()]
SOURCES = str(Path(hornbeam.__file__).parents[1])
# Processors without half-precision products; hints of `hornbeam run` on the stratified split and on old
# spellings; HDF5 as a legacy format.
EXPECTED_ON_STDERR = re.compile(
    r"no instruction that multiplies|set_global_policy|validation_split=|is deprecated"
    r"|LegacyFormatWarning|m\.h5|^\s*$"
)


def name(path: Path) -> str:
    return path.stem


def run(*command: str | Path, folder: Path) -> None:
    """Run a command in an empty folder: it succeeds, and says nothing unasked."""
    process = subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": SOURCES},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    assert [line for line in process.stderr.splitlines() if not EXPECTED_ON_STDERR.search(line)] == []


def test_there_are_twelve() -> None:
    assert len(PROGRAMS) == 12


@pytest.mark.parametrize("program", PROGRAMS, ids=name)
def test_it_runs_unchanged(program: Path, tmp_path: Path) -> None:
    run("-m", "hornbeam", "run", program, folder=tmp_path)


@pytest.mark.parametrize("program", WITHOUT_TENSORFLOW, ids=name)
def test_it_runs_with_hornbeam_imported_as_keras(program: Path, tmp_path: Path) -> None:
    code = re.sub(r"^import keras$", "import hornbeam as keras", program.read_text(), flags=re.M)
    (tmp_path / "program.py").write_text(re.sub(r"^from keras\b", "from hornbeam", code, flags=re.M))
    run("program.py", folder=tmp_path)
