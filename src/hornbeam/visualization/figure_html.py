"""Figures as HTML: curves, bars and points as SVG, images as PNG; no library is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.html.markup import Html, scrolling, tag
from hornbeam._internal.html.style import SERIES
from hornbeam.visualization.color_maps import colored, relative_luminance
from hornbeam.visualization.panels import BarPanel, ImagePanel, LinePanel, Panel, PointPanel
from hornbeam.visualization.png import encode_base64, to_uint8
from hornbeam.visualization.svg import ChartAxis, line_chart

if TYPE_CHECKING:
    from hornbeam.visualization.figure import Figure

_WIDTH, _HEIGHT = 380.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 12.0, 40.0
# Panels of a figure that are drawn; a larger figure says how many more it has.
_MOST_PANELS = 120
# More points are thinned out: a page of dots takes megabytes.
_MOST_POINTS = 1500
# Larger matrices are shown as images instead of tables of numbers.
_MOST_CELLS = 12
# Narrow and wide images are shown with about this width.
_SMALL, _LARGE = 64, 224


def figure_element(figure: Figure) -> Html:
    """Return a figure as an element, with its description for those who cannot see it."""
    title = tag("h4", figure.title) if figure.title else None
    if figure.parts:
        return tag("div", title, [figure_element(part) for part in figure.parts])
    panels = figure.panels[:_MOST_PANELS]
    hidden = len(figure.panels) - len(panels)
    note = tag("p", f"and {hidden:,} panels more", class_="note") if hidden else None
    content = _gallery(figure, panels) if _is_gallery(panels) else _charts(panels)
    return tag("div", title, content, note, role="group", aria_label=figure.alt or None)


def _is_gallery(panels: Sequence[Panel | None]) -> bool:
    return any(panels) and all(
        panel is None or (isinstance(panel, ImagePanel) and not panel.row_names and panel.annotations is None)
        for panel in panels
    )


def _charts(panels: Sequence[Panel | None]) -> Html:
    drawn = [_PAINTERS[type(panel)](panel) for panel in panels if panel is not None]
    # A single panel may be as wide as it is, such as a matrix.
    return tag("div", drawn, class_="charts") if len(drawn) > 1 else tag("div", drawn)


# -- images --------------------------------------------------------------------------------------------------


def _gallery(figure: Figure, panels: Sequence[Panel | None]) -> Html:
    columns = min(figure.columns, len(panels))
    width = _LARGE if len(panels) <= 2 else _SMALL if figure.columns > 4 or figure.thumbnails else 112
    named = any(isinstance(panel, ImagePanel) and panel.axis_labels[1] for panel in panels)
    cells = []
    for index, panel in enumerate(panels):
        if named and index % columns == 0:
            label = panel.axis_labels[1] if isinstance(panel, ImagePanel) else ""
            cells.append(tag("span", label, class_="quiet"))
        cells.append(_image(panel, width) if isinstance(panel, ImagePanel) else tag("span"))
    style = f"grid-template-columns: repeat({columns + named}, max-content)"
    return scrolling(tag("div", cells, class_="gallery", style=style), figure.alt or figure.title or "images")


def _image(panel: ImagePanel, width: int) -> Html:
    alt = panel.title or "image"
    image = tag("img", src=f"data:image/png;base64,{encode_base64(pixels_of(panel))}", alt=alt, width=width)
    return tag("figure", image, tag("figcaption", panel.title) if panel.title else None)


def pixels_of(panel: ImagePanel) -> np.ndarray:
    """Return an image panel as uint8 (rows, columns, 3 or 4)."""
    values = np.asarray(panel.values)
    low, high = panel.bounds
    pixels = to_uint8(values) if values.ndim == 3 else colored(values, panel.palette, low, high)
    if panel.overlay is not None:
        heat = np.asarray(panel.overlay, float)
        top = float(heat.max()) or 1.0
        alpha = (0.3 + 0.6 * np.clip(heat / top, 0, 1))[..., None]
        base = pixels[..., :3] if pixels.shape[-1] > 1 else np.repeat(pixels, 3, -1)
        pixels = (base * (1 - alpha) + colored(heat, "heat", 0, top) * alpha).round().astype(np.uint8)
    if min(pixels.shape[:2]) < 2:  # a PNG needs two rows and columns here
        pixels = np.repeat(np.repeat(pixels, 2, 0), 2, 1)
    return pixels


def _image_chart(panel: ImagePanel) -> Html:
    named = panel.row_names or panel.column_names
    if panel.annotations is None and (not named or max(panel.values.shape[:2]) > _MOST_CELLS):
        return _image(panel, _LARGE)
    return _cells(panel)


def _cells(panel: ImagePanel) -> Html:
    """Return numbers as a table with colored cells."""
    numbers = np.asarray(panel.values if panel.annotations is None else panel.annotations)
    digits = ".3g" if panel.annotations is None else ",.10g"
    colors = colored(np.asarray(panel.values), panel.palette, *panel.bounds)
    columns = list(panel.column_names) or [str(index) for index in range(numbers.shape[1])]
    rows = list(panel.row_names) or [str(index) for index in range(numbers.shape[0])]

    def cell(row: int, column: int) -> Html:
        red, green, blue = (int(part) for part in colors[row, column])
        ink = "#000" if relative_luminance(colors[row, column]) > 0.18 else "#fff"
        style = f"background: rgb({red} {green} {blue}); color: {ink}"
        return tag("td", f"{numbers[row, column]:{digits}}", style=style)

    across, down = panel.axis_labels
    corner = " / ".join(part for part in (down, across) if part)
    head = tag("tr", tag("th", corner, scope="col"), [tag("th", name, scope="col") for name in columns])
    body = [
        tag("tr", tag("th", name, scope="row"), [cell(row, column) for column in range(len(columns))])
        for row, name in enumerate(rows)
    ]
    caption = tag("caption", panel.title) if panel.title else None
    content = tag("table", caption, tag("thead", head), tag("tbody", body), class_="confusion")
    return scrolling(content, panel.title or corner)


# -- bars and points -----------------------------------------------------------------------------------------


def _bar_chart(panel: BarPanel) -> Html:
    heights = {name: np.asarray(row, float) for name, row in panel.series.items()}
    finite = np.concatenate([row[np.isfinite(row)] for row in heights.values()])
    top, bottom = float(finite.max(initial=0.0)), float(finite.min(initial=0.0))
    y = ChartAxis(bottom, top or 1.0, _HEIGHT - _BOTTOM, _TOP)
    count = max((len(row) for row in heights.values()), default=1)
    slot = (_WIDTH - _RIGHT - _LEFT) / max(count, 1)
    width = slot * (0.98 if panel.edges is not None else 0.8) / len(heights)
    columns = []
    for number, (name, row) in enumerate(heights.items()):
        for index, height in enumerate(row):
            if not math.isfinite(height):
                continue
            left = _LEFT + slot * index + (slot - width * len(heights)) / 2 + width * number
            edges = sorted((y.coordinate(height), y.coordinate(0.0)))
            title = tag("title", f"{_category(panel, index)}{name} {height:,.6g}")
            columns.append(
                tag(
                    "g",
                    title,
                    tag(
                        "rect", x=f"{left:.1f}", y=f"{edges[0]:.1f}", width=f"{max(width, 0.5):.1f}",
                        height=f"{edges[1] - edges[0]:.1f}", class_=f"column {SERIES[number % len(SERIES)]}",
                    ),
                )
            )  # fmt: skip
    labels = _categories(panel, slot) if panel.edges is None else _edges(panel)
    return _chart(panel.title, [*_rules(y), *columns, *labels], list(heights) if len(heights) > 1 else [])


def _category(panel: BarPanel, index: int) -> str:
    if panel.edges is not None:
        return f"{panel.edges[index]:.4g} to {panel.edges[index + 1]:.4g}: "
    return f"{panel.names[index]}: " if index < len(panel.names) else ""


def _categories(panel: BarPanel, slot: float) -> list[Html]:
    """Return the names below the bars: all, or some of many."""
    longest = max((len(name) for name in panel.names), default=1)
    step = max(1, math.ceil(min(longest, 8) * 7 / slot))
    return [
        tag("text", name if len(name) <= 12 else f"{name[:11]}…", x=f"{_LEFT + slot * (index + 0.5):.1f}",
            y=_HEIGHT - _BOTTOM + 15, class_="tick middle")
        for index, name in enumerate(panel.names) if index % step == 0
    ]  # fmt: skip


def _edges(panel: BarPanel) -> list[Html]:
    assert panel.edges is not None
    axis = ChartAxis(float(panel.edges[0]), float(panel.edges[-1]), _LEFT, _WIDTH - _RIGHT)
    return _x_ticks(axis)


def _x_ticks(axis: ChartAxis) -> list[Html]:
    return [
        tag("text", f"{value:.4g}", x=f"{axis.coordinate(value):.1f}", y=_HEIGHT - _BOTTOM + 15,
            class_="tick middle")
        for value in axis.ticks()
    ]  # fmt: skip


def _rules(y: ChartAxis) -> list[Html]:
    parts = []
    for value in y.ticks():
        at = f"{y.coordinate(value):.1f}"
        parts.append(tag("line", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=at, y2=at, class_="grid"))
        parts.append(tag("text", f"{value:.4g}", x=_LEFT - 6, y=at, class_="tick end"))
    return parts


def _point_chart(panel: PointPanel) -> Html:
    points, groups = np.asarray(panel.points, float), np.asarray(panel.groups)
    finite = np.isfinite(points).all(1)
    points, groups = points[finite], groups[finite]
    if not len(points):
        return tag("p", f"{panel.title}: no finite point.", class_="note")
    step = max(1, math.ceil(len(points) / _MOST_POINTS))
    low, high = points.min(0), points.max(0)
    padding = 0.04 * np.where(high > low, high - low, 1.0)
    (x_low, y_low), (x_high, y_high) = (low - padding).tolist(), (high + padding).tolist()
    x = ChartAxis(x_low, x_high, _LEFT, _WIDTH - _RIGHT)
    y = ChartAxis(y_low, y_high, _HEIGHT - _BOTTOM, _TOP)
    kinds = np.unique(groups)
    order = np.searchsorted(kinds, groups)
    dots = [
        tag("circle", cx=f"{x.coordinate(a):.1f}", cy=f"{y.coordinate(b):.1f}", r=2.2,
            class_=f"dot {SERIES[int(number) % len(SERIES)]}")
        for (a, b), number in zip(points[::step].tolist(), order[::step], strict=True)
    ]  # fmt: skip
    names = [panel.group_names[g] if 0 <= g < len(panel.group_names) else str(g) for g in kinds]
    middle = f"{(x.start + x.end) / 2:.1f}"
    label = tag("text", panel.axis_labels[0], x=middle, y=_HEIGHT - 8, class_="tick middle")
    parts = [*_rules(y), *_x_ticks(x), label, *dots]
    return _chart(panel.title, parts, names if len(names) > 1 else [])


def _chart(title: str, parts: Sequence[Html], names: Sequence[str]) -> Html:
    box = f"0 0 {_WIDTH:g} {_HEIGHT:g}"
    drawing = tag("svg", tag("title", title), parts, viewBox=box, role="img", class_="chart")
    items = [tag("li", _square(SERIES[i % len(SERIES)]), tag("span", name)) for i, name in enumerate(names)]
    legend = tag("ul", items, class_="legend") if items else None
    return tag("figure", tag("figcaption", title) if title else None, legend, drawing)


def _square(kind: str) -> Html:
    square = tag("rect", width=12, height=12, rx=2, class_=f"column {kind}")
    return tag("svg", square, viewBox="0 0 12 12", width=12, height=12, aria_hidden="true")


_PAINTERS: Mapping[type, Callable[[Any], Html]] = {
    ImagePanel: _image_chart, LinePanel: line_chart, PointPanel: _point_chart, BarPanel: _bar_chart,
}  # fmt: skip
