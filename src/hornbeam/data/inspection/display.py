"""Blocks of a `DataReport`: tables of arrays and classes, sentences, a contact sheet and advice."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from hornbeam._internal.terminal import shortened_inside
from hornbeam.data.inspection.figure import contact_sheet
from hornbeam.data.inspection.statistics import Summary
from hornbeam.visualization.display import Block, Table, Text

if TYPE_CHECKING:
    from hornbeam.data.inspection.inspect import DataReport

_MOST_ROWS = 30


def blocks_of(report: DataReport) -> Iterator[Block]:
    """Yield the blocks of a report, from top to bottom."""
    note = f" ({report.note})" if report.note else ""
    yield Text(f"{report.samples:,} samples{note}", "title")
    yield from _array_tables(report)
    if report.classes is not None:
        yield _class_table(report)
    yield Text(duplicates_text(report))
    if report.classes is not None:
        yield Text(_label_text(report))
    if report.images:
        yield contact_sheet(report)
    yield Text("What to do" if report.advice else "Nothing to do: no advice applies", "heading")
    for number, (action, reason) in enumerate(report.advice, 1):
        yield Text(f"{number}. {action}", "heading")
        yield Text(f"{reason}.", "indented")


def _array_tables(report: DataReport) -> Iterator[Table]:
    """Yield a table of arrays of numbers, and one of arrays of text."""
    summaries = [*report.x[:_MOST_ROWS], *report.y[:_MOST_ROWS]]
    numeric = [summary for summary in summaries if summary.numeric]
    rows = [summary_cells(summary) for summary in numeric]
    if len(report.x) == 1 and len(report.x[0].shape) == 2 and 1 < report.x[0].features <= _MOST_ROWS:
        rows += [_feature_cells(report.x[0], index) for index in range(len(report.x[0].lows))]
    heads: tuple[str, ...] = ("", "shape", "dtype", "MiB", "from", "to", "mean", "std", "missing", "constant")
    text = [_text_cells(summary) for summary in summaries if not summary.numeric]
    more = len(report.x) + len(report.y) - len(summaries)
    last = text or rows
    if more:
        last.append([f"and {more:,} more", *[""] * (len(last[0]) - 1)])
    if rows:
        yield Table("", heads, rows, text_columns=("shape", "dtype"), ruled=False)
    if text:
        heads = ("", "shape", "dtype", "MiB", "missing", "distinct", "such as")
        yield Table("", heads, text, text_columns=("shape", "dtype", "such as"), ruled=False)


def _shape_cells(summary: Summary) -> list[str]:
    shape = " x ".join(f"{size:,}" for size in summary.shape)
    return [summary.name, shape, summary.dtype, f"{summary.size / 2**20:,.1f}"]


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"


def summary_cells(summary: Summary) -> list[str]:
    """Return the texts of a row about an array or a column of a table."""
    constant = f"{len(summary.constant):,} of {summary.features:,}" if len(summary.constant) else "-"
    numbers = (summary.low, summary.high, summary.mean, summary.std)
    missing = _count(summary.missing + summary.infinite)
    return [*_shape_cells(summary), *map(_number, numbers), missing, constant]


def _text_cells(summary: Summary) -> list[str]:
    examples = ", ".join(repr(shortened_inside(str(example), 20)) for example in summary.examples)
    return [*_shape_cells(summary), _count(summary.missing), f"{summary.distinct:,}", examples]


def _feature_cells(summary: Summary, index: int) -> list[str]:
    numbers = (
        summary.lows[index], summary.highs[index], summary.means[index], summary.stds[index]
    )  # fmt: skip
    missing = int(summary.missing_by_feature[index])
    constant = "yes" if summary.lows[index] == summary.highs[index] else "-"
    return [f"  [{index}]", "", "", "", *map(_number, numbers), _count(missing), constant]


def _number(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:,.4g}"


def _class_table(report: DataReport) -> Table:
    classes = report.classes
    assert classes is not None
    largest, total = classes.counts.max(), classes.counts.sum()
    rows = [
        [name, f"{count:,}", f"{count / total:.1%}", "█" * round(40 * count / largest)]
        for name, count in list(zip(classes.names, classes.counts.tolist(), strict=True))[:_MOST_ROWS]
    ]
    if len(classes.names) > _MOST_ROWS:
        rows.append([f"and {len(classes.names) - _MOST_ROWS:,} more", "", "", ""])
    heads = ("class", "samples", "fraction", "")
    return Table("", heads, rows, text_columns=("",), ruled=False)


def duplicates_text(report: DataReport) -> str:
    """Return a sentence about samples that occur more than once."""
    duplicates = report.duplicates
    if duplicates is None or not duplicates.redundant:
        return "No duplicates."
    rows = "; ".join(", ".join(map(str, group[:4])) for group in duplicates.groups[:4])
    rows += " ..." if len(duplicates.groups) > 4 else ""
    return f"{duplicates.redundant:,} samples repeat an earlier one (rows {rows})."


def _label_text(report: DataReport) -> str:
    if report.suspicious is None:
        return "Labels: nearest neighbors were not compared, or are uninformative."
    if not report.suspicious:
        return "No label is contradicted by its nearest neighbors."
    assert report.classes is not None
    names = report.classes.names
    listed = ", ".join(
        f"row {s.row} ({names[s.label]}, neighbors {names[s.neighbors]})" for s in report.suspicious[:6]
    )
    more = len(report.suspicious) - 6
    return f"Suspicious labels: {listed}" + (f" and {more:,} more." if more > 0 else ".")
