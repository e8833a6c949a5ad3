"""`compare`: is one model better than another, or can these samples not tell?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.intervals import Interval, check_level
from hornbeam._internal.validation import check_int
from hornbeam.evaluation.compiled_metrics import Measurement, measurements
from hornbeam.evaluation.coverage import caveats
from hornbeam.evaluation.display import EvaluationReport, Table
from hornbeam.evaluation.paired import (
    difference_interval,
    gain_of,
    mcnemar,
    permutation_test,
    proportion_difference,
)
from hornbeam.evaluation.statistics import Statistic

CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Difference:
    """A metric of both models: values `a` and `b`, the interval of a - b, the p-value of `test`, and the
    verdict on a.

    verdict: "better" or "worse" where p <= 1 - level and the interval leaves 0 out, else "cannot tell";
    "higher" or "lower" for metrics of which it is not known which way is better.
    """

    a: float
    b: float
    interval: Interval | None
    p: float
    test: str
    verdict: str
    caveats: Sequence[str] = ()

    @property
    def value(self) -> float:
        """a - b."""
        return self.a - self.b

    def as_dict(self) -> dict[str, Any]:
        """All of it as numbers and texts."""
        bounds = tuple(self.interval) if self.interval else None
        return {"a": self.a, "b": self.b, "difference": self.value, "interval": bounds, "p": self.p,
                "test": self.test, "verdict": self.verdict}  # fmt: skip


@dataclass(frozen=True, repr=False)
class Comparison(EvaluationReport):
    """What `compare` found: `differences` by metric, of which `main` decides `verdict`."""

    n: int
    level: float
    names: tuple[str, str]
    differences: Mapping[str, Difference]
    main: str
    notes: Sequence[str] = field(default=())

    @property
    def verdict(self) -> str:
        """ "better", "worse" or "cannot tell", of the first model by the metric `main`."""
        return self.differences[self.main].verdict

    def __getitem__(self, name: str) -> Difference:
        if name not in self.differences:
            raise KeyError(f"there is no {name!r} among {', '.join(self.differences)}")
        return self.differences[name]

    def headline(self) -> str:
        found, (a, b) = self.differences[self.main], self.names
        if found.verdict == CANNOT_TELL:
            said = f"these {self.n:,} samples cannot tell whether {a} or {b} has the better {self.main}"
        else:
            said = f"{a} is {found.verdict} than {b} by {self.main}"
        between = f", {self.level:.0%} interval {found.interval}" if found.interval else ""
        return f"{said}: difference {found.value:+.4f}{between}, p = {found.p:.3g} ({found.test})"

    def tables(self) -> list[Table]:
        rows = [
            (
                name,
                f"{d.a:.4f}",
                f"{d.b:.4f}",
                f"{d.value:+.4f}",
                str(d.interval or "unknown"),
                f"{d.p:.3g}",
                d.verdict,
            )
            for name, d in self.differences.items()
        ]
        heads = ("metric", *self.names, "difference", "interval", "p", self.names[0])
        return [Table(f"{self.n:,} samples", heads, rows)]

    def remarks(self) -> list[str]:
        return [*self.notes, *(caveat for d in self.differences.values() for caveat in d.caveats)]

    def as_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "level": self.level,
            "names": list(self.names),
            "main": self.main,
            "verdict": self.verdict,
            "differences": {name: found.as_dict() for name, found in self.differences.items()},
            "notes": self.remarks(),
        }


def compare(
    model_a: Any,
    model_b: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    *,
    main: str | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Is model_a "better" or "worse" than model_b, or can the samples not tell?

    Both models, compiled, answer the same samples, so differences are judged sample by sample: accuracy by
    McNemar's test and Tango's interval, all that both report besides by a permutation test and an interval of
    the difference.

    x, y, sample_weight, batch_size, steps: as for `evaluate`. main: the metric whose verdict counts, by
    default the accuracy, else the loss. If nothing is different, "better" or "worse" is said in at most 1 -
    level of all samples that one could have drawn, for each metric by itself; a model that was chosen out of
    many by these samples has been favoured by them. Penalties that layers add to the loss do not count.

    Raises ValueError for models without a metric in common, for an unknown `main`, and for a generator, which
    cannot be read twice.

    >>> compare(model, smaller, x_val, y_val).verdict  # doctest: +SKIP
    'cannot tell'
    """
    check_level(level)
    resamples = check_int("resamples", resamples, 100)
    found = _answers((model_a, model_b), x, y, sample_weight, batch_size, steps)
    measured, notes = [], []
    for model, answers in zip((model_a, model_b), found, strict=True):
        known, missing = measurements(model, answers)
        measured.append({measurement.name: measurement for measurement in known if measurement.statistic})
        notes += [note for note in missing if note not in notes]
    shared = [name for name in measured[0] if name in measured[1]]
    if not shared:
        raise ValueError(
            f"the models have no metric in common: {', '.join(measured[0]) or 'none'}, and "
            f"{', '.join(measured[1]) or 'none'}. Compile both with the same loss and metrics"
        )
    rng = np.random.default_rng(seed)
    differences = {
        name: _difference(measured[0][name], measured[1][name], level, resamples, rng) for name in shared
    }
    return Comparison(
        found[0].count, level, _names(model_a, model_b), differences, _main(main, shared), notes
    )


def _answers(models: tuple[Any, Any], x: Any, y: Any, weights: Any, batch_size: Any, steps: Any) -> list[Any]:
    from hornbeam.diagnostics.predictions import opened, predictions

    for model in models:
        model._require_compiled("evaluate")
    if hasattr(x, "__next__") and not hasattr(x, "__getitem__"):
        raise ValueError(
            "compare() reads the data twice, which a generator does not allow: give arrays or a Dataset"
        )
    x, y, weights = opened(models[0], x, y, weights, "comparison")
    found = [predictions(model, x, y, weights, batch_size, steps, purpose="") for model in models]
    first, second = (tree.flatten(answers.y) for answers in found)
    if any(not np.array_equal(one, other) for one, other in zip(first, second, strict=True)):
        raise ValueError(
            "the data gave other samples, or another order of them, when they were read again: compare() "
            "needs the same samples for both models (leave shuffle() away)"
        )
    return found


def _names(model_a: Any, model_b: Any) -> tuple[str, str]:
    if model_a.name == model_b.name:
        return f"{model_a.name} (a)", f"{model_b.name} (b)"
    return model_a.name, model_b.name


def _main(main: str | None, shared: Sequence[str]) -> str:
    if main is None:
        return next((name for name in shared if "acc" in name.lower()), shared[0])
    if main not in shared:
        raise ValueError(f"main={main!r} is not a metric that both models report: {', '.join(shared)}")
    return main


def _difference(
    a: Measurement, b: Measurement, level: float, resamples: int, rng: np.random.Generator
) -> Difference:
    assert a.statistic is not None
    assert b.statistic is not None
    return difference(a.statistic, b.statistic, level, resamples, rng)


def difference(
    a: Statistic,
    b: Statistic,
    level: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | None = None,
) -> Difference:
    """The difference of one statistic of the same samples under two models."""
    rng = rng or np.random.default_rng(0)
    bounds: Interval | None
    doubtful: list[str] = []
    if _judged_once(a) and _judged_once(b):
        right_a, right_b = a.states[:, 0] > 0, b.states[:, 0] > 0
        only_a, only_b = int((right_a & ~right_b).sum()), int((right_b & ~right_a).sum())
        p, test = mcnemar(only_a, only_b)
        bounds = proportion_difference(only_a, only_b, len(right_a), level)
    else:
        p, test = permutation_test(a, b, resamples, rng), "permutation"
        gain = gain_of(a, b)
        bounds = difference_interval(gain, level, resamples, rng)
        if bounds is not None:
            doubtful = caveats(f"the difference of {a.name}", gain, bounds)
    sure = p <= 1 - level + 1e-12 and bounds is not None and 0.0 not in bounds
    words = {1: ("better", "worse"), -1: ("worse", "better"), 0: ("higher", "lower")}[a.sign]
    verdict = (words[0] if a.value > b.value else words[1]) if sure else CANNOT_TELL
    return Difference(a.value, b.value, bounds, p, test, verdict, doubtful)


def _judged_once(statistic: Statistic) -> bool:
    """Whether every sample is right or wrong, once."""
    return statistic.kind == "proportion" and bool((statistic.states.sum(1) == 1).all())
