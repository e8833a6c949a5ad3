"""`k_fold`: cross-validation, plain, stratified, by groups, and in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam._internal.validation import check_int
from hornbeam.data.samples import as_samples, check_same_count, take_samples
from hornbeam.data.splits.split import (
    group_ids,
    permutation_function,
    split_group_indices,
    split_indices,
    stratification_classes,
)


class Fold(NamedTuple):
    """One fold: training and validation samples, (x, y) or x alone, and the row numbers of both."""

    train: Tree
    validation: Tree
    train_rows: np.ndarray
    validation_rows: np.ndarray


class Folds:
    """Folds of `k_fold`, whose samples are gathered on access."""

    def __init__(self, data: Tree, rows: list[tuple[np.ndarray, np.ndarray]], summary: str) -> None:
        self._data, self._rows, self.summary = data, rows, summary

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Fold:
        train, validation = self._rows[index]
        return Fold(take_samples(self._data, train), take_samples(self._data, validation), train, validation)

    def __iter__(self) -> Iterator[Fold]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<Folds: {self.summary}>"


def k_fold(
    x: Tree,
    y: Tree = None,
    k: int = 5,
    *,
    groups: ArrayLike | None = None,
    stratify: str | bool | ArrayLike | None = "auto",
    time: bool = False,
    gap: int = 0,
    seed: int | None = None,
) -> Folds:
    """Divide samples into `k` folds for cross-validation; every sample is held out once.

    Args:
        x: Samples: arrays, lists or dicts of arrays, frames.
        y: Targets of the samples, or None.
        k: Number of folds, at least 2.
        groups: One value a sample; samples of one group are never separated.
        stratify: "auto", True, False or an array of classes, as for `split`.
        time: Whether rows are in the order of time. Fold i then trains on all rows before its validation
            rows and on none after them; each fold holds n // (k + 1) rows out, and the rows before the first
            validation rows are never held out.
        gap: Rows between training and validation rows that are dropped, so that windows of samples do not
            overlap; needs time=True.
        seed: Seed of the shuffle; drawn from the global seed if None.

    Returns:
        Sequence of k `Fold`s: train, validation, train_rows, validation_rows.

    Raises:
        ValueError: If samples or groups are fewer than folds, or `groups` and `time` are combined.

    Example:
        >>> [len(fold.validation) for fold in hornbeam.data.k_fold(np.arange(10.0), k=3)]
        [4, 3, 3]
    """
    x, y = as_samples(x, "x"), None if y is None else as_samples(y, "y")
    count, k = check_same_count(x=x, y=y), check_int("k", k, minimum=2)
    gap = check_int("gap", gap, minimum=0)
    data = x if y is None else (x, y)
    if gap and not time:
        raise ValueError("gap is for samples in the order of time: set time=True with it")
    if time:
        if groups is not None or not (stratify is None or stratify is False or _is_auto(stratify)):
            raise ValueError("time=True keeps the order of rows: omit groups and stratify")
        return Folds(data, _time_folds(count, k, gap), f"{k} folds of {count:,} samples in the order of time")
    classes, order = stratification_classes(y, stratify, count), permutation_function(seed)
    if groups is not None:
        held_out = split_group_indices(group_ids(groups, count), np.full(k, count / k), classes, order)
    elif k > count:
        raise ValueError(f"{count:,} samples are too few for {k} folds")
    else:
        sizes = np.full(k, count // k) + (np.arange(k) < count % k)
        held_out = split_indices(count, sizes, classes, order)
    method = "shuffled" if groups is None else "whole groups"
    method += "" if classes is None else ", stratified"
    train = [np.setdiff1d(np.arange(count), rows, assume_unique=True) for rows in held_out]
    rows = list(zip(train, held_out, strict=True))
    return Folds(data, rows, f"{k} folds of {count:,} samples, {method}")


def _is_auto(stratify: object) -> bool:
    return isinstance(stratify, str) and stratify == "auto"


def _time_folds(count: int, k: int, gap: int) -> list[tuple[np.ndarray, np.ndarray]]:
    size = count // (k + 1)
    first = count - k * size
    if not size or first <= gap:
        raise ValueError(
            f"{count:,} samples are too few for {k} folds in the order of time with a gap of {gap}"
        )
    starts = range(first, count, size)
    return [(np.arange(start - gap), np.arange(start, start + size)) for start in starts]
