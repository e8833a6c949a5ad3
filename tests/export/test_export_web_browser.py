"""Exported pages in a real browser: needs Playwright, and Chromium as Debian installs it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam._internal.intervals import wilson
from tests.helpers.browser import CONTRASTS, OUTSIDE, chromium, opened
from tests.helpers.model_zoo import ZOO, random_weights
from tests.helpers.strokes import strokes_of

WAIT = 20_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def digits() -> hb.Model:
    hb.utils.set_random_seed(0)
    (x, y), _ = hb.datasets.mnist.load_data()
    model = hb.Sequential(
        [
            hb.Input((28, 28, 1), name="digit"),
            *(layers.Conv2D(16, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D()),
            *(layers.Flatten(), layers.Dropout(0.3), layers.Dense(10, "softmax")),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(x[..., None] / 255.0, y, batch_size=128, epochs=2, verbose=0)
    return model


@pytest.fixture(scope="module")
def address(digits: hb.Model, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "digits.html"
    digits.export(path, format="web", labels=[f"digit {i}" for i in range(10)], verbose=False)
    return path.as_uri()


def ready(page: Any) -> Any:
    page.wait_for_selector(".outputs", timeout=WAIT)
    return page


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_the_page(browser: Any, address: str, scheme: str, width: int) -> None:
    page, heard = opened(browser, address, scheme, width)
    draw(ready(page), [[(0.3, 0.2), (0.7, 0.2), (0.45, 0.8)]])
    page.wait_for_selector(".outputs .winner")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    page.wait_for_selector(".layers canvas")
    assert heard == []
    assert page.evaluate(OUTSIDE) == []
    assert [text for ratio, text in page.evaluate(CONTRASTS) if ratio < 4.5] == []
    page.context.close()


def draw(page: Any, strokes: list[list[tuple[float, float]]]) -> None:
    """Draw with the mouse; coordinates are fractions of the paper."""
    paper = page.locator("canvas").first.bounding_box()
    for stroke in strokes:
        points = [(paper["x"] + u * paper["width"], paper["y"] + v * paper["height"]) for u, v in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=4)
        page.mouse.up()


def test_a_seven_is_named(browser: Any, address: str) -> None:
    page, _ = opened(browser, address, "light", 1280)
    heading = page.locator(".inputs h2")
    assert heading.inner_text() == "Draw here"  # for people; the type is shown on hovering
    assert "(any, 28, 28" in heading.get_attribute("title")
    draw(ready(page), [[(0.3, 0.2), (0.7, 0.2), (0.45, 0.8)]])
    page.wait_for_function(
        "document.querySelector('.winner strong')?.textContent === 'digit 7'", timeout=WAIT
    )
    page.context.close()


def test_drawings_are_collected_into_a_file(browser: Any, address: str) -> None:
    page, heard = opened(browser, address, "light", 390)
    ready(page).evaluate(FOLD)
    page.get_by_text("Collect drawings").click()
    page.get_by_role("button", name="Keep this one").click()
    page.get_by_text("Draw something first.").wait_for()
    for label, person in (("seven", "Ada"), ("seven", "Ben")):
        draw(page, [[(0.3, 0.2), (0.7, 0.2), (0.45, 0.8)]])
        page.wait_for_selector(".outputs .winner")
        page.get_by_label("What it shows").fill(label)
        page.get_by_label("Who drew it").fill(person)
        page.get_by_role("button", name="Keep this one").click()
        page.get_by_text("Draw something: the answer").wait_for()
    page.get_by_text("2 kept, on this device alone.").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()
    assert download.value.suggested_filename == "drawings.json"
    kept = json.loads(Path(download.value.path()).read_text())
    assert (kept["labels"], kept["people"]) == (["seven", "seven"], ["Ada", "Ben"])
    pixels = np.array(kept["pixels"], "uint8").reshape(-1, kept["height"], kept["width"])
    assert pixels.shape == (2, 28, 28)
    assert pixels.max() == 255
    assert pixels[:, 0].max() == 0
    assert heard == []  # nothing was sent
    page.context.close()


@pytest.mark.slow
def test_drawn_digits_of_the_test_set(browser: Any, address: str, digits: hb.Model) -> None:
    """Digits drawn by strokes are named about as well as the images they come from."""
    _, (images, labels) = hb.datasets.mnist.load_data()
    images, labels = images[:200], labels[:200]
    page, _ = opened(browser, address, "light", 1280)
    ready(page).evaluate(FOLD)
    named = []
    for image in images:
        page.get_by_role("button", name="Clear").click()
        # The same events as those of a mouse, without a round trip for each.
        page.evaluate(DRAW, strokes_of(image))
        page.evaluate(FRAMES)
        named.append(int(page.locator(".winner strong").inner_text(timeout=WAIT).removeprefix("digit ")))
    right = int((np.array(named) == labels).sum())
    answers = digits.predict(images[..., None] / 255.0, verbose=0).argmax(1)
    of_images = int((answers == labels).sum())
    assert wilson(right, len(labels)).high >= wilson(of_images, len(labels)).low
    page.context.close()


# Strokes are painted in the next frame, and an answer that is due is computed in the one after.
FRAMES = """async () => {
  for (let i = 0; i < 4; i++) await new Promise((done) => requestAnimationFrame(done));
}"""
# What `opened` unfolds depends on how much of the page is built by then.
FOLD = "document.querySelectorAll('details').forEach(d => d.open = false)"
DRAW = """strokes => {
  const paper = document.querySelector('canvas'), frame = paper.getBoundingClientRect();
  const send = (kind, [u, v]) => paper.dispatchEvent(new PointerEvent(kind, {
    bubbles: true, pointerId: 1, buttons: 1, isPrimary: true,
    clientX: frame.left + u * frame.width, clientY: frame.top + v * frame.height,
  }));
  paper.setPointerCapture = () => {};
  for (const stroke of strokes) {
    send('pointerdown', stroke[0]);
    stroke.slice(1).forEach(point => send('pointermove', point));
    send('pointerup', stroke[stroke.length - 1]);
  }
}"""

RUN = """([signature, inputs]) => {
  const values = Object.fromEntries(Object.entries(inputs).map(([name, { dtype, shape, data }]) =>
    [name, { shape, data: ARRAYS_OF[dtype].from(data) }]));
  return Object.values(model.run(values, signature)).map(({ data }) => Array.from(data, Number));
}"""
ARRAYS = """globalThis.ARRAYS_OF = { float32: Float32Array, float64: Float64Array, int32: Int32Array,
  uint8: Uint8Array }"""


@pytest.mark.parametrize(
    "case", ["tutorial", *(pytest.param(case, marks=pytest.mark.slow) for case in ZOO if case != "tutorial")]
)
def test_outputs_are_those_of_predict(case: str, browser: Any, tmp_path: Path) -> None:
    model, inputs = ZOO[case]()
    random_weights(model)
    model.export(tmp_path / "m.html", format="web", verbose=False)
    page, heard = opened(browser, (tmp_path / "m.html").as_uri(), "light", 1280)
    ready(page).evaluate(ARRAYS)
    specs = page.evaluate("model.signatures.predict.inputs")
    data = {
        spec["name"]: {"dtype": spec["dtype"], "shape": list(x.shape), "data": x.ravel().tolist()}
        for spec, x in zip(specs, inputs, strict=True)
    }
    expected = hb.tree.flatten(model.predict(hb.tree.pack_sequence_as(model.input, inputs), verbose=0))
    loose: dict[str, Any] = {"rtol": 2e-2, "atol": 2e-2} if "16" in case else {"rtol": 1e-5, "atol": 1e-5}
    for got, wanted in zip(page.evaluate(RUN, ["predict", data]), expected, strict=True):
        wanted = wanted.astype("float64").ravel()
        scale = max(np.abs(wanted).max(), 1)
        np.testing.assert_allclose(np.array(got) / scale, wanted / scale, **loose)
    assert heard == []
    page.context.close()


def test_texts(browser: Any, tmp_path: Path) -> None:
    numbering = layers.TextVectorization(vocabulary=["good", "bad", "film"], output_sequence_length=5)
    parts = [numbering, layers.Embedding(5, 4), layers.GlobalAveragePooling1D(), layers.Dense(2, "softmax")]
    model = hb.Sequential([hb.Input((1,), dtype="string"), *parts])
    random_weights(model)
    model.export(tmp_path / "m.html", format="web", labels=["dull", "bright"], verbose=False)
    page, _ = opened(browser, (tmp_path / "m.html").as_uri(), "light", 1280)
    ready(page).locator("textarea").fill("A good, GOOD film!")
    winner = page.locator(".winner span").inner_text(timeout=WAIT)
    scores = model.predict(np.array([["A good, GOOD film!"]]), verbose=0)[0]
    assert abs(float(winner.split()[0]) - 100 * scores.max()) < 0.06
    page.context.close()


def test_tables(browser: Any, tmp_path: Path) -> None:
    x = hb.Input((3,), name="numbers")
    model = hb.Model(x, layers.Dense(1, name="sum", kernel_initializer="ones")(x))
    about = {"numbers": {"kind": "table", "columns": [{"name": n, "min": 0, "max": 10} for n in "abc"]}}
    model.export(tmp_path / "m.html", format="web", preprocessing=about, verbose=False)
    page, _ = opened(browser, (tmp_path / "m.html").as_uri(), "light", 1280)
    for slider, value in zip(ready(page).locator("input[type=range]").all(), (1, 2, 4), strict=True):
        slider.fill(str(value))
    page.wait_for_function("document.querySelector('.winner strong')?.textContent === '7'", timeout=WAIT)
    page.context.close()


@pytest.fixture(scope="module")
def training_page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page in which one trains a net on three clusters of points."""
    hb.utils.set_random_seed(0)
    y = np.arange(90) % 3
    centers = np.array([(-1, 0), (1, 0), (0, 1.5)])
    x = (centers[y] + np.random.default_rng(0).normal(size=(90, 2)) / 4).astype("float32")
    model = hb.Sequential([hb.Input((2,)), layers.Dense(8, "relu"), layers.Dense(3, "softmax")])
    model.compile(hb.optimizers.Adam(0.05), "sparse_categorical_crossentropy", metrics=["accuracy"])
    path = tmp_path_factory.mktemp("page") / "points.html"
    data: dict[str, Any] = {"training_data": (x[:60], y[:60]), "validation_data": (x[60:], y[60:])}
    model.export(path, format="web", batch_size=20, epochs=8, verbose=False, **data)
    return path.as_uri()


def test_training(browser: Any, training_page: str) -> None:
    page, heard = opened(browser, training_page, "light", 1280)
    progress = ready(page).locator(".progress")
    assert progress.inner_text() == "epoch 0 of 8, 0 updates of 24"
    assert "all 60 training samples once, 20 at a time: 3 weight updates" in page.inner_text(".train")
    before = page.inner_text(".outputs")
    page.get_by_role("button", name="One update").click()
    assert progress.inner_text() == "epoch 0 of 8, 1 update of 24"
    page.get_by_role("button", name="Continue").click()
    page.get_by_text("epoch 8 of 8, 24 updates of 24").wait_for(timeout=WAIT)
    (accuracy,) = re.findall(r"validation\s+[\d.]+\s+([\d.]+) %", page.inner_text(".scores"))
    assert float(accuracy) > 90
    assert page.locator(".curves .line.validation").count() == 2
    assert page.inner_text(".outputs") != before
    page.get_by_role("button", name="Exported weights").click()
    assert progress.inner_text() == "epoch 0 of 8, 0 updates of 24"
    page.get_by_label("batch size").fill("60")
    page.get_by_label("learning rate").fill("1e30")
    page.get_by_role("button", name="Train").click()
    page.get_by_text("The loss is no longer a number").wait_for(timeout=WAIT)
    assert heard == []
    page.context.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 768, 1280])
def test_the_training_page(browser: Any, training_page: str, scheme: str, width: int) -> None:
    page, heard = opened(browser, training_page, scheme, width)
    ready(page).get_by_role("button", name="Train").click()
    page.get_by_text("epoch 8 of 8").wait_for(timeout=WAIT)
    assert heard == []
    assert page.evaluate(OUTSIDE) == []
    assert [text for ratio, text in page.evaluate(CONTRASTS) if ratio < 4.5] == []
    page.context.close()
