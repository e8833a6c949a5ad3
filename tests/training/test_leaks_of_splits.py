"""Splits that put copies of training samples into the validation part, and labels in another order."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.data import Dataset
from hornbeam.errors import LeakWarning, LikelyMistakeWarning
from hornbeam.training.data_leakage import warn_of_neighboring_copies
from hornbeam.training.packing import make_batch

_RNG = np.random.default_rng(0)
_IMAGES = _RNG.uniform(size=(60, 8, 8))
_WALK = np.cumsum(_RNG.normal(size=(1000, 2)), 0)
_CENTERS = 5 * _RNG.normal(size=(3, 4))

COPIES: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "augmented images": (
        np.repeat(_IMAGES, 10, 0) + 0.05 * _RNG.normal(size=(600, 8, 8)),
        np.repeat(_RNG.integers(0, 10, 60), 10),
    ),
    "bytes": ((255 * np.repeat(_IMAGES, 5, 0)).astype(np.uint8) // 4 * 4, np.zeros(300)),
    "overlapping windows": (np.lib.stride_tricks.sliding_window_view(_WALK[:, 0], 20), _WALK[19:, 1]),
    "measurements every minute": (_WALK, _WALK[:, 0] > 0),
}
INDEPENDENT: dict[str, tuple[np.ndarray, np.ndarray]] = {
    "images": (_RNG.uniform(size=(500, 8, 8)), _RNG.integers(0, 10, 500)),
    "sorted by class": (
        np.repeat(_CENTERS, 200, 0) + _RNG.normal(size=(600, 4)),
        np.repeat(np.arange(3), 200),
    ),
    "a grid": (np.linspace(-1, 1, 500)[:, None], np.linspace(-1, 1, 500) ** 2),
    "categories": (_RNG.integers(0, 3, (500, 3)), _RNG.integers(0, 2, 500)),
    "constant": (np.zeros((500, 3)), _RNG.integers(0, 2, 500)),
    "sorted by a column": (np.sort(_RNG.normal(size=(500, 1)), 0) * [1, 0] + _RNG.normal(size=(500, 2)),
                           _RNG.integers(0, 2, 500)),
    "few": (np.repeat(_IMAGES[:20], 10, 0), np.zeros(200)),
}  # fmt: skip


@pytest.mark.parametrize("name", COPIES)
def test_neighbors_that_are_nearly_equal(name: str) -> None:
    with pytest.warns(LeakWarning, match="neighbors in these data are nearly equal"):
        warn_of_neighboring_copies(make_batch(*COPIES[name]))


@pytest.mark.parametrize("name", INDEPENDENT)
def test_neighbors_that_are_not(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_of_neighboring_copies(make_batch(*INDEPENDENT[name]))


def _model(shape: tuple[int, ...] = (8, 8)) -> hb.Model:
    model = hb.Sequential([hb.Input(shape), layers.Flatten(), layers.Dense(10)])
    model.compile("sgd", hb.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_fit_asks_before_a_random_split(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = COPIES["augmented images"]
    with pytest.warns(LeakWarning, match="validation_split_mode='tail'"):
        _model().fit(x, y, validation_split=0.2, verbose=2)
    assert "120 of 600 samples are held out, shuffled, stratified" in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _model().fit(x, y, validation_split=0.2, validation_split_mode="tail", verbose=0)


def _dataset(reshuffles: bool) -> Dataset:
    data = Dataset.from_tensor_slices((_RNG.uniform(size=(64, 8, 8)), np.arange(64) % 10))
    return data.shuffle(64, reshuffle_each_iteration=reshuffles)


PARTS: dict[str, Callable[[Dataset], tuple[Dataset, Dataset]]] = {
    "take and skip": lambda data: (data.skip(16).batch(8), data.take(16).batch(8)),
    "of batches": lambda data: (data.batch(8).skip(2), data.batch(8).take(2)),
    "shard": lambda data: (data.shard(2, 0).batch(8), data.shard(2, 1).batch(8).prefetch(1)),
}


@pytest.mark.parametrize("name", PARTS)
def test_parts_of_a_dataset_that_reshuffles(name: str) -> None:
    train, validation = PARTS[name](_dataset(True))
    with pytest.warns(LeakWarning, match="reshuffle_each_iteration=False"):
        _model().fit(train, validation_data=validation, verbose=0)
    train, validation = PARTS[name](_dataset(False))
    apart = _dataset(True).take(32).batch(8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _model().fit(train, validation_data=validation, verbose=0)
        _model().fit(train, validation_data=apart, verbose=0)


def test_predictions_in_an_order_of_their_own() -> None:
    model = _model()
    with pytest.warns(LikelyMistakeWarning, match="a new order in every pass"):
        model.predict(_dataset(True).batch(8), verbose=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.predict(_dataset(False).batch(8), verbose=0)
        model.predict(_dataset(True).map(lambda x, y: x).batch(8), verbose=0)
        model.evaluate(_dataset(True).batch(8), verbose=0)
