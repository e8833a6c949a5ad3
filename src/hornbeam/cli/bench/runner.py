"""Run workloads on all competitors in alternation, each in a fresh process, and take medians."""

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

from hornbeam._internal.formatting import long_time
from hornbeam.cli.bench.competitors import Competitor, environment_of

Record = dict[str, Any]


class WorkloadError(RuntimeError):
    """A workload failed."""


@dataclass
class Measurement:
    """A measured quantity. `better` is "less" or "more"."""

    key: str
    label: str
    digits: int
    better: str = "less"
    unit: str = ""


MEASUREMENTS = (
    Measurement("epoch_s", "epoch, s", 2),
    Measurement("first_epoch_s", "first epoch, s", 2),
    Measurement("start_s", "start to first step, s", 2),
    Measurement("import_s", "start to import, s", 3),
    Measurement("predict_one_us", "predict one, µs", 0),
    Measurement("predict_per_s", "predict, samples/s", 0, "more"),
    Measurement("peak_mib", "peak memory, MiB", 0),
)


@dataclass
class Result:
    """All runs of one workload, by competitor."""

    workload: str
    runs: dict[str, list[Record]] = field(default_factory=dict)

    def median(self, competitor: str, key: str) -> float | None:
        """Return the median over the runs of a competitor, None if it does not measure the quantity."""
        values = [run[key] for run in self.runs.get(competitor, ()) if run.get(key) is not None]
        return statistics.median(values) if values else None

    def ratio(self, measurement: Measurement, ours: str, peers: Iterable[str]) -> float | None:
        """Return the ratio of our median to that of the best peer, above 1 if ours is better."""
        our_value = self.median(ours, measurement.key)
        peer_values = [value for name in peers if (value := self.median(name, measurement.key)) is not None]
        if our_value is None or not peer_values or not our_value:
            return None
        if measurement.better == "less":
            return min(peer_values) / our_value
        return our_value / max(peer_values)

    def gflops(self, competitor: str) -> float | None:
        """Return the GFLOP/s of training, counted from shapes."""
        flops, steps = self.median(competitor, "step_flops"), self.median(competitor, "steps")
        seconds = self.median(competitor, "epoch_s")
        if flops is None or steps is None or not seconds:
            return None
        return flops * steps / seconds * 1e-9


# Seconds of one run on two cores of 2024, for the announcement alone.
_SECONDS = {
    "tutorial": 13, "autoencoder": 5, "gru": 6, "lstm": 13, "mlp": 9, "resnet20": 25, "separable": 25,
    "transformer": 30,
}  # fmt: skip


def announcement(workloads: Sequence[str], competitors: Sequence[Competitor], runs: int) -> str:
    """Say what will run and for how long."""
    total = expected_seconds(workloads, competitors, runs)
    count = f"{_counted(len(workloads), 'workload')} x {_counted(runs, 'run')}"
    if len(competitors) > 1:
        count += f" x {len(competitors)} competitors"
    about = f"{total:.0f} seconds" if total < 90 else f"{total / 60:.0f} minutes"
    return f"{count}, about {about} on two cores; Ctrl-C ends it without results."


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def expected_seconds(workloads: Sequence[str], competitors: Sequence[Competitor], runs: int) -> float:
    """Estimate the time of all runs; peers take about twice as long as Hornbeam."""
    return runs * sum(
        _SECONDS.get(workload, 15) * (1 if competitor.ours else 2)
        for workload in workloads
        for competitor in competitors
        if competitor.runs(workload)
    )


def run_once(
    competitor: Competitor,
    workload: str,
    threads: int | None = None,
    dtype: str | None = None,
    timeout: float = 3600,
) -> Record:
    """Run a workload once in a fresh process. Raises WorkloadError if it fails."""
    command = competitor.line(workload)
    restrict = None
    if threads is not None and hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))[:threads]
        restrict = lambda: os.sched_setaffinity(0, cpus)  # noqa: E731
    environment = environment_of(competitor, threads, dtype, time.time())
    completed = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=timeout, preexec_fn=restrict
    )
    lines = [line for line in completed.stdout.splitlines() if line.startswith("{")]
    if completed.returncode or not lines:
        raise WorkloadError(
            f"{competitor.name}: {' '.join(command)} ended with {completed.returncode}\n"
            f"{completed.stderr[-2000:]}"
        )
    return json.loads(lines[-1])


def compare(
    workloads: Sequence[str],
    competitors: Sequence[Competitor],
    runs: int,
    threads: int | None = None,
    dtype: str | None = None,
    watch: Callable[[str], None] = lambda text: None,
) -> list[Result]:
    """Run every workload `runs` times on every competitor that has it, in alternation.

    pip compiled the peers to bytecode when it installed them. Hornbeam is compiled too: otherwise the first
    start of a checkout would be slower.
    """
    compileall.compile_dir(Path(__file__).parent.parent, quiet=2)
    results = []
    left, passed, started = expected_seconds(workloads, competitors, runs), 0.0, time.perf_counter()
    for workload in workloads:
        result = Result(workload)
        participants = [competitor for competitor in competitors if competitor.runs(workload)]
        for number in range(runs):
            for competitor in participants:
                rate = (time.perf_counter() - started) / passed if passed else 1.0
                watch(
                    f"{workload}: {competitor.name}, run {number + 1} of {runs}, "
                    f"{long_time(rate * left)} left"
                )
                result.runs.setdefault(competitor.name, []).append(
                    run_once(competitor, workload, threads, dtype)
                )
                cost = expected_seconds([workload], [competitor], 1)
                left, passed = left - cost, passed + cost
        results.append(result)
    return results
