"""`k_fold`: cross-validation, plain, stratified, by groups, and in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam.data.samples import as_samples, check_same_count, take_samples
from hornbeam.data.splits.split import classes_of, group_ids, order_of, split_group_indices, split_indices


class Fold(NamedTuple):
    """One fold: what to train and to validate on, (x, y) or x alone, and the row numbers of both."""

    train: Any
    validation: Any
    train_rows: np.ndarray
    validation_rows: np.ndarray


class Folds:
    """The folds of `k_fold`. The samples of one are put together when it is asked for."""

    def __init__(self, data: Any, rows: list[tuple[np.ndarray, np.ndarray]], sentence: str) -> None:
        self._data, self._rows, self.sentence = data, rows, sentence

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Fold:
        train, validation = self._rows[index]
        return Fold(take_samples(self._data, train), take_samples(self._data, validation), train, validation)

    def __iter__(self) -> Iterator[Fold]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<Folds: {self.sentence}>"


def k_fold(
    x: Any,
    y: Any = None,
    k: int = 5,
    *,
    groups: Any = None,
    stratify: Any = "auto",
    time: bool = False,
    gap: int = 0,
    seed: int | None = None,
) -> Folds:
    """`k` ways to train on most samples and validate on the others; every sample is held out once.

    x, y, groups, stratify, seed: as for `split`. time: rows are in the order of time. Fold i then trains on
    all rows before its validation rows and on none behind; each holds n // (k + 1) rows out, and the rows
    before the first are never held out. gap: rows left out between the two, so that windows of samples do
    not overlap.

    Gives k `Fold`s: train, validation, train_rows, validation_rows. Raises ValueError if there are fewer
    samples or groups than folds, or groups and time go together.

    >>> [len(fold.validation) for fold in hornbeam.data.k_fold(np.arange(10.0), k=3)]
    [4, 3, 3]
    """
    x, y = as_samples(x, "x"), None if y is None else as_samples(y, "y")
    count, k, gap = check_same_count(x=x, y=y), check_int("k", k, 2), check_int("gap", gap, 0)
    data = x if y is None else (x, y)
    if gap and not time:
        raise ValueError("gap is for samples in the order of time: give time=True with it")
    if time:
        if groups is not None or stratify not in ("auto", False, None):
            raise ValueError("time=True keeps the order of rows: it takes no groups and no stratify")
        return Folds(data, _in_time(count, k, gap), f"{k} folds of {count:,} samples in the order of time")
    classes, order = classes_of(y, stratify, count), order_of(seed)
    if groups is not None:
        held = split_group_indices(group_ids(groups, count), np.full(k, count / k), classes, order)
    elif k > count:
        raise ValueError(f"{count:,} samples are too few for {k} folds")
    else:
        held = split_indices(count, np.full(k, count // k) + (np.arange(k) < count % k), classes, order)
    how = "shuffled" if groups is None else "whole groups"
    how += "" if classes is None else ", every class in proportion"
    rest = [np.setdiff1d(np.arange(count), rows, assume_unique=True) for rows in held]
    return Folds(data, list(zip(rest, held, strict=True)), f"{k} folds of {count:,} samples, {how}")


def _in_time(count: int, k: int, gap: int) -> list[tuple[np.ndarray, np.ndarray]]:
    size = count // (k + 1)
    first = count - k * size
    if not size or first <= gap:
        raise ValueError(
            f"{count:,} samples are too few for {k} folds in the order of time with a gap of {gap}"
        )
    starts = range(first, count, size)
    return [(np.arange(start - gap), np.arange(start, start + size)) for start in starts]
