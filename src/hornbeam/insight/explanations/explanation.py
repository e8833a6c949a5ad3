"""What is told to people: titled notes, each a few labelled sentences, for terminals, notebooks and files."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hornbeam.visualization.terminal import plain_text

WIDTH = 100


@dataclass(frozen=True)
class Note:
    """One thing that is explained: a title, and sentences each under a label of one word."""

    title: str
    facts: tuple[tuple[str, str], ...]
    depth: int = 0

    def fact(self, label: str) -> str:
        """The sentence under a label. Raises KeyError if there is none."""
        return dict(self.facts)[label]


@dataclass
class Told:
    """An explanation. `print()` and the prompt show it, `show()` in colours; notebooks show it as HTML.

    title: one line. notes: the things explained. closing: sentences about all of them. extra: what was
    measured, by name, for programs.

    >>> print(model.explain())  # doctest: +SKIP
    """

    title: str
    notes: Sequence[Note]
    closing: Sequence[str] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Note:
        """The note whose title begins with a name. Raises KeyError, with the names that there are."""
        found = [note for note in self.notes if note.title.split(" ")[0] == name or note.title == name]
        if not found:
            raise KeyError(f"nothing is said of {name!r}; there are {[note.title for note in self.notes]}")
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

        width = max((len(label) for note in self.notes for label, _ in note.facts), default=0)
        parts: list[Any] = [Text(self.title, style="bold")]
        for note in self.notes:
            table = Table.grid(padding=(0, 2))
            table.add_column(width=width, style="dim")
            table.add_column()
            for label, sentence in note.facts:
                table.add_row(Text(label), Text(sentence))
            parts.append(Text(""))
            indent = 2 * note.depth
            parts.append(Padding(Text(note.title, style="bold cyan"), (0, 0, 0, indent)))
            parts.append(Padding(table, (0, 0, 0, indent + 2)))
        if self.closing:
            parts.append(Text(""))
        parts.extend(Text(sentence) for sentence in self.closing)
        return Group(*parts)

    def _repr_html_(self) -> str:
        blocks = []
        for note in self.notes:
            facts = "".join(
                f"<dt>{html.escape(label)}</dt><dd>{html.escape(sentence)}</dd>"
                for label, sentence in note.facts
            )
            blocks.append(
                f'<section style="margin-left:{2 * note.depth}em"><h4>{html.escape(note.title)}</h4>'
                f"<dl>{facts}</dl></section>"
            )
        closing = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in self.closing)
        return f"<article><h3>{html.escape(self.title)}</h3>{''.join(blocks)}{closing}</article>"
