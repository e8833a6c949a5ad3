"""Whole numbers out of shares: how many samples of each class each part gets."""

from __future__ import annotations

import numpy as np


def allocate(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """How many samples of each class go to each part: (classes, parts), whole numbers.

    counts: samples of each class. sizes: samples of each part, of the same sum n. Every number is its share
    counts[c] * sizes[p] / n, rounded up or down, and rows and columns add up to counts and sizes. Such a
    table always exists (Bacharach 1966): largest remainders first, then odd samples are moved along paths of
    parts until the sizes are right.

    >>> allocate(np.array([5, 5]), np.array([7, 2, 1])).tolist()
    [[3, 1, 1], [4, 1, 0]]
    """
    counts, sizes = np.asarray(counts, np.int64), np.asarray(sizes, np.int64)
    low, rest = np.divmod(np.outer(counts, sizes), counts.sum())
    up = np.zeros(low.shape, bool)
    for row, odd in enumerate(counts - low.sum(axis=1)):
        up[row, np.argsort(-rest[row], kind="stable")[:odd]] = True
    while True:
        surplus = (low + up).sum(axis=0) - sizes
        if not surplus.any():
            return np.asarray(low + up)
        _move(up, rest > 0, surplus)


def _move(up: np.ndarray, free: np.ndarray, surplus: np.ndarray) -> None:
    """Take one sample out of a part that has too many, by way of other parts, into one that has too few."""
    came_from: dict[int, tuple[int, int]] = {}
    reached = [int(surplus.argmax())]
    for part in reached:
        if surplus[part] < 0:
            break
        for other in range(len(surplus)):
            movable = up[:, part] & ~up[:, other] & free[:, other]
            if other not in reached and movable.any():
                came_from[other] = part, int(movable.argmax())
                reached.append(other)
    while part != reached[0]:
        other, row = came_from[part]
        up[row, other], up[row, part] = False, True
        part = other
