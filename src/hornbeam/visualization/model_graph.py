"""A model as a picture: boxes for layers, arrows for tensors. Pictures need the extra `plot` (Matplotlib)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hornbeam import tree
from hornbeam.visualization.files import figure_class, save_figure
from hornbeam.visualization.graph_layout import Layout, Point, layered

# Inches: a character and a line of the font, what is around the text, and around the boxes of a model inside.
FONT = 8
_CHARACTER, _LINE, _MARGIN, _FRAME = 0.602 * FONT / 72, 1.35 * FONT / 72, 0.1, 0.2

# Fills of boxes: tints of the palette of Okabe and Ito (2008), which colour-blind readers can tell apart.
_TINTS = {
    "Input": "#ffffff", "Conv": "#bbdcf0", "Pool": "#ccefe2", "Dense": "#fbe3b3", "Norm": "#f2d3e4",
    "Dropout": "#e2e2e2", "RNN": "#f7cdb5", "LSTM": "#f7cdb5", "GRU": "#f7cdb5", "Attention": "#faf5b4",
    "Embedding": "#fbe3b3",
}  # fmt: skip
_PLAIN, _EDGE, _LINE_COLOUR = "#f4f4f4", "#555555", "#333333"


@dataclass(frozen=True)
class Options:
    """What is written into boxes, and whether models inside are opened."""

    shapes: bool = False
    dtypes: bool = False
    names: bool = False
    activations: bool = False
    trainable: bool = False
    expand_nested: bool = False


@dataclass
class Box:
    """One call of a layer or operation: what to write, and the boxes it takes tensors from.

    kind: name of the class. inner: the boxes of a model that is opened.
    """

    lines: list[str]
    inputs: list[int] = field(default_factory=list)
    kind: str = ""
    inner: list[Box] = field(default_factory=list)
    layout: Layout | None = None

    @property
    def head(self) -> float:
        """Height of the text."""
        return len(self.lines) * _LINE + 2 * _MARGIN

    @property
    def size(self) -> Point:
        """Width and height; of an opened model, around its boxes."""
        width = max((len(line) for line in self.lines), default=1) * _CHARACTER + 2 * _MARGIN
        if self.layout is None:
            return width, self.head
        return max(width, self.layout.width + 2 * _FRAME), self.head + self.layout.height + _FRAME


@dataclass
class Placed:
    """A box in the picture: its upper left corner and size, y downwards."""

    box: Box
    x: float
    y: float
    width: float
    height: float


@dataclass
class Drawing:
    """All boxes, outer ones before those inside of them, the lines between them, and the size of it all."""

    boxes: list[Placed]
    lines: list[list[Point]]
    width: float
    height: float


def plot_model(
    model: Any,
    to_file: str | Path | None = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
    **kwargs: Any,
) -> Any:
    """Draw a built model into a file (png, svg, pdf: by its name); returns the Matplotlib figure.

    show_shapes, show_dtype: of each output. show_layer_names, show_layer_activations, show_trainable: more
    lines in the boxes. rankdir: "TB" from top to bottom, "LR" from left to right. expand_nested: open models
    inside of the model. Graphviz is not needed, and so `splines` has no effect. A layer that is called twice
    is drawn once a call, and says so.

    Raises ValueError for a model that is not built or has no graph of layers (subclassed), ImportError
    without Matplotlib.

    >>> plot_model(model, "model.svg", show_shapes=True)  # doctest: +SKIP
    """
    if kwargs:
        raise TypeError(f"plot_model does not take {', '.join(kwargs)}")
    if rankdir not in ("TB", "LR"):
        raise ValueError(f"rankdir must be 'TB' or 'LR', got {rankdir!r}")
    options = Options(
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested
    )
    boxes = boxes_of(model, options)
    figure = _draw(drawing_of(boxes, rankdir == "LR"), figure_class("drawing a model"))
    if to_file is not None:
        save_figure(figure, to_file, f"Model {model.name}", alternative(model.name, boxes), dpi)
    return figure


def model_to_dot(
    model: Any,
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: int = 200,
    subgraph: bool = False,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
    splines: str = "ortho",
) -> str:
    """The graph of a built model in Graphviz's language, as text (Keras returns an object of pydot).

    Options are those of `plot_model`; `dpi` and `splines` are written into the text, `subgraph` gives a
    subgraph.

    >>> print(model_to_dot(model))  # doctest: +SKIP
    """
    options = Options(
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested
    )
    head = f'subgraph "cluster_{model.name}"' if subgraph else "digraph model"
    settings = [] if subgraph else [f"  rankdir={rankdir}; dpi={dpi}; splines={splines}; compound=true;"]
    lines = [head + " {", *settings, "  node [shape=box];"]
    lines.extend(_dot(boxes_of(model, options), ""))
    return "\n".join([*lines, "}"])


def _dot(boxes: list[Box], path: str) -> Iterator[str]:
    """Nodes named by their path; edges to and from an opened model end at its frame."""
    for number, box in enumerate(boxes):
        label = "\\n".join(re.sub(r'(["\\])', r"\\\1", line) for line in box.lines)
        name = f"{path}{number}"
        if box.inner:
            yield f'  subgraph "cluster_{name}" {{ label="{label}";'
            yield from _dot(box.inner, f"{name}.")
            yield "  }"
        else:
            yield f'  "{name}" [label="{label}"];'
        for source in box.inputs:
            start, end = _end(f"{path}{source}", boxes[source], -1), _end(name, box, 0)
            frames = [
                f'{side}="cluster_{at}"'
                for side, at, part in (("ltail", f"{path}{source}", boxes[source]), ("lhead", name, box))
                if part.inner
            ]
            yield f'  "{start}" -> "{end}"{" [" + ", ".join(frames) + "]" if frames else ""};'


def _end(name: str, box: Box, side: int) -> str:
    """A box that an edge can end at: inside of an opened model its first or last one."""
    if not box.inner:
        return name
    index = range(len(box.inner))[side]
    return _end(f"{name}.{index}", box.inner[index], side)


# -- boxes --------------------------------------------------------------------------------------------------


def boxes_of(model: Any, options: Options = Options()) -> list[Box]:
    """The calls of a model's graph, operands first."""
    try:
        outputs, inputs = list(model.outputs), list(model.inputs)
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"{getattr(model, 'name', model)!r} has no graph of layers to draw: only built Sequential and "
            f"functional "
            "models do"
        ) from error
    boxes: list[Box] = []
    numbers: dict[int, int] = {}
    made: dict[int, list[Box]] = {}
    starts = {id(x) for x in inputs}
    # Inputs that nothing reads are drawn too: they are popped last.
    stack = [(x, False) for x in [*reversed(inputs), *reversed(outputs)]]
    while stack:
        tensor, expanded = stack.pop()
        call = None if id(tensor) in starts and _is_inner(tensor) else tensor.history
        key = id(call) if call is not None else id(tensor)
        if key in numbers:
            continue
        operands = [] if call is None else call.inputs
        if not expanded and operands:
            stack.append((tensor, True))
            stack.extend((x, False) for x in reversed(operands))
            continue
        sources = [numbers[_key(x, starts)] for x in operands]
        operation = None if call is None else call.operation
        box = Box(_lines(operation, tensor, options), list(dict.fromkeys(sources)), _kind(operation))
        if call is not None:
            box.lines.extend(_types(call.outputs, options))
            made.setdefault(id(operation), []).append(box)
        else:
            box.lines.extend(_types(tensor, options))
        if options.expand_nested and hasattr(operation, "layers") and getattr(operation, "_inbound", None):
            box.inner = boxes_of(operation, options)
        numbers[key] = len(boxes)
        boxes.append(box)
    for calls in made.values():
        if len(calls) > 1:
            for number, box in enumerate(calls):
                box.lines.append(f"call {number + 1} of {len(calls)}")
    return boxes


def _is_inner(tensor: Any) -> bool:
    """True for a tensor that a layer has made, at which a model may begin."""
    return tensor.history is not None and bool(tensor.history.inputs)


def _key(tensor: Any, starts: set[int]) -> int:
    inner = id(tensor) in starts and _is_inner(tensor)
    return id(tensor.history) if tensor.history is not None and not inner else id(tensor)


def _kind(operation: Any) -> str:
    return "Input" if operation is None else type(operation).__name__


def _types(outputs: Any, options: Options) -> list[str]:
    tensors = [x for x in tree.flatten(outputs) if hasattr(x, "history")]
    lines = [f"output {', '.join(str(x.shape) for x in tensors)}"] if options.shapes else []
    return lines + [", ".join(dict.fromkeys(x.dtype for x in tensors))] * options.dtypes


def _lines(operation: Any, tensor: Any, options: Options) -> list[str]:
    if operation is None:
        return [tensor.name or "Input"]
    is_layer = hasattr(operation, "trainable_variables")
    lines = [type(operation).__name__ if is_layer else getattr(operation, "__name__", str(operation))]
    if is_layer and options.names:
        lines[0] = f"{operation.name} ({lines[0]})"
    activation = getattr(operation, "activation", None)
    if options.activations and activation is not None:
        lines.append(f"activation {getattr(activation, '__name__', type(activation).__name__)}")
    if options.trainable and is_layer:
        lines.append("trainable" if operation.trainable else "frozen")
    return lines


def alternative(name: str, boxes: list[Box]) -> str:
    """The picture in a sentence, for those who cannot see it."""
    parts = [box.lines[0] for box in boxes]
    shown = ", ".join(parts[:12]) + (f" and {len(parts) - 12} more" if len(parts) > 12 else "")
    arrows = sum(len(box.inputs) for box in boxes)
    return f"The graph of model {name}: {len(boxes)} boxes, {arrows} arrows; {shown}."


# -- geometry -----------------------------------------------------------------------------------------------


def drawing_of(boxes: list[Box], sideways: bool = False) -> Drawing:
    """Where everything goes, in inches; the upper left corner is (0, 0)."""
    placed: list[Placed] = []
    lines: list[list[Point]] = []
    layout = _laid_out(boxes, sideways)
    _collect(boxes, layout, _FRAME, _FRAME, placed, lines)
    return Drawing(placed, lines, layout.width + 2 * _FRAME, layout.height + 2 * _FRAME)


def _laid_out(boxes: list[Box], sideways: bool) -> Layout:
    """Models inside are laid out first, and then are boxes like the others."""
    for box in boxes:
        if box.inner:
            box.layout = _laid_out(box.inner, sideways)
    edges = [(source, target) for target, box in enumerate(boxes) for source in box.inputs]
    return layered([box.size for box in boxes], edges, sideways)


def _collect(
    boxes: list[Box], layout: Layout, x: float, y: float, placed: list[Placed], lines: list[list[Point]]
) -> None:
    for box, (across, down) in zip(boxes, layout.centres, strict=True):
        width, height = box.size
        left, top = x + across - width / 2, y + down - height / 2
        placed.append(Placed(box, left, top, width, height))
        if box.layout is not None:
            inside = left + (width - box.layout.width) / 2
            _collect(box.inner, box.layout, inside, top + box.head, placed, lines)
    lines.extend([(x + px, y + py) for px, py in points] for _, _, points in layout.edges)


# -- ink ----------------------------------------------------------------------------------------------------


def _tint(kind: str) -> str:
    return next((colour for word, colour in _TINTS.items() if word in kind), _PLAIN)


def _draw(drawing: Drawing, figure_type: Any) -> Any:
    from matplotlib.patches import FancyBboxPatch

    figure = figure_type(figsize=(drawing.width, drawing.height))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, drawing.width)
    axes.set_ylim(drawing.height, 0)
    for part in drawing.boxes:
        opened = bool(part.box.inner)
        axes.add_patch(
            FancyBboxPatch(
                (part.x, part.y),
                part.width,
                part.height,
                boxstyle="round,pad=0,rounding_size=0.06",
                facecolor="#fcfcfc" if opened else _tint(part.box.kind),
                edgecolor=_EDGE,
                linestyle="--" if opened else "-",
                linewidth=0.8,
            )
        )
        middle = part.y + part.box.head / 2 if opened else part.y + part.height / 2
        text = {"ha": "center", "va": "center", "fontsize": FONT, "family": "monospace", "linespacing": 1.2}
        axes.text(part.x + part.width / 2, middle, "\n".join(part.box.lines), **text)
    for points in drawing.lines:
        xs, ys = zip(*points, strict=True)
        axes.plot(xs[:-1], ys[:-1], color=_LINE_COLOUR, linewidth=0.8, solid_joinstyle="round")
        arrow = {"arrowstyle": "-|>", "color": _LINE_COLOUR, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=points[-1], xytext=points[-2], arrowprops=arrow)
    return figure
