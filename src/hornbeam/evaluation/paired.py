"""Tests and intervals for two models that were asked the same questions."""

from __future__ import annotations

import math

import numpy as np

from hornbeam._internal.intervals import Interval, normal_quantile, student_quantile
from hornbeam.evaluation.resampling import interval
from hornbeam.evaluation.statistics import Statistic, ratio

# Up to so many differing answers the exact test is used, above it the mid-p one.
EXACT = 25


def mcnemar(only_a: int, only_b: int) -> tuple[float, str]:
    """The p-value of "both are right equally often", and the name of the test (McNemar 1947).

    only_a, only_b: samples that only one of them gets right. If both are equally good, each of these m
    samples is as likely to be of one kind as of the other: Binomial(m, 1/2). The exact p is 2 P(X <= min);
    for m > 25, where that is needlessly cautious, P(X = min) counts half (mid-p; Fagerland, Lydersen and
    Laake 2013).

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
    chances = np.exp(np.array(logs) - count * math.log(2))
    return float(min(2 * chances.sum() - chances[-1], 1.0)), name


def proportion_difference(only_a: int, only_b: int, n: int, level: float = 0.95) -> Interval:
    """Interval of the difference of two paired shares, (only_a - only_b) / n, by the score test (Tango 1998).

    It holds all differences D with |only_a - only_b - n D| <= z sqrt(n (2 q + D (1 - D))), where q is the
    likeliest share of `only_b` if D were true.

    >>> print(proportion_difference(9, 1, 100))
    0.0226 to 0.1541
    """
    z = normal_quantile(level)

    def score(difference: float) -> float:
        a = 2 * n
        b = -only_a - only_b + (2 * n - only_a + only_b) * difference
        c = -only_b * difference * (1 - difference)
        share = (math.sqrt(max(b * b - 4 * a * c, 0.0)) - b) / (2 * a)
        variance = n * (2 * share + difference * (1 - difference))
        distance = only_a - only_b - n * difference
        return distance / math.sqrt(variance) if variance > 0 else math.copysign(math.inf, distance)

    found = (only_a - only_b) / n
    return Interval(_root(score, z, -1.0, found), _root(score, -z, found, 1.0), level, "Tango's score")


def _root(score, value: float, low: float, high: float) -> float:  # type: ignore[no-untyped-def]
    """Where the falling function `score` is `value`."""
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if score(middle) > value else (low, middle)
    return (low + high) / 2


def permutation_test(a: Statistic, b: Statistic, resamples: int, rng: np.random.Generator) -> float:
    """The p-value of "it does not matter which of the models answered": answers change places at random.

    p = (1 + number of permutations that differ at least as much) / (1 + permutations), which is at most 5%
    with a chance of at most 5% if the models are alike (Phipson and Smyth 2010).
    """
    rest, base = a.states - b.states, b.states.sum(0)
    both = a.states.sum(0) + base
    found = abs(a.value - b.value)
    size = max(4_000_000 // len(rest), 1)
    extreme = 0
    for start in range(0, resamples, size):
        rows = min(size, resamples - start)
        swapped = base + rng.integers(0, 2, (rows, len(rest))).astype(np.float64) @ rest
        moved = np.abs(a.values(swapped) - b.values(both - swapped))
        extreme += int((moved >= found - 1e-9 * max(found, 1e-12)).sum())
    return (1 + extreme) / (1 + resamples)


def gain_of(a: Statistic, b: Statistic) -> Statistic:
    """a's value minus b's, of the same samples, as one statistic."""
    if a.values is b.values is ratio and np.array_equal(a.states[:, 1], b.states[:, 1]):
        # Of equal weights: a mean of differences.
        weight = a.states[:, 1]
        return Statistic("difference", np.stack([a.states[:, 0] - b.states[:, 0], weight], 1), ratio, "mean")
    own = a.states.shape[1]
    return Statistic(
        "difference",
        np.concatenate([a.states, b.states], 1),
        lambda states: a.values(states[:, :own]) - b.values(states[:, own:]),
    )


def difference_interval(
    gain: Statistic, level: float, resamples: int, rng: np.random.Generator
) -> Interval | None:
    """Interval of a difference of two models; None without any spread.

    A mean of differences has Student's, m +- t s / W with s^2 = n / (n - 1) sum (d_i - m w_i)^2: differences
    are heavy on both sides, where the bootstrap-t interval, which suits losses, holds less often
    (docs/evaluation.md). All else has the BCa interval, from samples that are drawn with both answers.
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
