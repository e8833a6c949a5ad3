"""`evaluate`: loss and metrics with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval, check_level
from hornbeam._internal.typing import ArrayLike
from hornbeam._internal.validation import check_int
from hornbeam._internal.warn import warn_user
from hornbeam.data import Dataset
from hornbeam.diagnostics.predictions import Predictions, predictions
from hornbeam.errors import IntervalWarning
from hornbeam.evaluation.baseline_models import Baselines
from hornbeam.evaluation.compiled_metrics import measurements
from hornbeam.evaluation.coverage import caveats
from hornbeam.evaluation.display import EvaluationReport, PlainValues, Table
from hornbeam.evaluation.labels import Labels, labels_of
from hornbeam.evaluation.per_class import ClassScore, class_scores
from hornbeam.evaluation.resampling import interval
from hornbeam.models import Model
from hornbeam.training.steps import training_state

_MOST_CLASSES = 25


@dataclass(frozen=True)
class Estimate(PlainValues):
    """Value of a metric with its interval.

    Args:
        value: The value.
        interval: Its interval, None if the samples do not determine one.
        n: Number of samples.
    """

    value: float
    interval: Interval | None
    n: int

    @property
    def low(self) -> float:
        """Lower bound, NaN without an interval."""
        return self.interval.low if self.interval else float("nan")

    @property
    def high(self) -> float:
        """Upper bound, NaN without an interval."""
        return self.interval.high if self.interval else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Return value, bounds (None without an interval), n and method."""
        bounds = (self.interval.low, self.interval.high) if self.interval else (None, None)
        method = self.interval.method if self.interval else None
        return {"value": self.value, "low": bounds[0], "high": bounds[1], "n": self.n, "method": method}


@dataclass(frozen=True, repr=False)
class Evaluation(EvaluationReport):
    """Loss and metrics with their intervals.

    Args:
        n: Number of samples.
        level: Confidence level of the intervals.
        metrics: Estimates by name.
        classes: Scores of each class of a classifier.
        baselines: Scores of trivial models, if training data were given.
        notes: Caveats.
    """

    n: int
    level: float
    metrics: Mapping[str, Estimate]
    classes: Sequence[ClassScore] = ()
    baselines: Baselines | None = None
    notes: Sequence[str] = field(default=())

    def __getitem__(self, name: str) -> Estimate:
        if name not in self.metrics:
            raise KeyError(f"no {name!r} among {', '.join(self.metrics)}")
        return self.metrics[name]

    def headline(self) -> str:
        """Return the number of samples and the confidence level."""
        return f"{self.n:,} samples; {self.level:.0%} intervals"

    def tables(self) -> list[Table]:
        """Return tables of metrics, classes and baselines."""
        rows = [
            (name, f"{e.value:.4f}", str(e.interval or "unknown"), e.interval.method if e.interval else "")
            for name, e in self.metrics.items()
        ]
        tables = [Table("", ("metric", "value", "interval", "method"), rows, frozenset({"method"}))]
        if self.classes:
            lowest = sorted(self.classes, key=lambda score: score.f1)[:_MOST_CLASSES]
            chosen = sorted(lowest, key=lambda score: score.label)
            hidden = len(self.classes) - len(chosen)
            title = f"per class (the {len(chosen)} with the lowest F1)" if hidden else "per class"
            tables.append(
                Table(title, ("class", "n", "precision", "recall", "F1"), [score.row() for score in chosen])
            )
        if self.baselines is not None:
            tables += self.baselines.tables()
        return tables

    def remarks(self) -> list[str]:
        """Return the notes, and those of the baselines."""
        return [*self.notes, *(self.baselines.remarks() if self.baselines is not None else ())]


def evaluate(
    model: Model,
    x: ArrayLike | Dataset,
    y: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
    batch_size: int | None = None,
    steps: int | None = None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    train: tuple[Any, Any] | None = None,
) -> Evaluation:
    """Compute loss and metrics of a compiled model with their intervals, and scores of each class.

    Proportions such as accuracy have Wilson's interval, means such as the loss a bootstrap-t, all others
    (AUC, F1, R2, IoU) a BCa bootstrap. A row is one independent sample; of sequences, whole sequences are
    resampled. Intervals that are known to be too narrow come with a note and an `IntervalWarning`. Penalties
    on weights are constants; losses that layers add depend on their inputs and are excluded, with a note.

    Args:
        model: Compiled model.
        x: Inputs as for `model.evaluate`: arrays (n, ...) of any dtype, or a Dataset, PyDataset or generator
            of batches.
        y: Targets.
        sample_weight: Weights of samples.
        batch_size: Samples in a batch.
        steps: Number of batches.
        level: Confidence level of the intervals.
        resamples: Number of bootstrap samples.
        seed: Seed of the resampling, which does not touch Hornbeam's random state.
        train: Training data (x, y), by which baselines are trained and compared with the model.

    Returns:
        The estimates.

    Raises:
        ValueError: If the model is not compiled, or the data have no targets.
        NotImplementedError: If outputs are masked.

    Example:
        >>> print(hornbeam.evaluation.evaluate(model, x_test, y_test))  # doctest: +SKIP
    """
    check_level(level)
    resamples = check_int("resamples", resamples, 100)
    training_state(model).require_compiled("evaluate")
    predicted = predictions(model, x, y, sample_weight, batch_size, steps, keep_x=train is not None)
    result, labels = evaluation_of(model, predicted, level, resamples, seed)
    for note in result.notes:
        warn_user(note, IntervalWarning)
    if train is None:
        return result
    from hornbeam.evaluation.baseline_models import baselines

    y_pred = predicted.y_pred if labels is None else labels.predicted
    scores = baselines(*train, predicted.x, predicted.y, y_pred=y_pred, level=level, seed=seed)
    return replace(result, baselines=scores)


def evaluation_of(
    model: Model, predicted: Predictions, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[Evaluation, Labels | None]:
    """Compute `evaluate` of `Predictions`; return the labels too."""
    rng = np.random.default_rng(seed)
    measured, notes = measurements(model, predicted)
    estimates = {}
    for measurement in measured:
        statistic = measurement.statistic
        bounds = interval(statistic, level, resamples, rng) if statistic else None
        bounds = _shifted(bounds, measurement.constant)
        estimates[measurement.name] = Estimate(measurement.value, bounds, predicted.count)
        notes += caveats(measurement.name, statistic, bounds)
    labels = labels_of(model, predicted)
    classes = class_scores(labels, level) if labels is not None else []
    notes += _rare_classes(classes)
    return Evaluation(predicted.count, level, estimates, classes, None, notes), labels


def _shifted(bounds: Interval | None, constant: float) -> Interval | None:
    if bounds is None or not constant:
        return bounds
    return Interval(bounds.low + constant, bounds.high + constant, bounds.level, bounds.method)


def _rare_classes(classes: Sequence[ClassScore]) -> list[str]:
    rare = [str(score.label) for score in classes if score.n < 10]
    if not rare:
        return []
    return [f"fewer than 10 samples of class {', '.join(rare[:8])}: their scores are uncertain"]
