"""Drawings of models: no box on another, no line through a box, models inside within their frames."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hornbeam as hb
from hornbeam import layers, utils
from hornbeam.visualization.graph_drawing import GraphDrawing, PlacedBox, arrange
from hornbeam.visualization.graph_layout import layered
from hornbeam.visualization.model_graph import Options, boxes_of

Point = tuple[float, float]


def overlap(a: PlacedBox, b: PlacedBox) -> bool:
    across = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    down = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    return across > 1e-9 and down > 1e-9


def runs_through(line: list[Point], box: PlacedBox) -> bool:
    """Return True if a line has a point well inside of a box, by clipping (Liang, Barsky 1984)."""
    margin = 1e-6
    low, high = (box.x + margin, box.y + margin), (box.x + box.width - margin, box.y + box.height - margin)
    for (x0, y0), (x1, y1) in pairwise(line):
        first, last = 0.0, 1.0
        for start, end, lower, upper in ((x0, x1, low[0], high[0]), (y0, y1, low[1], high[1])):
            if start == end:
                if not lower < start < upper:
                    first, last = 1.0, 0.0
                continue
            enter, leave = sorted(((lower - start) / (end - start), (upper - start) / (end - start)))
            first, last = max(first, enter), min(last, leave)
        if last - first > 1e-9:
            return True
    return False


def check(drawing: GraphDrawing) -> None:
    boxes = drawing.boxes
    frames = {id(p.box): p for p in boxes}
    for i, a in enumerate(boxes):
        assert a.x >= 0
        assert a.y >= 0
        assert a.x + a.width <= drawing.width + 1e-9
        assert a.y + a.height <= drawing.height + 1e-9
        inside = {id(part) for part in everything_in(a.box)}
        for b in boxes[i + 1 :]:
            if id(b.box) not in inside:
                assert not overlap(a, b), (a.box.lines, b.box.lines)
        for part in a.box.inner:
            b = frames[id(part)]
            assert a.x < b.x
            assert a.y + a.head <= b.y + 1e-9
            assert b.x + b.width < a.x + a.width
            assert b.y + b.height < a.y + a.height
    for line in drawing.lines:
        for box in boxes:
            framed = box.box.inner and inside_of(line[0], box) and inside_of(line[-1], box)
            assert framed or not runs_through(line, box), box.box.lines


def inside_of(point: Point, box: PlacedBox) -> bool:
    return box.x < point[0] < box.x + box.width and box.y < point[1] < box.y + box.height


def everything_in(box: Any) -> list[Any]:
    return [part for inner in box.inner for part in [inner, *everything_in(inner)]]


# -- models ------------------------------------------------------------------------------------------------


def sequential() -> Any:
    return hb.Sequential([hb.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])


def residual() -> Any:
    x = h = skip = hb.Input((8, 8, 4))
    for _ in range(3):
        t = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same", activation="relu")(h))
        h = layers.Add()([h, t])
    h = layers.Concatenate(name="a_layer_with_quite_a_long_name")([h, skip])
    h = layers.GlobalAveragePooling2D()(h)
    return hb.Model(x, [layers.Dense(2)(h), layers.Dense(1)(h), skip])


def several() -> Any:
    a, b, c = hb.Input((4,), name="left"), hb.Input((4,), name="right"), hb.Input((2,), name="late")
    shared = layers.Dense(3, name="shared")
    h = layers.Concatenate()([shared(a), shared(b), a])
    h = layers.Dense(5)(layers.Dense(6)(h))
    return hb.Model([a, b, c], layers.Dense(1)(layers.Concatenate()([h, c, shared(b)])))


def nested() -> Any:
    i = hb.Input((8,), name="i")
    inner = hb.Model(i, layers.Dense(4, name="second")(layers.Dense(8, name="first")(i) + i), name="inner")
    j = hb.Input((8,), name="j")
    middle = hb.Model(
        j, layers.Dense(8, name="wide")(layers.Concatenate()([inner(j), inner(j * 2.0)])), name="middle"
    )
    x = hb.Input((8,), name="x")
    tail = hb.Sequential([hb.Input((8,)), layers.Dense(3), layers.Dense(2)], name="tail")
    return hb.Model(x, [tail(middle(x)), layers.Dense(1, name="out")(middle(x) + x)], name="outer")


MODELS = [sequential, residual, several, nested]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("expand", [False, True])
@pytest.mark.parametrize("sideways", [False, True])
@pytest.mark.parametrize("names", [False, True])
def test_nothing_overlaps(make: Any, expand: bool, sideways: bool, names: bool) -> None:
    options = Options(shapes=names, names=names, dtypes=names, trainable=names, expand_nested=expand)
    model = make()
    drawing = arrange(boxes_of(model, options), sideways)
    check(drawing)
    again = arrange(boxes_of(model, options), sideways)
    assert [(p.x, p.y) for p in drawing.boxes] == [(p.x, p.y) for p in again.boxes]
    assert drawing.lines == again.lines


def test_what_is_drawn() -> None:
    boxes = boxes_of(several(), Options(names=True))
    shared = [box for box in boxes if box.lines[0].startswith("shared")]
    assert [box.lines[1] for box in shared] == ["call 1 of 3", "call 2 of 3", "call 3 of 3"]
    assert sum(box.kind == "InputLayer" for box in boxes) == 3
    opened = boxes_of(nested(), Options(names=True, expand_nested=True))
    middle = [box for box in opened if box.lines[0].startswith("middle")]
    assert len(middle) == 2
    assert [len(part.inner) for part in middle[0].inner if part.inner] == [4, 4]
    assert not any(box.inner for box in boxes_of(nested(), Options()))
    unread = hb.Input((3,), name="unread")
    x = hb.Input((2,), name="x")
    model = hb.Model([x, unread], layers.Dense(1)(x))
    assert sorted(len(box.inputs) for box in boxes_of(model, Options(names=True))) == [0, 0, 1]


def test_a_chain_is_straight_and_a_diamond_is_symmetric() -> None:
    chain = layered([(2.0, 1.0), (1.0, 1.0), (3.0, 0.5)], [(0, 1), (1, 2)])
    assert len({round(x, 9) for x, _ in chain.centres}) == 1
    assert all(len(points) == 2 for _, _, points in chain.edges)
    diamond = layered([(1.0, 1.0)] * 4, [(0, 1), (0, 2), (1, 3), (2, 3)])
    (top, _), (left, _), (right, _), (bottom, _) = diamond.centres
    assert top == pytest.approx(bottom)
    assert top == pytest.approx((left + right) / 2)
    with pytest.raises(ValueError, match="later"):
        layered([(1.0, 1.0)] * 2, [(1, 0)])


def test_crossings_are_undone() -> None:
    # Two chains whose heads stand the wrong way round.
    layout = layered([(1.0, 1.0)] * 4, [(0, 3), (1, 2)])
    x = [point[0] for point in layout.centres]
    assert (x[0] - x[1]) * (x[3] - x[2]) > 0


@settings(max_examples=80)
@given(data=st.data(), count=st.integers(1, 14), sideways=st.booleans())
def test_random_graphs(data: Any, count: int, sideways: bool) -> None:
    sizes = data.draw(
        st.lists(st.tuples(st.floats(0.2, 3), st.floats(0.2, 2)), min_size=count, max_size=count)
    )
    edges = []
    for target in range(1, count):
        sources = data.draw(st.sets(st.integers(0, target - 1), max_size=3))
        edges += [(source, target) for source in sorted(sources)]
    layout = layered(sizes, edges, sideways)
    boxes = [
        PlacedBox(None, x - w / 2, y - h / 2, w, h)  # type: ignore[arg-type]
        for (x, y), (w, h) in zip(layout.centres, sizes, strict=True)
    ]
    for i, a in enumerate(boxes):
        assert min(a.x, a.y) > -1e-9
        assert not any(overlap(a, b) for b in boxes[i + 1 :])
    for _, _, points in layout.edges:
        assert not any(runs_through(points, box) for box in boxes)


def test_the_file_tells_what_it_shows(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    utils.plot_model(nested(), tmp_path / "m.svg", expand_nested=True, show_layer_names=True)
    text = (tmp_path / "m.svg").read_text()
    assert "The graph of model outer" in text
    assert "Model outer" in text
    # As many arrows as the drawing has lines.
    boxes = boxes_of(nested(), Options(names=True, expand_nested=True))
    figure = utils.plot_model(nested(), None, expand_nested=True, show_layer_names=True).to_matplotlib()
    drawing = arrange(boxes)
    (axes,) = figure.axes
    assert len(axes.lines) == len(drawing.lines)
    assert tuple(figure.get_size_inches()) == pytest.approx((drawing.width, drawing.height))


def test_texts_fit_into_their_boxes() -> None:
    matplotlib = pytest.importorskip("matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    assert matplotlib
    figure = utils.plot_model(residual(), None, show_layer_names=True, show_shapes=True).to_matplotlib()
    renderer = FigureCanvasAgg(figure).get_renderer()
    (axes,) = figure.axes
    texts = [text for text in axes.texts if text.get_text()]
    assert len(texts) == len(axes.patches) > 10
    for text, patch in zip(texts, axes.patches, strict=True):
        inner, outer = text.get_window_extent(renderer), patch.get_window_extent(renderer)
        assert outer.x0 <= inner.x0
        assert inner.x1 <= outer.x1
        assert outer.y0 <= inner.y0
        assert inner.y1 <= outer.y1


def test_dot_opens_models() -> None:
    dot = utils.model_to_dot(nested(), expand_nested=True)
    assert dot.count("subgraph") == 7
    assert dot.count("{") == dot.count("}")
    assert 'ltail="cluster_' in dot


def test_a_notebook_shows_the_drawing_if_its_file_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    file = tmp_path / "model.png"
    with pytest.raises(ImportError, match="needs Matplotlib"):
        utils.plot_model(residual(), file)
    monkeypatch.setattr("hornbeam.visualization.model_graph.in_kernel", lambda: True)
    with pytest.warns(UserWarning, match=r"model\.png' is not written: .* needs Matplotlib"):
        drawing = utils.plot_model(residual(), file)
    assert "<svg" in drawing._repr_html_()
    assert not file.exists()
