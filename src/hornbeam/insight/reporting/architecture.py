"""The recorded layers of a model as a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hornbeam._internal.formatting import shortened
from hornbeam.visualization.graph_drawing import Box, arrange
from hornbeam.visualization.markup import Html
from hornbeam.visualization.svg import SVG_TEXT, graph

_MOST_CHARACTERS = 34
# Words in the class of a layer -> class of the stripe's color. The class is written in the box as well.
_KINDS = (
    ("conv", "Conv"),
    ("pool", "Pool"),
    ("dense", "Dense"),
    ("norm", "Norm"),
    ("memory", "LSTM GRU RNN Attention Embedding"),
    ("noise", "Dropout Noise Random"),
)


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
        boxes.append(Box([shortened(line, _MOST_CHARACTERS) for line in lines], inputs, _color_class(kind)))
    return boxes


def _color_class(kind: str) -> str:
    return next((name for name, words in _KINDS if any(w in kind for w in words.split())), "other")
