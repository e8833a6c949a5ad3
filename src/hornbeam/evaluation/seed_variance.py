"""`repeat`: the variance of a training over seeds."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from hornbeam._internal.intervals import Interval, mean_interval
from hornbeam._internal.warn import warn_user
from hornbeam.errors import BestOfWarning
from hornbeam.evaluation.compiled_metrics import direction
from hornbeam.evaluation.display import EvaluationReport, PlainValues, Table
from hornbeam.evaluation.estimates import Evaluation


@dataclass(frozen=True)
class SeedVariance(PlainValues):
    """One number of every run, with mean, standard deviation and interval of the mean.

    Args:
        name: Name of the number.
        values: Values, one a run.
        level: Confidence level of the interval.
    """

    name: str
    values: tuple[float, ...]
    level: float
    _omitted = ("name", "level")
    _properties = ("mean", "sd", "interval")

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return math.fsum(self.values) / len(self.values)

    @property
    def sd(self) -> float:
        """Standard deviation, sqrt(sum (v - mean)^2 / (n - 1))."""
        return math.sqrt(math.fsum((v - self.mean) ** 2 for v in self.values) / (len(self.values) - 1))

    @property
    def interval(self) -> Interval:
        """Interval of the mean over infinitely many seeds, by Student's t."""
        return mean_interval(list(self.values), self.level)

    @property
    def best(self) -> float:
        """Best value, with a BestOfWarning: it does not predict the next run."""
        warn_user(self.best_of(), BestOfWarning)
        return self._best()

    def _best(self) -> float:
        return min(self.values) if direction(self.name) < 0 else max(self.values)

    def best_of(self) -> str:
        """Return a sentence on the bias of reporting the best run."""
        count, gain = len(self.values), abs(self._best() - self.mean)
        by_chance = expected_maximum(count) * self.sd
        return (
            f"the best of {count} runs ({self.name} {self._best():.4f}) is {gain:.4f} beyond the "
            f"mean; the best of {count} runs that differ by chance alone is about {by_chance:.4f} beyond it. "
            f"Report the mean {self.mean:.4f} and its interval {self.interval}"
        )


def expected_maximum(count: int) -> float:
    """Return the expected maximum of `count` standard normal values.

    It is the integral of 1 - F^n, by the trapezoid rule.

    >>> round(expected_maximum(5), 3)
    1.163
    """
    normal, step = NormalDist(), 0.01
    grid = [k * step for k in range(-800, 801)]
    powers = [normal.cdf(z) ** count for z in grid]
    return step * math.fsum((1 - c) if z > 0 else -c for z, c in zip(grid, powers, strict=True)) + step / 2


@dataclass(frozen=True, repr=False)
class RepeatedRuns(EvaluationReport):
    """Numbers of repeated runs.

    Args:
        seeds: The seeds.
        metrics: Variance over seeds, by name.
    """

    seeds: tuple[int, ...]
    metrics: Mapping[str, SeedVariance]

    def __getitem__(self, name: str) -> SeedVariance:
        if name not in self.metrics:
            raise KeyError(f"no {name!r} among {', '.join(self.metrics)}")
        return self.metrics[name]

    def headline(self) -> str:
        """Return the number of runs and the seeds."""
        return f"{len(self.seeds)} runs with the seeds {', '.join(map(str, self.seeds))}"

    def tables(self) -> list[Table]:
        """Return a table of all numbers."""
        rows = [
            (
                name,
                f"{s.mean:.4f}",
                str(s.interval),
                f"{s.sd:.4f}",
                f"{min(s.values):.4f} to {max(s.values):.4f}",
            )
            for name, s in self.metrics.items()
        ]
        return [Table("", ("number", "mean", "interval of the mean", "sd of a run", "from to"), rows)]

    def remarks(self) -> list[str]:
        """Return the bias of the best run."""
        return [next(iter(self.metrics.values())).best_of()]


def repeat(fn: Callable[..., Any], seeds: int | Iterable[int] = 5, level: float = 0.95) -> RepeatedRuns:
    """Call a function once for each seed, and measure the variance of its results over seeds.

    The interval is that of the mean over seeds, by Student's t. It does not cover the variance over samples,
    which stay the same.

    Args:
        fn: Function of the seed, or of nothing, that trains and returns a number, a dict of numbers, or an
            `Evaluation`. `set_random_seed(seed)` is called before each call.
        seeds: Number of seeds (0, 1, ...), or the seeds.
        level: Confidence level of the intervals.

    Returns:
        The numbers of all runs.

    Raises:
        ValueError: If fewer than two different seeds are given, or runs return different names.
        TypeError: If a run does not return numbers.

    Example:
        >>> print(repeat(lambda seed: [0.98, 0.99, 0.985][seed], seeds=3)["value"].interval)
        0.9726 to 0.9974
    """
    from hornbeam.utils import set_random_seed

    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if len(chosen) < 2 or len(set(chosen)) < len(chosen):
        raise ValueError(f"repeat() needs at least two different seeds, got {seeds!r}")
    takes_seed = bool(inspect.signature(fn).parameters)
    runs: list[dict[str, float]] = []
    for seed in chosen:
        set_random_seed(seed)
        runs.append(_numbers(fn(seed) if takes_seed else fn()))
        if runs[-1].keys() != runs[0].keys():
            raise ValueError(
                f"runs returned different names: {', '.join(runs[0])}, then {', '.join(runs[-1])}"
            )
    spreads = {name: SeedVariance(name, tuple(run[name] for run in runs), level) for name in runs[0]}
    return RepeatedRuns(chosen, spreads)


def _numbers(result: Any) -> dict[str, float]:
    if isinstance(result, Evaluation):
        return {name: estimate.value for name, estimate in result.metrics.items()}
    if not isinstance(result, Mapping):
        result = {"value": result}
    try:
        numbers = {str(name): float(value) for name, value in result.items()}
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"repeat() needs a number, a dict of numbers or an Evaluation from each run, got {_kinds(result)}"
        ) from error
    if not numbers:
        raise TypeError("repeat() got an empty dict from a run")
    return numbers


def _kinds(result: Mapping[str, Any]) -> str:
    values: Sequence[Any] = list(result.values())
    return ", ".join(sorted({type(value).__name__ for value in values}))
