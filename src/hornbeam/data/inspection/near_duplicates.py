"""Samples of two parts that are the same, or nearly, where chance does not explain it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hornbeam._internal.neighbors import features_of, nearest, projected
from hornbeam._internal.row_hash import evenly_spaced, hash_samples
from hornbeam.data.inspection.statistics import looks_like_images, summarize

# A sample of so many bits is there twice only if somebody put it there twice.
RICH = 64
# Two samples are nearly the same below this part of the usual distance of tenth neighbours.
NEAR = 0.1
_FEATURES = 8
_LEAST = 30

Arrays = Mapping[str, np.ndarray]


class Twins(NamedTuple):
    """Row numbers (n, 2) of twins, one for each row of the second part; and all its rows that have an equal
    one in the first, for whatever reason."""

    rows: np.ndarray
    equal: np.ndarray


def same_twins(one: Arrays, other: Arrays) -> Twins:
    """Rows of `other` that are in `one`, too; none if chance explains them.

    It does if samples tell little, and no more of them are there twice than within `one`, or than a draw of
    each column by itself would give with half the bits (columns depend on each other). Samples of one value
    throughout (a blank picture) do not count.
    """
    dtypes = [_common(one[name].dtype, other[name].dtype) for name in one]
    ours, theirs = (hash_samples(list(part.values()), dtypes) for part in (one, other))
    order = np.argsort(ours, kind="stable")
    place = np.minimum(np.searchsorted(ours[order], theirs), len(ours) - 1)
    equal = np.flatnonzero(ours[order][place] == theirs)
    told = equal[~blank(other, equal)]
    rows = np.stack([order[place[told]], told], axis=1)
    if len(told) and _chance(one, ours, theirs, len(told)):
        rows = rows[:0]
    return Twins(rows, equal)


def _common(one: Any, other: Any) -> Any:
    """The type in which two parts are compared: the coarser of two floats."""
    if one.kind not in "biuf" or other.kind not in "biuf":
        return np.float64
    if one == other:
        return one
    return np.float32 if any(d.kind == "f" and d.itemsize <= 4 for d in (one, other)) else np.float64


def _chance(one: Arrays, ours: np.ndarray, theirs: np.ndarray, found: int) -> bool:
    known = bits(one)
    if known >= RICH:
        return False
    _, inverse, counts = np.unique(ours, return_inverse=True, return_counts=True)
    share = float((counts[inverse.reshape(-1)] > 1).mean())
    spread_of = share * (1 - share) * (1 / len(ours) + 1 / len(theirs))
    usual = (share + 5 * spread_of**0.5) * len(theirs) + 1
    drawn = len(ours) * len(theirs) * 2.0 ** (-known / 2)
    return found <= max(usual, drawn + 5 * drawn**0.5)


def bits(arrays: Arrays) -> float:
    """How much a sample tells, at most: the collision entropies of columns, -log2 of the chance that two
    samples have the same value there, added up. Of many columns 256 are looked at, of many rows 2,000. Texts
    of 20 letters or more that are all different tell enough."""
    total = 0.0
    for array in arrays.values():
        flat = array.reshape(len(array), -1)
        flat = flat[evenly_spaced(len(flat), 2000)]
        for column in np.unique(np.linspace(0, flat.shape[1] - 1, min(256, flat.shape[1])).astype(int)):
            values = flat[:, column]
            values = values.astype("U") if values.dtype == object else values
            counts = np.unique(values, return_counts=True)[1].astype(float)
            pairs = len(values) * (len(values) - 1) / 2
            if values.dtype.kind == "U" and counts.max() == 1 and np.char.str_len(values).mean() >= 20:
                total += RICH
            elif pairs:
                total -= np.log2(max((counts * (counts - 1) / 2).sum(), 1) / pairs)
    return total


def blank(arrays: Arrays, rows: np.ndarray) -> np.ndarray:
    """Which of the rows have one value throughout, in all arrays; texts must be empty. Never a single
    number."""
    found = np.ones(len(rows), bool)
    first, numbers = None, 0
    for array in arrays.values():
        flat = array.reshape(len(array), -1)[rows]
        if flat.dtype.kind in "OSU":
            found &= np.array([all(value in ("", b"", None) for value in row) for row in flat.tolist()], bool)
        else:
            first = flat[:, :1] if first is None else first
            found &= (flat == first).all(axis=1)
            numbers += flat.shape[1]
    return found & (numbers != 1)


def near_twins(one: Arrays, other: Arrays, equal: np.ndarray) -> Twins:
    """Rows of `other` nearly equal to one of `one`, those that are equal left out."""
    none = Twins(np.empty((0, 2), np.int64), equal)
    numbers = [(one[name], other[name]) for name in one if one[name].dtype.kind in "biuf"]
    width = sum(int(np.prod(a.shape[1:])) for a, _ in numbers)
    if len(numbers) < len(one) or width < _FEATURES or min(len(numbers[0][0]), len(numbers[0][1])) < _LEAST:
        return none
    if bits(one) < RICH:
        return none
    pictures = len(numbers) == 1 and looks_like_images(summarize(numbers[0][0], ""))
    x = features_of([np.concatenate(pair) for pair in numbers], pictures)
    count = len(numbers[0][0])
    points = projected(x)
    rest = np.setdiff1d(np.arange(len(x) - count), equal)
    rest = rest[~blank(other, rest)]
    if len(rest) < _LEAST:
        return none
    # The tenth neighbour says what is usual: the first few may be twins, if many are.
    rows, squares = nearest(points[count + rest], points[:count], 10)
    apart, usual = (np.linalg.norm(x[count + rest] - x[rows[:, k]], axis=1) for k in (0, 9))
    apart = apart / max(float(np.median(usual)), 1e-30)
    rows, close = rows[:, 0], apart < NEAR
    if close.sum() <= _expected(apart, squares):
        return none
    return Twins(np.stack([rows[close], rest[close]], axis=1), equal)


def _expected(apart: np.ndarray, squares: np.ndarray) -> float:
    """How many distances below NEAR are no surprise, with a margin for chance. Numbers of neighbours grow by
    a power of the distance: one is seen between the fifth and the tenth (E. Levina, P. Bickel 2005), one in
    how many lie up to twice and three times NEAR."""
    growth = np.median(np.log(np.maximum(squares[:, 9], 1e-30) / np.maximum(squares[:, 4], 1e-30)) / 2)
    dimensions = np.log(2) / max(float(growth), 1e-3)
    by_dimensions = len(apart) * min(10 * NEAR ** (0.8 * dimensions), 1)
    twice, thrice = (int(((apart >= NEAR) & (apart < k * NEAR)).sum()) for k in (2, 3))
    power = max(np.log((thrice + 1) / (twice + 0.5)) / np.log(1.5), 1)
    usual = max((twice + 0.5) * 0.5**power, by_dimensions)
    return float(usual + 5 * usual**0.5 + 1)
