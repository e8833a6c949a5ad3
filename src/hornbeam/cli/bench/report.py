"""Tables and charts of benchmark results."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hornbeam.cli.bench.competitors import Side
from hornbeam.cli.bench.runner import FIGURES, Figure, Result

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
        f"medians of {runs}, sides in alternation" if runs > 1 else "one run",
    ]
    parts += [f"{threads} threads"] if threads else []
    parts += [dtype] if dtype else []
    return ", ".join(parts)


def table(result: Result, sides: Sequence[Side], roof: Roof | None) -> Any:
    """Figures by side, and how many times better we are than the best peer."""
    from rich import box
    from rich.table import Table

    there = [side for side in sides if side.name in result.runs]
    ours = next((side.name for side in there if side.ours), None)
    peers = [side.name for side in there if not side.ours]
    made = Table(title=result.workload, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("")
    for side in there:
        made.add_column(side.name, justify="right")
    if peers and ours:
        made.add_column("times better", justify="right", style="bold")
    for figure in FIGURES:
        cells = [_number(result.median(side.name, figure.key), figure.digits) for side in there]
        if peers and ours:
            cells.append(_number(result.ratio(figure, ours, peers), 2))
        made.add_row(figure.label, *cells)
    for label, values in _work(result, there, roof):
        made.add_row(label, *values)
    made.add_row("last loss", *(_number(result.median(side.name, "loss"), 4) for side in there))
    return made


def overview(results: Sequence[Result], side: Side, roof: Roof | None) -> Any:
    """All workloads on one side, where there is nobody to compare with."""
    from rich import box
    from rich.table import Table

    made = Table(title=side.name, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    made.add_column("")
    for result in results:
        made.add_column(result.workload, justify="right")
    for figure in FIGURES:
        medians = (result.median(side.name, figure.key) for result in results)
        made.add_row(figure.label, *(_number(median, figure.digits) for median in medians))
    work = [dict(_work(result, [side], roof)) for result in results]
    for label in next((rows for rows in work if rows), {}):
        made.add_row(label, *(rows[label][0] if rows else "–" for rows in work))
    made.add_row("last loss", *(_number(result.median(side.name, "loss"), 4) for result in results))
    return made


def _work(result: Result, sides: Sequence[Side], roof: Roof | None) -> list[tuple[str, list[str]]]:
    """Rows on arithmetic, if somebody counts."""
    rates = [result.gflops(side.name) for side in sides]
    if all(rate is None for rate in rates):
        return []
    rows = [("training, GFLOP/s", [_number(rate, 1) for rate in rates])]
    if roof is not None:
        peak = roof["float32"] * 1e-9
        shares = ["" if rate is None else f"{rate / peak:.0%}" for rate in rates]
        rows.append((f"of {peak:.0f} GFLOP/s in float32", shares))
    return rows


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def bars(results: Sequence[Result], sides: Sequence[Side], width: int = 44) -> str:
    """Time of an epoch as bars, the slowest side of each workload in full width."""
    lines = ["epoch, shorter is better"]
    label = max(len(side.name) for side in sides)
    for result in results:
        times = {side.name: result.median(side.name, "epoch_s") for side in sides}
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


def markdown(results: Sequence[Result], sides: Sequence[Side]) -> str:
    """One table a workload, for files."""
    lines = []
    for result in results:
        there = [side for side in sides if side.name in result.runs]
        ours = next((side.name for side in there if side.ours), None)
        peers = [side.name for side in there if not side.ours]
        ratio = bool(ours and peers)
        lines += [
            "",
            f"| {result.workload} | " + " | ".join(s.name for s in there) + " | times better |" * ratio,
        ]
        lines[-1] += "" if ratio else " |"
        lines.append("|---" * (1 + len(there) + ratio) + "|")
        for figure in FIGURES:
            cells = [_number(result.median(side.name, figure.key), figure.digits) for side in there]
            if ours and peers:
                cells.append(_number(result.ratio(figure, ours, peers), 2))
            lines.append(f"| {figure.label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def write_json(path: str, results: Sequence[Result], sides: Sequence[Side], about: Mapping[str, Any]) -> None:
    """All runs, medians and ratios."""

    def summary(result: Result) -> dict[str, Any]:
        ours = next((side.name for side in sides if side.ours), "")
        peers = [side.name for side in sides if not side.ours]
        return {
            "runs": result.runs,
            "medians": {
                name: {figure.key: result.median(name, figure.key) for figure in FIGURES}
                for name in result.runs
            },
            "times_better": {figure.key: result.ratio(figure, ours, peers) for figure in FIGURES},
        }

    everything = {**about, "workloads": {result.workload: summary(result) for result in results}}
    Path(path).write_text(json.dumps(everything, indent=1) + "\n")


def chart(path: str, results: Sequence[Result], sides: Sequence[Side], heading: str) -> None:
    """Write a bar chart of epoch times. Raises ImportError without matplotlib."""
    from hornbeam.visualization.files import blank_figure, save_figure

    figure = blank_figure("--chart", (1.5 + 2.2 * len(results), 4.2))
    axes = figure.subplots()
    width = 0.8 / len(sides)
    bars: dict[str, list[tuple[float, float]]] = {side.name: [] for side in sides}
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
    figure.legend(loc="outside lower center", ncols=len(sides), fontsize=8)
    save_figure(figure, path, "Time of an epoch, slowest = 1", heading)


__all__ = ["Figure", "bars", "chart", "cpu", "markdown", "overview", "table", "title", "write_json"]
