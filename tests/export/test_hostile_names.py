"""Names from elsewhere are text in exported pages and in outputs of notebook cells: no markup, no code."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.data import Dataset

HOSTILE = "</title></script><script>alert(1)</script><img src=x onerror=alert(1)>\"'`{data}{model}"


class Elements(HTMLParser):
    """The elements that a hostile name could add."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, Any]] = []
        self.scripts = 0

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.scripts += name == "script"
        if ("src", "x") in attributes or any(key.startswith("on") for key, _ in attributes):
            self.found.append((name, attributes))


def elements_of(text: str) -> Elements:
    parsed = Elements()
    parsed.feed(text)
    return parsed


def named_model(name: str) -> hb.Model:
    inputs = hb.Input((4,), name=f"input {name}".replace("/", "|"))
    hidden = layers.Dense(3, activation="relu", name=name.replace("/", "|"))(inputs)
    model = hb.Model(inputs, layers.Dense(2, activation="softmax")(hidden), name=name.replace("/", "|"))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def test_an_exported_page(tmp_path: Path) -> None:
    texts = []
    for number, name in enumerate((HOSTILE, "plain")):
        target = tmp_path / f"{number}.html"
        named_model(name).export(target, format="web", title=name, labels=[name, "b"])
        texts.append(target.read_text())
    hostile, plain = map(elements_of, texts)
    assert hostile.found == plain.found
    assert hostile.scripts == plain.scripts
    assert "<script>alert" not in texts[0]


def history(name: str) -> Any:
    model = named_model(name)
    return model.fit(np.ones((4, 4)), np.zeros(4), verbose=0, validation_data=(np.ones((2, 4)), np.zeros(2)))


SHOWN: dict[str, Callable[[str], Any]] = {
    "model": named_model,
    "history": history,
    "dataset": lambda name: Dataset.from_tensor_slices({name: np.arange(4)}),
    "texts": lambda name: Dataset.from_tensor_slices([name, name]),
    "variable": lambda name: hb.Variable(np.ones(2), name=name.replace("/", "|")),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_outputs_of_cells(kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        texts = [SHOWN[kind](name)._repr_html_() or "" for name in (HOSTILE, "plain")]
    hostile, plain = map(elements_of, texts)
    assert hostile.found == plain.found == []
    assert hostile.scripts == plain.scripts
