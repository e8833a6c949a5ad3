"""Pictures by Matplotlib."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from hornbeam.visualization.figure import Figure, ImagePanel, LinePanel, PointPanel
from hornbeam.visualization.files import COLOURS, MARKERS, figure_class

# Maps that are read alike by colour-blind readers and in print.
_MAPS = {"grey": "gray", "heat": "cividis", "signed": "RdBu_r"}
_DASHES = ("-", "--", ":", "-.")


def drawn(figure: Figure) -> Any:
    """The Matplotlib figure of a figure. Raises ImportError without Matplotlib."""
    figure_type = figure_class(f'drawing "{figure.title}"')
    columns = min(figure.columns, max(len(figure.panels), 1))
    rows = math.ceil(len(figure.panels) / columns)
    plain = all(isinstance(panel, ImagePanel) and not panel.rows for panel in figure.panels)
    width, height = (1.6, 1.75) if plain and len(figure.panels) > 2 else (4.6, 3.6)
    figure = figure_type(figsize=(max(columns * width, 3.2), rows * height + 0.5), layout="constrained")
    for place, panel in enumerate(figure.panels):
        axes = figure.add_subplot(rows, columns, place + 1)
        _PAINTERS[type(panel)](figure, axes, panel)
        axes.set_title(panel.title, fontsize=8 if plain else 10)
    figure.suptitle(figure.title, fontsize=11, wrap=True)
    return figure


def _image(figure: Any, axes: Any, panel: ImagePanel) -> None:
    low, high = panel.bounds
    coloured = panel.values.ndim == 3
    options = {} if coloured else {"cmap": _MAPS[panel.palette], "vmin": low, "vmax": high}
    values = np.clip(panel.values, 0, 1) if coloured else panel.values
    shown = axes.imshow(
        values, interpolation="nearest", aspect="auto" if panel.numbers else "equal", **options
    )
    if panel.over is not None:
        heat = np.asarray(panel.over, float)
        top = float(heat.max()) or 1.0
        axes.imshow(heat, cmap=_MAPS["heat"], vmin=0, vmax=top, alpha=0.3 + 0.6 * np.clip(heat / top, 0, 1))
    if not (panel.rows or panel.columns or panel.axes != ("", "")):
        axes.set_axis_off()
        return
    axes.set_xlabel(panel.axes[0])
    axes.set_ylabel(panel.axes[1])
    axes.set_xticks(range(len(panel.columns)), panel.columns, rotation=45 if panel.columns else 0, fontsize=8)
    axes.set_yticks(range(len(panel.rows)), panel.rows, fontsize=8)
    if panel.numbers:
        middle = (low + high) / 2
        for (i, j), value in np.ndenumerate(panel.values):
            dark = value < middle
            axes.text(
                j, i, f"{value:g}", ha="center", va="center", fontsize=8, color="white" if dark else "black"
            )
    else:
        figure.colorbar(shown, ax=axes, shrink=0.8)


def _lines(figure: Any, axes: Any, panel: LinePanel) -> None:
    for number, (name, (x, y)) in enumerate(panel.lines.items()):
        look = {"color": COLOURS[number % len(COLOURS)], "linestyle": _DASHES[number % len(_DASHES)]}
        axes.plot(x, y, label=name, marker="o" if len(x) == 1 else None, **look)
    if panel.marked is not None:
        place, height, words = panel.marked
        axes.plot([place], [height], "o", color="black", fillstyle="none", markersize=9, label=words)
    if all(np.asarray(x).dtype.kind == "i" for x, _ in panel.lines.values()):
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(panel.axes[0])
    axes.set_ylabel(panel.axes[1])
    axes.grid(alpha=0.3)
    if len(panel.lines) > 1 or panel.marked is not None:
        axes.legend(fontsize=8)


def _points(figure: Any, axes: Any, panel: PointPanel) -> None:
    for number, group in enumerate(np.unique(panel.groups)):
        chosen = panel.places[panel.groups == group]
        name = panel.names[group] if 0 <= group < len(panel.names) else str(group)
        look = {
            "color": COLOURS[number % len(COLOURS)],
            # Beyond the palette, shapes go on where colours begin again.
            "marker": MARKERS[(number + number // len(COLOURS)) % len(MARKERS)],
        }
        axes.scatter(chosen[:, 0], chosen[:, 1], s=14, alpha=0.75, linewidths=0, label=name, **look)
    axes.set_xlabel(panel.axes[0])
    axes.set_ylabel(panel.axes[1])
    if len(np.unique(panel.groups)) > 1:
        axes.legend(fontsize=7, markerscale=1.5)


_PAINTERS: dict[type, Any] = {ImagePanel: _image, LinePanel: _lines, PointPanel: _points}
