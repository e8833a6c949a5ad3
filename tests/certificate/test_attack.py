"""Forgeries of every kind are found as often as stated; `benchmarks/certificate.py` makes 1,000 of them."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hornbeam.certificate.confidence import draw_segments, miss_probability
from tests.helpers.forgeries import KINDS, SEGMENTS, Forgery, outcome, train

Pool = Callable[[int], Path]
# Of the kinds that need a training of their own, those that run each time.
QUICK = {"another learning rate for some steps", "first random state not that of the seed"}
PARAMETERS = [
    pytest.param(title, marks=[pytest.mark.slow] if each.trains and title not in QUICK else [])
    for title, each in KINDS.items()
]


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Pool:
    root = tmp_path_factory.mktemp("pool")

    def folder_of(seed: int) -> Path:
        folder = root / str(seed)
        if not folder.exists():
            folder.mkdir()
            train(folder, seed)
        return folder

    return folder_of


@pytest.fixture
def forged(pool: Pool, tmp_path: Path) -> Iterator[Forgery]:
    shutil.copytree(pool(0), tmp_path / "forged")
    yield Forgery(tmp_path / "forged", random.Random(0), pool, 0)
    shutil.rmtree(tmp_path / "forged")


def test_an_honest_training_is_not_called_forged(forged: Forgery) -> None:
    for share in (0.02, 1):
        assert outcome(forged, share, random.Random(0)) == "held"


@pytest.mark.parametrize("title", PARAMETERS)
def test_a_forgery(forged: Forgery, title: str) -> None:
    each = KINDS[title]
    each.forge(forged)
    expected = {"always": "found", "draw": "found", "said": "said", "never": "held"}[each.shown_by]
    assert outcome(forged, 1, random.Random(0)) == expected
    if each.shown_by != "draw":
        assert outcome(forged, 0.01, random.Random(0)) == expected


@pytest.mark.slow
@pytest.mark.parametrize("title", [title for title, each in KINDS.items() if each.shown_by == "draw"])
def test_a_draw_finds_it_as_often_as_stated(forged: Forgery, title: str) -> None:
    KINDS[title].forge(forged)
    drawn = len(draw_segments(SEGMENTS, 0.1, random.Random(0)).chosen) - 1
    probability = 1 - miss_probability(SEGMENTS - 1, forged.segments, drawn)
    count = sum(outcome(forged, 0.1, random.Random(seed)) == "found" for seed in range(30))
    assert count > 30 * probability - 4 * (30 * probability * (1 - probability)) ** 0.5 - 1
