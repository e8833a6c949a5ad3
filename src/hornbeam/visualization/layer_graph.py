"""The layers of a model as a graph and a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hornbeam._internal.formatting import byte_size, shortened, with_unit
from hornbeam._internal.html.markup import Html, details, table, tag
from hornbeam.visualization.graph_drawing import Box, arrange
from hornbeam.visualization.svg import SVG_TEXT, graph

_MOST_CHARACTERS = 34
# From this number of layers on the drawing and the table are folded; larger graphs are not drawn.
_MANY_LAYERS, _MOST_LAYERS = 24, 400
# Words in the class of a layer -> class of the stripe's color. The class is written in the box as well.
_KINDS = (
    ("conv", "Conv"),
    ("pool", "Pool"),
    ("dense", "Dense"),
    ("norm", "Norm"),
    ("memory", "LSTM GRU RNN Attention Embedding"),
    ("noise", "Dropout Noise Random"),
    ("input", "Input"),
)


def layers_elements(layers: Sequence[Mapping[str, Any]], most: int = _MOST_LAYERS) -> list[Html]:
    """Return layers as a drawing, of at most `most` layers, and as a table, both folded if there are many.

    Each is a dict of name, kind, output, params, flops, receptive_field, memory and after, as rows of
    `summary()` have them.
    """
    is_long = len(layers) > _MANY_LAYERS
    fields = any(layer["receptive_field"] for layer in layers)
    listed = table(
        "Layers; FLOPs and memory of the output are those of one sample",
        ["layer", "kind", "output", "parameters", "FLOPs", *["receptive field"] * fields, "memory"],
        [_layer_row(layer, fields) for layer in layers],
        (0, 1, 2),
    )
    drawing = _drawing(layers, most, is_long)
    return [drawing, details("The table of layers", listed) if is_long else listed]


def _drawing(layers: Sequence[Mapping[str, Any]], most: int, folded: bool) -> Html:
    if len(layers) > most:
        text = (
            f"The graph of {len(layers)} layers is not drawn here; utils.plot_model(model, 'model.svg') does."
        )
        return tag("p", text, class_="note")
    drawing = architecture(layers)
    if drawing is None:
        return tag("p", "The layers have no graph that could be drawn.", class_="note")
    box = tag("div", drawing, class_="tall", role="region", aria_label="Graph of the model", tabindex="0")
    return details(f"The graph of {len(layers)} layers", box) if folded else box


def _layer_row(layer: Mapping[str, Any], fields: bool) -> list[str]:
    flops, memory = layer["flops"], layer["memory"]
    return [
        str(layer["name"]),
        str(layer["kind"]),
        str(layer["output"]),
        f"{int(layer['params']):,}" if layer.get("built", True) else "?",
        "?" if flops is None else with_unit(int(flops)).strip(),
        *[str(layer["receptive_field"])] * fields,
        "?" if memory is None else byte_size(int(memory)),
    ]


def architecture(layers: Sequence[Mapping[str, Any]]) -> Html | None:
    """Draw layers, or return None if they have no graph, or one with an edge to an earlier layer."""
    boxes = _boxes(layers)
    if boxes is None or not any(box.inputs for box in boxes):
        return None
    shown = ", ".join(box.lines[0] for box in boxes[:12])
    rest = f" and {len(boxes) - 12} more" if len(boxes) > 12 else ""
    title = f"{len(boxes)} boxes from input to output: {shown}{rest}"
    return graph(arrange(boxes, text=SVG_TEXT), title)


def _boxes(layers: Sequence[Mapping[str, Any]]) -> list[Box] | None:
    """Return a box for each layer, input and operation; None if a layer reads a later one.

    A name that is read and is not a layer of the model is an input or an operation.
    """
    boxes: list[Box] = []
    indices: dict[str, int] = {}
    names = {str(layer["name"]) for layer in layers}
    for layer in layers:
        sources = [str(name) for name in layer["after"]]
        for name in sources:
            if name not in indices and name not in names:
                indices[name] = len(boxes)
                boxes.append(Box([shortened(name, _MOST_CHARACTERS), "input"], kind="input"))
        if not all(name in indices for name in sources):
            return None
        kind, output = str(layer["kind"]), str(layer["output"])
        lines = [str(layer["name"]), f"{kind} → {output}"]
        indices[str(layer["name"])] = len(boxes)
        inputs = [indices[name] for name in sources]
        boxes.append(Box([shortened(line, _MOST_CHARACTERS) for line in lines], inputs, color_class(kind)))
    return boxes


def color_class(kind: str) -> str:
    """Return the class of the stripe's color for a class of layers."""
    return next((name for name, words in _KINDS if any(w in kind for w in words.split())), "other")
