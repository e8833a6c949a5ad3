"""The page about a run: whole by itself, accessible, safe, and true to what was recorded."""

from __future__ import annotations

import base64
import io
import json
import random
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam._internal.html.markup import Html, tag
from hornbeam._internal.html.style import DARK, LIGHT
from hornbeam.errors import RunError
from hornbeam.insight import Run, read_run
from hornbeam.insight.reporting import page, sections
from hornbeam.visualization.layer_graph import architecture
from hornbeam.visualization.metric_curves import metric_panel, spans_decades
from hornbeam.visualization.panels import LinePanel, Marker
from hornbeam.visualization.png import encode, is_image, to_uint8
from hornbeam.visualization.svg import ChartAxis, line_chart, round_numbers
from tests.helpers.report_pages import Page, parts_of, record
from tests.helpers.seeds import seeds


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / run.name))


@pytest.fixture(scope="module")
def shown(run: Path) -> Page:
    return Page(page(read_run(run)))


# -- the file ------------------------------------------------------------------------------------------------


def test_it_is_written_whole_or_not(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = hb.insight.report(copy)
    assert target == copy / "report.html"
    before = target.read_text()
    assert before.startswith("<!DOCTYPE html>")
    assert len(before) < 300_000
    monkeypatch.setattr("os.replace", lambda *args: (_ for _ in ()).throw(OSError("disk full")))
    (copy / "doctor.json").unlink()
    with pytest.raises(OSError, match="disk full"):
        hb.insight.report(copy)
    assert target.read_text() == before
    assert not list(copy.glob(".*"))


def test_what_can_be_reported(copy: Path, tmp_path: Path) -> None:
    recorder = hb.callbacks.RunRecorder()
    with pytest.raises(ValueError, match="a RunRecorder that fit"):
        hb.insight.report(recorder)
    recorder.path = copy
    pages = {
        hb.insight.report(inputs, tmp_path / f"{i}.html").read_text()
        for i, inputs in enumerate([copy, str(copy), read_run(copy), recorder])
    }
    assert len(pages) == 1
    with pytest.raises(RunError, match="is not a run"):
        hb.insight.report(tmp_path)


def test_it_stands_for_itself(shown: Page) -> None:
    assert not shown.all("script", "link", "iframe", "object", "embed", "form", "base")
    for _, attributes in shown.elements:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "srcset", "action"):
                assert value is not None
                assert value.startswith(("#", "data:image/png;base64,"))
    (sheet,) = shown.text("style")
    assert "url(" not in sheet
    assert "@import" not in sheet
    (policy,) = [m["content"] for m in shown.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert "default-src 'none'" in policy


# -- accessible ----------------------------------------------------------------------------------------------


def test_landmarks_title_and_language(shown: Page) -> None:
    assert shown.all("html") == [{"lang": "en"}]
    assert shown.text("title")[0] == "small images: a training run with Hornbeam"
    for name in ("header", "nav", "main", "footer", "h1"):
        assert len(shown.all(name)) == 1, name
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in shown.all("meta")


def test_headings_leave_no_level_out(shown: Page) -> None:
    levels = [int(tag[1]) for tag, _ in shown.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(b <= a + 1 for a, b in pairwise(levels))


def test_names_lead_somewhere(shown: Page) -> None:
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in shown.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name) in (None, *ids)
        href = attributes.get("href")
        assert href is None or href[1:] in ids


def test_images_have_words(shown: Page) -> None:
    images = shown.all("img")
    assert images
    assert all(image.get("alt") for image in images)
    for svg in shown.all("svg"):
        assert svg.get("role") == "img" or svg.get("aria-hidden") == "true"
    drawn = sum(svg.get("role") == "img" for svg in shown.all("svg"))
    assert len([t for t in shown.text("title") if " over " in t or "boxes" in t]) == drawn


def test_tables_have_captions_and_heads(shown: Page) -> None:
    tables = len(shown.all("table"))
    assert tables > 6
    assert len(shown.all("caption")) == tables
    assert all(head.get("scope") in ("col", "row") for head in shown.all("th"))
    for box in shown.all("div"):
        if box.get("tabindex") == "0":  # what scrolls can be reached by keyboard, and has a name
            assert box.get("role") == "region"
            assert box.get("aria-label")


def contrast(first: str, second: str) -> float:
    """WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def mixed(colour: str, ground: str, share: float) -> str:
    """color-mix(in srgb) over a ground."""
    pairs = [(int(colour[i : i + 2], 16), int(ground[i : i + 2], 16)) for i in (1, 3, 5)]
    return "#" + "".join(f"{round(share * a + (1 - share) * b):02x}" for a, b in pairs)


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_text_can_be_read(colours: dict[str, str]) -> None:
    for ink in ("text", "quiet", "mark", "warn", "good"):
        for ground in ("page", "card"):
            assert contrast(colours[ink], colours[ground]) >= 4.5, (ink, ground)
    for ink in ("first", "second"):  # lines
        assert contrast(colours[ink], colours["card"]) >= 3
    for share in range(39):  # the shades of a confusion matrix
        assert contrast(colours["text"], mixed(colours["second"], colours["card"], share / 100)) >= 4.5


# -- true ----------------------------------------------------------------------------------------------------


def test_it_says_what_was_recorded(run: Path, shown: Page) -> None:
    recorded, text = read_run(run), " ".join(shown.text())
    metrics = recorded.parts["evaluation"]["metrics"]["accuracy"]
    assert f"{metrics['value']:.2%}" in text
    assert f"{metrics['low']:.2%} to {metrics['high']:.2%}" in text
    for line in recorded.epochs:
        assert f"{line['logs']['val_loss']:.5g}" in text
    for layer in recorded.parts["model"]["layers"]:
        assert layer["name"] in text
    for section in recorded.parts["explanation"]["sections"]:
        assert section["title"] in text
    for advice in recorded.parts["data"]["advice"]:
        assert advice["reason"][1:60] in text
    assert recorded.info["command"] in shown.text("code")
    assert "The seed was 0" in text
    assert "Loss not going down" not in text  # names of findings are as the doctor spells them
    assert "It stays at 1.1." in text
    assert "Raise the rate." in text
    assert "Seen in epoch 2, in dense." in text
    assert "b taken for c" not in text  # which never happened
    assert "a taken for b (3 of 23)" in text
    assert "cannot be read" not in text
    assert len([image for image in shown.all("img") if "taken for" in str(image["alt"])]) == 3


def test_what_was_not_recorded_is_said(copy: Path) -> None:
    for path in copy.glob("*.json"):
        if path.name != "run.json":
            path.unlink()
    (copy / "history.jsonl").write_text("")
    info = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**info, "status": "running", "seed": None}))
    text = " ".join(Page(page(read_run(copy))).text())
    for expected in (
        "No doctor watched",
        "recorder.add(model.profile(x, y))",
        "hornbeam.data.look(x, y)",
        "No epoch was finished.",
        "the model was not built",
        "It did not finish",
        "hornbeam.utils.set_random_seed(0)",
    ):
        assert expected in text


# -- safe ----------------------------------------------------------------------------------------------------

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>javascript:alert(3)&lt;"


def check_harmless(text: str) -> None:
    result = Page(text)
    assert not result.all("script")
    for name, attributes in result.elements:
        assert not [key for key in attributes if key.startswith("on")], name
        assert name != "img" or str(attributes["src"]).startswith("data:image/png;base64,")
        assert name != "a" or str(attributes["href"]).startswith("#")
    (sheet,) = result.text("style")
    assert "alert" not in sheet


def test_texts_are_escaped(copy: Path) -> None:
    """Every text in every file, one file at a time and all of them."""
    parts = parts_of(copy)
    keep = {"images", "image"}

    def hostile(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {k: hostile(part, k) for k, part in value.items()}
        if isinstance(value, list):
            return [hostile(part, key) for part in value]
        return HOSTILE if isinstance(value, str) and key not in keep else value

    for name, value in parts.items():
        (copy / name).write_text(json.dumps(hostile(value)))
        text = page(read_run(copy))
        assert "&lt;script&gt;alert(1)" in text, name
        check_harmless(text)
    (copy / "history.jsonl").write_text(
        json.dumps({"epoch": 1, "seconds": 1, "logs": {HOSTILE: 1.0, f"val_{HOSTILE}": 2.0}}) + "\n"
    )
    check_harmless(page(read_run(copy)))


def test_images_are_base64_or_the_section_says_so(copy: Path) -> None:
    part = json.loads((copy / "mistakes.json").read_text())
    part["images"][0] = '" onerror="alert(1)'
    (copy / "mistakes.json").write_text(json.dumps(part))
    text = page(read_run(copy))
    check_harmless(text)
    assert "cannot be read (ValueError: an image is not base64 text)" in text


@pytest.mark.parametrize("seed", seeds(20, 60))
def test_whatever_files_hold_there_is_a_page(copy: Path, seed: int) -> None:
    """Values are swapped for others at random: the page is well formed, and harmless."""
    rng = random.Random(seed)
    others = [None, -1, 0, 1e308, 10**30, "nan", "", HOSTILE, [], {}, [[1]], {"a": None}, True]

    def change(value: Any) -> Any:
        return value if isinstance(value, str) or rng.random() > 0.05 else rng.choice(others)

    def cut(value: Any) -> Any:
        """Some inner values replaced whole."""
        if rng.random() < 0.03:
            return rng.choice(others)
        if isinstance(value, dict):
            return {key: cut(part) for key, part in value.items() if rng.random() > 0.02}
        return [cut(part) for part in value] if isinstance(value, list) else change(value)

    for name, value in parts_of(copy).items():
        broken = cut(value)
        (copy / name).write_text(json.dumps(broken if isinstance(broken, dict) else value))
    check_harmless(page(read_run(copy)))


# -- markup and images -------------------------------------------------------------------------------------


def test_markup() -> None:
    assert (
        tag("p", "<&>", [1, None, Html("<b>x</b>")], class_='"')
        == '<p class="&quot;">&lt;&amp;&gt;1<b>x</b></p>'
    )
    assert tag("details", "a", open=True, id=None, hidden=False) == "<details open>a</details>"
    assert tag("meta", http_equiv="x") == '<meta http-equiv="x">'


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.13, 0.52, [0.2, 0.3, 0.4, 0.5]),
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-3.0, 3.0, [-2.0, 0.0, 2.0]),
        (1.0, 20.0, [5.0, 10.0, 15.0, 20.0]),
        (5.0, 5.0, [5.0]),
        (1e-9, 3e-9, [1e-9, 1.5e-9, 2e-9, 2.5e-9, 3e-9]),
        (0.0, 3e200, [0.0, 1e200, 2e200, 3e200]),
    ],
)
def test_round_numbers(low: float, high: float, expected: list[float]) -> None:
    actual = round_numbers(low, high)
    assert len(actual) <= 6
    np.testing.assert_allclose(actual, expected, rtol=1e-9, atol=1e-300)


def test_places_on_axes() -> None:
    assert [ChartAxis(0, 10, 100, 0).coordinate(v) for v in (0, 5, 10)] == [100, 50, 0]
    assert [ChartAxis(0.01, 100, 0, 40, log=True).coordinate(v) for v in (0.01, 1, 100)] == [0, 20, 40]
    assert ChartAxis(3, 3, 0, 10).coordinate(3) == 5
    assert ChartAxis(0.01, 100, 0, 1, log=True).ticks() == [0.01, 0.1, 1, 10, 100]


def points(text: str) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (pair.split(",") for pair in result.split())]
        for result in re.findall(r'points="([^"]*)"', text)
    ]


def chart(values: Any, marker: Marker | None = None) -> str:
    lines = {"training": (list(range(1, len(values) + 1)), values)}
    return line_chart(LinePanel(lines, "loss", ("epoch", "loss"), marker, log_y=spans_decades(values)))


def test_a_curve_is_where_its_numbers_are() -> None:
    text = chart([4.0, 2.0, 1.0, 1.0])
    (line,) = points(text)
    xs, ys = zip(*line, strict=True)
    np.testing.assert_allclose(np.diff(xs), (xs[3] - xs[0]) / 3, atol=0.1)
    assert ys[0] < ys[1] < ys[2] == ys[3]  # y grows downwards
    np.testing.assert_allclose((ys[1] - ys[0]) / (ys[2] - ys[1]), 2, atol=0.02)
    assert "loss over 4 epochs: training from 4 to 1" in text
    assert "training, epoch 2: 2" in text


def test_gaps_and_scales_of_curves() -> None:
    nan = float("nan")
    assert [len(line) for line in points(chart([1.0, 2.0, nan, 2.0, 3.0]))] == [2, 2]
    assert "no finite number" in chart([nan, float("inf")])
    assert "(logarithmic)" in chart([1.0, 1e-3])
    assert "(logarithmic)" not in chart([1.0, -1e-3])
    many = chart([1.0] * 100_000, Marker("training", 77_777, "best"))
    assert len(many) < 40_000
    assert "epoch 77778: 1 (best)" in many


def test_the_best_epoch_of_the_validation_is_marked() -> None:
    history = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.5, 2.0], "val_accuracy": [0.1, 0.2, 0.3]}
    panel = metric_panel("loss", [1, 2, 3], history)
    assert list(panel.lines) == ["training", "validation"]
    assert panel.marker == Marker("validation", 1, "best")
    assert metric_panel("val_accuracy", [1, 2, 3], history).marker == Marker("validation", 2, "best")


def layer(name: str, *after: str, kind: str = "Dense") -> dict[str, Any]:
    return {"name": name, "kind": kind, "output": "3", "after": list(after)}


def test_the_architecture() -> None:
    text = architecture([layer("a", "start"), layer("b", "a"), layer("c", "a", "b", kind="Add")])
    assert text is not None
    assert "4 boxes from input to output: start, a, b, c" in text
    assert text.count('class="box"') == 4
    assert len(points(text)) == 4
    assert "stripe dense" in text
    assert "Add → 3" in text
    assert architecture([layer("a"), layer("b")]) is None  # subclassed: unknown
    assert architecture([layer("a", "b"), layer("b", "a")]) is None  # called again later


def test_png(rng: np.random.Generator) -> None:
    image = pytest.importorskip("PIL.Image")
    for shape in ((5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)):
        pixels = rng.integers(0, 256, shape).astype("uint8")
        read = np.asarray(image.open(io.BytesIO(encode(pixels))))
        np.testing.assert_array_equal(read.reshape(pixels.shape), pixels)
    large = np.asarray(image.open(io.BytesIO(encode(np.zeros((500, 100))))))
    assert large.shape == (100, 20)


def test_values_of_images() -> None:
    assert to_uint8(np.array([[0.0, 1.0], [0.5, 0.25]])).ravel().tolist() == [0, 255, 128, 64]
    assert to_uint8(np.array([[0.0, 255.0], [12.0, 3.0]])).ravel().tolist() == [0, 255, 12, 3]
    assert to_uint8(np.array([[-1.0, 1.0], [0.0, np.nan]])).ravel().tolist() == [0, 255, 128, 128]
    assert to_uint8(np.array([[True, False], [False, True]])).ravel().tolist() == [255, 0, 0, 255]
    assert [is_image(np.zeros(s)) for s in ((3, 3), (3, 3, 3), (3, 3, 2), (3,), (1, 9))] == [True, True] + [
        False
    ] * 3
    with pytest.raises(ValueError, match="an image must have shape"):
        encode(np.zeros((3, 3, 2)))


def test_samples_are_in_the_page(run: Path, shown: Page) -> None:
    expected = {*parts_of(run)["mistakes.json"]["images"]}
    assert len(expected) == 3
    sources = {str(image["src"]).rpartition(",")[2] for image in shown.all("img")}
    assert expected <= sources
    assert all(base64.b64decode(source).startswith(b"\x89PNG") for source in sources)


def test_next_steps(tmp_path: Path) -> None:
    """They follow from what was recorded: the curves, the doctor's findings, the data, the evaluation."""
    run = Run(
        tmp_path / "a-run",
        {"name": "a-run", "status": "finished"},
        [
            {"epoch": n, "seconds": 1.0, "logs": {"loss": 1 / n, "val_loss": v}}
            for n, v in ((1, 0.9), (2, 1.5))
        ],
        {"doctor": {"findings": [{"name": "dead_units", "advice": "Lower the rate"}]}},
    )
    text = " ".join(Page(str(sections.next_steps(run))).text())
    for words in (
        "The model overfits since epoch 1",
        "Doctor, dead_units: Lower the rate.",
        "evaluate once on test data: recorder.evaluate(x_test, y_test)",
        "hornbeam runs compare a-run OTHER",
    ):
        assert words in " ".join(text.split())
    run.parts["evaluation"] = {}
    assert "The test score is known now" in str(sections.next_steps(run))


def test_the_peak_is_explained(run: Path) -> None:
    text = " ".join(Page(page(read_run(run))).text())
    assert "Of peak: the speed as a proportion of what this machine was measured to reach" in text
