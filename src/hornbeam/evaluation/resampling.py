"""Intervals by resampling: the variance of a value over samples drawn with replacement."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import NormalDist

import numpy as np

from hornbeam._internal.intervals import Interval, wilson
from hornbeam.evaluation.statistics import Statistic

# Number of counts in a block: 32 MB.
_BLOCK = 4_000_000


def resample_counts(samples: int, resamples: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Yield how often each sample was drawn, (b, samples) float64, in blocks of `resamples` rows in total."""
    size = max(_BLOCK // samples, 1)
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        drawn = rng.integers(0, samples, (rows, samples))
        drawn += np.arange(rows)[:, None] * samples
        yield np.bincount(drawn.ravel(), minlength=rows * samples).reshape(rows, samples).astype(np.float64)


def interval(
    statistic: Statistic, level: float = 0.95, resamples: int = 2000, rng: np.random.Generator | None = None
) -> Interval | None:
    """Compute the interval of a statistic, or None if the samples do not determine one.

    A proportion has Wilson's interval, a mean the bootstrap-t interval (Efron 1981), all others the BCa
    interval (Efron 1987). docs/evaluation.md shows how often each of them holds.
    """
    rng = rng or np.random.default_rng(0)
    if statistic.kind == "proportion":
        successes, failures = statistic.states.sum(0)
        return wilson(successes, successes + failures, level) if successes + failures else None
    if len(statistic.states) < 2:
        return None
    if statistic.kind == "mean":
        return _bootstrap_t(statistic, level, resamples, rng)
    return _bca(statistic, level, resamples, rng)


def _bootstrap_t(
    statistic: Statistic, level: float, resamples: int, rng: np.random.Generator
) -> Interval | None:
    """Compute a bootstrap-t interval: quantiles of t* = (m* - m) / s* replace Student's, which covers
    skewness.

        m - t*(1 - a/2) s   to   m - t*(a/2) s

    Means are sums by weights, m = S/W, and s^2 = sum (v_i - m w_i)^2 / W^2.
    """
    value, weight = statistic.states.T
    if not weight.sum():
        return None
    mean = value.sum() / weight.sum()
    deviation = np.sqrt(((value - mean * weight) ** 2).sum()) / weight.sum()
    # Equal up to rounding.
    if deviation <= 1e-14 * abs(mean):
        return None
    # Centred first: squares of large means would cancel small deviations.
    residual = value - mean * weight
    moments = np.stack([residual, weight, residual * residual, residual * weight, weight * weight], 1)
    sums = np.concatenate([block @ moments for block in resample_counts(len(value), resamples, rng)])
    shift = sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], 1)
    squares = sums[:, 2] - 2 * shift * sums[:, 3] + shift**2 * sums[:, 4]
    error = np.sqrt(np.maximum(squares, 0)) / np.where(sums[:, 1] > 0, sums[:, 1], 1)
    usable = error > 1e-9 * deviation
    # Resamples without variance are at infinity on their side.
    t = np.divide(shift, error, out=np.copysign(np.inf, shift), where=usable)
    tail = (1 - level) / 2
    upper, lower = np.quantile(t, [1 - tail, tail], method="inverted_cdf")
    bounds = np.array([mean - upper * deviation, mean - lower * deviation])
    if (value >= 0).all() and (weight >= 0).all():
        bounds = np.maximum(bounds, 0.0)
    if not np.isfinite(bounds).all():  # resamples without variance, of few samples
        return None
    low, high = statistic.values(np.stack([bounds, np.ones(2)], 1))
    return Interval(float(low), float(high), level, "bootstrap-t")


def _bca(statistic: Statistic, level: float, resamples: int, rng: np.random.Generator) -> Interval | None:
    """Compute a BCa interval: quantiles of resampled values, corrected for bias (z0) and acceleration (a).

        level' = Phi(z0 + (z0 + z) / (1 - a (z0 + z)))

    a is a third moment of the values without one sample each (the jackknife).
    """
    states = statistic.states
    total = states.sum(0)
    value = statistic.value
    resampled = np.concatenate(
        [statistic.values(block @ states) for block in resample_counts(len(states), resamples, rng)]
    )
    resampled = resampled[np.isfinite(resampled)]
    if len(resampled) < resamples / 2 or np.ptp(resampled) <= 1e-7 * max(abs(value), 1e-30):
        return None
    without = statistic.values(total - states)
    influence = without.mean() - without
    squares = (influence**2).sum()
    skew = (influence**3).sum() / (6 * squares**1.5) if squares > 0 else 0.0
    below = ((resampled < value).mean() + (resampled <= value).mean()) / 2
    normal = NormalDist()
    bias = normal.inv_cdf(min(max(below, 1 / len(resampled)), 1 - 1 / len(resampled)))
    levels = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        shifted = bias + normal.inv_cdf(tail)
        levels.append(normal.cdf(bias + shifted / max(1 - skew * shifted, 0.05)))
    low, high = np.quantile(resampled, levels)
    return Interval(float(low), float(high), level, "bootstrap (BCa)")
