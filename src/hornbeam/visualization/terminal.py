"""Figures as text: shades for images, bars for curves, letters for points; and tables of rich."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.formatting import shortened
from hornbeam._internal.terminal import columns, folded
from hornbeam.visualization.panels import BarPanel, ImagePanel, LinePanel, Panel, PointPanel

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from hornbeam.visualization.figure import Figure

# From dark to light, from low to high, and from narrow to wide.
SHADES, BARS, EIGHTHS = " ░▒▓█", "▁▂▃▄▅▆▇█", "▏▎▍▌▋▊▉"
LETTERS = "0123456789abcdefghijklmnopqrstuvwxyz"
# Width of a panel, of all panels in a row, and the number of rows of panels that are shown.
PANEL_WIDTH, ROW_WIDTH, SHOWN_ROWS = 56, 100, 4
_NARROWEST_PANEL = 8
# Columns of a chart of several rows.
CHART_WIDTH = 60


def rich_console(**options: Any) -> Console:
    """Return a console of rich for text alone: in a kernel it would display its output as HTML, too."""
    from rich.console import Console

    return Console(force_jupyter=False, **options)


def plain_text(renderable: RenderableType, width: int) -> str:
    """Return what rich prints, without colors and without spaces at the ends of lines."""
    stream = io.StringIO()
    options: dict[str, Any] = {"width": width, "color_system": None, "highlight": False}
    rich_console(file=stream, legacy_windows=False, **options).print(renderable)
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def terminal_width(most: int) -> int:
    """Return the width of the terminal or notebook, at most `most`; without one `most`."""
    return min(columns() or most, most)


def render(figure: Figure, panel_width: int = PANEL_WIDTH, width: int | None = None) -> str:
    """Draw a figure as text.

    width: characters of a row of panels, by default those of the terminal, at most `ROW_WIDTH`.
    """
    row_width = terminal_width(ROW_WIDTH) if width is None else min(width, ROW_WIDTH)
    if figure.thumbnails:
        return "\n".join(_thumbnail_lines(figure, row_width))
    if figure.parts:
        parts = [render(part, panel_width, row_width) for part in figure.parts]
        return "\n\n".join([folded(figure.title, row_width), *parts] if figure.title else parts)
    return "\n".join(_lines_of(figure, panel_width, row_width))


def _lines_of(figure: Figure, panel_width: int, row_width: int) -> Iterator[str]:
    size = panel_width // min(figure.columns, 4)
    panels = [_rows_of(panel, size) for panel in figure.panels]
    width = _widest(panels)
    while width > row_width and size > _NARROWEST_PANEL:
        size = max(size - (width - row_width), _NARROWEST_PANEL)
        panels = [_rows_of(panel, size) for panel in figure.panels]
        width = _widest(panels)
    if width > row_width:  # names, numbers of a large table
        panels = [[shortened(line, row_width) for line in panel] for panel in panels]
        width = row_width
    if figure.title:
        yield folded(figure.title, row_width)
    per_row = max(min(figure.columns, (row_width + 2) // (width + 2)), 1)
    shown = panels[: per_row * SHOWN_ROWS]
    for start in range(0, len(shown), per_row):
        yield ""
        for row in zip_longest(*shown[start : start + per_row], fillvalue=""):
            yield "  ".join(part.ljust(width) for part in row).rstrip()
    if len(panels) > len(shown):
        yield ""
        yield f"and {len(panels) - len(shown)} panels more"


def _widest(panels: Sequence[Sequence[str]]) -> int:
    return max((len(line) for panel in panels for line in panel), default=1)


def _rows_of(panel: Panel | None, width: int) -> list[str]:
    if panel is None:
        return []
    return [*([panel.title] if panel.title else []), *_PAINTERS[type(panel)](panel, width)]


# -- images --------------------------------------------------------------------------------------------------


def _image_rows(panel: ImagePanel, width: int) -> list[str]:
    if panel.annotations is not None:
        return _number_table(panel, panel.annotations)
    values = np.asarray(panel.overlay if panel.overlay is not None else panel.values, float)
    if values.ndim == 3:
        values = values.mean(-1)
    low, high = panel.bounds if panel.overlay is None else (0.0, float(values.max()) or 1.0)
    cells = downsample(values, max(width // 2, 1))
    levels = np.clip((np.nan_to_num(cells) - low) / (high - low), 0, 1)
    if panel.palette == "grey_reversed":
        levels = 1 - levels
    steps = np.minimum((levels * len(SHADES)).astype(int), len(SHADES) - 1)
    return ["".join(SHADES[step] * 2 for step in row) for row in steps]


def _number_table(panel: ImagePanel, numbers: np.ndarray) -> list[str]:
    cells = [[f"{number:g}" for number in row] for row in numbers]
    heads = list(panel.column_names) or [str(j) for j in range(numbers.shape[1])]
    names = list(panel.row_names) or [str(i) for i in range(numbers.shape[0])]
    width = max(len(text) for row in [heads, *cells] for text in row)
    name_width = max(map(len, names))
    rows = zip(["", *names], [heads, *cells], strict=True)
    return [f"{name:>{name_width}}  " + " ".join(text.rjust(width) for text in row) for name, row in rows]


def downsample(values: np.ndarray, columns: int) -> np.ndarray:
    """Return an image (h, w) with at most `columns` columns; each pixel is a mean of squares."""
    height, width = values.shape
    factor = max(-(-width // columns), 1)
    rows, columns = -(-height // factor), -(-width // factor)
    padded = np.full((rows * factor, columns * factor), np.nan)
    padded[:height, :width] = values
    return np.nanmean(padded.reshape(rows, factor, columns, factor), axis=(1, 3))


def _thumbnail_lines(figure: Figure, row_width: int, width: int = 16) -> Iterator[str]:
    images = [panel for panel in figure.panels if isinstance(panel, ImagePanel)]
    per_row = min(figure.columns, max((row_width + 2) // (width + 2), 1))
    for start in range(0, len(images), per_row):
        row = images[start : start + per_row]
        titles = "  ".join(f"{panel.title[:width]:<{width}}" for panel in row).rstrip()
        if titles:
            yield titles
        for lines in zip(*(thumbnail(panel.values, width) for panel in row), strict=True):
            yield "  ".join(lines)


def thumbnail(image: np.ndarray, columns: int) -> list[str]:
    """Shade an image in `columns` x `columns / 2` characters, from its smallest to its largest value."""
    grey = image.reshape(*image.shape[:2], -1)[..., :3].mean(axis=-1, dtype=np.float32)
    tops = np.linspace(0, grey.shape[0], columns // 2, endpoint=False).astype(int)
    lefts = np.linspace(0, grey.shape[1], columns, endpoint=False).astype(int)
    sums = np.add.reduceat(np.add.reduceat(grey, tops, axis=0), lefts, axis=1)
    heights, widths = np.diff([*tops, grey.shape[0]]), np.diff([*lefts, grey.shape[1]])
    cells = sums / np.maximum(np.outer(heights, widths), 1)
    span = float(cells.max() - cells.min()) or 1.0
    levels = ((cells - cells.min()) / span * (len(SHADES) - 0.001)).astype(int)
    return ["".join(SHADES[level] for level in row) for row in levels]


# -- curves and bars -----------------------------------------------------------------------------------------


def _line_rows(panel: LinePanel, width: int) -> list[str]:
    if panel.text_rows > 1:
        return _chart_rows(panel, CHART_WIDTH if width >= PANEL_WIDTH else width)
    name_width = max(map(len, panel.lines), default=0)
    finite = [np.asarray(y, float) for _, y in panel.lines.values() if len(y)]
    low = min((float(np.nanmin(y)) for y in finite), default=0.0)
    high = max((float(np.nanmax(y)) for y in finite), default=1.0)
    rows = []
    for name, (_, y) in panel.lines.items():
        values = np.asarray(y, float)
        if len(values) > width:
            values = np.array([chunk.mean() for chunk in np.array_split(values, width)])
        scale = high - low or 1.0
        steps = np.minimum((np.nan_to_num((values - low) / scale) * len(BARS)).astype(int), len(BARS) - 1)
        ends = f"{y[0]:.4g} ... {y[-1]:.4g}" if len(y) else ""
        rows.append(f"{name.ljust(name_width)} {''.join(BARS[step] for step in steps)} {ends}")
    if panel.marked_point is not None and panel.marker is not None:
        rows.append(f"{panel.marker.label}: {panel.marked_point[1]:.4g}")
    return rows


def _chart_rows(panel: LinePanel, most_columns: int) -> list[str]:
    """Draw the first line as bars of several rows, with numbers at the axes and the guide marked."""
    x, y = (np.asarray(part, float) for part in next(iter(panel.lines.values())))
    finite = y[np.isfinite(y)]
    low, high = panel.y_range or ((finite.min(), finite.max()) if len(finite) else (0.0, 1.0))
    columns = min(most_columns, len(y))
    at = np.linspace(0, max(len(y) - 1, 0), columns).round().astype(int)
    fraction = np.nan_to_num((y[at] - low) / ((high - low) or 1.0), nan=1.0)
    eighths = np.clip(fraction * panel.text_rows * 8, 1, panel.text_rows * 8).round()
    rows = []
    for row in range(panel.text_rows - 1, -1, -1):
        label = f"{high:9.3g} " if row == panel.text_rows - 1 else f"{low:9.3g} " if row == 0 else " " * 10
        parts = np.clip(eighths - 8 * row, 0, 8).astype(int)
        rows.append((label + "".join((" " + BARS)[part] for part in parts)).rstrip())
    if not len(x):
        return rows
    if panel.guide is not None:
        step = int(np.searchsorted(x, panel.guide[0]))
        rows.append(" " * (10 + int(np.searchsorted(at, step))) + "^")
    ends = (f"{x[0]:.0e}", f"{x[-1]:.0e}") if panel.log_x else (f"{x[0]:.4g}", f"{x[-1]:.4g}")
    return [*rows, " " * 10 + ends[0].ljust(columns - len(ends[1])) + ends[1]]


def sparkline(values: Sequence[float], low: float, high: float, width: int = 30) -> str:
    """Draw values between low and high as at most `width` blocks; a dot stands for NaN and infinity."""
    step = max(1, math.ceil(len(values) / width))
    scale = (len(BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(
        BARS[min(max(round((value - low) * scale), 0), len(BARS) - 1)] if math.isfinite(value) else "·"
        for value in values[::step]
    )


def bar(fraction: float, width: int) -> str:
    """Draw a bar of at most `width` characters, in eighths of a character."""
    full, rest = divmod(max(round(fraction * width * 8), 1), 8)
    return "█" * full + ("", *EIGHTHS)[rest]


def _bar_rows(panel: BarPanel, width: int) -> list[str]:
    """One bar a category and series; a histogram is one row of blocks."""
    heights = np.array([np.asarray(row, float) for row in panel.series.values()])
    if panel.edges is not None:
        blocks = sparkline(heights[0].tolist(), 0.0, float(heights.max(initial=0)), len(heights[0]))
        return [f"{blocks} {panel.edges[0]:.4g} ... {panel.edges[-1]:.4g}"]
    top = float(np.nanmax(heights)) if np.isfinite(heights).any() else 1.0
    label_width = max(map(len, [*panel.series, *panel.names]), default=0)
    rows = []
    for category, name in enumerate(panel.names):
        if len(panel.series) > 1:
            rows.append(name)
        for series, row in panel.series.items():
            height = float(row[category])
            if math.isfinite(height):
                label = name if len(panel.series) == 1 else f"  {series}"
                rows.append(
                    f"{label.ljust(label_width + 2)} {bar(height / (top or 1.0), width)} {height:.4g}"
                )
    return rows


# -- points --------------------------------------------------------------------------------------------------


def _point_rows(panel: PointPanel, width: int) -> list[str]:
    """Draw a field of letters, one a group; a cell shows the group with most of its points."""
    columns, rows = width, max(width // 2, 1)
    points = np.asarray(panel.points, float)
    low, high = points.min(0), points.max(0)
    extent = np.where(high > low, high - low, 1.0)
    cells = ((points - low) / extent * [columns - 1, rows - 1]).round().astype(int)
    groups = list(np.unique(panel.groups))
    counts = np.zeros((rows, columns, len(groups)), int)
    np.add.at(counts, (rows - 1 - cells[:, 1], cells[:, 0], np.searchsorted(groups, panel.groups)), 1)
    letters = np.where(counts.any(-1), counts.argmax(-1) % len(LETTERS), -1)
    lines = ["".join(LETTERS[letter] if letter >= 0 else " " for letter in row).rstrip() for row in letters]
    names = [
        f"{LETTERS[k % len(LETTERS)]} {panel.group_names[g] if 0 <= g < len(panel.group_names) else g}"
        for k, g in enumerate(groups)
    ]
    return lines + (["  ".join(names)] if len(groups) > 1 else [])


_PAINTERS: Mapping[type, Callable[[Any, int], list[str]]] = {
    ImagePanel: _image_rows, LinePanel: _line_rows, PointPanel: _point_rows, BarPanel: _bar_rows,
}  # fmt: skip
