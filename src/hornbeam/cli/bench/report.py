"""Tables and charts of benchmark results."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hornbeam.cli.bench.competitors import Competitor
from hornbeam.cli.bench.runner import MEASUREMENTS, Result
from hornbeam.insight.runs.environment import processor
from hornbeam.visualization.display import Table
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.panels import BarPanel
from hornbeam.visualization.terminal import bar

Peak = Mapping[str, Any]


def title(runs: int, threads: int | None, dtype: str | None) -> str:
    """Describe the machine and the settings in one line."""
    parts = machine(threads)
    parts += [f"medians of {runs}, competitors in alternation" if runs > 1 else "one run"]
    parts += [dtype] if dtype else []
    return ", ".join(parts)


def machine(threads: int | None) -> list[str]:
    """Describe the machine, and the number of threads if it is limited."""
    parts = [
        processor() or platform.machine(),
        f"{os.cpu_count()} CPUs",
        f"Python {platform.python_version()}",
    ]
    return parts + ([f"{threads} thread{'s' * (threads != 1)}"] if threads else [])


def legend(peak: Peak) -> str:
    """Explain the rows of the tables."""
    return (
        "Start: of the process, without making the data. Peak: the product of matrices in float32 that this "
        f"machine computes fastest, {peak['float32'] * 1e-9:.0f} GFLOP/s with {peak['threads']} threads."
    )


def table(result: Result, competitors: Sequence[Competitor], peak: Peak | None) -> Table:
    """Compare the competitors on one workload; the last column is our ratio to the best peer."""
    columns, ours, peers = _participants(result, competitors)
    names = [competitor.name for competitor in columns]
    rows = [[label, *cells] for label, cells in _measured_rows(result, columns, ours, peers)]
    rows += [[label, *values] for label, values in _throughput_rows(result, columns, peak)]
    rows.append(["loss at the end", *(_number(result.median(name, "loss"), 4) for name in names)])
    heads = ["", *names, *(["times better"] if ours and peers else [])]
    return Table(result.workload, heads, [_padded(row, len(heads)) for row in rows])


def overview(results: Sequence[Result], competitor: Competitor, peak: Peak | None) -> Table:
    """List all workloads of a single competitor."""
    name = competitor.name
    rows = [
        [m.label, *(_number(result.median(name, m.key), m.digits) for result in results)]
        for m in MEASUREMENTS
    ]
    throughput = [dict(_throughput_rows(result, [competitor], peak)) for result in results]
    for label in next((cells for cells in throughput if cells), {}):
        rows.append([label, *(cells[label][0] if cells else "–" for cells in throughput)])
    rows.append(["loss at the end", *(_number(result.median(name, "loss"), 4) for result in results)])
    return Table(name, ["", *(result.workload for result in results)], rows)


def _participants(
    result: Result, competitors: Sequence[Competitor]
) -> tuple[list[Competitor], str | None, list[str]]:
    """Return the competitors that ran a workload, the name of ours, and the names of the peers."""
    ran = [competitor for competitor in competitors if competitor.name in result.runs]
    ours = next((competitor.name for competitor in ran if competitor.ours), None)
    return ran, ours, [competitor.name for competitor in ran if not competitor.ours]


def _measured_rows(
    result: Result, columns: Sequence[Competitor], ours: str | None, peers: Sequence[str]
) -> list[tuple[str, list[str]]]:
    rows = []
    for m in MEASUREMENTS:
        cells = [_number(result.median(column.name, m.key), m.digits) for column in columns]
        if ours and peers:
            cells.append(_number(result.ratio(m, ours, peers), 2))
        rows.append((m.label, cells))
    return rows


def _throughput_rows(
    result: Result, competitors: Sequence[Competitor], peak: Peak | None
) -> list[tuple[str, list[str]]]:
    """Rows about arithmetic, if any competitor counts it."""
    rates = [result.gflops(competitor.name) for competitor in competitors]
    if all(rate is None for rate in rates):
        return []
    rows = [("training, GFLOP/s", [_number(rate, 1) for rate in rates])]
    if peak is not None:
        gflops = peak["float32"] * 1e-9
        fractions = ["" if rate is None else f"{rate / gflops:.0%}" for rate in rates]
        rows.append(("fraction of the peak", fractions))
    return rows


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _padded(row: list[str], length: int) -> list[str]:
    return row + [""] * (length - len(row))


def bars(results: Sequence[Result], competitors: Sequence[Competitor], width: int = 44) -> str:
    """Draw the time of an epoch as bars; the slowest competitor of a workload has the full width."""
    lines = ["epoch, shorter is better"]
    label = max(len(competitor.name) for competitor in competitors)
    for result in results:
        seconds = _epoch_seconds(result, competitors)
        if not seconds:
            continue
        lines.append(result.workload)
        longest = max(seconds.values())
        for name, time in seconds.items():
            lines.append(f"  {name:<{label}} {bar(time / longest, width)} {time:.2f} s")
    return "\n".join(lines)


def _epoch_seconds(result: Result, competitors: Sequence[Competitor]) -> dict[str, float]:
    times = {competitor.name: result.median(competitor.name, "epoch_s") for competitor in competitors}
    return {name: seconds for name, seconds in times.items() if seconds is not None}


def markdown(results: Sequence[Result], competitors: Sequence[Competitor]) -> str:
    """Write one Markdown table a workload."""
    lines = []
    for result in results:
        columns, ours, peers = _participants(result, competitors)
        heads = [result.workload, *(column.name for column in columns)]
        heads += ["times better"] if ours and peers else []
        lines += ["", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for label, cells in _measured_rows(result, columns, ours, peers):
            lines.append(f"| {' | '.join([label, *cells])} |")
    return "\n".join(lines)


def write_json(
    path: str, results: Sequence[Result], competitors: Sequence[Competitor], about: Mapping[str, Any]
) -> None:
    """Write all runs, medians and ratios."""

    def summary(result: Result) -> dict[str, Any]:
        ours = next((competitor.name for competitor in competitors if competitor.ours), "")
        peers = [competitor.name for competitor in competitors if not competitor.ours]
        return {
            "runs": result.runs,
            "medians": {
                name: {m.key: result.median(name, m.key) for m in MEASUREMENTS} for name in result.runs
            },
            "times_better": {m.key: result.ratio(m, ours, peers) for m in MEASUREMENTS},
        }

    content = {**about, "workloads": {result.workload: summary(result) for result in results}}
    Path(path).write_text(json.dumps(content, indent=1) + "\n")


def chart(results: Sequence[Result], competitors: Sequence[Competitor], heading: str) -> Figure:
    """Draw the time of an epoch as a bar chart, relative to the slowest competitor of each workload."""
    heights: dict[str, list[float]] = {competitor.name: [] for competitor in competitors}
    for result in results:
        seconds = _epoch_seconds(result, competitors)
        longest = max(seconds.values(), default=0.0) or 1.0
        for name, row in heights.items():
            row.append(seconds.get(name, math.nan) / longest)
    label = "time of an epoch, slowest = 1"
    panel = BarPanel(heights, [result.workload for result in results], title=heading, axis_labels=("", label))
    size = (1.5 + 2.2 * len(results), 4.2)
    return Figure("", f"{label}: {heading}", [panel], panel_size=size)
