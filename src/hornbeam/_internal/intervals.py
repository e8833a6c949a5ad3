"""Confidence intervals with a formula: of a proportion, of an F1 score, of a mean of few values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Interval:
    """A confidence interval: it contains the true value for a fraction `level` of all possible samples.

    Args:
        low: Lower bound.
        high: Upper bound.
        level: Confidence level.
        method: Name of the method.
    """

    low: float
    high: float
    level: float = 0.95
    method: str = ""

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter((self.low, self.high))

    def __str__(self) -> str:
        return f"{self.low:.4f} to {self.high:.4f}"


def check_level(level: float) -> float:
    """Return a confidence level in [0.5, 1). Raises ValueError for any other value."""
    if not 0.5 <= level < 1:
        raise ValueError(f"level must be a confidence level in [0.5, 1), such as 0.95, got {level!r}")
    return float(level)


def normal_quantile(level: float) -> float:
    """Return the z of a two-sided interval: 1.96 for 0.95."""
    return NormalDist().inv_cdf((1 + check_level(level)) / 2)


def wilson(successes: float, trials: float, level: float = 0.95) -> Interval:
    """Compute the interval of a proportion p = successes / trials (Wilson 1927).

    It contains all p' with |p - p'| <= z sqrt(p'(1 - p') / n):

        (p + z^2/2n +- z sqrt(p(1 - p)/n + z^2/4n^2)) / (1 + z^2/n)

    It stays inside [0, 1] and is valid near its ends, also where all or no trials succeed. Trials must be
    independent.

    Args:
        successes: Number of successes.
        trials: Number of trials.
        level: Confidence level.

    Returns:
        The interval.

    Raises:
        ValueError: Unless 0 <= successes <= trials and trials > 0.

    Example:
        >>> print(wilson(15, 148))
        0.0624 to 0.1605
    """
    if not (trials > 0 and 0 <= successes <= trials):
        raise ValueError(
            f"a proportion needs 0 <= successes <= trials and trials > 0, got {successes} of {trials}"
        )
    z = normal_quantile(level)
    proportion = successes / trials
    scale = 1 + z * z / trials
    centre = (proportion + z * z / (2 * trials)) / scale
    half = z * math.sqrt(proportion * (1 - proportion) / trials + z * z / (4 * trials * trials)) / scale
    low = 0.0 if successes == 0 else max(float(centre - half), 0.0)
    high = 1.0 if successes == trials else min(float(centre + half), 1.0)
    return Interval(low, high, level, "Wilson")


def f1_interval(true_positives: float, wrong: float, level: float = 0.95) -> Interval:
    """Compute the interval of F1 = 2 TP / (2 TP + FP + FN).

    F1 = 2 J / (1 + J) of the proportion J = TP / (TP + FP + FN), whose Wilson interval is mapped.

    Args:
        true_positives: Number of true positives TP.
        wrong: Number of false positives and false negatives, FP + FN.
        level: Confidence level.

    Returns:
        The interval.

    Raises:
        ValueError: If all counts are 0.

    Example:
        >>> print(f1_interval(90, 20))
        0.8478 to 0.9357
    """
    jaccard = wilson(true_positives, true_positives + wrong, level)
    low, high = (2 * bound / (1 + bound) for bound in jaccard)
    return Interval(low, high, level, "Wilson (of the Jaccard index)")


def student_quantile(level: float, freedom: int) -> float:
    """Return the t of a two-sided interval of Student's distribution: 2.776 for 0.95 and 4 degrees of
    freedom.

    The distribution function of integer degrees of freedom is a finite sum (Abramowitz and Stegun 26.7.3,
    26.7.4); it is inverted by bisection.
    """
    check_level(level)
    if freedom < 1:
        raise ValueError(f"Student's distribution needs at least one degree of freedom, got {freedom}")
    if freedom > 5000:  # equal to the normal quantile up to 0.02%
        return normal_quantile(level)
    low, high = 0.0, 1.0
    while _student_inside(high, freedom) < level:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_inside(middle, freedom) < level else (low, middle)
    return high


def _student_inside(t: float, freedom: int) -> float:
    """Return P(|T| <= t)."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(odd, freedom - 1, 2):
        total += term
        term *= cosine * cosine * (k + 1) / (k + 2)
    inside = math.sin(angle) * total
    return 2 / math.pi * (angle + inside) if odd else inside


def mean_interval(values: list[float], level: float = 0.95) -> Interval:
    """Compute the interval of the mean of independent values: mean +- t s / sqrt(n), with Student's t.

    Args:
        values: The values.
        level: Confidence level.

    Returns:
        The interval.

    Raises:
        ValueError: If fewer than two values are given.

    Example:
        >>> print(mean_interval([0.98, 0.99, 0.985]))
        0.9726 to 0.9974
    """
    count = len(values)
    if count < 2:
        raise ValueError(f"an interval of a mean needs at least two values, got {count}")
    mean = math.fsum(values) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = student_quantile(level, count - 1) * deviation / math.sqrt(count)
    return Interval(mean - half, mean + half, level, "Student's t")
