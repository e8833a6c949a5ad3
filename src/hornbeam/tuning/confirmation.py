"""Confirmation of the winner of a search: trained again with other seeds, beside the default settings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean

from hornbeam._internal.intervals import Interval, student_quantile
from hornbeam.evaluation.comparison import CANNOT_TELL
from hornbeam.evaluation.display import PlainValues


@dataclass(frozen=True)
class PairedRuns:
    """The winner and the default settings, trained with the same seed.

    Args:
        winner: Metric of the winner.
        baseline: Metric of the default settings.
        sample_error: Standard error of their difference over samples, None if it is unknown.
    """

    winner: float
    baseline: float
    sample_error: float | None


@dataclass(frozen=True)
class Confirmation(PlainValues):
    """The winner and the default settings, each trained again with several seeds.

    Args:
        metric: Name of the metric.
        sign: 1 if larger values are better, -1 if smaller ones are.
        runs: The trainings, a pair for each seed.
        samples: Number of samples that chose nothing; None if the samples are those of the search.
        chosen_by: Objective for which the winner was chosen.
        trials: Number of trials that it was chosen among.
        level: Confidence level.
        is_default: True if the winner has the default settings, so that there is nothing to compare.
    """

    metric: str
    sign: int
    runs: Sequence[PairedRuns]
    samples: int | None
    chosen_by: float
    trials: int
    level: float
    is_default: bool = False
    _properties = ("difference", "interval", "optimism", "verdict")

    @property
    def mean(self) -> float:
        """Mean of the winner over seeds."""
        return fmean([run.winner for run in self.runs])

    @property
    def baseline_mean(self) -> float:
        """Mean of the default settings over seeds."""
        return fmean([run.baseline for run in self.runs])

    @property
    def difference(self) -> float:
        """Difference of the means, winner - default settings."""
        return self.mean - self.baseline_mean

    @property
    def optimism(self) -> float:
        """By how much the objective that chose the winner is better than its mean here."""
        return self.sign * (self.chosen_by - self.mean)

    @property
    def interval(self) -> Interval:
        """Interval of the difference over new seeds and new samples.

        With the differences d_s of S seeds, their variance v, and the mean m of the squared standard errors
        over samples, it is mean(d) +- t sqrt(v / S + m), t of Student's distribution with the degrees of
        freedom of Welch and Satterthwaite.
        """
        differences = [run.winner - run.baseline for run in self.runs]
        errors = [run.sample_error**2 for run in self.runs if run.sample_error is not None]
        count = len(differences)
        center = fmean(differences)
        seeds = math.fsum((d - center) ** 2 for d in differences) / (count - 1) / count
        samples = fmean(errors) if errors else 0.0
        freedom = count - 1
        if seeds > 0 and samples > 0:
            freedom = min(int((seeds + samples) ** 2 / (seeds**2 / (count - 1))), 10_000)
        elif samples > 0:
            freedom = 10_000
        half = student_quantile(self.level, max(freedom, 1)) * math.sqrt(seeds + samples)
        return Interval(center - half, center + half, self.level, "seeds and samples")

    @property
    def verdict(self) -> str:
        """ "better" or "worse" if the interval excludes 0, else "cannot tell"."""
        if self.interval.low <= 0 <= self.interval.high:
            return CANNOT_TELL
        return "better" if self.sign * self.difference > 0 else "worse"

    def verdict_sentence(self) -> str:
        """Return the verdict with its numbers."""
        where = "" if self.samples is None else f" on {self.samples:,} samples that chose nothing"
        runs = f"{len(self.runs)} seeds{where}"
        if self.is_default:
            return f"No trial was better than the default settings: {self.metric} {self.mean:.4f} by {runs}"
        numbers = (
            f"{self.metric} {self.mean:.4f} and {self.baseline_mean:.4f}, difference {self.difference:+.4f}, "
            f"{self.level:.0%} interval {self.interval}"
        )
        if self.verdict == CANNOT_TELL:
            return f"{runs} cannot tell whether it is better than the default settings: {numbers}"
        return f"It is {self.verdict} than the default settings by {runs}: {numbers}"

    def remarks(self) -> list[str]:
        """Return how optimistic the search was."""
        is_above = self.chosen_by > self.mean
        where = "with the seed" if self.samples is None else "with the seed and on the samples"
        meaning = "the optimism of the search" if self.optimism > 0 else "the search was not optimistic"
        lines = [
            f"the winner's {self.chosen_by:.4f}, {where} that chose it among {self.trials} trials, is "
            f"{abs(self.optimism):.4f} {'above' if is_above else 'below'} its mean {self.mean:.4f}: {meaning}"
        ]
        if self.samples is None and not self.is_default:
            lines.append("the interval is over seeds alone: the samples are those that chose the winner")
        if len({run.winner for run in self.runs}) == 1:
            lines.append("all seeds gave the same result: does the program set a seed of its own?")
        return lines


def standard_error(interval: Interval | None) -> float | None:
    """Return the standard error that an interval was made of, None if it is unknown."""
    if interval is None:
        return None
    z = NormalDist().inv_cdf((1 + interval.level) / 2)
    return (interval.high - interval.low) / (2 * z)
