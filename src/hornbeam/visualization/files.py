"""Figures into files, with words for those who cannot see them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

# The palette of Okabe and Ito (2008), which colour-blind readers can tell apart; black comes last.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#f0e442", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_KEYS = {"png": ("Title", "Description"), "svg": ("Title", "Description"), "pdf": ("Title", "Subject")}


def figure_class(what: str) -> Any:
    """Matplotlib's Figure. Raises ImportError, which says what needs it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(f"{what} needs Matplotlib: pip install 'hornbeam[plot]'") from error
    return Figure


def blank_figure(what: str, size: tuple[float, float]) -> Any:
    """A figure of (width, height) inches without a window. Raises ImportError, as `figure_class`."""
    return figure_class(what)(figsize=size, layout="constrained")


def save_figure(
    figure: Any, path: str | os.PathLike[str], title: str, alternative: str, dpi: int = 150
) -> Path:
    """Write a figure in the format that the name ends with, and make its folder; returns the path. PNG, SVG
    and PDF carry title and description.
    """
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    kind = str(path).rsplit(".", 1)[-1].lower()
    about = dict(zip(_KEYS[kind], (title, alternative), strict=True)) if kind in _KEYS else None
    figure.savefig(path, dpi=dpi, metadata=about)
    return Path(path)
