"""Outputs of notebooks in a real browser: needs Playwright, and Chromium as Debian installs it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from tests.helpers.browser import CONTRASTS, OUTSIDE, chromium, opened

pytestmark = pytest.mark.slow

# Pages around the outputs, as JupyterLab and nbconvert, VS Code, Colab and unknown hosts have them, and
# whether they are dark.
HOSTS = {
    "jupyter light": ('data-jp-theme-light="true" style="--jp-layout-color0: white"', False),
    "jupyter dark": ('data-jp-theme-light="false" style="--jp-layout-color0: #111; background: #111"', True),
    "vscode dark": (
        'class="vscode-dark" style="--vscode-editor-background: #1e1e1e; background: #1e1e1e"',
        True,
    ),
    "colab dark": ('style="background: #383838"', True),
    "unknown": ("", None),
}


def outputs() -> str:
    """One output of every kind, drawn in this process."""
    hb.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x, y = rng.random((120, 8, 8, 1), np.float32), np.arange(120) % 3
    start = hb.Input((8, 8, 1))
    parts = [layers.Conv2D(4, 3, padding="same", activation="relu")(start), layers.Conv2D(4, 1)(start)]
    last = layers.Dense(3, activation="softmax")(layers.Flatten()(layers.Add()(parts)))
    model = hb.Model(start, last, name="a_model_with_a_very_long_name_without_any_blank")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    doctor = hb.callbacks.Doctor(verbose=0)
    history = model.fit(x * 20, y, epochs=3, validation_split=0.2, verbose=0, callbacks=[doctor])
    objects = [
        model, history, doctor, model.weights[0], hb.data.Dataset.from_tensor_slices((x, y)).batch(4),
        model.explain(), model.profile(x, y, steps=2), hb.lr_find(model, x, y, verbose=0, steps=20),
        hb.evaluation.confusion(model, x, y), hb.evaluation.mistakes(model, x, y),
        hb.evaluation.calibration(model, x, y), hb.data.look((x * 255).astype("uint8"), y),
        hb.utils.plot_model(model, None), hb.insight.plot_filters(model), hb.insight.saliency(model, x[:2]),
        hb.insight.plot_embeddings(x.reshape(120, -1)[:, :9], y), hb.applications.MobileNetV2(weights=None),
    ]  # fmt: skip
    return "\n".join(value._repr_html_() for value in objects)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder: Path = tmp_path_factory.mktemp("pages")
    content, addresses = outputs(), {}
    for host, (body, _) in HOSTS.items():
        path = folder / f"{host}.html"
        start = f"<!DOCTYPE html>\n<html{' theme=dark' * host.startswith('colab')}><meta charset='utf-8'>"
        path.write_text(f"{start}<body {body}>{content}", encoding="utf-8")
        addresses[host] = path.as_uri()
    return addresses


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.mark.parametrize("width", [420, 1280])
@pytest.mark.parametrize("host", HOSTS)
def test_outputs_fit_and_can_be_read(browser: Any, pages: dict[str, str], host: str, width: int) -> None:
    dark = HOSTS[host][1]
    # The system has the other scheme than the notebook, which wins.
    page, heard = opened(browser, pages[host], "light" if dark else "dark", width)
    assert heard == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    texts = page.evaluate(CONTRASTS)
    assert len(texts) > 200
    assert [where for ratio, where in texts if ratio < 4.5] == []
    ink = page.evaluate("getComputedStyle(document.querySelector('.hornbeam')).color")
    assert (ink == "rgb(231, 233, 236)") == (dark is not False)
    page.context.close()
