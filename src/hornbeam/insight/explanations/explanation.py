"""Explanations: titled sections of labelled sentences, for terminals, notebooks and files."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hornbeam.visualization.terminal import plain_text

WIDTH = 100


@dataclass(frozen=True)
class Section:
    """One thing that is explained: a title, and sentences each under a label of one word."""

    title: str
    entries: tuple[tuple[str, str], ...]
    depth: int = 0

    def entry(self, label: str) -> str:
        """The sentence under a label. Raises KeyError if there is none."""
        return dict(self.entries)[label]


@dataclass
class Explanation:
    """An explanation. `print()` and the prompt show it, `show()` in colours; notebooks show it as HTML.

    title: one line. sections: the things explained. closing: sentences about all of them. extra: what was
    measured, by name, for programs.

    >>> print(model.explain())  # doctest: +SKIP
    """

    title: str
    sections: Sequence[Section]
    closing: Sequence[str] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Section:
        """The section whose title begins with a name. Raises KeyError, with the names that there are."""
        found = [
            section
            for section in self.sections
            if section.title.split(" ")[0] == name or section.title == name
        ]
        if not found:
            raise KeyError(
                f"nothing is said of {name!r}; there are {[section.title for section in self.sections]}"
            )
        return found[0]

    @property
    def text(self) -> str:
        """Everything as plain text, `WIDTH` characters wide."""
        return plain_text(self, WIDTH)

    def show(self) -> None:
        """Print in colours, as wide as the terminal is."""
        from rich.console import Console

        Console().print(self.__rich__())

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        width = max((len(label) for section in self.sections for label, _ in section.entries), default=0)
        parts: list[Any] = [Text(self.title, style="bold")]
        for section in self.sections:
            table = Table.grid(padding=(0, 2))
            table.add_column(width=width, style="dim")
            table.add_column()
            for label, sentence in section.entries:
                table.add_row(Text(label), Text(sentence))
            parts.append(Text(""))
            indent = 2 * section.depth
            parts.append(Padding(Text(section.title, style="bold cyan"), (0, 0, 0, indent)))
            parts.append(Padding(table, (0, 0, 0, indent + 2)))
        if self.closing:
            parts.append(Text(""))
        parts.extend(Text(sentence) for sentence in self.closing)
        return Group(*parts)

    def _repr_html_(self) -> str:
        blocks = []
        for section in self.sections:
            entries = "".join(
                f"<dt>{html.escape(label)}</dt><dd>{html.escape(sentence)}</dd>"
                for label, sentence in section.entries
            )
            blocks.append(
                f'<section style="margin-left:{2 * section.depth}em"><h4>{html.escape(section.title)}</h4>'
                f"<dl>{entries}</dl></section>"
            )
        closing = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.closing)
        return f"<article><h3>{html.escape(self.title)}</h3>{''.join(blocks)}{closing}</article>"
