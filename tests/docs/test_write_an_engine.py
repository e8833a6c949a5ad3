"""The code of docs/write_an_engine.md, block after block."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import engines
from tools import pages

PAGE = Path(__file__).parents[2] / "docs/write_an_engine.md"


@pytest.fixture(scope="module")
def blocks() -> list[str]:
    return [code for code, *_ in pages.Page(PAGE).blocks]


@pytest.fixture(scope="module")
def page() -> Any:
    """The names that the page's code makes."""
    hornbeam.utils.set_random_seed(0)
    known = dict(engines._known)
    page = pages.Page(PAGE)
    page.run()
    yield page.names
    engines._known.clear()
    engines._known.update(known)
    engines._loaded.pop("toy", None)


def test_it_is_an_engine_in_two_hundred_lines(blocks: list[str], page: Any) -> None:
    upto = next(i for i, block in enumerate(blocks) if "class ToyEngine" in block)
    lines = [line for block in blocks[: upto + 1] for line in block.splitlines() if line.strip()]
    assert len(lines) <= 200
    assert "toy" in engines.available()


def test_it_learns(page: Any) -> None:
    losses = page["history"].history["loss"]
    assert losses[-1] < 0.6 * losses[0]
    assert page["accuracy"] > 0.7


def test_it_computes_what_the_native_engine_does(page: Any) -> None:
    toy = page["results"][1]
    assert toy.engine == "toy"
    assert toy.loss_difference < 1e-4
    assert toy.weight_difference < 1e-3


def test_its_random_bits_are_the_specified_ones(page: Any) -> None:
    key = np.array([7, 11], "uint32")
    expected = page["PRIMITIVES"]["random_bits"].reference(key, shape=(3, 5))
    np.testing.assert_array_equal(page["random_bits"](key, shape=(3, 5)), expected)


def test_its_own_tests_ran(page: Any) -> None:
    assert len(page["tested"]) > 8


def test_what_it_lacks_is_said_as_the_page_says(page: Any) -> None:
    assert re.fullmatch(
        r"the toy engine has no 'cholesky' \(in \w+/whitening, block \d+:3\)", page["message"]
    )


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="native"):
        engines.register("native", lambda: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(ValueError, match="name"):
        engines.register("my:engine", lambda: None)  # type: ignore[arg-type,return-value]
