"""Tests and intervals for two models on the same samples."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from hornbeam._internal.intervals import Interval, normal_quantile, student_quantile
from hornbeam.evaluation.resampling import interval
from hornbeam.evaluation.statistics import Statistic, ratio

# Up to this number of differing predictions the exact test is used, above it the mid-p one.
EXACT = 25


def mcnemar(only_a: int, only_b: int) -> tuple[float, str]:
    """Test whether two models are correct equally often (McNemar 1947).

    If both are equally good, each of the m = only_a + only_b samples is of either kind with probability 1/2:
    Binomial(m, 1/2). The exact p-value is 2 P(X <= min). For m > 25, where that is too conservative, P(X =
    min) counts half (mid-p; Fagerland, Lydersen and Laake 2013).

    Args:
        only_a: Number of samples that only the first model predicts correctly.
        only_b: Number of samples that only the second model predicts correctly.

    Returns:
        The p-value and the name of the test.

    Example:
        >>> mcnemar(1, 9)
        (0.021484375, 'McNemar, exact')
    """
    count, few = only_a + only_b, min(only_a, only_b)
    name = "McNemar, exact" if count <= EXACT else "McNemar, mid-p"
    if only_a == only_b:
        return 1.0, name
    if count <= EXACT:
        return min(2 * sum(math.comb(count, k) for k in range(few + 1)) / 2**count, 1.0), name
    logs = [math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1) for k in range(few + 1)]
    probabilities = np.exp(np.array(logs) - count * math.log(2))
    return float(min(2 * probabilities.sum() - probabilities[-1], 1.0)), name


def proportion_difference(only_a: int, only_b: int, n: int, level: float = 0.95) -> Interval:
    """Compute the interval of the difference of two paired proportions by the score test (Tango 1998).

    The difference is (only_a - only_b) / n. The interval holds all D with
    `|only_a - only_b - n D| <= z sqrt(n (2 q + D (1 - D)))`, where q is the maximum-likelihood proportion of
    `only_b` given D.

    Args:
        only_a: Number of samples that only the first model predicts correctly.
        only_b: Number of samples that only the second model predicts correctly.
        n: Number of samples.
        level: Confidence level.

    Returns:
        The interval.

    Example:
        >>> print(proportion_difference(9, 1, 100))
        0.0226 to 0.1541
    """
    z = normal_quantile(level)

    def score(difference: float) -> float:
        a = 2 * n
        b = -only_a - only_b + (2 * n - only_a + only_b) * difference
        c = -only_b * difference * (1 - difference)
        proportion = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * (2 * proportion + difference * (1 - difference))
        distance = only_a - only_b - n * difference
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)

    estimate = (only_a - only_b) / n
    return Interval(_root(score, z, -1.0, estimate), _root(score, -z, estimate, 1.0), level, "Tango's score")


def _root(score: Callable[[float], float], value: float, low: float, high: float) -> float:
    """Return the argument at which a decreasing function has a value, by bisection."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > value else (low, middle)
    return (low + high) / 2


def permutation_test(a: Statistic, b: Statistic, resamples: int, rng: np.random.Generator) -> float:
    """Return the p-value of "both models are equal", by exchanging their predictions at random.

    p = (1 + number of permutations that differ at least as much) / (1 + permutations), which is at most 5%
    with a probability of at most 5% if the models are equal (Phipson and Smyth 2010).
    """
    rest, base = a.states - b.states, b.states.sum(0)
    both = a.states.sum(0) + base
    observed = abs(a.value - b.value)
    size = max(4_000_000 // len(rest), 1)
    extreme = 0
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        swapped = base + rng.integers(0, 2, (rows, len(rest))).astype(np.float64) @ rest
        permuted = np.abs(a.values(swapped) - b.values(both - swapped))
        extreme += int((permuted >= observed - 1e-9 * max(observed, 1e-12)).sum())
    return (1 + extreme) / (1 + resamples)


def gain_of(a: Statistic, b: Statistic) -> Statistic:
    """Return a's value minus b's, of the same samples, as one statistic."""
    if a.values is b.values is ratio and np.array_equal(a.states[:, 1], b.states[:, 1]):
        # With equal weights: a mean of differences.
        weight = a.states[:, 1]
        return Statistic("difference", np.stack([a.states[:, 0] - b.states[:, 0], weight], 1), ratio, "mean")
    width = a.states.shape[1]
    return Statistic(
        "difference",
        np.concatenate([a.states, b.states], 1),
        lambda states: a.values(states[:, :width]) - b.values(states[:, width:]),
    )


def difference_interval(
    gain: Statistic, level: float, resamples: int, rng: np.random.Generator
) -> Interval | None:
    """Compute the interval of a difference of two models; None without variance.

    A mean of differences has Student's interval, m +- t s / W with s^2 = n / (n - 1) sum (d_i - m w_i)^2:
    differences have two heavy tails, for which the bootstrap-t interval of losses holds less often
    (docs/evaluation.md). All others have the BCa interval, resampled with both predictions.
    """
    if gain.kind != "mean":
        return interval(gain, level, resamples, rng)
    value, weight = gain.states.T
    count = len(value)
    if count < 2 or not weight.sum():
        return None
    mean = value.sum() / weight.sum()
    squares = float(((value - mean * weight) ** 2).sum())
    if not squares > 0:
        return None
    half = student_quantile(level, count - 1) * math.sqrt(squares * count / (count - 1)) / float(weight.sum())
    return Interval(float(mean - half), float(mean + half), level, "Student's t")
