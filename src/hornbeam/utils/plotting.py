"""A model as a picture: boxes for layers, arrows for tensors. Needs the extra `plot` (Matplotlib)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Width of a column of boxes, in inches.
_COLUMN = 3.2


@dataclass
class Box:
    """One call of a layer or operation: what to write, and the boxes it takes tensors from."""

    lines: list[str]
    inputs: list[int] = field(default_factory=list)
    row: int = 0
    column: int = 0


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
    lines in the boxes. rankdir: "TB" from top to bottom, "LR" from left to right. Graphviz is not needed, and
    so `splines` has no effect; nested models are one box, `expand_nested=True` is refused.

    Raises ValueError for a model that is not built or has no graph of layers (subclassed), ImportError
    without Matplotlib.

    >>> plot_model(model, "model.svg", show_shapes=True)  # doctest: +SKIP
    """
    if kwargs:
        raise TypeError(f"plot_model does not take {', '.join(kwargs)}")
    if expand_nested:
        raise NotImplementedError("nested models are drawn as one box: plot them on their own")
    if rankdir not in ("TB", "LR"):
        raise ValueError(f"rankdir must be 'TB' or 'LR', got {rankdir!r}")
    boxes = boxes_of(
        model,
        shapes=show_shapes,
        dtypes=show_dtype,
        names=show_layer_names,
        activations=show_layer_activations,
        trainable=show_trainable,
    )
    figure = _draw(boxes, rankdir, _figure_class())
    if to_file is not None:
        figure.savefig(to_file, dpi=dpi, bbox_inches="tight")
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
    if expand_nested:
        raise NotImplementedError("nested models are drawn as one box: plot them on their own")
    boxes = boxes_of(
        model,
        shapes=show_shapes,
        dtypes=show_dtype,
        names=show_layer_names,
        activations=show_layer_activations,
        trainable=show_trainable,
    )
    head = f"subgraph cluster_{model.name}" if subgraph else "digraph model"
    settings = [] if subgraph else [f"  rankdir={rankdir}; dpi={dpi}; splines={splines};"]
    lines = [head + " {", *settings, "  node [shape=box];"]
    for number, box in enumerate(boxes):
        label = "\\n".join(re.sub(r'(["\\])', r"\\\1", line) for line in box.lines)
        lines.append(f'  {number} [label="{label}"];')
        lines.extend(f"  {source} -> {number};" for source in box.inputs)
    return "\n".join([*lines, "}"])


def boxes_of(
    model: Any,
    shapes: bool = False,
    dtypes: bool = False,
    names: bool = False,
    activations: bool = False,
    trainable: bool = False,
) -> list[Box]:
    """The calls of a model's graph, operands first, with the row and column that each is drawn at."""
    try:
        outputs = list(model.outputs)
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"{getattr(model, 'name', model)!r} has no graph of layers to draw: only built Sequential and "
            f"functional "
            "models do"
        ) from error
    boxes: list[Box] = []
    numbers: dict[int, int] = {}
    stack = [(x, False) for x in reversed(outputs)]
    while stack:
        tensor, expanded = stack.pop()
        call = tensor.history
        key = id(call) if call is not None else id(tensor)
        if key in numbers:
            continue
        inputs = [] if call is None else call.inputs
        if not expanded and inputs:
            stack.append((tensor, True))
            stack.extend((x, False) for x in reversed(inputs))
            continue
        sources = [numbers[id(x.history) if x.history is not None else id(x)] for x in inputs]
        operation = None if call is None else call.operation
        lines = _lines(operation, tensor, names, activations, trainable)
        if shapes:
            lines.append(f"output {tensor.shape}")
        if dtypes:
            lines.append(tensor.dtype)
        row = max((boxes[i].row + 1 for i in sources), default=0)
        column = sum(box.row == row for box in boxes)
        numbers[key] = len(boxes)
        boxes.append(Box(lines, list(dict.fromkeys(sources)), row, column))
    return boxes


def _lines(operation: Any, tensor: Any, names: bool, activations: bool, trainable: bool) -> list[str]:
    if operation is None:
        return [tensor.name or "Input"]
    is_layer = hasattr(operation, "trainable_variables")
    lines = [type(operation).__name__ if is_layer else getattr(operation, "__name__", str(operation))]
    if is_layer and names:
        lines[0] = f"{operation.name} ({lines[0]})"
    activation = getattr(operation, "activation", None)
    if activations and activation is not None:
        lines.append(f"activation {getattr(activation, '__name__', type(activation).__name__)}")
    if trainable and is_layer:
        lines.append("trainable" if operation.trainable else "frozen")
    return lines


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("drawing a model needs Matplotlib: pip install 'hornbeam[plot]'") from error
    return Figure


def _draw(boxes: list[Box], rankdir: str, figure_class: Any) -> Any:
    widest = {box.row: sum(other.row == box.row for other in boxes) for box in boxes}
    height = max((len(box.lines) for box in boxes), default=1) * 0.25 + 0.35
    row = height + 0.45 if rankdir == "TB" else _COLUMN
    column = _COLUMN if rankdir == "TB" else height + 0.3

    def place(box: Box) -> tuple[float, float]:
        across, along = (box.column - (widest[box.row] - 1) / 2) * column, box.row * row
        return (across, -along) if rankdir == "TB" else (along, -across)

    figure = figure_class(figsize=(1, 1))
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    frame = {"boxstyle": "round,pad=0.5", "facecolor": "0.95", "edgecolor": "0.4"}
    style = {"ha": "center", "va": "center", "fontsize": 8, "family": "monospace", "bbox": frame}
    drawn = [axes.text(*place(box), "\n".join(box.lines), **style) for box in boxes]
    for box, target in zip(boxes, drawn, strict=True):
        for source in box.inputs:
            ends = {"patchA": drawn[source].get_bbox_patch(), "patchB": target.get_bbox_patch()}
            arrow = {"arrowstyle": "->", "color": "0.4", "shrinkA": 0, "shrinkB": 1, **ends}
            axes.annotate("", xy=place(box), xytext=place(boxes[source]), arrowprops=arrow)
    places = [place(box) for box in boxes] or [(0.0, 0.0)]
    xs, ys = [p[0] for p in places], [p[1] for p in places]
    axes.set_xlim(min(xs) - _COLUMN / 2, max(xs) + _COLUMN / 2)
    axes.set_ylim(min(ys) - height, max(ys) + height)
    figure.set_size_inches(max(xs) - min(xs) + _COLUMN, max(ys) - min(ys) + 2 * height)
    return figure
