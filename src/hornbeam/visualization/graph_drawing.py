"""Graphs as boxes and lines with their places, independent of the painter."""

from __future__ import annotations

from dataclasses import dataclass, field

from hornbeam.visualization.graph_layout import Layout, Point, layered


@dataclass(frozen=True)
class TextMetrics:
    """Sizes of text in boxes, in inches: a character, a line, and the margins around the text."""

    character: float
    line: float
    margin_x: float
    margin_y: float
    # Around the boxes of a model inside of another one, and around the drawing.
    frame: float = 0.2


# Monospace letters of 8 points.
MATPLOTLIB_TEXT = TextMetrics(0.602 * 8 / 72, 1.35 * 8 / 72, 0.1, 0.1)


@dataclass
class Box:
    """One call of a layer or operation.

    Args:
        lines: Texts in the box.
        inputs: Indices of the boxes whose outputs it reads.
        kind: Kind of the layer, which chooses the color.
        inner: Boxes of a model that is drawn inside.
    """

    lines: list[str]
    inputs: list[int] = field(default_factory=list)
    kind: str = ""
    inner: list[Box] = field(default_factory=list)


@dataclass
class PlacedBox:
    """A box in the drawing: its upper left corner and size, y downwards, and the height of its text."""

    box: Box
    x: float
    y: float
    width: float
    height: float
    head: float = 0.0


@dataclass
class GraphDrawing:
    """All boxes, outer ones before inner ones, the lines between them, and the size, in inches."""

    boxes: list[PlacedBox]
    lines: list[list[Point]]
    width: float
    height: float


@dataclass
class _Measured:
    """A box with its size, and the layout of the boxes inside."""

    box: Box
    width: float
    height: float
    head: float
    inner: list[_Measured]
    layout: Layout | None


def arrange(
    boxes: list[Box], sideways: bool = False, text: TextMetrics = MATPLOTLIB_TEXT, margin: float | None = None
) -> GraphDrawing:
    """Lay boxes out, from top to bottom or sideways from left to right, with a margin around them."""
    drawing = GraphDrawing([], [], 0.0, 0.0)
    measured, layout = _measure(boxes, sideways, text)
    edge = text.frame if margin is None else margin
    _place(measured, layout, edge, edge, text, drawing)
    drawing.width, drawing.height = layout.width + 2 * edge, layout.height + 2 * edge
    return drawing


def _measure(boxes: list[Box], sideways: bool, text: TextMetrics) -> tuple[list[_Measured], Layout]:
    """Measure boxes; models inside are laid out first, and then are boxes like the others."""
    measured = []
    for box in boxes:
        inner, layout = _measure(box.inner, sideways, text) if box.inner else ([], None)
        width = max(map(len, box.lines), default=1) * text.character + 2 * text.margin_x
        head = height = len(box.lines) * text.line + 2 * text.margin_y
        if layout is not None:
            width, height = max(width, layout.width + 2 * text.frame), head + layout.height + text.frame
        measured.append(_Measured(box, width, height, head, inner, layout))
    edges = [(source, target) for target, box in enumerate(boxes) for source in box.inputs]
    return measured, layered([(part.width, part.height) for part in measured], edges, sideways)


def _place(
    boxes: list[_Measured], layout: Layout, x: float, y: float, text: TextMetrics, drawing: GraphDrawing
) -> None:
    for part, (across, down) in zip(boxes, layout.centres, strict=True):
        left, top = x + across - part.width / 2, y + down - part.height / 2
        drawing.boxes.append(PlacedBox(part.box, left, top, part.width, part.height, part.head))
        if part.layout is not None:
            inside = left + (part.width - part.layout.width) / 2
            _place(part.inner, part.layout, inside, top + part.head, text, drawing)
    drawing.lines.extend([(x + px, y + py) for px, py in points] for _, _, points in layout.edges)
