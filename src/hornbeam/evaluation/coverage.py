"""Cases in which intervals are known to hold less often than they state (measured in docs/evaluation.md)."""

from __future__ import annotations

import numpy as np

from hornbeam._internal.intervals import Interval
from hornbeam.evaluation.statistics import Statistic

# A Wilson interval of fewer trials, or with fewer of the rarer outcome, is approximate.
FEW_TRIALS, FEW_CASES = 20, 3
# Largest sum of cubes over (sum of squares)^1.5 of the samples' contributions, which is skewness / sqrt(n).
LOPSIDED = 0.4
# Fewest samples of a mean, and of any other statistic.
FEW_SAMPLES = {"mean": 30, "free": 50}


def lopsidedness(statistic: Statistic) -> float:
    """Return |skewness| / sqrt(n) of the samples' contributions: how much a few samples dominate."""
    influence = contributions(statistic)
    squares = float((influence**2).sum())
    return abs(float((influence**3).sum())) / squares**1.5 if squares > 0 else 0.0


def contributions(statistic: Statistic) -> np.ndarray:
    """Return by how much each sample increases the value, (n,), up to a factor and a constant."""
    total = statistic.states.sum(0)
    if statistic.kind == "mean":
        value, weight = statistic.states.T
        return value - weight * (total[0] / total[1])
    without = statistic.values(total - statistic.states)
    return without.mean() - without


def caveats(name: str, statistic: Statistic | None, bounds: Interval | None) -> list[str]:
    """Return sentences on reasons to doubt the interval of `name`."""
    if statistic is None:
        return []
    if bounds is None:
        return [f"{name} has no interval: these samples are too few or too similar to estimate one"]
    if statistic.kind == "proportion":
        successes, failures = statistic.states.sum(0)
        trials, rarer = int(successes + failures), int(min(successes, failures))
        if trials < FEW_TRIALS or rarer < FEW_CASES:
            return [f"{name} rests on {rarer} of {trials:,} cases: its interval is approximate"]
        return []
    samples = len(statistic.states)
    if samples < FEW_SAMPLES[statistic.kind] or lopsidedness(statistic) > LOPSIDED:
        return [
            f"{name} is dominated by few of the {samples:,} samples: its interval holds less often than "
            f"{bounds.level:.0%}"
        ]
    return []
