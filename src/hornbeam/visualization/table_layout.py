"""Tables that fit a width: no word and no number is cut or broken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from hornbeam._internal.terminal import shortened_inside

# Characters to which names may be shortened.
_SHORTEST = 20
_BLOCKS = frozenset("█▉▊▋▌▍▎▏")


@dataclass
class TableColumn:
    """A column: its head, its cells, and its behavior where space is short.

    folding: True if texts may break into lines between words. shortens: True for names, which may lose their
    middle. order: position among the columns that are dropped, the smallest first; None is never dropped.
    """

    head: str
    cells: list[str]
    folding: bool = False
    shortens: bool = False
    left: bool = False
    order: int | None = None
    width: int = field(init=False)

    def __post_init__(self) -> None:
        self.width = max(map(len, [self.head, *self.cells]))

    @property
    def longest_word(self) -> int:
        return max((len(word) for text in (self.head, *self.cells) for word in text.split()), default=1)

    def shorten(self, width: int) -> None:
        """Shorten the cells in the middle; bars keep their proportions."""
        if all(set(cell) <= _BLOCKS for cell in self.cells):
            self.cells = [cell[: max(round(len(cell) * width / self.width), 1)] for cell in self.cells]
        else:
            self.cells = [shortened_inside(cell, width) for cell in self.cells]
        self.head = shortened_inside(self.head, width)
        self.width = width


def fit_columns(columns: Sequence[TableColumn], width: int, gap: int, edges: int) -> list[list[TableColumn]]:
    """Return the columns of one table that fits `width`, or of several below each other.

    First optional columns are dropped, then texts fold, then names are shortened. If the rest is still too
    wide, it is divided into tables that all begin with the first column.

    gap: characters between two columns. edges: characters around a table.
    """
    columns = list(columns)

    def excess(part: Sequence[TableColumn]) -> int:
        return sum(column.width for column in part) + gap * (len(part) - 1) + edges - width

    for column in sorted((c for c in columns if c.order is not None), key=lambda c: c.order or 0):
        if excess(columns) > 0:
            columns.remove(column)
    _fold(columns, excess(columns))
    for column in sorted((c for c in columns if c.shortens), key=lambda c: -c.width):
        if excess(columns) > 0 and column.width > _SHORTEST:
            column.shorten(max(column.width - excess(columns), _SHORTEST))
    if excess(columns) <= 0 or len(columns) < 3:
        tables = [columns]
    else:
        first, *others = columns
        tables = [[first]]
        for column in others:
            if len(tables[-1]) > 1 and excess([*tables[-1], column]) > 0:
                tables.append([first])
            tables[-1].append(column)
    for table in tables:
        _squeeze(table, excess(table))
    return tables


def _squeeze(columns: Sequence[TableColumn], excess: int) -> None:
    """Shorten what is longer than a line: names in the first column, then words in those that fold."""
    for column in sorted((c for c in columns if c.folding), key=lambda c: -c.width):
        width = max(column.width - max(excess, 0), min(column.width, _SHORTEST))
        excess -= column.width - width
        column.width = width
        column.cells = [_with_short_words(cell, width) for cell in column.cells]
        column.head = shortened_inside(column.head, width)


def _with_short_words(text: str, width: int) -> str:
    if all(len(word) <= width for word in text.split()):
        return text
    return " ".join(shortened_inside(word, width) for word in text.split())


def _fold(columns: Sequence[TableColumn], excess: int) -> None:
    """Narrow the columns that fold, the widest first, down to their longest word."""
    folding = [column for column in columns if column.folding]
    while excess > 0:
        wide = [column for column in folding if column.width > column.longest_word]
        if not wide:
            return
        max(wide, key=lambda column: column.width).width -= 1
        excess -= 1
