"""Runs workloads on all sides in alternation, each in a fresh process, and takes medians."""

from __future__ import annotations

import compileall
import json
import os
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hornbeam.cli.bench.competitors import Side, environment_of

Record = dict[str, Any]


class RunError(RuntimeError):
    """A workload failed."""


@dataclass
class Figure:
    """What is compared. `better` is "less" or "more"."""

    key: str
    label: str
    digits: int
    better: str = "less"
    unit: str = ""


FIGURES = (
    Figure("epoch_s", "epoch, s", 2),
    Figure("first_epoch_s", "first epoch, s", 2),
    Figure("start_s", "process start to first step (data apart), s", 2),
    Figure("import_s", "process start to import, s", 3),
    Figure("predict_one_us", "predict one, µs", 0),
    Figure("predict_per_s", "predict, samples/s", 0, "more"),
    Figure("peak_mib", "peak memory, MiB", 0),
)


@dataclass
class Result:
    """All runs of one workload, by side."""

    workload: str
    runs: dict[str, list[Record]] = field(default_factory=dict)

    def median(self, side: str, key: str) -> float | None:
        """Median over the runs of a side, None if it has no such figure."""
        found = [run[key] for run in self.runs.get(side, ()) if run.get(key) is not None]
        return statistics.median(found) if found else None

    def ratio(self, figure: Figure, ours: str, peers: Iterable[str]) -> float | None:
        """How many times better `ours` is than the best of `peers`."""
        own = self.median(ours, figure.key)
        others = [value for name in peers if (value := self.median(name, figure.key)) is not None]
        if own is None or not others or not own:
            return None
        return min(others) / own if figure.better == "less" else own / max(others)

    def gflops(self, side: str) -> float | None:
        """GFLOP/s of training, by the textbook's count."""
        work, steps = self.median(side, "step_flops"), self.median(side, "steps")
        seconds = self.median(side, "epoch_s")
        if work is None or steps is None or not seconds:
            return None
        return work * steps / seconds * 1e-9


def run_once(
    side: Side, workload: str, threads: int | None = None, dtype: str | None = None, timeout: float = 3600
) -> Record:
    """One run in a fresh process. Raises RunError if it fails."""
    command = side.line(workload)
    keep = None
    if threads is not None and hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        keep = lambda: os.sched_setaffinity(0, cpus)  # noqa: E731
    environment = environment_of(side, threads, dtype, time.time())
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout, preexec_fn=keep
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise RunError(
            f"{side.name}: {' '.join(command)} ended with {done.returncode}\n{done.stderr[-2000:]}"
        )
    return json.loads(lines[-1])


def compare(
    workloads: Sequence[str],
    sides: Sequence[Side],
    runs: int,
    threads: int | None = None,
    dtype: str | None = None,
    watch: Callable[[str], None] = lambda text: None,
) -> list[Result]:
    """Every workload on every side that has it, `runs` times, the sides in alternation.

    Peers were compiled to bytecode when pip installed them. So is this package, of which nobody knows how it
    came here: starts of a checkout are not to depend on whether it ran before.
    """
    compileall.compile_dir(Path(__file__).parent.parent, quiet=2)
    results = []
    for workload in workloads:
        result = Result(workload)
        there = [side for side in sides if side.runs(workload)]
        for number in range(runs):
            for side in there:
                watch(f"{workload}: {side.name}, run {number + 1} of {runs}")
                result.runs.setdefault(side.name, []).append(run_once(side, workload, threads, dtype))
        results.append(result)
    return results
