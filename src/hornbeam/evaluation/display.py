"""How results are shown: tables in a terminal (rich), in a notebook (HTML), and as plain dicts."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hornbeam.visualization.terminal import plain_text


class IntervalWarning(UserWarning):
    """An interval or a test is known not to keep its promise on such data."""


@dataclass(frozen=True)
class Table:
    """A title, names of columns, rows of texts. Columns named in `words` are aligned to the left."""

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[str] = field(default=frozenset())


class Report:
    """A result that shows itself: `print` it, leave it at the end of a notebook's cell, or take
    `as_dict()`.
    """

    def headline(self) -> str:
        """One sentence above the tables."""
        return ""

    def tables(self) -> list[Table]:
        """What is shown, in order."""
        return []

    def remarks(self) -> list[str]:
        """Sentences below the tables: what the numbers cannot say, and advice."""
        return []

    def as_dict(self) -> dict[str, Any]:
        """The result as numbers, texts, lists and dicts."""
        raise NotImplementedError(f"{type(self).__name__} must define as_dict()")

    def __rich__(self) -> Any:
        from rich import box
        from rich.console import Group
        from rich.table import Table as Drawn
        from rich.text import Text

        parts: list[Any] = [Text(self.headline())] if self.headline() else []
        for table in self.tables():
            drawn = Drawn(title=table.title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
            for number, head in enumerate(table.heads):
                left = number == 0 or head in table.words
                drawn.add_column(head, justify="left" if left else "right", no_wrap=not left)
            for row in table.rows:
                drawn.add_row(*map(Text, row))
            parts.append(drawn)
        parts += [Text(f"- {remark}") for remark in self.remarks()]
        return Group(*parts)

    def __str__(self) -> str:
        return plain_text(self, 110).strip()

    def _repr_html_(self) -> str:
        parts = [f"<p>{html.escape(self.headline())}</p>"] if self.headline() else []
        for table in self.tables():
            heads = "".join(f'<th scope="col">{html.escape(head)}</th>' for head in table.heads)
            rows = "".join(
                "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
                for row in table.rows
            )
            parts.append(
                f"<table><caption>{html.escape(table.title)}</caption>"
                f"<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
            )
        if self.remarks():
            parts.append("<ul>" + "".join(f"<li>{html.escape(x)}</li>" for x in self.remarks()) + "</ul>")
        return "".join(parts)
