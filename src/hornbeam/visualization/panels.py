"""Panels of figures, independent of their painter: images, lines, points and bars as numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

Range = tuple[float, float]
XY = tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]


@dataclass(frozen=True)
class ImagePanel:
    """An array of numbers, or an image, as colored cells.

    Args:
        values: Array (rows, columns), or a color image (h, w, 3 or 4) of floats in [0, 1] or uint8.
        title: Line above the panel.
        palette: "grey", "grey_reversed", "blue" or "heat" (from the smallest value up), or "signed" (around
            0).
        low: Value of the first color, the smallest of `values` by default.
        high: Value of the last color, the largest of `values` by default.
        overlay: Second array (rows, columns), painted over the first by heat.
        row_names: Names at the left.
        column_names: Names below.
        annotations: Numbers (rows, columns) that are written into the cells.
        axis_labels: Labels of the x and the y axis.
    """

    values: np.ndarray
    title: str = ""
    palette: str = "grey"
    low: float | None = None
    high: float | None = None
    overlay: np.ndarray | None = None
    row_names: Sequence[str] = ()
    column_names: Sequence[str] = ()
    annotations: np.ndarray | None = None
    axis_labels: tuple[str, str] = ("", "")

    @property
    def bounds(self) -> Range:
        """Values of the first and the last color."""
        finite = self.values[np.isfinite(self.values)]
        low = self.low if self.low is not None else float(finite.min()) if finite.size else 0.0
        high = self.high if self.high is not None else float(finite.max()) if finite.size else 1.0
        if self.palette == "signed" and self.low is None and self.high is None:
            high = max(abs(low), abs(high))
            low = -high
        return low, high if high > low else low + 1.0


@dataclass(frozen=True)
class Marker:
    """A point of a line that is marked, such as its lowest.

    Args:
        line: Name of the line.
        index: Index of the point in the line.
        label: Meaning of the mark.
    """

    line: str
    index: int
    label: str


@dataclass(frozen=True)
class LinePanel:
    """Lines by name.

    Args:
        lines: Coordinates (x, y) of each line.
        title: Line above the panel.
        axis_labels: Labels of the x and the y axis.
        marker: Point that is marked.
        bands: Lower and upper bounds around lines, by the line's name.
        guide: Vertical line at an x, with its label.
        identity: True to draw the line y = x, dashed.
        log_x: True for a logarithmic x axis.
        log_y: True for a logarithmic y axis.
        y_range: Range of the y axis, all values by default.
        text_rows: Height in a terminal: 1 draws each line as one row of bars, more draws a chart of the
            first line.
    """

    lines: Mapping[str, XY]
    title: str = ""
    axis_labels: tuple[str, str] = ("", "")
    marker: Marker | None = None
    bands: Mapping[str, XY] = field(default_factory=dict)
    guide: tuple[float, str] | None = None
    identity: bool = False
    log_x: bool = False
    log_y: bool = False
    y_range: Range | None = None
    text_rows: int = 1

    @property
    def marked_point(self) -> Range | None:
        """Coordinates of the marked point."""
        if self.marker is None:
            return None
        x, y = self.lines[self.marker.line]
        return float(x[self.marker.index]), float(y[self.marker.index])


@dataclass(frozen=True)
class PointPanel:
    """Points of a plane, in groups.

    Args:
        points: Coordinates (n, 2).
        groups: Integers (n,), the group of each point.
        group_names: Names of the groups 0, 1, ...
        title: Line above the panel.
        axis_labels: Labels of the x and the y axis.
    """

    points: np.ndarray
    groups: np.ndarray
    group_names: Sequence[str] = ()
    title: str = ""
    axis_labels: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class BarPanel:
    """Bars: one group a category, one bar a series in each group; or a histogram.

    Args:
        series: Heights by the name of the series; NaN leaves a bar out.
        names: Names of the categories.
        edges: Edges of the bins of a histogram (bars + 1), instead of names.
        title: Line above the panel.
        axis_labels: Labels of the x and the y axis.
    """

    series: Mapping[str, Sequence[float] | np.ndarray]
    names: Sequence[str] = ()
    edges: np.ndarray | None = None
    title: str = ""
    axis_labels: tuple[str, str] = ("", "")


Panel = ImagePanel | LinePanel | PointPanel | BarPanel


def histogram(values: np.ndarray, title: str, bins: int = 40) -> BarPanel:
    """Count the finite values of an array in bins of equal width."""
    values = values.astype(np.float64)
    counts, edges = np.histogram(values[np.isfinite(values)], bins)
    return BarPanel({"count": counts}, edges=edges, title=title)


def displayable(image: np.ndarray) -> np.ndarray:
    """Return an image as (h, w), or as (h, w, 3 or 4) scaled to [0, 1]."""
    if image.ndim == 2 or image.shape[-1] == 1:
        return image.reshape(image.shape[:2])
    scaled = image.astype(np.float32)
    low, high = float(scaled.min()), float(scaled.max())
    if low < 0:
        return (scaled - low) / max(high - low, 1e-6)
    return scaled / 255 if high > 1 else scaled
