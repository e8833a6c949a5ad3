"""Line panels and graphs as SVG, colored by the classes of the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hornbeam._internal.html.markup import Html, tag
from hornbeam._internal.html.style import SERIES
from hornbeam.visualization.graph_drawing import GraphDrawing, PlacedBox, TextMetrics
from hornbeam.visualization.panels import LinePanel

# Size of a chart in units that are about pixels, and the margins for numbers.
_WIDTH, _HEIGHT = 380.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 12.0, 40.0
# Longer lines are drawn without dots; still longer ones skip points that cannot be told apart.
_MOST_DOTS, _MOST_POINTS = 30, 600
# Pixels of an inch, which is the unit of graph drawings.
_INCH = 96.0
SVG_TEXT = TextMetrics(7.4 / _INCH, 18 / _INCH, 14 / _INCH, 7 / _INCH, frame=1 / _INCH)


@dataclass(frozen=True)
class ChartAxis:
    """A map from numbers in [low, high] to coordinates between `start` and `end`, with ticks."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def coordinate(self, value: float) -> float:
        """Return the coordinate of a number."""
        low, high = self._scaled(self.low), self._scaled(self.high)
        fraction = (self._scaled(value) - low) / (high - low) if high > low else 0.5
        return self.start + fraction * (self.end - self.start)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def ticks(self) -> list[float]:
        """Return round numbers on the axis."""
        if not self.log:
            return round_numbers(self.low, self.high)
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        candidates = [m * 10.0**d for d in decades for m in ((1,) if len(decades) > 3 else (1, 3))]
        return [v for v in candidates if self.low <= v <= self.high] or [self.low, self.high]


def round_numbers(low: float, high: float, most: int = 6) -> list[float]:
    """Return at most `most` multiples of 1, 2 or 5 times a power of ten, from low to high.

    >>> round_numbers(0.13, 0.52)
    [0.2, 0.3, 0.4, 0.5]
    """
    if not high > low:
        return [low]
    for exponent in range(math.floor(math.log10((high - low) / most)), 400):
        for factor in (1, 2, 5):
            step = factor * 10.0**exponent
            first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
            if last - first + 1 <= most:
                return [float(f"{k * step:.12g}") for k in range(first, last + 1)]
    return [low, high]


# -- lines ---------------------------------------------------------------------------------------------------


def line_chart(panel: LinePanel) -> Html:
    """Draw a line panel as a figure with a caption and a legend; values that are not finite make gaps."""
    finite = [v for _, y in panel.lines.values() for v in y if math.isfinite(v)]
    if not finite:
        return tag("p", f"{panel.title}: no finite number in any {panel.axis_labels[0]}.", class_="note")
    x, y = _axes(panel, finite)
    drawing = tag(
        "svg",
        tag("title", _alternative(panel)),
        _grid(x, y, panel.axis_labels[0], _are_integers(panel)),
        [_band(panel, name, x, y) for name in panel.bands],
        _guides(panel, x, y),
        _clipped([_line(panel, name, x, y) for name in panel.lines], panel.y_range is not None),
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        role="img",
        class_="chart",
    )
    note = " (logarithmic)" if panel.log_y else ""
    caption = tag("figcaption", panel.title + note) if panel.title else None
    return tag("figure", caption, _legend(panel), drawing)


def _clipped(lines: Sequence[Any], clips: bool) -> Any:
    """Hide what is outside of a given range; a viewport needs no name, as a clip path does."""
    if not clips:
        return lines
    width, height = _WIDTH - _RIGHT - _LEFT, _HEIGHT - _BOTTOM - _TOP
    box = f"{_LEFT:g} {_TOP:g} {width:g} {height:g}"
    return tag("svg", lines, x=_LEFT, y=_TOP, width=f"{width:g}", height=f"{height:g}", viewBox=box)


def _axes(panel: LinePanel, finite: Sequence[float]) -> tuple[ChartAxis, ChartAxis]:
    low, high = min(finite), max(finite)
    padding = 0.0 if panel.log_y else 0.04 * (high - low) or 0.5 * abs(finite[0]) or 0.5
    low, high = panel.y_range or (low - padding, high + padding)
    xs = [v for values, _ in panel.lines.values() for v in values]
    y = ChartAxis(low, high, _HEIGHT - _BOTTOM, _TOP, panel.log_y)
    return ChartAxis(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT, panel.log_x), y


def _are_integers(panel: LinePanel) -> bool:
    return all(float(v).is_integer() for xs, _ in panel.lines.values() for v in xs)


def _band(panel: LinePanel, name: str, x: ChartAxis, y: ChartAxis) -> Html:
    low, high = panel.bands[name]
    xs = panel.lines[name][0]
    edge = [
        (at, value) for at, value in [*zip(xs, low, strict=True), *reversed([*zip(xs, high, strict=True)])]
    ]
    points = [(x.coordinate(at), y.coordinate(value)) for at, value in edge if math.isfinite(value)]
    return tag("polygon", points=_points(points), class_=f"band {_class_of(panel, name)}")


def _guides(panel: LinePanel, x: ChartAxis, y: ChartAxis) -> list[Html]:
    parts = []
    if panel.guide is not None:
        at, label = panel.guide
        position = f"{x.coordinate(at):.1f}"
        parts.append(tag("line", x1=position, x2=position, y1=y.start, y2=y.end, class_="guide"))
        side = "end" if x.coordinate(at) > _WIDTH / 2 else "start"
        beside = f"{x.coordinate(at) + (-6 if side == 'end' else 6):.1f}"
        parts.append(tag("text", label, x=beside, y=y.end + 8, class_=f"tick {side}"))
    if panel.identity:
        low, high = max(x.low, y.low), min(x.high, y.high)
        ends = {
            "x1": x.coordinate(low),
            "x2": x.coordinate(high),
            "y1": y.coordinate(low),
            "y2": y.coordinate(high),
        }
        parts.append(tag("line", **{key: f"{value:.1f}" for key, value in ends.items()}, class_="guide"))
    return parts


def _alternative(panel: LinePanel) -> str:
    """Return the chart in words."""
    parts = []
    for name, (_, y) in panel.lines.items():
        finite = [v for v in y if math.isfinite(v)]
        if finite:
            parts.append(f"{name} from {finite[0]:.4g} to {finite[-1]:.4g}")
    length = max(len(x) for x, _ in panel.lines.values())
    title = panel.title or panel.axis_labels[1] or "values"
    return f"{title} over {length} {panel.axis_labels[0] or 'step'}s: {', '.join(parts)}"


def _grid(x: ChartAxis, y: ChartAxis, label: str, integers: bool = True) -> list[Html]:
    parts = []
    for value in y.ticks():
        at = f"{y.coordinate(value):.1f}"
        parts.append(tag("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="grid"))
        parts.append(tag("text", f"{value:.4g}", x=_LEFT - 6, y=at, class_="tick end"))
    for value in x.ticks():
        if value == round(value) or not integers:
            at = f"{x.coordinate(value):.1f}"
            parts.append(tag("text", f"{value:g}", x=at, y=_HEIGHT - _BOTTOM + 15, class_="tick middle"))
    middle = (x.start + x.end) / 2
    parts.append(tag("text", label, x=f"{middle:.1f}", y=_HEIGHT - 8, class_="tick middle"))
    return parts


def _class_of(panel: LinePanel, name: str) -> str:
    return SERIES[list(panel.lines).index(name) % len(SERIES)]


def _marked_index(panel: LinePanel, name: str) -> int | None:
    return panel.marker.index if panel.marker is not None and panel.marker.line == name else None


def _line(panel: LinePanel, name: str, x: ChartAxis, y: ChartAxis) -> list[Html]:
    xs, ys = panel.lines[name]
    kind, marked = _class_of(panel, name), _marked_index(panel, name)
    step = max(1, math.ceil(len(xs) / _MOST_POINTS))
    kept = {*range(0, len(xs), step), len(xs) - 1, marked}
    segments: list[list[tuple[float, float]]] = [[]]
    parts, dots = [], []
    for index, (at, value) in enumerate(zip(xs, ys, strict=True)):
        if not math.isfinite(value):
            if index in kept and segments[-1]:
                segments.append([])
            continue
        if index in kept:
            segments[-1].append((x.coordinate(at), y.coordinate(value)))
        if len(xs) <= _MOST_DOTS or index == marked:
            dots.append(_dot(panel, name, index, x, y))
    for segment in segments:
        if len(segment) > 1:
            parts.append(tag("polyline", points=_points(segment), class_=f"curve {kind}"))
    return parts + dots


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _dot(panel: LinePanel, name: str, index: int, x: ChartAxis, y: ChartAxis) -> Html:
    xs, ys = panel.lines[name]
    kind, marked = _class_of(panel, name), index == _marked_index(panel, name)
    cx, cy = f"{x.coordinate(xs[index]):.1f}", f"{y.coordinate(ys[index]):.1f}"
    label = f" ({panel.marker.label})" if marked and panel.marker is not None else ""
    text = f"{name}, {panel.axis_labels[0]} {xs[index]}: {ys[index]:.5g}{label}"
    ring = tag("circle", cx=cx, cy=cy, r=7, class_=f"ring {kind}") if marked else None
    return tag("g", tag("title", text), ring, tag("circle", cx=cx, cy=cy, r=2.6, class_=f"dot {kind}"))


def _legend(panel: LinePanel) -> Html:
    items = [
        tag("li", _swatch(_class_of(panel, name)), tag("span", name),
            tag("span", _last_value(panel, name), class_="quiet"))
        for name in panel.lines
    ]  # fmt: skip
    return tag("ul", items, class_="legend")


def _swatch(kind: str) -> Html:
    line = tag("line", x1=1, x2=25, y1=6, y2=6, class_=f"curve {kind}")
    return tag("svg", line, viewBox="0 0 26 12", width=26, height=12, aria_hidden="true")


def _last_value(panel: LinePanel, name: str) -> str:
    finite = [v for v in panel.lines[name][1] if math.isfinite(v)]
    if not finite:
        return "never finite"
    marked = _marked_index(panel, name)
    best = "" if marked is None or panel.marker is None else (
        f", {panel.marker.label} {panel.lines[name][1][marked]:.4g}"
    )  # fmt: skip
    return f"last {finite[-1]:.4g}{best}"


# -- graphs --------------------------------------------------------------------------------------------------


def graph(drawing: GraphDrawing, title: str) -> Html:
    """Draw boxes of one or two lines, and arrows; `title` says the same in words."""
    width, height = f"{drawing.width * _INCH:.0f}", f"{drawing.height * _INCH:.0f}"
    return tag(
        "svg",
        tag("title", title),
        tag("g", [_arrow([(x * _INCH, y * _INCH) for x, y in points]) for points in drawing.lines]),
        tag("g", [_box(placed) for placed in drawing.boxes]),
        viewBox=f"0 0 {width} {height}",
        width=width,
        height=height,
        role="img",
        class_="architecture",
    )


def _arrow(points: Sequence[tuple[float, float]]) -> list[Html]:
    x, y = points[-1]
    head = f"M{x - 4:.1f} {y - 7:.1f}L{x:.1f} {y:.1f}L{x + 4:.1f} {y - 7:.1f}"
    line = tag("polyline", points=_points(points), class_="edge")
    return [line, tag("path", d=head, class_="edge")]


def _box(placed: PlacedBox) -> Html:
    left, top = placed.x * _INCH, placed.y * _INCH
    width, height = placed.width * _INCH, placed.height * _INCH
    middle = f"{left + width / 2 + 3:.1f}"
    styles = ("strong", *["quiet"] * len(placed.box.lines))
    texts = [
        tag("text", line, x=middle, y=f"{top + 21 + 18 * row:.1f}", class_=f"middle {style}")
        for row, (line, style) in enumerate(zip(placed.box.lines, styles, strict=False))
    ]
    common = {"x": f"{left:.1f}", "y": f"{top:.1f}", "height": f"{height:.0f}"}
    return tag(
        "g",
        tag("rect", **common, width=f"{width:.1f}", rx=6, class_="box"),
        tag("rect", **common, width=6, rx=3, class_=f"stripe {placed.box.kind}"),
        texts,
    )
