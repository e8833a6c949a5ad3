"""A figure that is not yet ink: panels of numbers, which Matplotlib draws, or a terminal in characters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam.visualization.files import save_figure


@dataclass(frozen=True)
class ImagePanel:
    """Numbers in rows and columns, or a coloured image (h, w, 3) of values in [0, 1].

    low, high: the values of the darkest and the lightest colour, those of the numbers by default. palette:
    "grey", "heat" (from 0 up) or "signed" (around 0). over: a second array of numbers, painted over the first
    by heat. rows, columns: names at the sides. numbers: write them into the cells. axes: what the sides mean.
    """

    values: np.ndarray
    title: str = ""
    palette: str = "grey"
    low: float | None = None
    high: float | None = None
    over: np.ndarray | None = None
    rows: Sequence[str] = ()
    columns: Sequence[str] = ()
    numbers: bool = False
    axes: tuple[str, str] = ("", "")

    @property
    def bounds(self) -> tuple[float, float]:
        """Values of the ends of the palette."""
        finite = self.values[np.isfinite(self.values)]
        low = self.low if self.low is not None else float(finite.min()) if finite.size else 0.0
        high = self.high if self.high is not None else float(finite.max()) if finite.size else 1.0
        if self.palette == "signed" and self.low is None and self.high is None:
            high = max(abs(low), abs(high))
            low = -high
        return low, high if high > low else low + 1.0


@dataclass(frozen=True)
class LinePanel:
    """Lines of (x, y) by name, and perhaps one point that is marked."""

    lines: Mapping[str, tuple[np.ndarray, np.ndarray]]
    title: str = ""
    axes: tuple[str, str] = ("", "")
    marked: tuple[float, float, str] | None = None


@dataclass(frozen=True)
class PointPanel:
    """Points (n, 2), in groups by number; names: of the groups."""

    places: np.ndarray
    groups: np.ndarray
    names: Sequence[str] = ()
    title: str = ""
    axes: tuple[str, str] = ("", "")


Panel = ImagePanel | LinePanel | PointPanel


@dataclass
class Figure:
    """What the functions for figures return.

    title: what it shows. alt: the same for those who cannot see it, with the main numbers. panels, columns:
    what is drawn, and how many side by side. data: the numbers, for programs. `figure` is Matplotlib's,
    `save(path)` writes PNG, SVG or PDF, `text` (and `print`) draws with block characters, without Matplotlib;
    notebooks show the figure where Matplotlib is installed, else the text.

    >>> figure = hornbeam.insight.plot_history(history, path="history.svg")  # doctest: +SKIP
    """

    title: str
    alt: str
    panels: Sequence[Panel]
    columns: int = 1
    data: Any = field(default=None, repr=False)

    @property
    def figure(self) -> Any:
        """A Matplotlib figure, made anew. Raises ImportError without Matplotlib."""
        from hornbeam.visualization.matplotlib import drawn

        return drawn(self)

    def save(self, path: str | Path, dpi: int = 150) -> Figure:
        """Write it into a file, in the format that the name ends with; returns the figure."""
        save_figure(self.figure, path, self.title, self.alt, dpi)
        return self

    @property
    def text(self) -> str:
        """The figure in block characters."""
        from hornbeam.visualization.blocks import written

        return written(self)

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def _repr_html_(self) -> str:
        import base64
        import html
        import importlib.util
        import io

        if importlib.util.find_spec("matplotlib") is None:
            return f'<pre role="img" aria-label="{html.escape(self.alt)}">{html.escape(self.text)}</pre>'
        file = io.BytesIO()
        self.figure.savefig(file, format="png", dpi=100)
        data = base64.b64encode(file.getvalue()).decode("ascii")
        return f'<img alt="{html.escape(self.alt)}" src="data:image/png;base64,{data}">'


def saved(figure: Figure, path: str | Path | None) -> Figure:
    """The figure, written to `path` if there is one."""
    return figure if path is None else figure.save(path)


def square(count: int) -> int:
    """Columns of a grid that is about as wide as it is high."""
    return max(int(np.ceil(np.sqrt(count))), 1)
