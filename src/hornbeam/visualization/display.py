"""Results that show themselves: blocks of text, tables and figures, for terminals and notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hornbeam._internal.html.markup import Html, bar, description_list, join, table, tag
from hornbeam._internal.html.notebook import notebook_output
from hornbeam._internal.kernel import display_object, in_kernel
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.figure_html import figure_element
from hornbeam.visualization.table_layout import TableColumn, fit_columns
from hornbeam.visualization.terminal import plain_text, render, rich_console, terminal_width

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult


@dataclass(frozen=True)
class Text:
    """A paragraph.

    Args:
        text: The sentences.
        style: "" for a paragraph, "title", "heading", "indented", or "item" (of a list).
    """

    text: str
    style: str = ""

    def __rich__(self) -> RenderableType:
        from rich.padding import Padding
        from rich.text import Text as RichText

        if self.style == "item":
            return RichText(f"- {self.text}")
        if self.style == "indented":
            return Padding(RichText(self.text), (0, 0, 0, 3))
        return RichText(self.text, style="bold" if self.style else "")

    def html(self) -> Html:
        """Return the paragraph as an element."""
        element = {"title": "h3", "heading": "h4", "item": "li"}.get(self.style, "p")
        first, *rest = self.text.split("\n")
        return tag(element, first, [(tag("br"), line) for line in rest])


@dataclass(frozen=True, repr=False)
class Section:
    """A title, and sentences each under a label of one or two words.

    Args:
        title: Line above the sentences.
        entries: Pairs of label and sentence.
        depth: Level of nesting, from 0.
    """

    title: str
    entries: tuple[tuple[str, str], ...]
    depth: int = 0

    def entry(self, label: str) -> str:
        """Return the sentence under a label.

        Args:
            label: Label of the sentence.

        Raises:
            KeyError: If no sentence has this label.
        """
        return dict(self.entries)[label]

    def __rich__(self, width: int = 0) -> RenderableType:
        from rich.console import Group
        from rich.padding import Padding
        from rich.table import Table as RichTable
        from rich.text import Text as RichText

        grid = RichTable.grid(padding=(0, 2))
        grid.add_column(width=width or max((len(label) for label, _ in self.entries), default=0), style="dim")
        grid.add_column()
        for label, sentence in self.entries:
            grid.add_row(RichText(label), RichText(sentence))
        indent = 2 * self.depth
        return Group(
            RichText(""),
            Padding(RichText(self.title, style="bold cyan"), (0, 0, 0, indent)),
            Padding(grid, (0, 0, 0, indent + 2)),
        )

    def __repr__(self) -> str:
        return plain_text(self, terminal_width(100)).strip("\n")

    def _repr_html_(self) -> str:
        return notebook_output(self.html())

    def html(self) -> Html:
        """Return the section as an element."""
        style = f"margin-left:{2 * self.depth}em" if self.depth else None
        return tag("section", tag("h4", self.title), description_list(self.entries), style=style)


@dataclass(frozen=True)
class Table:
    """Texts in rows and columns.

    Args:
        title: Line above the table.
        heads: Names of the columns.
        rows: Texts, one sequence a row.
        text_columns: Names of the columns, besides the first one, that hold words and are aligned to the
            left.
        folding: Names of the columns whose texts break into lines in a narrow terminal.
        optional: Names of the columns that narrow terminals omit, the first to be omitted first.
        ruled: True for a line below the heads.
    """

    title: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: Iterable[str] = ()
    folding: Iterable[str] = ()
    optional: Iterable[str] = ()
    ruled: bool = True

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        gap, edges = (3, 2) if self.ruled else (2, 0)
        tables = fit_columns(self._columns(), options.max_width, gap, edges)
        for position, columns in enumerate(tables):
            yield self._grid(columns, self.title if position == 0 else "")

    def _columns(self) -> list[TableColumn]:
        words, folding, optional = set(self.text_columns), set(self.folding), list(self.optional)
        return [
            TableColumn(
                head,
                [row[index] if index < len(row) else "" for row in self.rows],
                folding=head in folding,
                shortens=(index == 0 or head in words) and head not in folding,
                left=index == 0 or head in words or head in folding,
                order=optional.index(head) if head in optional else None,
            )
            for index, head in enumerate(self.heads)
        ]

    def _grid(self, columns: Sequence[TableColumn], title: str) -> RenderableType:
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text as RichText

        grid = RichTable(
            title=title or None,
            box=box.SIMPLE_HEAD if self.ruled else None,
            title_justify="left",
            title_style="bold cyan",
            pad_edge=False,
            header_style="table.header" if self.ruled else "dim",
        )
        for column in columns:
            grid.add_column(
                RichText(column.head),
                justify="left" if column.left else "right",
                no_wrap=not column.folding,
                overflow="fold" if column.folding else "ellipsis",
                width=column.width,
            )
        for cells in zip(*(column.cells for column in columns), strict=True):
            grid.add_row(*map(RichText, cells))
        return grid

    def html(self) -> Html:
        """Return the table as an element, with a caption and scopes of heads."""
        words = set(self.text_columns) | set(self.folding)
        text = [index for index, head in enumerate(self.heads) if index == 0 or head in words]
        longest = max((len(cell) for row in self.rows for cell in row if _is_bar(cell)), default=1)
        cells = [[bar([len(c) / longest]) if _is_bar(c) else c for c in row] for row in self.rows]
        return table(self.title, self.heads, cells, text)


def _is_bar(cell: str) -> bool:
    """Return True for a bar of block characters."""
    return bool(cell) and not cell.strip("█")


Block = Text | Section | Table | Figure


class Report:
    """A result that shows itself in terminals and notebooks.

    `print` and the prompt show text, `show` prints in colors, and notebooks show HTML. Subclasses define
    `blocks`.
    """

    # Characters that the text is wide.
    width = 100

    def blocks(self) -> Iterable[Block]:
        """Return the paragraphs, sections, tables and figures of the report, from top to bottom."""
        raise NotImplementedError(f"{type(self).__name__} must define blocks()")

    def _html_blocks(self) -> Iterable[Block]:
        """Return the blocks of notebooks, where figures may replace tables."""
        return self.blocks()

    def show(self) -> None:
        """Print in colors, as wide as the terminal; in a notebook, display as HTML."""
        if in_kernel():
            display_object(self)
        else:
            rich_console().print(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.text import Text as RichText

        blocks = list(self.blocks())
        labels = max(
            (len(label) for block in blocks if isinstance(block, Section) for label, _ in block.entries),
            default=0,
        )
        for block in blocks:
            if isinstance(block, Section):
                yield block.__rich__(labels)
            elif isinstance(block, Figure):
                yield RichText(render(block, width=options.max_width))
            else:
                yield block

    @property
    def text(self) -> str:
        """The report as plain text of `width` characters."""
        return plain_text(self, self.width).strip("\n")

    def __str__(self) -> str:
        """Return the report as plain text that fits the terminal."""
        return plain_text(self, terminal_width(self.width)).strip("\n")

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return notebook_output(self.html())

    def html(self) -> Html:
        """Return the report as an element."""
        parts: list[Any] = []
        items: list[Any] = []
        for block in [*self._html_blocks(), None]:
            if isinstance(block, Text) and block.style == "item":
                items.append(block.html())
                continue
            if items:
                parts.append(tag("ul", items))
                items = []
            if block is not None and block != Text(""):
                parts.append(figure_element(block) if isinstance(block, Figure) else block.html())
        return tag("article", join(parts))


@dataclass(repr=False)
class Document(Report):
    """A report of given blocks.

    Args:
        content: The blocks, from top to bottom.
        width: Characters that the text is wide.
    """

    content: Sequence[Block] = field(default_factory=list)
    width: int = 100

    def blocks(self) -> Sequence[Block]:
        """Return the given blocks."""
        return self.content
