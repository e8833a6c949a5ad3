"""Nearest neighbors among samples by matrix products: fast enough for tens of thousands of samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Dimensions of distances, rows that determine them, and features that are used.
DIMENSIONS = 40
REFERENCES = 4000
_MAX_FEATURES = 1024
_BLOCK = 1024


def features_of(arrays: list[np.ndarray], images: bool) -> np.ndarray:
    """Convert samples to points, float32 (n, d): centered, columns of tables at one scale.

    Missing values become the mean. More than 1,024 features are subsampled evenly; images are averaged over
    small squares.
    """
    parts = [_downsampled(array, images) for array in arrays]
    flat = [part.reshape(len(part), -1) for part in parts]
    x = flat[0] if len(flat) == 1 else np.concatenate(flat, axis=1)
    if x.shape[1] > _MAX_FEATURES:
        x = x[:, np.linspace(0, x.shape[1] - 1, _MAX_FEATURES).astype(int)]
    if not np.isfinite(x.sum()):
        bad = ~np.isfinite(x)
        counts = np.maximum((~bad).sum(axis=0), 1)
        x = np.where(bad, np.where(bad, 0, x).sum(axis=0) / counts, x)
    x -= x.mean(axis=0, dtype=np.float64).astype(np.float32)
    if not images:
        deviations = np.sqrt(np.einsum("ij,ij->j", x, x, dtype=np.float64) / len(x))
        x /= np.where(deviations > 0, deviations, 1).astype(np.float32)
    return x


def projected(x: np.ndarray) -> np.ndarray:
    """Project points to the 40 directions of largest variance, approximately.

    Two steps of a randomized subspace iteration (N. Halko, P. Martinsson, J. Tropp 2011).
    """
    if x.shape[1] <= DIMENSIONS:
        return x
    sample = x[np.linspace(0, len(x) - 1, min(len(x), REFERENCES)).astype(int)]
    axes = np.random.default_rng(0).normal(size=(x.shape[1], DIMENSIONS)).astype(np.float32)
    for _ in range(2):
        axes = np.linalg.qr(sample.T @ (sample @ axes))[0]
    return np.asarray(x @ axes)


def _downsampled(array: np.ndarray, images: bool) -> np.ndarray:
    if images and array.ndim > 2 and array[0].size > _MAX_FEATURES:
        step = int(np.ceil(np.sqrt(array[0].size / _MAX_FEATURES)))
        height, width = (size // step * step for size in array.shape[1:3])
        cut = array[:, :height, :width].reshape(len(array), height // step, step, width // step, step, -1)
        return np.asarray(cut.mean(axis=(2, 4), dtype=np.float32))
    return array.astype(np.float32)


def nearest(
    points: np.ndarray, among: np.ndarray, number: int, skip: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows in `among` of the `number` nearest neighbors of each point, and squared distances.

    skip: for each point a row of `among` that is excluded, -1 for none.
    """
    # |a - b|^2 - |a|^2 = -2 a b + |b|^2, as one product.
    transposed = np.concatenate([-2 * among, np.einsum("ij,ij->i", among, among)[:, None]], axis=1).T
    rows, distances = [], []
    for start in range(0, len(points), _BLOCK):
        block = points[start : start + _BLOCK]
        distances_to_all = np.pad(block, ((0, 0), (0, 1)), constant_values=1) @ transposed
        rows_of_block = np.arange(len(block))
        if skip is not None:
            excluded = skip[start : start + _BLOCK]
            distances_to_all[rows_of_block[excluded >= 0], excluded[excluded >= 0]] = np.inf
        squares = np.einsum("ij,ij->i", block, block)
        for _ in range(number):  # faster than a partition: the minimum of a row is computed by SIMD
            closest = distances_to_all.argmin(axis=1)
            rows.append(closest)
            distances.append(distances_to_all[rows_of_block, closest] + squares)
            distances_to_all[rows_of_block, closest] = np.inf
    blocks = range(0, len(rows), number)
    near = [np.stack(part, axis=1) for part in (rows[i : i + number] for i in blocks)]
    far = [np.stack(part, axis=1) for part in (distances[i : i + number] for i in blocks)]
    return np.concatenate(near), np.maximum(np.concatenate(far), 0)


class Suspicion(NamedTuple):
    """Sample whose neighbors have another label: its row, its class, theirs, and their fraction."""

    row: int
    label: int
    neighbors: int
    fraction: float


def suspicious_labels(points: np.ndarray, classes: np.ndarray, number: int = 10) -> list[Suspicion] | None:
    """Return samples whose label at least nine of ten nearest neighbors contradict, the clearest first.

    None if neighbors are not informative: fewer than 50 samples, or the nearest neighbor of most samples has
    another label. Classes of which that is true are excluded: a rare class looks wrong among a frequent one.
    """
    count = len(classes)
    if count < 50 or len(np.unique(classes)) < 2:
        return None
    references = np.linspace(0, count - 1, min(count, REFERENCES)).astype(np.int64)
    excluded = np.full(count, -1)
    excluded[references] = np.arange(len(references))
    agrees = classes[references[nearest(points, points[references], 1, excluded)[0][:, 0]]] == classes
    counts = np.bincount(classes)
    agreement = np.bincount(classes, agrees) / np.maximum(counts, 1)
    if agrees.mean() < 0.5:
        return None
    rows = np.flatnonzero(~agrees & (agreement[classes] >= 0.5))
    if not len(rows):
        return []
    number = min(number, count - 1)
    neighbor_labels = classes[nearest(points[rows], points, number, rows)[0]]
    suspicions = []
    for row, labels in zip(rows.tolist(), neighbor_labels, strict=True):
        votes = np.bincount(labels)
        other = int(votes.argmax())
        if other != classes[row] and votes[other] >= 0.9 * number:
            suspicions.append(Suspicion(row, int(classes[row]), other, float(votes[other] / number)))
    return sorted(suspicions, key=lambda suspicion: -suspicion.fraction)
