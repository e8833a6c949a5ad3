"""`hornbeam doctor` concludes: what is wrong, what to do, and which GPUs can be used."""

from __future__ import annotations

import importlib.metadata
import importlib.util

import pytest

from hornbeam.cli import main
from hornbeam.diagnostics import checkup


def texts(results: list[checkup.Conclusion]) -> str:
    return "\n".join(result.text for result in results)


def test_a_good_installation_has_no_problem() -> None:
    assert [result for result in checkup.conclusions() if result.is_problem] == []


def test_old_and_missing_libraries(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    needed = ["numpy>=1.26", "rich>=13", "h5py>=3.10", "jax>=99; extra == 'jax'"]
    versions = {"numpy": "1.24.3", "rich": "13.0.1"}

    def version(name: str) -> str:
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "requires", lambda name: needed)
    monkeypatch.setattr(importlib.metadata, "version", version)
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "problem: numpy 1.24.3 is too old: pip install --upgrade 'numpy>=1.26'" in shown
    assert "problem: h5py is missing: pip install 'h5py>=3.10'" in shown
    assert "rich" not in shown[shown.index("problem") :]
    assert "jax>=99" not in shown
    assert "All fine" not in shown


def test_an_engine_that_does_not_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(a: object, b: object) -> None:
        raise RuntimeError("no kernel")

    monkeypatch.setattr("hornbeam.ops.matmul", broken)
    monkeypatch.delenv("HORNBEAM_ENGINE", raising=False)
    assert "RuntimeError: no kernel). Reinstall Hornbeam" in texts(list(checkup.conclusions()))
    monkeypatch.setenv("HORNBEAM_ENGINE", "torch")
    assert "HORNBEAM_ENGINE=torch selects it: unset" in texts(list(checkup.conclusions()))
    monkeypatch.setattr("hornbeam.ops.matmul", lambda a, b: a @ b + 1)
    assert "computes a wrong product: it differs by 1" in texts(list(checkup.conclusions()))


def test_unused_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "available_cpus", lambda: 8)
    monkeypatch.setenv("HORNBEAM_THREADS", "2")
    (hint,) = checkup.conclusions()
    assert not hint.is_problem
    assert hint.text == "HORNBEAM_THREADS=2 leaves 6 of 8 CPUs unused"


def no_library(command: list[str]) -> str:
    raise AssertionError(f"{command} must not run")


def test_without_a_gpu_no_library_is_asked() -> None:
    assert checkup.gpu_rows([], no_library) == (
        [("gpu", "none; the native engine computes on the CPU")],
        [],
    )


@pytest.mark.parametrize(
    ("answers", "rows", "advice"),
    [
        (
            {"torch": "2\n", "jax": "warning: ...\n0\n"},
            ['engine torch: yes, 2: set_engine("torch")', "engine jax: jax sees no GPU"],
            "",
        ),
        ({"torch": "0\n"}, ["engine torch: torch sees no GPU", "engine jax: not installed"], "pip install"),
        ({"torch": ""}, ["engine torch: torch sees no GPU"], "no installed engine can use the GPU"),
    ],
)
def test_gpus_and_engines(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, str], rows: list[str], advice: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in answers else None)

    def run(command: list[str]) -> str:
        return next(answer for name, answer in answers.items() if f"import {name}" in command[-1])

    shown, hints = checkup.gpu_rows(["NVIDIA T4, 15360 MiB"], run)
    assert shown[0] == ("gpu", "NVIDIA T4, 15360 MiB")
    for row in rows:
        assert ("", row) in shown
    assert advice in texts(hints)
    assert bool(hints) == bool(advice)
    assert not any(hint.is_problem for hint in hints)
