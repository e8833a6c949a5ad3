"""Figures as HTML: drawn without a library, and loading nothing."""

from __future__ import annotations

import base64
import io
import re
import sys

import numpy as np
import pytest

from hornbeam._internal.html.markup import tag
from hornbeam._internal.html.notebook import notebook_output
from hornbeam.visualization.color_maps import colored
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.figure_html import figure_element, pixels_of
from hornbeam.visualization.panels import (
    BarPanel,
    ImagePanel,
    LinePanel,
    Marker,
    Panel,
    PointPanel,
    histogram,
)

RNG = np.random.default_rng(0)
PANELS: dict[str, Panel] = {
    "lines": LinePanel({"a": ([1, 2, 3], [1.0, 0.5, np.nan]), "b": ([1, 2, 3], [2.0, 1.0, 0.7])}, "loss",
                       ("epoch", "loss"), Marker("b", 2, "best"),
                       bands={"b": ([1.8, 0.9, 0.6], [2.2, 1.1, 0.8])}),
    "rates": LinePanel({"loss": (np.geomspace(1e-6, 1, 20), RNG.random(20))}, "", ("learning rate", "loss"),
                       guide=(1e-3, "suggested: 0.001"), log_x=True, y_range=(0.2, 0.8)),
    "calibration": LinePanel({"bins": ([0.1, 0.9], [0.2, 0.7])}, "", ("confidence", "accuracy"),
                             identity=True),
    "bars": BarPanel({"precision": [0.5, np.nan], "recall": [0.25, 1.0]}, ("cat", "dog"), title="scores"),
    "histogram": histogram(RNG.normal(size=500), "values"),
    "points": PointPanel(RNG.normal(size=(40, 2)), np.arange(40) % 3, ("cat", "dog", "owl"), "embedding"),
    "grey": ImagePanel(RNG.random((8, 8)), "digit <7>"),
    "color": ImagePanel(RNG.random((8, 8, 3)), overlay=RNG.random((8, 8))),
    "confusion": ImagePanel(np.eye(2), "", "blue", row_names=("cat", "dog"), column_names=("cat", "dog"),
                            annotations=np.array([[7, 1], [0, 9]]), axis_labels=("predicted", "true")),
}  # fmt: skip


@pytest.mark.parametrize("name", PANELS)
def test_every_panel_is_drawn_without_matplotlib(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    html = Figure("", f"a drawing of {name}", [PANELS[name]])._repr_html_()
    assert f'aria-label="a drawing of {name}"' in html or name in ("grey", "color")
    assert ("<svg" in html) or ("<img" in html) or ("<table" in html)
    assert not re.search(r"\bnan\b", re.sub(r"base64,[^\"]*", "", html))
    assert not re.search(r"https?://|url\(|@import|<script|<link", html)
    assert html.count("<style>") == 1
    assert len(html) < 30_000


def test_numbers_are_where_they_belong() -> None:
    html = figure_element(Figure("", "", [PANELS["bars"]]))
    heights = {
        match[1]: float(match[2])
        for match in re.finditer(r"<g><title>(.*?)</title>.*?height=\"(.*?)\"", html)
    }
    assert heights["dog: recall 1"] == pytest.approx(2 * heights["cat: precision 0.5"], rel=0.01)
    assert "dog: precision nan" not in html
    line = figure_element(Figure("", "", [PANELS["rates"]]))
    assert "suggested: 0.001" in line
    # Values outside of the range are drawn in a viewport that hides them.
    assert '<svg x="52.0" y="12.0" width="316" height="178" viewBox="52 12 316 178"><polyline' in line


def test_texts_are_escaped() -> None:
    html = figure_element(Figure("a <b>", "", [PANELS["grey"]]))
    assert "digit &lt;7&gt;" in html
    assert "a &lt;b&gt;" in html


def test_colors_of_images() -> None:
    assert colored(np.array([[0.0, 1.0, np.nan]]), "grey", 0, 1).tolist() == [[[0] * 3, [255] * 3, [0] * 3]]
    middle = colored(np.array([[0.0]]), "signed", -1, 1)[0, 0]
    assert middle.tolist() == [247, 247, 247]
    heated = pixels_of(PANELS["color"])  # type: ignore[arg-type]
    assert heated.shape == (8, 8, 3)
    assert heated.dtype == np.uint8


def test_a_gallery_keeps_its_rows_and_its_images() -> None:
    Image = pytest.importorskip("PIL.Image")
    images = [ImagePanel(np.full((4, 4), i / 5), str(i), low=0, high=1) for i in range(6)]
    html = figure_element(Figure("", "six images", images, columns=3))
    assert "repeat(3, max-content)" in html
    files = re.findall(r'base64,([^"]*)"', html)
    assert len(files) == 6
    for number, encoded in enumerate(files):
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert image.getpixel((0, 0))[0] == round(255 * number / 5)


def test_many_panels_are_cut_off() -> None:
    html = figure_element(Figure("", "many", [PANELS["grey"]] * 200, columns=10))
    assert html.count("<img") == 120
    assert "and 80 panels more" in html


def test_an_output_has_the_rules_that_it_needs() -> None:
    table = notebook_output(tag("table", tag("tr", tag("td", 1))))
    assert ".hornbeam.hornbeam td{" in table
    for other in (".legend", "svg", ".finding", "summary"):
        assert other not in table
    assert ".hornbeam.hornbeam .legend{" in notebook_output(tag("ul", class_="legend"))
    # Both themes, from the system and from the notebook.
    for theme in (
        "prefers-color-scheme:dark",
        'data-jp-theme-light="false"',
        ".vscode-dark",
        "html[theme=dark]",
    ):
        assert theme in table
