"""`compare`: two models on the same samples, with a verdict that may be "cannot tell"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.intervals import Interval, check_level
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam._internal.validation import check_int, check_model
from hornbeam.data import Dataset
from hornbeam.diagnostics.predictions import open_sealed, predictions
from hornbeam.evaluation.compiled_metrics import measurements
from hornbeam.evaluation.coverage import caveats
from hornbeam.evaluation.display import EvaluationReport, PlainValues, Table
from hornbeam.evaluation.paired import (
    difference_interval,
    gain_of,
    mcnemar,
    permutation_test,
    proportion_difference,
)
from hornbeam.evaluation.statistics import Statistic
from hornbeam.models import Model
from hornbeam.training.steps import training_state

CANNOT_TELL = "cannot tell"


@dataclass(frozen=True)
class Difference(PlainValues):
    """A metric of two models on the same samples, and the verdict on the first one.

    Args:
        a: Value of the first model.
        b: Value of the second model.
        interval: Interval of a - b.
        p: p-value of the test.
        test: Name of the test.
        verdict: "better" or "worse" if p <= 1 - level and the interval excludes 0, else "cannot tell";
            "higher" or "lower" for metrics whose better direction is unknown.
        caveats: Reasons to doubt the interval.
    """

    a: float
    b: float
    interval: Interval | None
    p: float
    test: str
    verdict: str
    caveats: Sequence[str] = ()
    _omitted = ("caveats",)

    @property
    def value(self) -> float:
        """The difference a - b."""
        return self.a - self.b

    def as_dict(self) -> dict[str, Any]:
        """Return the fields without the caveats, and the difference."""
        return {**super().as_dict(), "difference": self.value}


@dataclass(frozen=True, repr=False)
class Comparison(EvaluationReport):
    """Differences of two models.

    Args:
        n: Number of samples.
        level: Confidence level of the intervals.
        names: Names of the models.
        differences: Differences by metric.
        main: Metric that decides the verdict.
        notes: Metrics that could not be compared, and why.
    """

    n: int
    level: float
    names: tuple[str, str]
    differences: Mapping[str, Difference]
    main: str
    notes: Sequence[str] = field(default=())

    @property
    def verdict(self) -> str:
        """ "better", "worse" or "cannot tell": the first model by the metric `main`."""
        return self.differences[self.main].verdict

    def __getitem__(self, name: str) -> Difference:
        if name not in self.differences:
            raise KeyError(f"no {name!r} among {', '.join(self.differences)}")
        return self.differences[name]

    def headline(self) -> str:
        """Return the verdict with its difference, interval and p-value."""
        main, (a, b) = self.differences[self.main], self.names
        if main.verdict == CANNOT_TELL:
            verdict = f"these {self.n:,} samples cannot tell whether {a} or {b} has the better {self.main}"
        else:
            verdict = f"{a} is {main.verdict} than {b} by {self.main}"
        bounds = f", {self.level:.0%} interval {main.interval}" if main.interval else ""
        return f"{verdict}: difference {main.value:+.4f}{bounds}, p = {main.p:.3g} ({main.test})"

    def tables(self) -> list[Table]:
        """Return a table of all metrics."""
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
        """Return the notes and the caveats of all differences."""
        return [*self.notes, *(caveat for d in self.differences.values() for caveat in d.caveats)]

    def as_dict(self) -> dict[str, Any]:
        """Return the fields, the verdict, and the notes with all caveats."""
        return {**super().as_dict(), "verdict": self.verdict, "notes": self.remarks()}


def compare(
    model_a: Model,
    model_b: Model,
    x: ArrayLike | Dataset,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    batch_size: int | None = None,
    steps: int | None = None,
    *,
    main: str | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compare two compiled models on the same samples.

    Differences are judged sample by sample: accuracy by McNemar's test and Tango's interval, all other
    metrics that both models report by a permutation test and an interval of the difference.

    If the models are equally good, "better" or "worse" is returned for at most 1 - level of all possible
    samples, for each metric by itself. A model that was selected among many by these samples is favored by
    them. Penalties that layers add to the loss do not count.

    Args:
        model_a: First model.
        model_b: Second model.
        x: Inputs as for `evaluate`, but not a generator.
        y: Targets.
        sample_weight: Weights of samples.
        batch_size: Samples in a batch.
        steps: Number of batches.
        main: Metric that decides the verdict, by default the accuracy, else the loss.
        level: Confidence level.
        resamples: Number of permutations and of bootstrap samples.
        seed: Seed of the resampling.

    Returns:
        The comparison, with the verdict on `model_a`.

    Raises:
        ValueError: If the models have no metric in common, `main` is unknown, or `x` is a generator.

    Example:
        >>> compare(model, smaller, x_val, y_val).verdict  # doctest: +SKIP
        'cannot tell'
    """
    check_level(level)
    resamples = check_int("resamples", resamples, 100)
    predicted = _predict_both((model_a, model_b), x, y, sample_weight, batch_size, steps)
    measured, notes = [], []
    for model, predictions_of_model in zip((model_a, model_b), predicted, strict=True):
        known, missing = measurements(model, predictions_of_model)
        measured.append({m.name: m.statistic for m in known if m.statistic is not None})
        notes += [note for note in missing if note not in notes]
    shared = [name for name in measured[0] if name in measured[1]]
    if not shared:
        raise ValueError(
            f"the models have no metric in common: {', '.join(measured[0]) or 'none'}, and "
            f"{', '.join(measured[1]) or 'none'}. Compile both with the same loss and metrics"
        )
    rng = np.random.default_rng(seed)
    differences = {
        name: difference(measured[0][name], measured[1][name], level, resamples, rng) for name in shared
    }
    names = _model_names(model_a, model_b)
    return Comparison(predicted[0].count, level, names, differences, _main_metric(main, shared), notes)


def _predict_both(
    models: tuple[Any, Any], x: Tree, y: Tree, weights: Any, batch_size: Any, steps: Any
) -> list[Any]:
    for model in models:
        check_model(model, where="compare")
        training_state(model).require_compiled("evaluate")
    if hasattr(x, "__next__") and not hasattr(x, "__getitem__"):
        raise ValueError(
            "compare() reads the data twice, which a generator does not allow: pass arrays or a Dataset"
        )
    x, y, weights = open_sealed(models[0], x, y, weights, "comparison")
    both = [predictions(model, x, y, weights, batch_size, steps, purpose="") for model in models]
    first, second = (tree.flatten(predicted.y) for predicted in both)
    if any(not np.array_equal(a, b) for a, b in zip(first, second, strict=True)):
        raise ValueError(
            "the data returned other samples, or another order, when they were read again: compare() needs "
            "the same samples for both models (omit shuffle())"
        )
    return both


def _model_names(model_a: Any, model_b: Any) -> tuple[str, str]:
    if model_a.name == model_b.name:
        return f"{model_a.name} (a)", f"{model_b.name} (b)"
    return model_a.name, model_b.name


def _main_metric(main: str | None, shared: Sequence[str]) -> str:
    if main is None:
        return next((name for name in shared if "acc" in name.lower()), shared[0])
    if main not in shared:
        raise ValueError(f"main={main!r} is not a metric that both models report: {', '.join(shared)}")
    return main


def difference(
    a: Statistic,
    b: Statistic,
    level: float = 0.95,
    resamples: int = 2000,
    rng: np.random.Generator | None = None,
) -> Difference:
    """Compare one statistic of the same samples under two models."""
    rng = rng or np.random.default_rng(0)
    bounds: Interval | None
    doubts: list[str] = []
    if _is_binary(a) and _is_binary(b):
        correct_a, correct_b = a.states[:, 0] > 0, b.states[:, 0] > 0
        only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
        p, test = mcnemar(only_a, only_b)
        bounds = proportion_difference(only_a, only_b, len(correct_a), level)
    else:
        p, test = permutation_test(a, b, resamples, rng), "permutation"
        gain = gain_of(a, b)
        bounds = difference_interval(gain, level, resamples, rng)
        if bounds is not None:
            doubts = caveats(f"the difference of {a.name}", gain, bounds)
    significant = p <= 1 - level + 1e-12 and bounds is not None and 0.0 not in bounds
    verdicts = {1: ("better", "worse"), -1: ("worse", "better"), 0: ("higher", "lower")}[a.sign]
    verdict = (verdicts[0] if a.value > b.value else verdicts[1]) if significant else CANNOT_TELL
    return Difference(a.value, b.value, bounds, p, test, verdict, doubts)


def _is_binary(statistic: Statistic) -> bool:
    """Return True if every sample is either correct or wrong, once."""
    return statistic.kind == "proportion" and bool((statistic.states.sum(1) == 1).all())
