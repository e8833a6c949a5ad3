"""`repeat`: a training once more with other seeds."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

from hornbeam._internal.intervals import Interval, mean_interval
from hornbeam.evaluation.compiled_metrics import direction
from hornbeam.evaluation.display import EvaluationReport, Table
from hornbeam.evaluation.estimates import Evaluation


class BestOfWarning(UserWarning):
    """The best of several runs was taken out, which says more about luck than about the method."""


@dataclass(frozen=True)
class SeedVariance:
    """One number from every run. mean, sd (with n - 1 below the line), interval of the mean by Student's
    t.
    """

    name: str
    values: tuple[float, ...]
    level: float

    @property
    def mean(self) -> float:
        """Sum by count."""
        return math.fsum(self.values) / len(self.values)

    @property
    def sd(self) -> float:
        """sqrt(sum (v - mean)^2 / (n - 1))."""
        return math.sqrt(math.fsum((v - self.mean) ** 2 for v in self.values) / (len(self.values) - 1))

    @property
    def interval(self) -> Interval:
        """Of the mean that infinitely many seeds would have."""
        return mean_interval(list(self.values), self.level)

    @property
    def best(self) -> float:
        """The best value, with a BestOfWarning: it is not what the next run gives."""
        warnings.warn(self.best_of(), BestOfWarning, stacklevel=2)
        return self._best()

    def _best(self) -> float:
        return min(self.values) if direction(self.name) < 0 else max(self.values)

    def best_of(self) -> str:
        """What is wrong with reporting the best run."""
        count, gain = len(self.values), abs(self._best() - self.mean)
        return (
            f"the best of {count} runs ({self.name} {self._best():.4f}) lies {gain:.4f} beyond the "
            f"mean: of {count} runs that differ by luck alone the best does so by about "
            f"{expected_maximum(count) * self.sd:.4f}. Report the mean {self.mean:.4f} and its interval "
            f"{self.interval}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Values, mean, sd and bounds."""
        return {
            "values": list(self.values),
            "mean": self.mean,
            "sd": self.sd,
            "interval": tuple(self.interval),
        }


def expected_maximum(count: int) -> float:
    """How many standard deviations the best of `count` equal runs lies above their mean, on average.

    The integral of 1 - F^n over normal values, by the trapezoid rule.

    >>> round(expected_maximum(5), 3)
    1.163
    """
    normal, step = NormalDist(), 0.01
    grid = [k * step for k in range(-800, 801)]
    chances = [normal.cdf(z) ** count for z in grid]
    return step * math.fsum((1 - c) if z > 0 else -c for z, c in zip(grid, chances, strict=True)) + step / 2


@dataclass(frozen=True, repr=False)
class RepeatedRuns(EvaluationReport):
    """What `repeat` found: `spreads` by name, and the seeds."""

    seeds: tuple[int, ...]
    metrics: Mapping[str, SeedVariance]

    def __getitem__(self, name: str) -> SeedVariance:
        if name not in self.metrics:
            raise KeyError(f"there is no {name!r} among {', '.join(self.metrics)}")
        return self.metrics[name]

    def headline(self) -> str:
        return f"{len(self.seeds)} runs with the seeds {', '.join(map(str, self.seeds))}"

    def tables(self) -> list[Table]:
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
        return [next(iter(self.metrics.values())).best_of()]

    def as_dict(self) -> dict[str, Any]:
        return {"seeds": list(self.seeds), "metrics": {name: s.as_dict() for name, s in self.metrics.items()}}


def repeat(fn: Callable[..., Any], seeds: int | Iterable[int] = 5, level: float = 0.95) -> RepeatedRuns:
    """Call `fn` once for each seed and say how much of its numbers is luck.

    fn: a function of the seed (or of nothing) that trains and returns a number, a dict of numbers, or what
    `evaluate` gives. `set_random_seed(seed)` is called before each. seeds: how many (0, 1, ...), or which.
    The interval is that of the mean over seeds, by Student's t; it knows nothing of the samples, which stay
    the same.

    Raises ValueError for fewer than two seeds, seeds given twice, and runs that return different names;
    TypeError for what is no number.

    >>> print(repeat(lambda seed: [0.98, 0.99, 0.985][seed], seeds=3)["value"].interval)
    0.9726 to 0.9974
    """
    from hornbeam.utils import set_random_seed

    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if len(chosen) < 2 or len(set(chosen)) < len(chosen):
        raise ValueError(f"repeat() needs at least two different seeds, to see a spread; got {seeds!r}")
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
        found = {str(name): float(value) for name, value in result.items()}
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"repeat() needs a number, a dict of numbers or an Evaluation from each run, got {_kinds(result)}"
        ) from error
    if not found:
        raise TypeError("repeat() got an empty dict from a run")
    return found


def _kinds(result: Mapping[str, Any]) -> str:
    values: Sequence[Any] = list(result.values())
    return ", ".join(sorted({type(value).__name__ for value in values}))
