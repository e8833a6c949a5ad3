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

_ROWS = 30
_CELL = 16
_WIDTH = 100


def as_text(look: DataReport, width: int = _WIDTH) -> str:
    """The report without colours."""
    return plain_text(look, width)


def as_html(look: DataReport) -> str:
    """The report for a notebook."""
    console = Console(file=io.StringIO(), width=_WIDTH, record=True, highlight=False)
    console.print(look)
    style = "font-family:ui-monospace,monospace;line-height:1.25;overflow-x:auto"
    return console.export_html(inline_styles=True, code_format=f'<pre style="{style}">{{code}}</pre>')


def parts_of(look: DataReport) -> Iterator[Any]:
    """What rich prints, from top to bottom."""
    yield Text(f"{look.samples:,} samples" + (f" ({look.note})" if look.note else ""), style="bold")
    yield _arrays(look)
    yield from _classes(look)
    yield Text(duplicates_text(look))
    yield from _suspicious(look)
    yield from _sheet(look)
    yield Text("What to do" if look.advice else "Nothing to do: no advice applies", style="bold")
    for number, (what, why) in enumerate(look.advice, 1):
        yield Text(f"{number}. ").append(what, style="bold")
        table = Table.grid(padding=(0, 0, 0, 3))
        table.add_row(Text(f"{why}."))
        yield table


def _arrays(look: DataReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("", "shape", "dtype", "MiB", "from", "to", "mean", "deviation", "missing", "constant"):
        table.add_column(name, justify="left" if name in ("", "shape", "dtype") else "right", no_wrap=True)
    shown = [*look.x[:_ROWS], *look.y[:_ROWS]]
    for what in shown:
        table.add_row(*summary_cells(what))
    hidden = len(look.x) + len(look.y) - len(shown)
    if hidden:
        table.add_row(f"and {hidden:,} more")
    if len(look.x) == 1 and len(look.x[0].shape) == 2 and 1 < look.x[0].features <= _ROWS:
        for index in range(look.x[0].features):
            table.add_row(*_feature(look.x[0], index))
    return table


def summary_cells(what: Summary) -> list[str]:
    shape = " x ".join(f"{size:,}" for size in what.shape)
    cells = [what.name, shape, what.dtype, f"{what.size / 2**20:,.1f}"]
    missing = f"{what.missing + what.infinite:,}" if what.missing or what.infinite else "-"
    if not what.numeric:
        examples = ", ".join(repr(str(example)[:12]) for example in what.examples)
        return [*cells, f"{what.distinct:,} different", "", examples[:30], "", missing, "-"]
    constant = f"{len(what.constant):,} of {what.features:,}" if len(what.constant) else "-"
    numbers = (what.low, what.high, what.mean, what.deviation)
    return [*cells, *map(_number, numbers), missing, constant]


def _feature(what: Summary, index: int) -> list[str]:
    numbers = (what.lows[index], what.highs[index], what.means[index], what.deviations[index])
    gaps = int(what.gaps[index])
    constant = "yes" if what.lows[index] == what.highs[index] else "-"
    return [f"  [{index}]", "", "", "", *map(_number, numbers), f"{gaps:,}" if gaps else "-", constant]


def _number(value: float | None) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:,.4g}"


def _classes(look: DataReport) -> Iterator[Any]:
    classes = look.classes
    if classes is None:
        return
    top, total = classes.counts.max(), classes.counts.sum()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("class", "samples", "share", ""):
        table.add_column(name, justify="left" if name == "" else "right", no_wrap=True)
    for name, count in list(zip(classes.names, classes.counts.tolist(), strict=True))[:_ROWS]:
        table.add_row(name, f"{count:,}", f"{count / total:.1%}", "█" * round(40 * count / top))
    if len(classes.names) > _ROWS:
        table.add_row(f"and {len(classes.names) - _ROWS:,} more")
    yield table


def duplicates_text(look: DataReport) -> str:
    repeated = look.repeated
    if repeated is None or not repeated.again:
        return "No sample is there twice."
    rows = "; ".join(", ".join(map(str, group[:4])) for group in repeated.groups[:4])
    rows += " ..." if len(repeated.groups) > 4 else ""
    return f"{repeated.again:,} samples repeat an earlier one (rows {rows})."


def _suspicious(look: DataReport) -> Iterator[Any]:
    if look.classes is None:
        return
    if look.suspicious is None:
        yield Text("Labels: nearest neighbours were not asked, or do not tell.")
        return
    if not look.suspicious:
        yield Text("No label is contradicted by its nearest neighbours.")
        return
    names = look.classes.names
    listed = ", ".join(
        f"row {s.row} ({names[s.label]}, neighbours {names[s.neighbors]})" for s in look.suspicious[:6]
    )
    more = len(look.suspicious) - 6
    yield Text(f"Doubtful labels: {listed}" + (f" and {more:,} more." if more > 0 else "."))


def _sheet(look: DataReport) -> Iterator[Any]:
    """The first picture of each class in shades, five in a line."""
    if not look.pictures:
        return
    cells = [_shaded(pictures[0]) for pictures in look.pictures.values() if len(pictures)]
    names = [name for name, pictures in look.pictures.items() if len(pictures)]
    for start in range(0, len(cells), 5):
        heads = "  ".join(f"{name[:_CELL]:<{_CELL}}" for name in names[start : start + 5]).rstrip()
        if heads:
            yield Text(heads, style="dim")
        for lines in zip(*cells[start : start + 5], strict=True):
            yield Text("  ".join(lines))


def _shaded(picture: np.ndarray) -> list[str]:
    grey = picture.reshape(*picture.shape[:2], -1)[..., :3].mean(axis=-1, dtype=np.float32)
    rows = np.linspace(0, grey.shape[0], _CELL // 2, endpoint=False).astype(int)
    columns = np.linspace(0, grey.shape[1], _CELL, endpoint=False).astype(int)
    sums = np.add.reduceat(np.add.reduceat(grey, rows, axis=0), columns, axis=1)
    heights, widths = np.diff([*rows, grey.shape[0]]), np.diff([*columns, grey.shape[1]])
    small = sums / np.maximum(np.outer(heights, widths), 1)
    span = float(small.max() - small.min())
    levels = np.zeros(small.shape, int) if span == 0 else ((small - small.min()) / span * 4.999).astype(int)
    return ["".join(SHADES[level] for level in line) for line in levels]
