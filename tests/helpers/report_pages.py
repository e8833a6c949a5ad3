"""A run with every part, for tests of the page about it."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import layers
from hornbeam.visualization.png import encode_base64


def record(folder: Path, name: str = "small images") -> Path:
    """Train a small net on small images and record all there is; returns the run's folder."""
    hb.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 240)
    x = rng.random((240, 8, 8, 1), np.float32) * 0.4
    for label, rows in enumerate((slice(0, 3), slice(3, 6), slice(5, 8))):
        x[y == label, rows] += 0.5
    start = hb.Input((8, 8, 1))
    left = layers.Conv2D(4, 3, padding="same", activation="relu")(start)
    right = layers.Conv2D(4, 1)(start)
    joined = layers.Add()([left, right])
    model = hb.Model(start, layers.Dense(3, activation="softmax")(layers.Flatten()(joined)), name="two_ways")
    model.compile(hb.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    recorder = hb.callbacks.RunRecorder(name, folder)
    callbacks = [hb.callbacks.Doctor(verbose=0), recorder]
    model.fit(x[:160], y[:160], epochs=4, validation_split=0.2, verbose=0, callbacks=callbacks)
    recorder.add(hb.data.look((x[:160] * 250).astype("uint8"), y[:160]))
    recorder.add(model.profile(x[:160], y[:160], steps=2))
    recorder.evaluate(x[160:], y[160:], names=["a", "b", "c"])
    assert recorder.path is not None
    # Whatever the net got wrong, pages are tested with these.
    recorder.keep("confusion", {"names": ["a", "b", "c"], "matrix": [[20, 3, 0], [1, 25, 0], [0, 2, 29]]})
    examples = [
        {"row": i, "true": "a", "predicted": "b", "confidence": 0.9, "true_probability": 0.05}
        for i in range(3)
    ]
    recorder.keep(
        "mistakes",
        {"n": 80, "wrong": 6, "examples": examples, "images": [encode_base64(one) for one in x[160:163]]},
    )
    finding = {
        "name": "loss not going down",
        "evidence": "it stays at 1.1",
        "advice": "raise the rate",
        "layers": ["dense"],
        "epoch": 1,
    }
    recorder.keep("doctor", {"findings": [finding]})
    return recorder.path


def parts_of(folder: Path) -> dict[str, Any]:
    """File -> JSON value of all but the history."""
    return {path.name: json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))}


class Page(HTMLParser):
    """Content of a page: elements with attributes and text, in order. End tags must match start tags."""

    EMPTY = frozenset({"meta", "img", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"{tag} has an attribute twice"
        self.elements.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        """Attributes of all elements of some kinds."""
        return [attributes for tag, attributes in self.elements if tag in tags]

    def text(self, *tags: str) -> list[str]:
        """Texts right inside of elements of some kinds."""
        return [text for tag, text in self.texts if not tags or tag in tags]
