"""The scripts of the page to try a model, in Node and in a browser."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam.serving.texts import word_numbers
from hornbeam.web import WIDGETS, read
from tests.helpers.browser import CONTRASTS, OUTSIDE, chromium, opened
from tests.helpers.served_models import Server

NODE = shutil.which("node")
in_node = pytest.mark.skipif(NODE is None, reason="Node is not installed")


def run_script(expression: str, **values: Any) -> Any:
    """Return the value of a JavaScript expression, which may use the widgets and the values."""
    scripts = [read(name).decode() for name in WIDGETS]
    constants = [f"const {name} = {json.dumps(value)};" for name, value in values.items()]
    program = "\n".join([*scripts, *constants, f"console.log(JSON.stringify({expression}))"])
    assert NODE is not None
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def drawing(rows: slice, columns: slice, side: int = 280) -> np.ndarray:
    pixels = np.zeros((side, side), "float32")
    pixels[rows, columns] = 1
    return pixels


def centered(pixels: np.ndarray) -> np.ndarray:
    side = pixels.shape[1]
    values = run_script(
        "Array.from(Hornbeam.centered(Float32Array.from(pixels), side))",
        pixels=pixels.ravel().tolist(), side=side,
    )  # fmt: skip
    return np.array(values).reshape(28, 28)


@in_node
def test_a_drawing_fills_a_box_of_20_pixels_and_its_mass_is_in_the_middle() -> None:
    image = centered(drawing(slice(20, 120), slice(200, 250)))
    assert image.max() == pytest.approx(1, abs=1e-6)
    assert np.ptp(np.flatnonzero(image.any(1))) + 1 == 20
    assert np.ptp(np.flatnonzero(image.any(0))) + 1 == 10
    y, x = (np.average(np.arange(28), weights=image.sum(axis)) for axis in (1, 0))
    assert abs(y - 14) <= 0.5
    assert abs(x - 14) <= 0.5


def test_the_page_contains_the_widgets_in_their_order() -> None:
    scripts = re.findall(r'src="/web/(\w+\.js)"', read("serve.html").decode())
    assert scripts == [*WIDGETS, "serve.js"]


@in_node
def test_an_empty_drawing_is_black() -> None:
    assert not centered(np.zeros((280, 280), "float32")).any()


@in_node
def test_digits_of_mnist_stay_where_they_are() -> None:
    """They were centered in this way: the center of mass of each is that of the original within a pixel."""
    (_, _), (images, _) = hornbeam.datasets.mnist.load_data()
    for image in images[:2]:
        before = np.kron(image / 255.0, np.ones((10, 10))).astype("float32")
        after = centered(before)
        differences = np.abs(after - image / 255.0)
        assert differences.mean() < 0.02


@in_node
def test_words_are_those_of_the_server() -> None:
    vocabulary = ["", "[UNK]", "a", "b", "été", "ab", "É"]
    kinds = [
        {"vocabulary": vocabulary, "standardize": standardize, "split": split}
        for standardize in ("lower_and_strip_punctuation", "lower", "strip_punctuation", None)
        for split in ("whitespace", "character", None)
    ]
    texts = ["", "  ", "A-b, C!\tb\n", "été Été É", "b " * 9, "a\u00a0b c", "a_b b's 𝄞b"]
    answers = run_script(
        "kinds.map((kind) => texts.map((text) => Hornbeam.wordNumbers(text, kind, 6)))",
        texts=texts, kinds=kinds,
    )  # fmt: skip
    assert answers == [[word_numbers(text, kind, 6) for text in texts] for kind in kinds]


@in_node
def test_images_are_arranged_as_the_layout_says() -> None:
    pixels = [0, 0.25, 0.5, 0.75, 1, 0, 0.25, 0.5, 0.75, 1, 0, 0.25]
    kinds = [
        {"layout": layout, "channels": 3, "range": [0, 8]} for layout in ("channels_last", "channels_first")
    ]
    last, first = (
        run_script(
            "(({shape, data}) => ({shape, data: Array.from(data)}))"
            "(Hornbeam.imageTensor(Float32Array.from(pixels), kind, {dtype: 'uint8'}, 2, 2))",
            pixels=pixels, kind=kind,
        )
        for kind in kinds
    )  # fmt: skip
    assert last == {"shape": [1, 2, 2, 3], "data": [8 * value for value in pixels]}
    expected = np.array(last["data"]).reshape(2, 2, 3).transpose(2, 0, 1)
    assert first == {"shape": [1, 3, 2, 2], "data": expected.ravel().tolist()}


@in_node
def test_nearly_all_is_not_all() -> None:
    shown = run_script("values.map(Hornbeam.percent)", values=[1, 0.9997, 0.99999, 0.999, 0.5, 0])
    assert shown == ["100.0 %", "99.97 %", "99.99 %", "99.9 %", "50.0 %", "0.0 %"]


@in_node
def test_negatives_are_seen_by_their_border_as_the_server_sees_them() -> None:
    black = np.zeros((28, 28), "float32")
    black[8:20, 13:15] = 1
    for border, expected in (("dark", [False, True]), ("bright", [True, False]), (None, [False, False])):
        for pixels, negative in zip((black, 0.8 - 0.6 * black), expected, strict=True):
            values = {"pixels": pixels.ravel().tolist(), "kind": {"border": border}}
            assert (
                run_script("Hornbeam.isNegative(Float32Array.from(pixels), 28, kind)", **values) is negative
            )
    assert run_script("Hornbeam.borderOf(Float32Array.from([0, 0, 0, 0]), 2)") is None


@in_node
def test_results_are_shown_by_what_they_are() -> None:
    assert run_script("[[0.5, 0.5], [1], [0.5, 0.6], [1.5, -0.5]].map(Hornbeam.areProbabilities)") == [
        True, False, False, False,
    ]  # fmt: skip
    many = run_script("Hornbeam.classesOf([...Array(12).keys()].map((i) => i / 100), null)")
    assert [each["name"] for each in many] == [str(i) for i in range(11, 1, -1)]
    assert run_script("[0, 1234567, 0.00001234, 3.14159, null].map(Hornbeam.shortNumber)") == [
        "0", "1.235e+6", "1.234e-5", "3.142", "not finite",
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_in_a_browser(server: Server, scheme: str, width: int) -> None:
    with chromium() as browser:
        for path in ("/#digits", "/#words", "/#scaled", "/#two_inputs", "/docs"):
            page, heard = opened(browser, server.address + path, scheme, width)
            page.wait_for_load_state("networkidle")
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            assert page.evaluate(OUTSIDE) == [], path
            assert [text for ratio, text in page.evaluate(CONTRASTS) if ratio < 4.5] == [], path
            assert all(line.startswith(f"request: {server.address}") for line in heard), heard
        page, _ = opened(browser, f"{server.address}/#digits", scheme, width)
        page.locator("canvas.paper").focus()
        for key in (" ", *["ArrowDown"] * 9, " "):
            page.keyboard.press(key)
        page.get_by_text("dark").first.wait_for()
        page.get_by_role("button", name="Clear").click()
        page.get_by_text("Draw something").wait_for()
