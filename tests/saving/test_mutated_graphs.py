"""Parsers in Rust: mutated graphs are errors. They run in a separate process, which a crash would end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.helpers.paths import TOOLS


@pytest.mark.parametrize("count", [600, pytest.param(20_000, marks=pytest.mark.slow)])
def test_mutated_graphs_are_refused(count: int) -> None:
    program = [sys.executable, str(TOOLS / "fuzz_graphs.py"), "--count", str(count)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
