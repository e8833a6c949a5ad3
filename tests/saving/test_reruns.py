"""One hash: a training ends with the same bits however often it is run, on any number of threads, with any
vectors that have fused multiply-adds, and when it goes on with other threads than it began with."""

from __future__ import annotations

from pathlib import Path

import pytest

import hornbeam as hb
from hornbeam import _native, callbacks
from tests.helpers.interruption import RaiseAtStep
from tools.reruns import build, digest, fit, rerun, run_in_process, threads


def test_reruns_on_other_numbers_of_threads() -> None:
    assert len({rerun(count) for count in (1, 2, 4, 8, 2)}) == 1


@pytest.mark.slow
def test_twenty_reruns_on_each_number_of_threads() -> None:
    """Each number of threads in a process of its own."""
    assert len({text for count in (1, 2, 4, 8) for text in run_in_process(count, 20)}) == 1


def test_reruns_with_other_vectors() -> None:
    """AVX2, AVX-512 and NEON end alike: `python tools/reruns.py --one` has one hash on all."""
    fused = set(_native.cpu_features()["available"]) - {"portable"}
    if len(fused) < 2:
        pytest.skip("one instruction set on this CPU, or compiled for it alone: `make develop ISA=all`")
    hashes = {isa: run_in_process(2, 1, HORNBEAM_ISA=isa) for isa in fused}
    assert len({text for texts in hashes.values() for text in texts}) == 1


@pytest.mark.parametrize(("before", "after", "step"), [(1, 4, 7), (4, 1, 3), (2, 8, 12)])
def test_going_on_with_another_number_of_threads(before: int, after: int, step: int, tmp_path: Path) -> None:
    keep = callbacks.Checkpoint(tmp_path, every=1)
    with threads(before), pytest.raises(KeyboardInterrupt):
        fit(build(), keep, RaiseAtStep(step, KeyboardInterrupt), resume=tmp_path)
    with threads(after):
        hb.utils.set_random_seed(99)  # nothing of the process matters
        model = build()
        fit(model, resume=tmp_path)
    assert digest(model) == rerun(2)
