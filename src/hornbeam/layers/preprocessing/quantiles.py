"""Quantiles of data that come in batches, from a summary of bounded size.

A summary is a sorted list of values, each with the number of values that it stands for. Both its size and the
rank error of a quantile are about `epsilon` (0.01: a hundred values, one rank in a hundred). The steps, and
so the results, are those of Keras.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    """Sorted values and their weights, float32."""

    values: np.ndarray
    weights: np.ndarray


EMPTY = Summary(np.zeros(0, np.float32), np.zeros(0, np.float32))


def summarized(values: np.ndarray, epsilon: float) -> Summary:
    """Every so-manieth value of one batch."""
    ordered = np.sort(values.reshape(-1).astype(np.float32))
    step = max(len(ordered) * epsilon, 1.0)
    kept = ordered[int(step - 1) :: int(step)]
    return Summary(kept, np.full_like(kept, step))


def merged(first: Summary, second: Summary, epsilon: float) -> Summary:
    """One summary of two."""
    values = np.concatenate([first.values, second.values])
    weights = np.concatenate([first.weights, second.weights])
    order = np.argsort(values)
    return compressed(Summary(values[order], weights[order]), epsilon)


def compressed(summary: Summary, epsilon: float) -> Summary:
    """The summary at 1 / epsilon quantiles, found by linear interpolation."""
    if len(summary.values) * epsilon < 1:
        return summary
    shares = epsilon + np.arange(0.0, 1.0, epsilon)
    total = np.cumsum(summary.weights)
    reached = total / total[-1]
    values = np.interp(shares, reached, summary.values)
    weights = np.diff(np.interp(shares, reached, total), prepend=0.0)
    return Summary(values.astype(np.float32), weights.astype(np.float32))
