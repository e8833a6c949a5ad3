"""Where intervals are known not to hold as often as they say; docs/evaluation.md has the measurements."""

from __future__ import annotations

import numpy as np

from hornbeam._internal.intervals import Interval
from hornbeam.evaluation.statistics import Statistic

# A Wilson interval of fewer trials, or of fewer of the rarer outcome, is approximate.
FEW_TRIALS, FEW_CASES = 20, 3
# Sum of cubes by (sum of squares)^1.5 of what samples contribute: skewness / sqrt(n).
LOPSIDED = 0.4
# A mean, and anything else.
FEW_SAMPLES = {"mean": 30, "free": 50}


def lopsidedness(statistic: Statistic) -> float:
    """|skewness| / sqrt(n) of the samples' contributions: how much a few of them decide."""
    influence = contributions(statistic)
    squares = float((influence**2).sum())
    return abs(float((influence**3).sum())) / squares**1.5 if squares > 0 else 0.0


def contributions(statistic: Statistic) -> np.ndarray:
    """By how much the value is larger with a sample than without, (n,), up to a factor and a constant."""
    total = statistic.states.sum(0)
    if statistic.kind == "mean":
        value, weight = statistic.states.T
        return value - weight * (total[0] / total[1])
    without = statistic.values(total - statistic.states)
    return without.mean() - without


def caveats(name: str, statistic: Statistic | None, bounds: Interval | None) -> list[str]:
    """Sentences that say why the interval of `name` is to be doubted, none if it is not."""
    if statistic is None:
        return []
    if bounds is None:
        return [
            f"{name} has no interval: these samples are too few or too much alike to say how far it may move"
        ]
    if statistic.kind == "proportion":
        successes, failures = statistic.states.sum(0)
        trials, rarer = int(successes + failures), int(min(successes, failures))
        if trials < FEW_TRIALS or rarer < FEW_CASES:
            return [f"{name} rests on {rarer} of {trials:,} cases: its interval is a rough one"]
        return []
    samples = len(statistic.states)
    if samples < FEW_SAMPLES[statistic.kind] or lopsidedness(statistic) > LOPSIDED:
        return [
            f"{name} is decided by few of the {samples:,} samples: its interval holds less often than "
            f"{bounds.level:.0%}"
        ]
    return []
