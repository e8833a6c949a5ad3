"""Exact and near-duplicates of samples across two parts of the data, unless chance explains them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from hornbeam._internal.neighbors import features_of, nearest, projected
from hornbeam._internal.row_hash import evenly_spaced, hash_samples
from hornbeam.data.inspection.statistics import looks_like_images, summarize

# Samples of at least so many bits do not repeat by chance.
MIN_BITS = 64
# Near-duplicates are closer than this fraction of the usual distance of tenth neighbors.
NEAR = 0.1
_MIN_FEATURES = 8
_MIN_SAMPLES = 30

Arrays = Mapping[str, np.ndarray]


class DuplicatePairs(NamedTuple):
    """Pairs of duplicates across two parts.

    rows: row numbers (n, 2) in the first and the second part, one pair for each row of the second. equal: all
    rows of the second part that have an equal one in the first, including those that chance explains.
    """

    rows: np.ndarray
    equal: np.ndarray


def find_exact_duplicates(first: Arrays, second: Arrays) -> DuplicatePairs:
    """Find rows of `second` that are also in `first`; none if chance explains them.

    Chance explains them if samples carry little information, and no more of them repeat than within `first`,
    or than independent draws of each column with half the bits would (columns depend on each other). Samples
    of one value throughout (a blank image) do not count.
    """
    dtypes = [_common_dtype(first[name].dtype, second[name].dtype) for name in first]
    first_hashes, second_hashes = (hash_samples(list(part.values()), dtypes) for part in (first, second))
    order = np.argsort(first_hashes, kind="stable")
    index = np.minimum(np.searchsorted(first_hashes[order], second_hashes), len(first_hashes) - 1)
    equal = np.flatnonzero(first_hashes[order][index] == second_hashes)
    informative = equal[~is_blank(second, equal)]
    rows = np.stack([order[index[informative]], informative], axis=1)
    if len(informative) and _is_chance(first, first_hashes, second_hashes, len(informative)):
        rows = rows[:0]
    return DuplicatePairs(rows, equal)


def _common_dtype(first: np.dtype[Any], second: np.dtype[Any]) -> Any:
    """Return the dtype in which two parts are compared: the coarser of two floats."""
    if first.kind not in "biuf" or second.kind not in "biuf":
        return np.float64
    if first == second:
        return first
    return np.float32 if any(d.kind == "f" and d.itemsize <= 4 for d in (first, second)) else np.float64


def _is_chance(first: Arrays, first_hashes: np.ndarray, second_hashes: np.ndarray, count: int) -> bool:
    bits = bits_per_sample(first)
    if bits >= MIN_BITS:
        return False
    _, inverse, counts = np.unique(first_hashes, return_inverse=True, return_counts=True)
    rate = float((counts[inverse.reshape(-1)] > 1).mean())
    variance = rate * (1 - rate) * (1 / len(first_hashes) + 1 / len(second_hashes))
    usual = (rate + 5 * variance**0.5) * len(second_hashes) + 1
    expected = len(first_hashes) * len(second_hashes) * 2.0 ** (-bits / 2)
    return count <= max(usual, expected + 5 * expected**0.5)


def bits_per_sample(arrays: Arrays) -> float:
    """Return an upper bound of the information in a sample: the sum of its columns' collision entropies.

    The collision entropy is -log2 of the probability that two samples have equal values. At most 256 columns
    and 2,000 rows are evaluated. Texts of 20 letters or more that are all distinct count MIN_BITS.
    """
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
                total += MIN_BITS
            elif pairs:
                total -= np.log2(max((counts * (counts - 1) / 2).sum(), 1) / pairs)
    return total


def is_blank(arrays: Arrays, rows: np.ndarray) -> np.ndarray:
    """Return a mask of the rows that have one value throughout, in all arrays.

    Texts must be empty. A sample of a single number is never blank.
    """
    blank = np.ones(len(rows), bool)
    first, width = None, 0
    for array in arrays.values():
        flat = array.reshape(len(array), -1)[rows]
        if flat.dtype.kind in "OSU":
            blank &= np.array([all(value in ("", b"", None) for value in row) for row in flat.tolist()], bool)
        else:
            first = flat[:, :1] if first is None else first
            blank &= (flat == first).all(axis=1)
            width += flat.shape[1]
    return blank & (width != 1)


def find_near_duplicates(first: Arrays, second: Arrays, equal: np.ndarray) -> DuplicatePairs:
    """Find rows of `second` that are almost equal to one of `first`, without the rows `equal`."""
    none = DuplicatePairs(np.empty((0, 2), np.int64), equal)
    numeric = [(first[name], second[name]) for name in first if first[name].dtype.kind in "biuf"]
    width = sum(int(np.prod(array.shape[1:])) for array, _ in numeric)
    if len(numeric) < len(first) or width < _MIN_FEATURES:
        return none
    if min(len(numeric[0][0]), len(numeric[0][1])) < _MIN_SAMPLES or bits_per_sample(first) < MIN_BITS:
        return none
    images = len(numeric) == 1 and looks_like_images(summarize(numeric[0][0], ""))
    x = features_of([np.concatenate(pair) for pair in numeric], images)
    count = len(numeric[0][0])
    points = projected(x)
    rest = np.setdiff1d(np.arange(len(x) - count), equal)
    rest = rest[~is_blank(second, rest)]
    if len(rest) < _MIN_SAMPLES:
        return none
    # The tenth neighbor sets the scale: the first few may be near-duplicates, if they are many.
    rows, squares = nearest(points[count + rest], points[:count], 10)
    distance, usual = (np.linalg.norm(x[count + rest] - x[rows[:, k]], axis=1) for k in (0, 9))
    distance = distance / max(float(np.median(usual)), 1e-30)
    rows, close = rows[:, 0], distance < NEAR
    if close.sum() <= _expected_close(distance, squares):
        return none
    return DuplicatePairs(np.stack([rows[close], rest[close]], axis=1), equal)


def _expected_close(distance: np.ndarray, squares: np.ndarray) -> float:
    """Return the number of distances below NEAR that is expected by chance, with a margin.

    The number of neighbors grows by a power of the distance. One estimate of the power is the growth from
    the fifth to the tenth neighbor (E. Levina, P. Bickel 2005), another the counts up to two and three times
    NEAR.
    """
    growth = np.median(np.log(np.maximum(squares[:, 9], 1e-30) / np.maximum(squares[:, 4], 1e-30)) / 2)
    dimensions = np.log(2) / max(float(growth), 1e-3)
    by_dimensions = len(distance) * min(10 * NEAR ** (0.8 * dimensions), 1)
    twice, thrice = (int(((distance >= NEAR) & (distance < k * NEAR)).sum()) for k in (2, 3))
    power = max(np.log((thrice + 1) / (twice + 0.5)) / np.log(1.5), 1)
    expected = max((twice + 0.5) * 0.5**power, by_dimensions)
    return float(expected + 5 * expected**0.5 + 1)
