"""Render the report of the ten-line program on the home page, as docs/images/report.png.

    python tools/report_figure.py     # needs Playwright, Pillow, and Chromium as in tests/insight

The program of docs/index.md is trained with a `RunRecorder`; the figure is the top of its report, in the
light colors.
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

import hornbeam as hb

ROOT = Path(__file__).parents[1]
FIGURE = ROOT / "docs/images/report.png"
WIDTH, HEIGHT = 1000, 925
# Few colors, so that the file stays small.
COLORS = 64


def record(folder: Path) -> Path:
    """Train as the home page does and return the path of the report."""
    hb.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = hb.datasets.mnist.load_data()
    model = hb.Sequential(
        [
            hb.layers.Conv2D(32, 3, activation="relu"),
            hb.layers.MaxPooling2D(),
            hb.layers.Flatten(),
            hb.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    recorder = hb.callbacks.RunRecorder("digits", folder=folder)
    callbacks = [hb.callbacks.Doctor(verbose=0), recorder]
    model.fit(x[..., None] / 255.0, y, epochs=3, validation_split=0.1, callbacks=callbacks, verbose=0)
    recorder.evaluate(x_test[..., None] / 255.0, y_test)
    return Path(hb.insight.report(recorder))


def main() -> None:
    browser_path = os.environ.get("HORNBEAM_TEST_BROWSER") or shutil.which("chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        report = record(Path(folder))
        browser = playwright.chromium.launch(executable_path=browser_path)
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(report.as_uri())
        data = page.screenshot()
        browser.close()
    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.quantize(COLORS, dither=Image.Dither.NONE).save(FIGURE, optimize=True)


if __name__ == "__main__":
    main()
