"""Explanations: titled sections of labelled sentences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hornbeam.visualization.display import Block, Report, Section, Text

__all__ = ["Explanation", "Section"]


@dataclass(repr=False)
class Explanation(Report):
    """An explanation of a model or of its training. `print` it, or read its sections.

    Args:
        title: One line.
        sections: What is explained, in order.
        closing: Sentences about everything.
        extra: Measurements by name, for programs.

    Example:
        >>> print(model.explain())  # doctest: +SKIP
    """

    title: str
    sections: Sequence[Section]
    closing: Sequence[str] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Section:
        """Return the section whose title begins with a name.

        Raises KeyError, with the titles of all sections, if there is none.
        """
        for section in self.sections:
            if name in (section.title, section.title.split(" ")[0]):
                return section
        titles = [section.title for section in self.sections]
        raise KeyError(f"no section begins with {name!r}; the sections are {titles}")

    def blocks(self) -> Sequence[Block]:
        """Return the title, the sections and the closing sentences."""
        closing = [Text(""), *map(Text, self.closing)] if self.closing else []
        return [Text(self.title, "title"), *self.sections, *closing]
