"""Competitors of a benchmark, and the command by which each runs a workload."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

WORKLOADS = Path(__file__).parent / "workloads"
BACKENDS = ("tensorflow", "jax", "torch", "hornbeam")


def workload_names() -> list[str]:
    """Return the names of the workloads in the package, the tutorial first."""
    names = {path.stem for path in WORKLOADS.glob("*.py")} - {"common"}
    return sorted(names, key=lambda name: (name != "tutorial", name))


@dataclass(frozen=True)
class Competitor:
    """A library that runs workloads. `script` is a path with {} for the workload's name."""

    name: str
    command: tuple[str, ...]
    script: str = str(WORKLOADS / "{}.py")
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict, hash=False)
    ours: bool = False

    def runs(self, workload: str) -> bool:
        """Return True if the competitor has the workload."""
        return Path(self.script.format(workload)).is_file()

    def line(self, workload: str) -> list[str]:
        """Return the command that runs a workload."""
        return [*self.command, self.script.format(workload), *self.arguments]


def engine_competitor(engine: str) -> Competitor:
    """Return Hornbeam itself, on one of its engines."""
    run = (sys.executable, "-m", "hornbeam", "run", "--engine", engine)
    environment = {"BENCH_FLOPS": "1"} if engine == "native" else {}
    return Competitor(f"hornbeam-{engine}", run, environment=environment, ours=True)


def peer(text: str) -> Competitor:
    """Parse `NAME=PYTHON`, `NAME=PYTHON:BACKEND` or `NAME=PYTHON:SCRIPT [ARGUMENTS]`.

    BACKEND is a backend of Keras; SCRIPT has {} for the workload's name. Raises ValueError for anything else.
    """
    name, equals, rest = text.partition("=")
    python, _, script_or_backend = rest.partition(":")
    if not (name and equals and python):
        raise ValueError(f"a peer must be NAME=PYTHON[:BACKEND or :SCRIPT], got {text!r}")
    if not Path(python).is_file():
        raise ValueError(f"peer {name!r}: no file {python}")
    if script_or_backend in BACKENDS or not script_or_backend:
        environment = {"KERAS_BACKEND": script_or_backend or "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
        return Competitor(name, (python,), environment=environment)
    script, *arguments = shlex.split(script_or_backend)
    if "{}" not in script:
        raise ValueError(
            f"peer {name!r}: {script_or_backend!r} is neither a backend of Keras ({', '.join(BACKENDS)}) nor "
            "a script with {} for the workload's name"
        )
    return Competitor(name, (python,), script, tuple(arguments))


def environment_of(
    competitor: Competitor, threads: int | None, dtype: str | None, start: float
) -> dict[str, str]:
    """Return the environment of a run."""
    variables = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "BENCH_START": repr(start),
        **competitor.environment,
    }
    if threads is not None:
        variables |= dict.fromkeys(_THREADS, str(threads))
    if dtype is not None:
        variables["BENCH_DTYPE"] = dtype
    return variables


# Variables that set the number of threads of a library; the process is also restricted to as many CPUs.
_THREADS: Sequence[str] = (
    "HORNBEAM_THREADS",
    "OMP_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "BENCH_THREADS",
)
