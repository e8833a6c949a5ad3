"""Figures and graphs drawn by Matplotlib, and written into files."""

from __future__ import annotations

import functools
import io
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.extras import required
from hornbeam.visualization.panels import BarPanel, ImagePanel, LinePanel, PointPanel

if TYPE_CHECKING:
    from types import ModuleType

    import matplotlib.figure

    from hornbeam.visualization.figure import Figure
    from hornbeam.visualization.graph_drawing import GraphDrawing, PlacedBox

# The palette of Okabe and Ito (2008), which colour-blind readers can tell apart; black comes last.
COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Color maps that colour-blind readers and prints in grey preserve.
_COLOR_MAPS = {
    "grey": "gray", "grey_reversed": "gray_r", "blue": "Blues", "heat": "cividis", "signed": "RdBu_r",
}  # fmt: skip
_DASHES = ("-", "--", ":", "-.")
_METADATA = {
    "png": ("Title", "Description"), "svg": ("Title", "Description"), "pdf": ("Title", "Subject"),
}  # fmt: skip
# Fills of boxes by words in the class of a layer: tints of the palette.
_TINTS = {
    "Input": "#ffffff", "Conv": "#bbdcf0", "Pool": "#ccefe2", "Dense": "#fbe3b3", "Norm": "#f2d3e4",
    "Dropout": "#e2e2e2", "RNN": "#f7cdb5", "LSTM": "#f7cdb5", "GRU": "#f7cdb5", "Attention": "#faf5b4",
    "Embedding": "#fbe3b3",
}  # fmt: skip
_NEUTRAL, _EDGE, _ARROW = "#f4f4f4", "#555555", "#333333"


def figure_class(purpose: str) -> type[matplotlib.figure.Figure]:
    """Return a Figure of Matplotlib that notebooks show, even before pyplot is imported.

    Args:
        purpose: What needs Matplotlib, the beginning of the error message.

    Raises:
        ImportError: If Matplotlib is missing.
    """
    with required(f"{purpose} needs Matplotlib", "plot"):
        from matplotlib.figure import Figure
    return _displayed_figure(Figure)


@functools.cache
def _displayed_figure(base: type[matplotlib.figure.Figure]) -> type[matplotlib.figure.Figure]:
    def png(self: matplotlib.figure.Figure) -> bytes:
        file = io.BytesIO()
        self.savefig(file, format="png", dpi=100)
        return file.getvalue()

    return type("Figure", (base,), {"_repr_png_": png})


def pyplot(purpose: str) -> ModuleType:
    """Return matplotlib.pyplot; arguments and errors are those of `figure_class`."""
    figure_class(purpose)
    with required(f"{purpose} needs Matplotlib", "plot"):
        import matplotlib.pyplot as plt
    return plt


def write(
    canvas: matplotlib.figure.Figure, path: str | os.PathLike[str], title: str, alt: str, dpi: int = 150
) -> Path:
    """Write a Matplotlib figure in the format of the file's suffix, with title and description."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    suffix = str(path).rsplit(".", 1)[-1].lower()
    metadata = dict(zip(_METADATA[suffix], (title, alt), strict=True)) if suffix in _METADATA else None
    canvas.savefig(path, dpi=dpi, metadata=metadata)
    return Path(path)


# -- figures -------------------------------------------------------------------------------------------------


def draw(figure: Figure, canvas: Any = None) -> matplotlib.figure.Figure:
    """Draw a figure, into a given Matplotlib figure or into a new one."""
    width, height = size_of(figure)
    if canvas is None:
        new = figure_class(f'drawing "{figure.title}"')
        canvas = new(figsize=(max(width, 3.2), height + 0.5), layout="constrained")
    if figure.parts:
        heights = [size_of(part)[1] for part in figure.parts]
        cells = np.atleast_1d(canvas.subfigures(len(figure.parts), 1, height_ratios=heights))
        for cell, part in zip(cells, figure.parts, strict=True):
            draw(part, cell)
    else:
        _draw_panels(figure, canvas)
    if figure.title:
        canvas.suptitle(figure.title, fontsize=11, wrap=True)
    return canvas


def size_of(figure: Figure) -> tuple[float, float]:
    """Return the width and height of all panels in inches."""
    if figure.parts:
        sizes = [size_of(part) for part in figure.parts]
        return max(width for width, _ in sizes), sum(height for _, height in sizes)
    width, height = figure.panel_size or ((1.6, 1.75) if _is_gallery(figure) else (4.6, 3.6))
    return min(figure.columns, max(len(figure.panels), 1)) * width, figure.rows * height


def _is_gallery(figure: Figure) -> bool:
    """Return True for three or more images without names of rows, which are drawn small."""
    images = all(
        panel is None or (isinstance(panel, ImagePanel) and not panel.row_names) for panel in figure.panels
    )
    return images and len(figure.panels) > 2


def _draw_panels(figure: Figure, canvas: Any) -> None:
    columns = min(figure.columns, max(len(figure.panels), 1))
    small = figure.panel_size is not None or _is_gallery(figure)
    for index, panel in enumerate(figure.panels):
        axes = canvas.add_subplot(figure.rows, columns, index + 1)
        if panel is None:
            axes.set_axis_off()
            continue
        _PAINTERS[type(panel)](canvas, axes, panel)
        axes.set_title(panel.title, fontsize=8 if small else 10)


def _draw_image(canvas: Any, axes: Any, panel: ImagePanel) -> None:
    low, high = panel.bounds
    values, options = panel.values, {}
    if values.ndim == 2:
        options = {"cmap": _COLOR_MAPS[panel.palette], "vmin": low, "vmax": high}
    elif values.dtype != np.uint8:
        values = np.clip(values, 0, 1)
    annotated = panel.annotations is not None
    image = axes.imshow(values, interpolation="nearest", aspect="auto" if annotated else "equal", **options)
    if panel.overlay is not None:
        heat = np.asarray(panel.overlay, float)
        top = float(heat.max()) or 1.0
        # The image shows where the heat map is low.
        alpha = 0.3 + 0.6 * np.clip(heat / top, 0, 1)
        axes.imshow(heat, cmap=_COLOR_MAPS["heat"], vmin=0, vmax=top, alpha=alpha)
    if not (panel.row_names or panel.column_names):
        _hide_frame(axes)
        axes.set_ylabel(panel.axis_labels[1], rotation=0, ha="right", va="center", fontsize=9)
        return
    _label_axes(axes, panel.axis_labels)
    names = panel.column_names
    axes.set_xticks(range(len(names)), names, rotation=45 if names else 0, fontsize=8)
    axes.set_yticks(range(len(panel.row_names)), panel.row_names, fontsize=8)
    if panel.annotations is None:
        canvas.colorbar(image, ax=axes, shrink=0.8)
        return
    for (row, column), number in np.ndenumerate(panel.annotations):
        if math.isnan(number):
            continue
        # Black on light colors, white on dark ones, by their luma (ITU-R BT.601).
        red, green, blue, _ = image.to_rgba(panel.values[row, column])
        color = "black" if 0.3 * red + 0.59 * green + 0.11 * blue > 0.5 else "white"
        axes.text(column, row, f"{number:g}", ha="center", va="center", fontsize=8, color=color)


def _hide_frame(axes: Any) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)


def _label_axes(axes: Any, labels: tuple[str, str]) -> None:
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])


def _draw_lines(canvas: Any, axes: Any, panel: LinePanel) -> None:
    if panel.identity:
        axes.axline((0, 0), (1, 1), color="grey", linestyle="--", linewidth=1)
    for number, (name, (x, y)) in enumerate(panel.lines.items()):
        color = COLORS[number % len(COLORS)]
        marked = len(x) == 1 or name in panel.bands  # a line of one point would not be seen
        dashes = _DASHES[number % len(_DASHES)]
        axes.plot(x, y, label=name, color=color, linestyle=dashes, marker="o" if marked else None)
        if name in panel.bands:
            axes.fill_between(x, *panel.bands[name], color=color, alpha=0.2)
    if panel.marked_point is not None and panel.marker is not None:
        point = panel.marked_point
        style = {"color": "black", "fillstyle": "none", "markersize": 9}
        axes.plot(*([value] for value in point), "o", label=panel.marker.label, **style)
    if panel.guide is not None:
        axes.axvline(panel.guide[0], color="0.3", linestyle="--", label=panel.guide[1])
    if panel.log_x:
        axes.set_xscale("log")
    elif all(np.asarray(x).dtype.kind == "i" for x, _ in panel.lines.values()):
        axes.xaxis.get_major_locator().set_params(integer=True)
    if panel.log_y:
        axes.set_yscale("log")
    if panel.y_range is not None:
        axes.set_ylim(*panel.y_range)
    _label_axes(axes, panel.axis_labels)
    axes.grid(alpha=0.3)
    if len(panel.lines) > 1 or panel.marker is not None or panel.guide is not None:
        axes.legend(fontsize=8)


def _draw_points(canvas: Any, axes: Any, panel: PointPanel) -> None:
    groups = np.unique(panel.groups)
    for number, group in enumerate(groups):
        points = panel.points[panel.groups == group]
        name = panel.group_names[group] if 0 <= group < len(panel.group_names) else str(group)
        style = {
            "color": COLORS[number % len(COLORS)],
            # Beyond the palette markers change where colors begin again.
            "marker": MARKERS[(number + number // len(COLORS)) % len(MARKERS)],
        }
        axes.scatter(points[:, 0], points[:, 1], s=14, alpha=0.75, linewidths=0, label=name, **style)
    _label_axes(axes, panel.axis_labels)
    if len(groups) > 1:
        axes.legend(fontsize=7, markerscale=1.5)


def _draw_bars(canvas: Any, axes: Any, panel: BarPanel) -> None:
    _label_axes(axes, panel.axis_labels)
    axes.tick_params(labelsize=7)
    if panel.edges is not None:
        (counts,) = panel.series.values()
        axes.bar(panel.edges[:-1], counts, np.diff(panel.edges), align="edge", color=COLORS[0])
        return
    # Categories without a value of a series have no gap there: their other bars move to the center.
    bars: dict[str, list[tuple[float, float]]] = {name: [] for name in panel.series}
    width = 0.8 / len(bars)
    for category in range(len(panel.names)):
        heights = {name: float(row[category]) for name, row in panel.series.items()}
        heights = {name: height for name, height in heights.items() if math.isfinite(height)}
        for number, (name, height) in enumerate(heights.items()):
            bars[name].append((category + (number - (len(heights) - 1) / 2) * width, height))
    for number, (name, points) in enumerate(bars.items()):
        centers, tops = [x for x, _ in points], [height for _, height in points]
        color = COLORS[number % len(COLORS)]
        axes.bar(centers, tops, width * 0.95, label=name, zorder=2, color=color)
    longest = max(map(len, panel.names), default=0)
    axes.set_xticks(range(len(panel.names)), panel.names, rotation=60 if longest > 9 else 0)
    axes.grid(axis="y", alpha=0.3, zorder=0)
    if len(bars) > 1:
        canvas.legend(loc="outside lower center", ncols=len(bars), fontsize=8)


_PAINTERS: Mapping[type, Callable[[Any, Any, Any], None]] = {
    ImagePanel: _draw_image, LinePanel: _draw_lines, PointPanel: _draw_points, BarPanel: _draw_bars,
}  # fmt: skip


# -- graphs --------------------------------------------------------------------------------------------------


def draw_graph(drawing: GraphDrawing) -> matplotlib.figure.Figure:
    """Draw boxes and arrows; the figure has the size of the drawing in inches."""
    canvas = figure_class("drawing a model")(figsize=(drawing.width, drawing.height))
    axes = canvas.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    for placed in drawing.boxes:
        _draw_box(axes, placed)
    for points in drawing.lines:
        xs, ys = zip(*points, strict=True)
        axes.plot(xs[:-1], ys[:-1], color=_ARROW, linewidth=0.8, solid_joinstyle="round")
        arrow = {"arrowstyle": "-|>", "color": _ARROW, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=points[-1], xytext=points[-2], arrowprops=arrow)
    return canvas


def _draw_box(axes: Any, placed: PlacedBox) -> None:
    from matplotlib.patches import FancyBboxPatch

    has_inner = bool(placed.box.inner)
    fill = next((tint for word, tint in _TINTS.items() if word in placed.box.kind), _NEUTRAL)
    axes.add_patch(
        FancyBboxPatch(
            (placed.x, placed.y),
            placed.width,
            placed.height,
            boxstyle="round,pad=0,rounding_size=0.06",
            facecolor="#fcfcfc" if has_inner else fill,
            edgecolor=_EDGE,
            linestyle="--" if has_inner else "-",
            linewidth=0.8,
        )
    )
    text_height = placed.head if has_inner else placed.height
    style = {"ha": "center", "va": "center", "fontsize": 8, "family": "monospace", "linespacing": 1.2}
    middle = placed.x + placed.width / 2, placed.y + text_height / 2
    axes.text(*middle, "\n".join(placed.box.lines), **style)
