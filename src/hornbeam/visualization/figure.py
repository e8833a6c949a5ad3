"""Figures that Matplotlib, a terminal or a notebook can show."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hornbeam._internal.kernel import display_object, in_kernel

if TYPE_CHECKING:
    import os

    import matplotlib.figure

    from hornbeam._internal.typing import Tree
    from hornbeam.visualization.panels import Panel


@dataclass
class Figure:
    """A drawing that Matplotlib, a terminal or a notebook can show.

    `print` draws with block characters, notebooks show curves as SVG and images as PNG; neither needs a
    library. Files are written by Matplotlib.

    Args:
        title: Line above the drawing.
        alt: The drawing in words, with its main numbers, for those who cannot see it.
        panels: Panels, row by row; None leaves a cell empty.
        columns: Number of panels in a row.
        data: The numbers, for programs.
        panel_size: Width and height of a panel in inches, chosen by the kind of panel by default.
        parts: Figures that are drawn one below the other, instead of panels.
        thumbnails: True to draw small images in a terminal, each from its darkest to its lightest value.

    Example:
        >>> figure = hornbeam.insight.plot_history({"loss": [1.0, 0.5]})
        >>> figure.panels[0].title
        'loss'
        >>> _ = figure.save("history.svg")  # doctest: +SKIP
    """

    title: str
    alt: str
    panels: Sequence[Panel | None] = ()
    columns: int = 1
    data: Tree = field(default=None, repr=False)
    panel_size: tuple[float, float] | None = None
    parts: Sequence[Figure] = ()
    thumbnails: bool = False

    @property
    def rows(self) -> int:
        """Number of rows of panels."""
        return math.ceil(len(self.panels) / min(self.columns, max(len(self.panels), 1)))

    def to_matplotlib(self) -> matplotlib.figure.Figure:
        """Draw the figure with Matplotlib.

        Returns:
            A new `matplotlib.figure.Figure`.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
        """
        from hornbeam.visualization.matplotlib import draw

        return draw(self)

    def save(self, path: str | os.PathLike[str], dpi: int = 150) -> Figure:
        """Write the drawing into a file.

        PNG, SVG and PDF files carry the title and `alt`. The folder is created if needed.

        Args:
            path: File; its suffix chooses the format.
            dpi: Resolution of PNG files, in dots per inch.

        Returns:
            The figure itself.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
        """
        from hornbeam.visualization.matplotlib import write

        write(self.to_matplotlib(), path, self.title, self.alt, dpi)
        return self

    def show(self) -> None:
        """Display the drawing in a notebook, print it elsewhere."""
        if in_kernel():
            display_object(self)
        else:
            print(self)

    @property
    def text(self) -> str:
        """The drawing in block characters."""
        from hornbeam.visualization.terminal import ROW_WIDTH, render

        return render(self, width=ROW_WIDTH)

    def __str__(self) -> str:
        """Return the drawing in block characters, as wide as the terminal."""
        from hornbeam.visualization.terminal import render

        return render(self)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from hornbeam._internal.html.notebook import notebook_output
        from hornbeam.visualization.figure_html import figure_element

        return notebook_output(figure_element(self))


def save_if(figure: Figure, path: str | Path | None) -> Figure:
    """Write the figure to `path` unless it is None; return the figure."""
    return figure if path is None else figure.save(path)


def square_columns(count: int) -> int:
    """Return the number of columns of a grid that is about as wide as it is high."""
    return max(math.ceil(math.sqrt(count)), 1)
