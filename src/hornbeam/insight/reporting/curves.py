"""Curves of a training as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hornbeam.insight.reporting.markup import Html, tag

# The picture in units that are about pixels, and the room for numbers at its sides.
_WIDTH, _HEIGHT = 380.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 12.0, 40.0
# Above this ratio of the largest to the smallest value an axis is logarithmic.
_WIDE = 50.0
_MOST_DOTS = 30
# Above so many epochs some are left out of the line: nobody can see more.
_MOST_POINTS = 600


@dataclass(frozen=True)
class Series:
    """One curve. kind: "first" (a full line) or "second" (a dashed one)."""

    name: str
    values: Sequence[float]
    kind: str = "first"
    best: int | None = None


@dataclass(frozen=True)
class Axis:
    """From numbers to places between `start` and `end`, with marks at round numbers."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, value: float) -> float:
        """Where a number is."""
        low, high = self._bent(self.low), self._bent(self.high)
        part = (self._bent(value) - low) / (high - low) if high > low else 0.5
        return self.start + part * (self.end - self.start)

    def _bent(self, value: float) -> float:
        return math.log10(value) if self.log else value

    def marks(self) -> list[float]:
        """Round numbers on the axis."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            found = [m * 10.0**d for d in decades for m in ((1,) if len(decades) > 3 else (1, 3))]
            return [v for v in found if self.low <= v <= self.high] or [self.low, self.high]
        return round_numbers(self.low, self.high)


def round_numbers(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` multiples of 1, 2 or 5 times a power of ten, from low to high.

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


def chart(title: str, epochs: Sequence[int], series: Sequence[Series]) -> Html:
    """One picture with a legend: values over epochs. What is not finite makes a gap."""
    finite = [v for s in series for v in s.values if math.isfinite(v)]
    if not finite:
        return tag("p", f"{title}: no finite number in any epoch.", class_="note")
    log = min(finite) > 0 and max(finite) / min(finite) > _WIDE
    pad = 0.0 if log else 0.04 * (max(finite) - min(finite)) or 0.5 * abs(finite[0]) or 0.5
    y = Axis(min(finite) - pad, max(finite) + pad, _HEIGHT - _BOTTOM, _TOP, log)
    x = Axis(min(epochs), max(epochs), _LEFT, _WIDTH - _RIGHT)
    picture = tag(
        "svg",
        tag("title", _told(title, epochs, series)),
        _grid(x, y),
        [_line(s, epochs, x, y) for s in series],
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        role="img",
        class_="chart",
    )
    note = " (logarithmic)" if log else ""
    return tag("figure", tag("figcaption", title + note), _legend(series), picture)


def _told(title: str, epochs: Sequence[int], series: Sequence[Series]) -> str:
    """The picture in words."""
    parts = []
    for s in series:
        known = [v for v in s.values if math.isfinite(v)]
        if known:
            parts.append(f"{s.name} from {known[0]:.4g} to {known[-1]:.4g}")
    return f"{title} over {len(epochs)} epochs: {', '.join(parts)}"


def _grid(x: Axis, y: Axis) -> list[Html]:
    made = []
    for value in y.marks():
        at = f"{y.place(value):.1f}"
        made.append(tag("line", x1=x.start, x2=x.end, y1=at, y2=at, class_="grid"))
        made.append(tag("text", f"{value:.4g}", x=_LEFT - 6, y=at, class_="tick end"))
    for value in x.marks():
        if value == round(value):
            at = f"{x.place(value):.1f}"
            made.append(tag("text", f"{value:g}", x=at, y=_HEIGHT - _BOTTOM + 15, class_="tick middle"))
    middle = (x.start + x.end) / 2
    made.append(tag("text", "epoch", x=f"{middle:.1f}", y=_HEIGHT - 8, class_="tick middle"))
    return made


def _line(series: Series, epochs: Sequence[int], x: Axis, y: Axis) -> list[Html]:
    step = max(1, math.ceil(len(epochs) / _MOST_POINTS))
    keep = {*range(0, len(epochs), step), len(epochs) - 1, series.best}
    runs: list[list[tuple[float, float]]] = [[]]
    for index, (epoch, value) in enumerate(zip(epochs, series.values, strict=True)):
        if index not in keep:
            continue
        if math.isfinite(value):
            runs[-1].append((x.place(epoch), y.place(value)))
        elif runs[-1]:
            runs.append([])
    made = [
        tag(
            "polyline", points=" ".join(f"{px:.1f},{py:.1f}" for px, py in run), class_=f"curve {series.kind}"
        )
        for run in runs
        if len(run) > 1
    ]
    dots = len(epochs) <= _MOST_DOTS
    for index, (epoch, value) in enumerate(zip(epochs, series.values, strict=True)):
        best = index == series.best
        if math.isfinite(value) and (dots or best):
            made.append(_dot(series, epoch, value, x.place(epoch), y.place(value), best))
    return made


def _dot(series: Series, epoch: int, value: float, px: float, py: float, best: bool) -> Html:
    text = f"{series.name}, epoch {epoch}: {value:.5g}" + (" (best)" if best else "")
    ring = tag("circle", cx=f"{px:.1f}", cy=f"{py:.1f}", r=7, class_=f"ring {series.kind}") if best else None
    dot = tag("circle", cx=f"{px:.1f}", cy=f"{py:.1f}", r=2.6, class_=f"dot {series.kind}")
    return tag("g", tag("title", text), ring, dot)


def _legend(series: Sequence[Series]) -> Html:
    return tag(
        "ul",
        [
            tag("li", _swatch(s.kind), tag("span", s.name), tag("span", _last(s), class_="quiet"))
            for s in series
        ],
        class_="legend",
    )


def _swatch(kind: str) -> Html:
    line = tag("line", x1=1, x2=25, y1=6, y2=6, class_=f"curve {kind}")
    return tag("svg", line, viewBox="0 0 26 12", width=26, height=12, aria_hidden="true")


def _last(series: Series) -> str:
    known = [v for v in series.values if math.isfinite(v)]
    if not known:
        return "never finite"
    best = "" if series.best is None else f", best {series.values[series.best]:.4g}"
    return f"last {known[-1]:.4g}{best}"
