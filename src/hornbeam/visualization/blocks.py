"""Pictures in a terminal: shades for images, bars for curves, letters for points."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from hornbeam.visualization.figure import Figure, ImagePanel, LinePanel, PointPanel
from hornbeam.visualization.terminal import BARS, SHADES

MARKS = "0123456789abcdefghijklmnopqrstuvwxyz"
# Characters that a panel is wide at most, all panels of a row together, and rows of panels that are shown.
_WIDE, _ALL, _ROWS = 56, 100, 4


def written(figure: Figure) -> str:
    """The figure as text."""
    panels = [_WRITERS[type(panel)](panel, _WIDE // min(figure.columns, 4)) for panel in figure.panels]
    lines = [figure.title]
    width = max((len(line) for panel in panels for line in panel), default=1)
    columns = max(min(figure.columns, _ALL // (width + 2)), 1)
    shown = panels[: columns * _ROWS]
    for start in range(0, len(shown), columns):
        lines.append("")
        for row in zip_longest(*shown[start : start + columns], fillvalue=""):
            lines.append("  ".join(part.ljust(width) for part in row).rstrip())
    if len(panels) > len(shown):
        lines += ["", f"and {len(panels) - len(shown)} panels more"]
    return "\n".join(lines)


def _image(panel: ImagePanel, wide: int) -> list[str]:
    values = np.asarray(panel.over if panel.over is not None else panel.values, float)
    if values.ndim == 3:
        values = values.mean(-1)
    head = [panel.title] if panel.title else []
    if panel.numbers:
        return head + _numbers(panel)
    low, high = panel.bounds if panel.over is None else (0.0, float(values.max()) or 1.0)
    small = shrunk(values, max(wide // 2, 1))
    levels = np.clip((np.nan_to_num(small) - low) / (high - low), 0, 1)
    steps = np.minimum((levels * len(SHADES)).astype(int), len(SHADES) - 1)
    return head + ["".join(SHADES[step] * 2 for step in row) for row in steps]


def _numbers(panel: ImagePanel) -> list[str]:
    """A table, names at its sides."""
    cells = [[f"{value:g}" for value in row] for row in panel.values]
    heads = list(panel.columns) or [str(j) for j in range(panel.values.shape[1])]
    sides = list(panel.rows) or [str(i) for i in range(panel.values.shape[0])]
    width = max(len(text) for row in [heads, *cells] for text in row)
    side = max(map(len, sides))
    lines = [" " * side + "  " + " ".join(text.rjust(width) for text in heads)]
    return lines + [
        name.rjust(side) + "  " + " ".join(text.rjust(width) for text in row)
        for name, row in zip(sides, cells, strict=True)
    ]


def shrunk(values: np.ndarray, most: int) -> np.ndarray:
    """An image (h, w) of at most `most` columns, each pixel the mean of those that it stands for."""
    height, width = values.shape
    factor = max(-(-width // most), 1)
    rows, columns = -(-height // factor), -(-width // factor)
    padded = np.full((rows * factor, columns * factor), np.nan)
    padded[:height, :width] = values
    return np.nanmean(padded.reshape(rows, factor, columns, factor), axis=(1, 3))


def _lines(panel: LinePanel, wide: int) -> list[str]:
    names = max(map(len, panel.lines), default=0)
    low = min((float(np.nanmin(y)) for _, y in panel.lines.values() if len(y)), default=0.0)
    high = max((float(np.nanmax(y)) for _, y in panel.lines.values() if len(y)), default=1.0)
    rows = [panel.title] if panel.title else []
    for name, (_, y) in panel.lines.items():
        rows.append(f"{name.ljust(names)} {_bars(np.asarray(y, float), low, high, wide)} {_ends(y)}")
    if panel.marked is not None:
        rows.append(f"{panel.marked[2]}: {panel.marked[1]:.4g}")
    return rows


def _bars(y: np.ndarray, low: float, high: float, wide: int) -> str:
    if len(y) > wide:
        y = np.array([part.mean() for part in np.array_split(y, wide)])
    scale = high - low or 1.0
    steps = np.minimum((np.nan_to_num((y - low) / scale) * len(BARS)).astype(int), len(BARS) - 1)
    return "".join(BARS[step] for step in steps)


def _ends(y: Sequence[float] | np.ndarray) -> str:
    return f"{y[0]:.4g} ... {y[-1]:.4g}" if len(y) else ""


def _points(panel: PointPanel, wide: int) -> list[str]:
    """A field of letters, one a group: of several points at one place the group that has most of them."""
    columns, rows = wide, max(wide // 2, 1)
    places = np.asarray(panel.places, float)
    low, high = places.min(0), places.max(0)
    cells = (
        ((places - low) / np.where(high > low, high - low, 1.0) * [columns - 1, rows - 1]).round().astype(int)
    )
    groups = list(np.unique(panel.groups))
    counts = np.zeros((rows, columns, len(groups)), int)
    np.add.at(counts, (rows - 1 - cells[:, 1], cells[:, 0], np.searchsorted(groups, panel.groups)), 1)
    best = counts.argmax(-1)
    field = [
        "".join(
            MARKS[best[i, j] % len(MARKS)] if counts[i, j].any() else " " for j in range(columns)
        ).rstrip()
        for i in range(rows)
    ]
    names = [
        f"{MARKS[k % len(MARKS)]} {panel.names[g] if 0 <= g < len(panel.names) else g}"
        for k, g in enumerate(groups)
    ]
    head = [panel.title] if panel.title else []
    return head + field + (["  ".join(names)] if len(groups) > 1 else [])


_WRITERS: dict[type, Any] = {ImagePanel: _image, LinePanel: _lines, PointPanel: _points}
