"""Nearest neighbours among samples, by products of matrices: quick enough for tens of thousands of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Dimensions in which distances are taken, rows by which they are found, features that are looked at.
DIMENSIONS = 40
REFERENCES = 4000
_MOST = 1024
_BLOCK = 1024


def features_of(arrays: list[np.ndarray], pictures: bool) -> np.ndarray:
    """Samples as points, float32 (n, d): centred, columns of tables at one scale. What is missing lies in the
    middle.

    Of more than 1,024 features evenly spread ones are taken, of pictures means over little squares.
    """
    parts = [_thinned(array, pictures) for array in arrays]
    flat = [part.reshape(len(part), -1) for part in parts]
    x = flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)
    if x.shape[1] > _MOST:
        x = x[:, np.linspace(0, x.shape[1] - 1, _MOST).astype(int)]
    if not np.isfinite(x.sum()):
        bad = ~np.isfinite(x)
        counts = np.maximum((~bad).sum(axis=0), 1)
        x = np.where(bad, np.where(bad, 0, x).sum(axis=0) / counts, x)
    x -= x.mean(axis=0, dtype=np.float64).astype(np.float32)
    if not pictures:
        deviations = np.sqrt(np.einsum("ij,ij->j", x, x, dtype=np.float64) / len(x))
        x /= np.where(deviations > 0, deviations, 1).astype(np.float32)
    return x


def projected(x: np.ndarray) -> np.ndarray:
    """What lies of points in the 40 directions in which they vary most, nearly: two steps of a randomized
    subspace iteration (N. Halko, P. Martinsson, J. Tropp 2011)."""
    if x.shape[1] <= DIMENSIONS:
        return x
    some = x[np.linspace(0, len(x) - 1, min(len(x), REFERENCES)).astype(int)]
    axes = np.random.default_rng(0).normal(size=(x.shape[1], DIMENSIONS)).astype(np.float32)
    for _ in range(2):
        axes = np.linalg.qr(some.T @ (some @ axes))[0]
    found: np.ndarray = x @ axes
    return found


def _thinned(array: np.ndarray, pictures: bool) -> np.ndarray:
    if pictures and array.ndim > 2 and array[0].size > _MOST:
        step = int(np.ceil(np.sqrt(array[0].size / _MOST)))
        height, width = (size // step * step for size in array.shape[1:3])
        cut = array[:, :height, :width].reshape(len(array), height // step, step, width // step, step, -1)
        return np.asarray(cut.mean(axis=(2, 4), dtype=np.float32))
    return array.astype(np.float32)


def nearest(
    points: np.ndarray, among: np.ndarray, number: int, skip: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows in `among` of the `number` nearest for each point, the nearest first, and squared distances.

    skip: for each point a row of `among` that does not count, -1 for none.
    """
    # |a - b|^2 - |a|^2 = -2 a b + |b|^2, as one product.
    turned = np.concatenate([-2 * among, np.einsum("ij,ij->i", among, among)[:, None]], axis=1).T
    rows, distances = [], []
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        apart = np.pad(block, ((0, 0), (0, 1)), constant_values=1) @ turned
        lines = np.arange(len(block))
        if skip is not None:
            own = skip[start : start + _BLOCK]
            apart[lines[own >= 0], own[own >= 0]] = np.inf
        squares = np.einsum("ij,ij->i", block, block)
        for _ in range(number):  # quicker than a partition: the smallest of a line is found by SIMD
            found = apart.argmin(axis=1)
            rows.append(found)
            distances.append(apart[lines, found] + squares)
            apart[lines, found] = np.inf
    blocks = range(0, len(rows), number)
    near = [np.stack(part, axis=1) for part in (rows[i : i + number] for i in blocks)]
    far = [np.stack(part, axis=1) for part in (distances[i : i + number] for i in blocks)]
    return np.concatenate(near), np.maximum(np.concatenate(far), 0)


class Suspicion(NamedTuple):
    """A sample whose neighbours have another label: its row, its class, theirs, and how many of them."""

    row: int
    label: int
    neighbors: int
    share: float


def suspicious_labels(points: np.ndarray, classes: np.ndarray, number: int = 10) -> list[Suspicion] | None:
    """Samples that nine of ten nearest neighbours, or more, contradict with one voice; the surest first.

    None if neighbours say too little: fewer than 50 samples, or most samples' nearest neighbour has another
    label. Classes of which that is true are left out: beside a frequent class a rare one always looks wrong.
    """
    count = len(classes)
    if count < 50 or len(np.unique(classes)) < 2:
        return None
    some = np.linspace(0, count - 1, min(count, REFERENCES)).astype(np.int64)
    own = np.full(count, -1)
    own[some] = np.arange(len(some))
    agrees = classes[some[nearest(points, points[some], 1, own)[0][:, 0]]] == classes
    counts = np.bincount(classes)
    sure = np.bincount(classes, agrees) / np.maximum(counts, 1)
    if agrees.mean() < 0.5:
        return None
    rows = np.flatnonzero(~agrees & (sure[classes] >= 0.5))
    if not len(rows):
        return []
    number = min(number, count - 1)
    theirs = classes[nearest(points[rows], points, number, rows)[0]]
    found = []
    for row, labels in zip(rows.tolist(), theirs, strict=True):
        votes = np.bincount(labels)
        other = int(votes.argmax())
        if other != classes[row] and votes[other] >= 0.9 * number:
            found.append(Suspicion(row, int(classes[row]), other, float(votes[other] / number)))
    return sorted(found, key=lambda one: -one.share)
