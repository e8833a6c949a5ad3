"""Parts are disjoint and complete, keep classes and groups, and are the same for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hornbeam as hb
from hornbeam.data import k_fold, split
from hornbeam.data.splits.allocation import allocate
from hornbeam.ir.types import HornbeamTypeError, ShapeError

SEEDS = st.integers(0, 2**31)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.lists(st.integers(0, 99), max_size=5))
def test_allocations_round_every_proportion_and_keep_all_sums(counts: list[int], cuts: list[int]) -> None:
    n = sum(counts)
    sizes = np.diff([0, *sorted(n * cut // 99 for cut in cuts), n])
    table = allocate(np.array(counts), sizes)
    assert table.sum(axis=0).tolist() == sizes.tolist()
    assert table.sum(axis=1).tolist() == counts
    assert (np.abs(table - np.outer(counts, sizes) / n) < 1).all()


@given(st.integers(5, 200), st.floats(0, 0.4), st.integers(0, 2), st.integers(1, 6), SEEDS)
def test_splits_are_disjoint_complete_and_stratified(
    count: int, share: float, number: int, classes: int, seed: int
) -> None:
    y = np.random.default_rng(seed).integers(0, classes, count)
    share = share if share * count >= 1 else 0
    parts = split(np.arange(count), y, validation=share, test=number, stratify=y, seed=seed, verbose=False)
    rows = list(parts.rows.values())
    assert np.sort(np.concatenate(rows)).tolist() == list(range(count))
    assert [len(part) for part in rows[1:]] == [round(share * count), number]
    for part, part_rows in zip(parts, [part for part in rows if len(part)], strict=True):
        assert part[0].tolist() == part_rows.tolist()
        exact = np.bincount(y, minlength=classes) * len(part_rows) / count
        assert (np.abs(np.bincount(part[1], minlength=classes) - exact) < 1).all()
    again = split(np.arange(count), y, validation=share, test=number, stratify=y, seed=seed, verbose=False)
    assert [part.tolist() for part in again.rows.values()] == [part.tolist() for part in rows]


@given(st.integers(3, 150), st.integers(3, 30), st.booleans(), SEEDS)
def test_groups_are_never_torn(count: int, number: int, stratify: bool, seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, number, count)
    y = rng.integers(0, 3, count)
    if len(np.unique(groups)) < 3 or count < 10:
        return
    parts = split(
        np.arange(count), y, validation=0.2, test=0.2, groups=groups, stratify=y if stratify else False,
        seed=seed, verbose=False,
    )  # fmt: skip
    rows = list(parts.rows.values())
    assert all(len(part) for part in rows)
    assert np.sort(np.concatenate(rows)).tolist() == list(range(count))
    results = [set(groups[part].tolist()) for part in rows]
    assert sum(map(len, results)) == len(set(groups.tolist()))


@given(st.integers(4, 120), st.integers(2, 6), st.sampled_from(["plain", "classes", "groups"]), SEEDS)
def test_folds_hold_every_sample_out_once(count: int, k: int, kind: str, seed: int) -> None:
    if count < 2 * k:
        return
    rng = np.random.default_rng(seed)
    y, groups = rng.integers(0, 3, count), np.arange(count) // 2
    folds = k_fold(
        np.arange(count), y, k, groups=groups if kind == "groups" else None,
        stratify=y if kind == "classes" else False, seed=seed,
    )  # fmt: skip
    assert len(folds) == k
    held = np.concatenate([fold.validation_rows for fold in folds])
    assert np.sort(held).tolist() == list(range(count))
    for fold in folds:
        assert np.sort([*fold.train_rows, *fold.validation_rows]).tolist() == list(range(count))
        assert fold.validation[0].tolist() == fold.validation_rows.tolist()
        if kind == "groups":
            assert not set(groups[fold.train_rows]) & set(groups[fold.validation_rows])
        else:
            assert len(fold.validation_rows) in (count // k, count // k + 1)
        if kind == "classes":
            exact = np.bincount(y) * len(fold.validation_rows) / count
            assert (np.abs(np.bincount(y[fold.validation_rows], minlength=len(exact)) - exact) < 1).all()


@given(st.integers(6, 100), st.integers(2, 5), st.integers(0, 2))
def test_folds_in_time_train_on_the_past_alone(count: int, k: int, gap: int) -> None:
    if count < (gap + 1) * (k + 1):
        return
    ends = []
    for train, validation, train_rows, validation_rows in k_fold(np.arange(count), k=k, time=True, gap=gap):
        assert validation_rows[0] - train_rows[-1] == gap + 1
        assert train.tolist() == list(range(len(train_rows)))
        assert len(validation) == count // (k + 1)
        ends.append(validation_rows[-1])
    assert ends == sorted(ends)
    assert ends[-1] == count - 1


def test_what_is_said(capsys: Any) -> None:
    split(np.zeros((100, 2)), np.repeat([0, 1], [90, 10]), seed=0)
    assert capsys.readouterr().out == (
        "100 samples: 80 train, 10 validation, 10 test; shuffled, stratified\n"
    )
    parts = split(np.zeros((100, 2)), validation=None, test=0.25, groups=np.arange(100) // 10, seed=0)
    assert capsys.readouterr().out == "100 samples: 80 train, 20 test; whole groups shuffled\n"
    assert parts.validation is None
    assert "80 train" in repr(parts)


def test_the_global_seed_serves_without_one() -> None:
    def drawn() -> list[int]:
        return split(np.arange(50), verbose=False).test.tolist()

    hb.utils.set_random_seed(1)
    first, second = drawn(), drawn()
    hb.utils.set_random_seed(1)
    assert drawn() == first != second


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_frames_stay_frames(frame: Any) -> None:
    table = frame({"a": np.arange(20), "b": [f"t{i}" for i in range(20)]})
    train, test = split(table, np.repeat(["x", "y"], 10), test=4, validation=0, seed=3, verbose=False)
    assert type(test[0]) is type(table)
    assert sorted(test[1].tolist()) == ["x", "x", "y", "y"]
    assert sorted([*train[0]["a"], *test[0]["a"]]) == list(range(20))
    assert [f"t{a}" for a in test[0]["a"]] == list(test[0]["b"])


def test_structures_and_lists() -> None:
    data = {"image": np.arange(10), "text": [f"t{i}" for i in range(10)]}
    train, validation, test = split(data, [[i % 2] for i in range(10)], test=2, validation=2, verbose=False)
    for x, y in (train, validation, test):
        assert x["text"].tolist() == [f"t{i}" for i in x["image"]]
        assert y.shape == (len(x["image"]), 1)
        assert (y[:, 0] == x["image"] % 2).all()


def test_what_cannot_be() -> None:
    x = np.arange(10)
    for text, settings in {
        "leave nothing of 10": {"test": 0.5, "validation": 5},
        "a fraction below 1": {"test": 1.0},
        "rounds to 0": {"test": 0.01},
        "at least 0": {"test": -1},
        "2 groups cannot be split into 3": {"groups": x % 2, "test": 2, "validation": 2},
        "one value for each of 10": {"groups": x[:4]},
        "stratify=True needs y": {"stratify": True},
        'must be "auto"': {"stratify": "yes"},
    }.items():
        with pytest.raises(ValueError, match=text):
            split(x, verbose=False, **settings)
    with pytest.raises(ShapeError, match="x has 10, y has 9"):
        split(x, x[:9])
    with pytest.raises(HornbeamTypeError, match="arrays, frames or lists"):
        split("text")
    for text, settings in {
        "too few for 11 folds": {"k": 11},
        "omit groups": {"time": True, "groups": x},
        "gap is for samples": {"gap": 1},
        "in the order of time with a gap of 4": {"time": True, "gap": 4, "k": 2},
    }.items():
        with pytest.raises(ValueError, match=text):
            k_fold(x, **settings)


@pytest.mark.parametrize("library", [pd.DataFrame, pl.DataFrame, dict])
def test_y_can_be_named_by_its_column(library: Any) -> None:
    table = library({"age": np.arange(10), "churn": np.repeat([0, 1], 5)})
    parts = split(table, "churn", validation=2, test=2, seed=0, verbose=False)
    x, y = parts.train
    assert "stratified" in parts.summary
    assert list(x if isinstance(x, dict) else x.columns) == ["age"]
    np.testing.assert_array_equal(np.asarray(y), np.asarray(x["age"]) >= 5)
    with pytest.raises(
        ValueError, match=r"x has no column 'chrun', only age, churn\. Did you mean 'churn'\?"
    ):
        split(table, "chrun")
    with pytest.raises(HornbeamTypeError, match="y='churn' names a column, but x is ndarray, not a frame"):
        split(np.ones((10, 2)), "churn")
