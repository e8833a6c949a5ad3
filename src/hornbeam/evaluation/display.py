"""Results of evaluations as reports: a sentence, tables, and remarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval
from hornbeam.errors import IntervalWarning
from hornbeam.visualization.display import Block, Report, Table, Text
from hornbeam.visualization.figure import Figure

__all__ = ["DrawnReport", "EvaluationReport", "IntervalWarning", "PlainValues", "Table"]


class PlainValues:
    """A dataclass that `as_dict` returns as plain values."""

    # Fields that `as_dict` omits, and properties that it returns besides fields.
    _omitted: tuple[str, ...] = ()
    _properties: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return the result as numbers, texts, lists and dicts."""
        names = [name for name in vars(self) if name not in self._omitted]
        return {name: _plain(getattr(self, name)) for name in (*names, *self._properties)}


def _plain(value: Any) -> Any:
    if isinstance(value, PlainValues):
        return value.as_dict()
    if isinstance(value, Interval):
        return tuple(value)
    if isinstance(value, np.ndarray):
        return value.tolist()
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, (list, tuple)) else value


class EvaluationReport(PlainValues, Report):
    """A result that shows itself in terminals and notebooks, and that `as_dict` returns as plain values."""

    width = 110
    notes: Sequence[str] = ()
    # Titles of the tables that `figure` shows as well.
    drawn: tuple[str, ...] = ()

    def headline(self) -> str:
        """Return the sentence above the tables."""
        return ""

    def tables(self) -> list[Table]:
        """Return the tables, in order."""
        return []

    def remarks(self) -> list[str]:
        """Return sentences below the tables: limits of the numbers, and advice."""
        return list(self.notes)

    @property
    def figure(self) -> Figure | None:
        """Drawing of the result, None if it has none."""
        return None

    def blocks(self) -> Sequence[Block]:
        """Return the headline, the tables and the remarks."""
        headline = [Text(self.headline())] if self.headline() else []
        return [*headline, *self.tables(), *(Text(remark, "item") for remark in self.remarks())]

    def _html_blocks(self) -> Sequence[Block]:
        blocks, figure = list(self.blocks()), self.figure
        if figure is None:
            return blocks
        # Above the first table, and without the tables that it replaces.
        kept = [block for block in blocks if not (isinstance(block, Table) and block.title in self.drawn)]
        at = next((i for i, block in enumerate(kept) if not isinstance(block, Text)), len(kept))
        return [*kept[:at], figure, *kept[at:]]


class DrawnReport(EvaluationReport):
    """A result that has a drawing."""

    @property
    def figure(self) -> Figure:
        """Drawing of the result."""
        raise NotImplementedError(f"{type(self).__name__} must define figure")

    def plot(self, path: str | Path) -> Path:
        """Draw `figure` into a file.

        Args:
            path: File; its suffix chooses PNG, SVG or PDF.

        Returns:
            The path.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
        """
        self.figure.save(path, dpi=110)
        return Path(path)
