"""The layers of a model as a picture: boxes and lines in SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hornbeam.insight.reporting.markup import Html, tag
from hornbeam.visualization.graph_layout import Layout, layered

# Sizes in pixels: the layout's own gaps are for inches, of which one is so many pixels.
_INCH, _CHARACTER, _HEIGHT, _PAD = 96.0, 7.4, 50.0, 14.0
_LONGEST = 34
# The number of a box that is not there yet.
_LATER = 1 << 30
# Words in the names of layers -> the class of a stripe's colour. What a layer is stands in its box as well.
_FAMILIES = (
    ("conv", "Conv"),
    ("pool", "Pool"),
    ("dense", "Dense"),
    ("norm", "Norm"),
    ("memory", "LSTM GRU RNN Attention Embedding"),
    ("noise", "Dropout Noise Random"),
)


def architecture(layers: Sequence[Mapping[str, Any]]) -> Html | None:
    """The picture, None for models whose layers have no graph (or one that goes back to an earlier layer)."""
    edges, boxes = _graph(layers)
    if not edges or any(source >= target for source, target in edges):
        return None
    widths = [max(len(line) for line in lines) * _CHARACTER + 2 * _PAD for lines, _ in boxes]
    layout = layered([(w / _INCH, _HEIGHT / _INCH) for w in widths], edges)
    width, height = layout.width * _INCH + 2, layout.height * _INCH + 2
    kinds = ", ".join(lines[0] for lines, _ in boxes[:12])
    rest = f" and {len(boxes) - 12} more" if len(boxes) > 12 else ""
    return tag(
        "svg",
        tag("title", f"{len(boxes)} boxes from input to output: {kinds}{rest}"),
        tag("g", _lines(layout), transform="translate(1 1)"),
        tag(
            "g",
            [
                _box(lines, family, x * _INCH, y * _INCH, w)
                for (lines, family), w, (x, y) in zip(boxes, widths, layout.centres, strict=True)
            ],
            transform="translate(1 1)",
        ),
        viewBox=f"0 0 {width:.0f} {height:.0f}",
        width=f"{width:.0f}",
        height=f"{height:.0f}",
        role="img",
        class_="architecture",
    )


def _graph(layers: Sequence[Mapping[str, Any]]) -> tuple[list[tuple[int, int]], list[tuple[list[str], str]]]:
    """Edges between numbers of boxes, and each box's lines and family. What is no layer of the
    model but is read by one is an input, or an operation."""
    boxes: list[tuple[list[str], str]] = []
    names: dict[str, int] = {}
    known = {str(layer["name"]) for layer in layers}
    edges = []
    for layer in layers:
        sources = [str(name) for name in layer["after"]]
        for name in sources:
            if name not in names and name not in known:
                names[name] = len(boxes)
                boxes.append(([_short(name), "input"], "input"))
        own = names[str(layer["name"])] = len(boxes)
        kind, output = str(layer["kind"]), str(layer["output"])
        boxes.append(([_short(str(layer["name"])), _short(f"{kind} → {output}")], _family(kind)))
        edges += [(names.get(name, _LATER), own) for name in sources]
    return edges, boxes


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _family(kind: str) -> str:
    return next((name for name, words in _FAMILIES if any(w in kind for w in words.split())), "other")


def _box(lines: Sequence[str], family: str, x: float, y: float, width: float) -> Html:
    left, top = x - width / 2, y - _HEIGHT / 2
    texts = [
        tag("text", line, x=f"{x + 3:.1f}", y=f"{top + at:.1f}", class_=f"middle {style}")
        for line, at, style in zip(lines, (21, 39), ("strong", "quiet"), strict=True)
    ]
    common = {"x": f"{left:.1f}", "y": f"{top:.1f}", "height": f"{_HEIGHT:g}"}
    return tag(
        "g",
        tag("rect", **common, width=f"{width:.1f}", rx=6, class_="box"),
        tag("rect", **common, width=6, rx=3, class_=f"stripe {family}"),
        texts,
    )


def _lines(layout: Layout) -> list[Html]:
    made = []
    for _, _, points in layout.edges:
        shown = [(px * _INCH, py * _INCH) for px, py in points]
        made.append(tag("polyline", points=" ".join(f"{px:.1f},{py:.1f}" for px, py in shown), class_="edge"))
        end_x, end_y = shown[-1]
        head = f"M{end_x - 4:.1f} {end_y - 7:.1f}L{end_x:.1f} {end_y:.1f}L{end_x + 4:.1f} {end_y - 7:.1f}"
        made.append(tag("path", d=head, class_="edge"))
    return made
