"""Trainings have the bits that the repository holds: on every machine, in every process.

With AVX2 or NEON: older processors split multiply-adds (docs/same_numbers.md).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from hornbeam import _native
from tests.helpers.paths import ROOT
from tests.helpers.same_bits import HASHES, TRAININGS

EXPECTED = json.loads(HASHES.read_text())


def run(script: str, *arguments: str, **environment: str) -> str:
    """Run a script of tests/helpers, and return what it prints."""
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        f"tests.helpers.{script.removesuffix('.py')}",
        *arguments,
    ]
    environment = {**os.environ, "HORNBEAM_ENGINE": "native", **environment}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    if "not supported by this CPU" in done.stderr:
        pytest.skip("the build or the processor lacks this instruction set")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_table_holds_twenty_trainings() -> None:
    assert list(EXPECTED) == list(TRAININGS)
    assert len(set(EXPECTED.values())) == 20


@pytest.mark.skipif(_native.cpu_features()["isa"] == "portable", reason="splits multiply-adds")
def test_the_hashes_of_the_repository() -> None:
    assert json.loads(run("same_bits.py", HORNBEAM_THREADS="3")) == EXPECTED


@pytest.mark.long
@pytest.mark.parametrize("isa", ["avx2", "avx512", "neon"])
def test_the_hashes_on_each_instruction_set(isa: str) -> None:
    assert json.loads(run("same_bits.py", HORNBEAM_ISA=isa)) == EXPECTED


@pytest.mark.slow
@pytest.mark.parametrize("threads", ["1", "2", "5", "8"])
@pytest.mark.parametrize("isa", ["avx2", "avx512", "neon"])
def test_the_hashes_on_any_number_of_threads(isa: str, threads: str) -> None:
    assert json.loads(run("same_bits.py", HORNBEAM_ISA=isa, HORNBEAM_THREADS=threads)) == EXPECTED


@pytest.mark.slow
def test_every_primitive_with_avx2_and_with_avx_512() -> None:
    first, second = (
        run("native_hashes.py", "150", HORNBEAM_ISA=isa).splitlines() for isa in ("avx2", "avx512")
    )
    differing = [line for line, other in zip(first, second, strict=True) if line != other]
    # bfloat16 has an instruction of its own on some processors.
    assert [line for line in differing if "bfloat16" not in line] == []
