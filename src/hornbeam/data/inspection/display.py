"""A `DataReport` in a terminal and in a notebook, by rich."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hornbeam.data.inspection.statistics import Summary
from hornbeam.visualization.terminal import SHADES, plain_text

if TYPE_CHECKING:
    from hornbeam.data.inspection.inspect import DataReport

_MAX_ROWS = 30
_CELL_WIDTH = 16
_WIDTH = 100


def as_text(report: DataReport, width: int = _WIDTH) -> str:
    """Return the report without colors."""
    return plain_text(report, width)


def as_html(report: DataReport) -> str:
    """Return the report for a notebook."""
    console = Console(file=io.StringIO(), width=_WIDTH, record=True, highlight=False)
    console.print(report)
    style = "font-family:ui-monospace,monospace;line-height:1.25;overflow-x:auto"
    return console.export_html(inline_styles=True, code_format=f'<pre style="{style}">{{code}}</pre>')


def parts_of(report: DataReport) -> Iterator[Any]:
    """Yield the parts that rich prints, from top to bottom."""
    yield Text(f"{report.samples:,} samples" + (f" ({report.note})" if report.note else ""), style="bold")
    yield _array_table(report)
    yield from _class_table(report)
    yield Text(duplicates_text(report))
    yield from _suspicious_labels(report)
    yield from _contact_sheet(report)
    yield Text("What to do" if report.advice else "Nothing to do: no advice applies", style="bold")
    for number, (action, reason) in enumerate(report.advice, 1):
        yield Text(f"{number}. ").append(action, style="bold")
        table = Table.grid(padding=(0, 0, 0, 3))
        table.add_row(Text(f"{reason}."))
        yield table


def _array_table(report: DataReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "shape", "dtype", "MiB", "from", "to", "mean", "deviation", "missing", "constant"):
        table.add_column(name, justify="left" if name in ("", "shape", "dtype") else "right", no_wrap=True)
    shown = [*report.x[:_MAX_ROWS], *report.y[:_MAX_ROWS]]
    for summary in shown:
        table.add_row(*summary_cells(summary))
    hidden = len(report.x) + len(report.y) - len(shown)
    if hidden:
        table.add_row(f"and {hidden:,} more")
    if len(report.x) == 1 and len(report.x[0].shape) == 2 and 1 < report.x[0].features <= _MAX_ROWS:
        for index in range(report.x[0].features):
            table.add_row(*_feature_cells(report.x[0], index))
    return table


def summary_cells(summary: Summary) -> list[str]:
    """Return the cells of an array's row: name, shape, dtype, MiB, range, moments, missing, constant."""
    shape = " x ".join(f"{size:,}" for size in summary.shape)
    cells = [summary.name, shape, summary.dtype, f"{summary.size / 2**20:,.1f}"]
    missing = f"{summary.missing + summary.infinite:,}" if summary.missing or summary.infinite else "-"
    if not summary.numeric:
        examples = ", ".join(repr(str(example)[:12]) for example in summary.examples)
        return [*cells, f"{summary.distinct:,} distinct", "", examples[:30], "", missing, "-"]
    constant = f"{len(summary.constant):,} of {summary.features:,}" if len(summary.constant) else "-"
    numbers = (summary.low, summary.high, summary.mean, summary.deviation)
    return [*cells, *map(_format_number, numbers), missing, constant]


def _feature_cells(summary: Summary, index: int) -> list[str]:
    numbers = (summary.lows[index], summary.highs[index], summary.means[index], summary.deviations[index])
    missing = int(summary.missing_by_feature[index])
    constant = "yes" if summary.lows[index] == summary.highs[index] else "-"
    cells = map(_format_number, numbers)
    return [f"  [{index}]", "", "", "", *cells, f"{missing:,}" if missing else "-", constant]


def _format_number(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:,.4g}"


def _class_table(report: DataReport) -> Iterator[Any]:
    classes = report.classes
    if classes is None:
        return
    top, total = classes.counts.max(), classes.counts.sum()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("class", "samples", "fraction", ""):
        table.add_column(name, justify="left" if name == "" else "right", no_wrap=True)
    for name, count in list(zip(classes.names, classes.counts.tolist(), strict=True))[:_MAX_ROWS]:
        table.add_row(name, f"{count:,}", f"{count / total:.1%}", "█" * round(40 * count / top))
    if len(classes.names) > _MAX_ROWS:
        table.add_row(f"and {len(classes.names) - _MAX_ROWS:,} more")
    yield table


def duplicates_text(report: DataReport) -> str:
    """Return a sentence on duplicates."""
    duplicates = report.duplicates
    if duplicates is None or not duplicates.redundant:
        return "No duplicates."
    rows = "; ".join(", ".join(map(str, group[:4])) for group in duplicates.groups[:4])
    rows += " ..." if len(duplicates.groups) > 4 else ""
    return f"{duplicates.redundant:,} samples repeat an earlier one (rows {rows})."


def _suspicious_labels(report: DataReport) -> Iterator[Any]:
    if report.classes is None:
        return
    if report.suspicious is None:
        yield Text("Labels: nearest neighbors were not compared, or are uninformative.")
        return
    if not report.suspicious:
        yield Text("No label is contradicted by its nearest neighbors.")
        return
    names = report.classes.names
    listed = ", ".join(
        f"row {s.row} ({names[s.label]}, neighbors {names[s.neighbors]})" for s in report.suspicious[:6]
    )
    more = len(report.suspicious) - 6
    yield Text(f"Suspicious labels: {listed}" + (f" and {more:,} more." if more > 0 else "."))


def _contact_sheet(report: DataReport) -> Iterator[Any]:
    """Yield the first image of each class in shades, five in a line."""
    if not report.images:
        return
    cells = [_shade(images[0]) for images in report.images.values() if len(images)]
    names = [name for name, images in report.images.items() if len(images)]
    for start in range(0, len(cells), 5):
        headings = "  ".join(f"{name[:_CELL_WIDTH]:<{_CELL_WIDTH}}" for name in names[start : start + 5])
        if headings.strip():
            yield Text(headings.rstrip(), style="dim")
        for lines in zip(*cells[start : start + 5], strict=True):
            yield Text("  ".join(lines))


def _shade(image: np.ndarray) -> list[str]:
    """Draw an image in lines of shades."""
    gray = image.reshape(*image.shape[:2], -1)[..., :3].mean(axis=-1, dtype=np.float32)
    rows = np.linspace(0, gray.shape[0], _CELL_WIDTH // 2, endpoint=False).astype(int)
    columns = np.linspace(0, gray.shape[1], _CELL_WIDTH, endpoint=False).astype(int)
    sums = np.add.reduceat(np.add.reduceat(gray, rows, axis=0), columns, axis=1)
    heights, widths = np.diff([*rows, gray.shape[0]]), np.diff([*columns, gray.shape[1]])
    small = sums / np.maximum(np.outer(heights, widths), 1)
    span = float(small.max() - small.min())
    levels = np.zeros(small.shape, int) if span == 0 else ((small - small.min()) / span * 4.999).astype(int)
    return ["".join(SHADES[level] for level in line) for line in levels]
