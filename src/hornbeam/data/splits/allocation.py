"""Stratified allocation: the number of samples of each class in each part of a split."""

from __future__ import annotations

import numpy as np


def allocate(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Return how many samples of each class go to each part: integers (classes, parts).

    counts: samples of each class. sizes: samples of each part, with the same sum n. Every entry is the
    proportion counts[c] * sizes[p] / n, rounded up or down, and rows and columns sum to counts and sizes.
    Such a table always exists (Bacharach 1966): entries with the largest remainders are rounded up first,
    then samples are moved along paths of parts until the sizes are right.

    >>> allocate(np.array([5, 5]), np.array([7, 2, 1])).tolist()
    [[3, 1, 1], [4, 1, 0]]
    """
    counts, sizes = np.asarray(counts, np.int64), np.asarray(sizes, np.int64)
    floor, remainder = np.divmod(np.outer(counts, sizes), counts.sum())
    rounded_up = np.zeros(floor.shape, bool)
    for row, missing in enumerate(counts - floor.sum(axis=1)):
        rounded_up[row, np.argsort(-remainder[row], kind="stable")[:missing]] = True
    while True:
        surplus = (floor + rounded_up).sum(axis=0) - sizes
        if not surplus.any():
            return np.asarray(floor + rounded_up)
        _move_sample(rounded_up, remainder > 0, surplus)


def _move_sample(rounded_up: np.ndarray, fractional: np.ndarray, surplus: np.ndarray) -> None:
    """Move one sample from a part with too many, through other parts, to one with too few."""
    came_from: dict[int, tuple[int, int]] = {}
    reached = [int(surplus.argmax())]
    for part in reached:
        if surplus[part] < 0:
            break
        for other in range(len(surplus)):
            movable = rounded_up[:, part] & ~rounded_up[:, other] & fractional[:, other]
            if other not in reached and movable.any():
                came_from[other] = part, int(movable.argmax())
                reached.append(other)
    while part != reached[0]:
        other, row = came_from[part]
        rounded_up[row, other], rounded_up[row, part] = False, True
        part = other
