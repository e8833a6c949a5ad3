"""Quantiles of data in batches, from a summary of bounded size.

A summary is a sorted list of values, each with the number of values that it represents. Both its size and the
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


def summarize(values: np.ndarray, epsilon: float) -> Summary:
    """Take every n-th value of one batch."""
    ordered = np.sort(values.reshape(-1).astype(np.float32))
    step = max(len(ordered) * epsilon, 1.0)
    samples = ordered[int(step - 1) :: int(step)]
    return Summary(samples, np.full_like(samples, step))


def merge(first: Summary, second: Summary, epsilon: float) -> Summary:
    """Merge two summaries."""
    values = np.concatenate([first.values, second.values])
    weights = np.concatenate([first.weights, second.weights])
    order = np.argsort(values)
    return compress(Summary(values[order], weights[order]), epsilon)


def compress(summary: Summary, epsilon: float) -> Summary:
    """Compute the summary at 1 / epsilon quantiles by linear interpolation."""
    if len(summary.values) * epsilon < 1:
        return summary
    fractions = epsilon + np.arange(0.0, 1.0, epsilon)
    cumulative_weights = np.cumsum(summary.weights)
    cumulative = cumulative_weights / cumulative_weights[-1]
    values = np.interp(fractions, cumulative, summary.values)
    weights = np.diff(np.interp(fractions, cumulative, cumulative_weights), prepend=0.0)
    return Summary(values.astype(np.float32), weights.astype(np.float32))
