"""Tables and charts of benchmark results."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hornbeam.cli.bench.competitors import Competitor
from hornbeam.cli.bench.runner import MEASUREMENTS, Measurement, Result

Roof = Mapping[str, Any]


def cpu() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def title(runs: int, threads: int | None, dtype: str | None) -> str:
    """Machine and settings in one line."""
    parts = [
        cpu(),
        f"{os.cpu_count()} CPUs",
        f"Python {platform.python_version()}",
        f"medians of {runs}, competitors in alternation" if runs > 1 else "one run",
    ]
    parts += [f"{threads} threads"] if threads else []
    parts += [dtype] if dtype else []
    return ", ".join(parts)


def table(result: Result, competitors: Sequence[Competitor], peak: Roof | None) -> Any:
    """Figures by competitor, and how many times better we are than the best peer."""
    from rich import box
    from rich.table import Table

    there = [competitor for competitor in competitors if competitor.name in result.runs]
    ours = next((competitor.name for competitor in there if competitor.ours), None)
    peers = [competitor.name for competitor in there if not competitor.ours]
    made = Table(title=result.workload, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("")
    for competitor in there:
        made.add_column(competitor.name, justify="right")
    if peers and ours:
        made.add_column("times better", justify="right", style="bold")
    for measurement in MEASUREMENTS:
        cells = [
            _number(result.median(competitor.name, measurement.key), measurement.digits)
            for competitor in there
        ]
        if peers and ours:
            cells.append(_number(result.ratio(measurement, ours, peers), 2))
        made.add_row(measurement.label, *cells)
    for label, values in _work(result, there, peak):
        made.add_row(label, *values)
    made.add_row("last loss", *(_number(result.median(competitor.name, "loss"), 4) for competitor in there))
    return made


def overview(results: Sequence[Result], competitor: Competitor, peak: Roof | None) -> Any:
    """All workloads on one competitor, where there is nobody to compare with."""
    from rich import box
    from rich.table import Table

    made = Table(title=competitor.name, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("")
    for result in results:
        made.add_column(result.workload, justify="right")
    for measurement in MEASUREMENTS:
        medians = (result.median(competitor.name, measurement.key) for result in results)
        made.add_row(measurement.label, *(_number(median, measurement.digits) for median in medians))
    work = [dict(_work(result, [competitor], peak)) for result in results]
    for label in next((rows for rows in work if rows), {}):
        made.add_row(label, *(rows[label][0] if rows else "–" for rows in work))
    made.add_row("last loss", *(_number(result.median(competitor.name, "loss"), 4) for result in results))
    return made


def _work(
    result: Result, competitors: Sequence[Competitor], peak: Roof | None
) -> list[tuple[str, list[str]]]:
    """Rows on arithmetic, if somebody counts."""
    rates = [result.gflops(competitor.name) for competitor in competitors]
    if all(rate is None for rate in rates):
        return []
    rows = [("training, GFLOP/s", [_number(rate, 1) for rate in rates])]
    if peak is not None:
        peak = peak["float32"] * 1e-9
        shares = ["" if rate is None else f"{rate / peak:.0%}" for rate in rates]
        rows.append((f"of {peak:.0f} GFLOP/s in float32", shares))
    return rows


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def bars(results: Sequence[Result], competitors: Sequence[Competitor], width: int = 44) -> str:
    """Time of an epoch as bars, the slowest competitor of each workload in full width."""
    lines = ["epoch, shorter is better"]
    label = max(len(competitor.name) for competitor in competitors)
    for result in results:
        times = {competitor.name: result.median(competitor.name, "epoch_s") for competitor in competitors}
        known = {name: seconds for name, seconds in times.items() if seconds is not None}
        if not known:
            continue
        lines.append(result.workload)
        longest = max(known.values())
        for name, seconds in known.items():
            lines.append(f"  {name:<{label}} {_bar(seconds / longest, width)} {seconds:.2f} s")
    return "\n".join(lines)


def _bar(share: float, width: int) -> str:
    """A bar of eighths of a character."""
    eighths = max(round(share * width * 8), 1)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + ("", *"▏▎▍▌▋▊▉")[rest]


def markdown(results: Sequence[Result], competitors: Sequence[Competitor]) -> str:
    """One table a workload, for files."""
    lines = []
    for result in results:
        there = [competitor for competitor in competitors if competitor.name in result.runs]
        ours = next((competitor.name for competitor in there if competitor.ours), None)
        peers = [competitor.name for competitor in there if not competitor.ours]
        ratio = bool(ours and peers)
        lines += [
            "",
            f"| {result.workload} | " + " | ".join(s.name for s in there) + " | times better |" * ratio,
        ]
        lines[-1] += "" if ratio else " |"
        lines.append("|---" * (1 + len(there) + ratio) + "|")
        for measurement in MEASUREMENTS:
            cells = [
                _number(result.median(competitor.name, measurement.key), measurement.digits)
                for competitor in there
            ]
            if ours and peers:
                cells.append(_number(result.ratio(measurement, ours, peers), 2))
            lines.append(f"| {measurement.label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_json(
    path: str, results: Sequence[Result], competitors: Sequence[Competitor], about: Mapping[str, Any]
) -> None:
    """All runs, medians and ratios."""

    def summary(result: Result) -> dict[str, Any]:
        ours = next((competitor.name for competitor in competitors if competitor.ours), "")
        peers = [competitor.name for competitor in competitors if not competitor.ours]
        return {
            "runs": result.runs,
            "medians": {
                name: {measurement.key: result.median(name, measurement.key) for measurement in MEASUREMENTS}
                for name in result.runs
            },
            "times_better": {
                measurement.key: result.ratio(measurement, ours, peers) for measurement in MEASUREMENTS
            },
        }

    everything = {**about, "workloads": {result.workload: summary(result) for result in results}}
    Path(path).write_text(json.dumps(everything, indent=1) + "\n")


def chart(path: str, results: Sequence[Result], competitors: Sequence[Competitor], heading: str) -> None:
    """Write a bar chart of epoch times. Raises ImportError without matplotlib."""
    from hornbeam.visualization.files import blank_figure, save_figure

    measurement = blank_figure("--chart", (1.5 + 2.2 * len(results), 4.2))
    axes = measurement.subplots()
    width = 0.8 / len(competitors)
    bars: dict[str, list[tuple[float, float]]] = {competitor.name: [] for competitor in competitors}
    for index, result in enumerate(results):
        times = {name: seconds for name in bars if (seconds := result.median(name, "epoch_s"))}
        for i, (name, seconds) in enumerate(times.items()):
            x = index + (i - (len(times) - 1) / 2) * width
            bars[name].append((x, seconds / max(times.values())))
    for name, points in bars.items():
        axes.bar([x for x, _ in points], [y for _, y in points], width * 0.95, label=name, zorder=2)
    axes.set_xticks(range(len(results)), [result.workload for result in results])
    axes.set_ylabel("time of an epoch, slowest = 1")
    axes.set_title(heading, fontsize=8)
    axes.grid(axis="x", visible=False)
    axes.grid(axis="y", alpha=0.3, zorder=0)
    measurement.legend(loc="outside lower center", ncols=len(competitors), fontsize=8)
    save_figure(measurement, path, "Time of an epoch, slowest = 1", heading)


__all__ = ["Measurement", "bars", "chart", "cpu", "markdown", "overview", "table", "title", "write_json"]
