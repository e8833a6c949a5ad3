"""A model's layers as a graph, drawn in notebooks and files, or written for Graphviz."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hornbeam import tree
from hornbeam._internal.formatting import brief
from hornbeam._internal.html.markup import scrolling
from hornbeam._internal.html.notebook import notebook_output
from hornbeam._internal.kernel import in_kernel
from hornbeam._internal.warn import warn_user
from hornbeam.visualization.graph_drawing import Box, arrange
from hornbeam.visualization.layer_graph import color_class
from hornbeam.visualization.svg import SVG_TEXT, graph

if TYPE_CHECKING:
    import matplotlib.figure

    from hornbeam._internal.typing import Tree
    from hornbeam.models import Model


@dataclass(frozen=True)
class Options:
    """Texts in the boxes, and whether models inside are opened."""

    shapes: bool = False
    dtypes: bool = False
    names: bool = False
    activations: bool = False
    trainable: bool = False
    expand_nested: bool = False


@dataclass(frozen=True, repr=False)
class ModelGraph:
    """Graph of a model's layers, which notebooks show as SVG.

    Args:
        name: Name of the model.
        boxes: Calls of layers and operations, operands first.
        sideways: True to draw from left to right instead of from top to bottom.
    """

    name: str
    boxes: list[Box]
    sideways: bool = False

    @property
    def alt(self) -> str:
        """The drawing in a sentence."""
        return alternative(self.name, self.boxes)

    def to_matplotlib(self) -> matplotlib.figure.Figure:
        """Draw the graph with Matplotlib.

        Returns:
            A new `matplotlib.figure.Figure`.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
        """
        from hornbeam.visualization.matplotlib import draw_graph, figure_class

        figure_class("drawing a model")
        return draw_graph(arrange(self.boxes, self.sideways))

    def save(self, path: str | Path, dpi: int = 200) -> ModelGraph:
        """Write the drawing into a file.

        Args:
            path: File; its suffix chooses PNG, SVG or PDF.
            dpi: Resolution of a PNG file, in dots per inch.

        Returns:
            The graph itself.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
        """
        from hornbeam.visualization.matplotlib import write

        write(self.to_matplotlib(), path, f"Model {self.name}", self.alt, dpi)
        return self

    def __repr__(self) -> str:
        return f"<ModelGraph of {self.name}: {len(self.boxes)} boxes>"

    def _repr_html_(self) -> str:
        drawing = graph(arrange(_striped(self.boxes), self.sideways, SVG_TEXT), self.alt)
        return notebook_output(scrolling(drawing, f"Graph of model {self.name}"))


def _striped(boxes: list[Box]) -> list[Box]:
    """Return boxes whose kind is the class of their stripe's color."""
    return [Box(box.lines, box.inputs, color_class(box.kind), _striped(box.inner)) for box in boxes]


def plot_model(
    model: Model,
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
) -> ModelGraph:
    """Draw the graph of a built model, into a file and in notebooks.

    Graphviz is not needed, and without a file Matplotlib neither: in a notebook, which shows the drawing, a
    file that cannot be written for this reason is a warning. A layer that is called several times is
    drawn once a call, and its boxes say so.

    Args:
        model: Built Sequential or functional model.
        to_file: File that is written; its suffix chooses PNG, SVG or PDF. None writes no file.
        show_shapes: True to show the shape of each output.
        show_dtype: True to show the dtype of each output.
        show_layer_names: True to show names of layers.
        rankdir: "TB" from top to bottom, "LR" from left to right.
        expand_nested: True to open models, and graphs of ONNX files, inside of the model.
        dpi: Resolution of a PNG file, in dots per inch.
        show_layer_activations: True to show activations of layers.
        show_trainable: True to show whether layers are trainable.
        splines: Ignored, an argument of Graphviz.
        **kwargs: Refused.

    Returns:
        `ModelGraph`: notebooks show it, `to_matplotlib` draws it, `save` writes it.

    Raises:
        ValueError: If the model is not built or has no graph of layers (subclassed models).
        ImportError: If a file is to be written and Matplotlib is not installed (extra `plot`), outside of
            notebooks.

    Example:
        >>> plot_model(model, "model.svg", show_shapes=True)  # doctest: +SKIP
    """
    if kwargs:
        raise TypeError(f"plot_model() got unexpected arguments: {', '.join(kwargs)}")
    if rankdir not in ("TB", "LR"):
        raise ValueError(f"rankdir must be 'TB' or 'LR', got {rankdir!r}")
    options = Options(
        show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested
    )
    boxes = boxes_of(model, options)  # refuses what is no model
    drawing = ModelGraph(model.name, boxes, rankdir == "LR")
    if to_file is None:
        return drawing
    try:
        return drawing.save(to_file, dpi)
    except ImportError as error:
        if not in_kernel():
            raise
        warn_user(f"{str(to_file)!r} is not written: {error}. The notebook shows the drawing")
        return drawing


def model_to_dot(
    model: Model,
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
    """Write the graph of a built model in Graphviz's language (Keras returns an object of pydot).

    Args:
        model: Built Sequential or functional model.
        show_shapes: True to show the shape of each output.
        show_dtype: True to show the dtype of each output.
        show_layer_names: True to show names of layers.
        rankdir: "TB" from top to bottom, "LR" from left to right.
        expand_nested: True to open models inside of the model.
        dpi: Resolution, written into the text.
        subgraph: True for a subgraph instead of a whole graph.
        show_layer_activations: True to show activations of layers.
        show_trainable: True to show whether layers are trainable.
        splines: Form of lines, written into the text.

    Returns:
        The graph as text.

    Raises:
        ValueError: If the model is not built or has no graph of layers (subclassed models).

    Example:
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
    """Write nodes named by their path; edges of an opened model end at its frame."""
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
    """Return a box at which an edge can end: of an opened model its first or last one."""
    if not box.inner:
        return name
    index = range(len(box.inner))[side]
    return _end(f"{name}.{index}", box.inner[index], side)


# -- boxes --------------------------------------------------------------------------------------------------


def boxes_of(model: Model, options: Options = Options()) -> list[Box]:
    """Return the calls of a model's graph, operands first."""
    try:
        outputs, inputs = list(model.outputs), list(model.inputs)
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"{brief(getattr(model, 'name', model))} has no graph of layers to draw: only built Sequential "
            "and functional models do"
        ) from error
    boxes: list[Box] = []
    numbers: dict[int, int] = {}
    calls_by_operation: dict[int, list[Box]] = {}
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
        operation = None if call is None else call.callee
        box = Box(
            _operation_lines(operation, tensor, options), list(dict.fromkeys(sources)), _kind(operation)
        )
        if call is not None:
            box.lines.extend(_output_lines(call.result, options))
            calls_by_operation.setdefault(id(operation), []).append(box)
        else:
            box.lines.extend(_output_lines(tensor, options))
        if options.expand_nested and hasattr(operation, "layers") and getattr(operation, "_hb_inbound", None):
            box.inner = boxes_of(cast("Model", operation), options)
        elif options.expand_nested and type(operation).__name__ == "OnnxGraph":
            box.inner = operator_boxes(cast("Any", operation).graph)
        numbers[key] = len(boxes)
        boxes.append(box)
    for calls in calls_by_operation.values():
        if len(calls) > 1:
            for number, box in enumerate(calls):
                box.lines.append(f"call {number + 1} of {len(calls)}")
    return boxes


def operator_boxes(graph: Mapping[str, Any]) -> list[Box]:
    """Return the inputs and nodes of an ONNX graph, as `layers.OnnxGraph` has it; branches are inside."""
    from hornbeam.onnx.operators import OPERATORS, is_graph

    boxes: list[Box] = []
    numbers: dict[str, int] = {}
    for end in graph.get("inputs", ()):
        name = end if isinstance(end, str) else end["name"]
        numbers[name] = len(boxes)
        boxes.append(Box([name], kind="Input"))
    for node in graph["nodes"]:
        sources = dict.fromkeys(numbers[name] for name in node["inputs"] if name in numbers)
        operator = node["op"].rpartition("::")[2]
        lines = [operator, *["not supported"] * (node["op"] not in OPERATORS)]
        box = Box(lines, list(sources), operator)
        for inner in (operator_boxes(x["graph"]) for x in node["attributes"].values() if is_graph(x)):
            first = len(box.inner)
            box.inner += [replace(x, inputs=[first + i for i in x.inputs]) for x in inner]
        numbers.update(dict.fromkeys(filter(None, node["outputs"]), len(boxes)))
        boxes.append(box)
    return boxes


def _is_inner(tensor: Any) -> bool:
    """Return True for the output of a layer, at which a model may begin."""
    return tensor.history is not None and bool(tensor.history.inputs)


def _key(tensor: Any, starts: set[int]) -> int:
    inner = id(tensor) in starts and _is_inner(tensor)
    return id(tensor.history) if tensor.history is not None and not inner else id(tensor)


def _kind(operation: Any) -> str:
    return "Input" if operation is None else type(operation).__name__


def _output_lines(outputs: Tree, options: Options) -> list[str]:
    tensors = [x for x in tree.flatten(outputs) if hasattr(x, "history")]
    lines = [f"output {', '.join(str(x.shape) for x in tensors)}"] if options.shapes else []
    return lines + [", ".join(dict.fromkeys(x.dtype for x in tensors))] * options.dtypes


def _operation_lines(operation: Any, tensor: Any, options: Options) -> list[str]:
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
    """Return the drawing in a sentence."""
    parts = [box.lines[0] for box in boxes]
    shown = ", ".join(parts[:12]) + (f" and {len(parts) - 12} more" if len(parts) > 12 else "")
    arrows = sum(len(box.inputs) for box in boxes)
    return f"The graph of model {name}: {len(boxes)} boxes, {arrows} arrows; {shown}."
