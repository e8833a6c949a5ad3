"""`evaluate`: every number with how sure it is."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval, check_level
from hornbeam._internal.validation import check_int
from hornbeam.evaluation.compiled_metrics import measurements
from hornbeam.evaluation.coverage import caveats
from hornbeam.evaluation.display import EvaluationReport, IntervalWarning, Table
from hornbeam.evaluation.labels import Labels, labels_of
from hornbeam.evaluation.per_class import ClassScore, class_scores
from hornbeam.evaluation.resampling import interval

_MOST_CLASSES = 25


@dataclass(frozen=True)
class Estimate:
    """A metric's value over n samples, and its interval (None where the samples cannot give one)."""

    value: float
    interval: Interval | None
    n: int

    @property
    def low(self) -> float:
        """The lower bound, NaN without an interval."""
        return self.interval.low if self.interval else float("nan")

    @property
    def high(self) -> float:
        """The upper bound, NaN without an interval."""
        return self.interval.high if self.interval else float("nan")

    def as_dict(self) -> dict[str, Any]:
        """Value, bounds (None if there are none), n and method."""
        bounds = (self.interval.low, self.interval.high) if self.interval else (None, None)
        method = self.interval.method if self.interval else None
        return {"value": self.value, "low": bounds[0], "high": bounds[1], "n": self.n, "method": method}


@dataclass(frozen=True, repr=False)
class Evaluation(EvaluationReport):
    """What `evaluate` found: `metrics` by name, `classes` for classifiers, `baselines` if training
    data were given, `notes`.
    """

    n: int
    level: float
    metrics: Mapping[str, Estimate]
    classes: Sequence[ClassScore] = ()
    baselines: Any = None
    notes: Sequence[str] = field(default=())

    def __getitem__(self, name: str) -> Estimate:
        if name not in self.metrics:
            raise KeyError(f"there is no {name!r} among {', '.join(self.metrics)}")
        return self.metrics[name]

    def headline(self) -> str:
        return f"{self.n:,} samples; intervals of {self.level:.0%}"

    def tables(self) -> list[Table]:
        rows = [
            (name, f"{e.value:.4f}", str(e.interval or "unknown"), e.interval.method if e.interval else "")
            for name, e in self.metrics.items()
        ]
        shown = [Table("", ("metric", "value", "interval", "method"), rows, frozenset({"method"}))]
        if self.classes:
            by_f1 = sorted(self.classes, key=lambda score: score.f1)[:_MOST_CLASSES]
            chosen = sorted(by_f1, key=lambda score: score.label)
            hidden = len(self.classes) - len(chosen)
            title = f"per class (the {len(chosen)} with the lowest F1)" if hidden else "per class"
            shown.append(
                Table(title, ("class", "n", "precision", "recall", "F1"), [score.row() for score in chosen])
            )
        if self.baselines is not None:
            shown += self.baselines.tables()
        return shown

    def remarks(self) -> list[str]:
        return [*self.notes, *(self.baselines.remarks() if self.baselines is not None else ())]

    def as_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "level": self.level,
            "metrics": {name: estimate.as_dict() for name, estimate in self.metrics.items()},
            "classes": [score.as_dict() for score in self.classes],
            "baselines": self.baselines.as_dict() if self.baselines is not None else None,
            "notes": list(self.notes),
        }


def evaluate(
    model: Any,
    x: Any,
    y: Any = None,
    sample_weight: Any = None,
    batch_size: int | None = None,
    steps: int | None = None,
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
    train: tuple[Any, Any] | None = None,
) -> Evaluation:
    """Loss and metrics of a compiled model with their intervals, and figures for each class.

    x, y, sample_weight, batch_size, steps: as for `model.evaluate`; arrays of any dtype (n, ...), or a
    Dataset, PyDataset or generator of batches. level: share of samples that one could have drawn in which an
    interval holds. resamples: of the bootstrap. seed: of its draws, which do not touch Hornbeam's random
    state. train: (x, y) of the training data: baselines that learned from them (see `baselines`) are stated
    beside the model and compared with it.

    Shares such as accuracy have Wilson's interval, means such as the loss a bootstrap-t, all others (AUC, F1,
    R2, IoU) a BCa bootstrap. A row is one independent sample: for sequences whole sequences are drawn. Where
    intervals are known to be too narrow, a note and an `IntervalWarning` say so. Penalties on weights
    are constant; what layers add to the loss by what they see is left out, and said.

    Raises ValueError for a model without compile() and data without targets, NotImplementedError for masked
    outputs.

    >>> print(hornbeam.evaluation.evaluate(model, x_test, y_test))  # doctest: +SKIP
    """
    from hornbeam.diagnostics.predictions import predictions

    check_level(level)
    resamples = check_int("resamples", resamples, 100)
    model._require_compiled("evaluate")
    found = predictions(model, x, y, sample_weight, batch_size, steps, keep_x=train is not None)
    result, labels = evaluation_of(model, found, level, resamples, seed)
    for note in result.notes:
        warnings.warn(note, IntervalWarning, stacklevel=2)
    if train is None:
        return result
    from hornbeam.evaluation.baseline_models import baselines

    answers = _answers(labels, found)
    beside = baselines(*train, found.x, found.y, y_pred=answers, level=level, seed=seed)
    return replace(result, baselines=beside)


def evaluation_of(
    model: Any, found: Any, level: float = 0.95, resamples: int = 2000, seed: int = 0
) -> tuple[Evaluation, Labels | None]:
    """As `evaluate`, of predictions (`training.predictions`) that were made before, and their labels."""
    rng = np.random.default_rng(seed)
    measured, notes = measurements(model, found)
    estimates = {}
    for measurement in measured:
        bounds = interval(measurement.statistic, level, resamples, rng) if measurement.statistic else None
        bounds = _moved(bounds, measurement.constant)
        estimates[measurement.name] = Estimate(measurement.value, bounds, found.count)
        notes += caveats(measurement.name, measurement.statistic, bounds)
    labels = labels_of(model, found)
    classes = class_scores(labels, level) if labels is not None else []
    notes += _rare(classes)
    return Evaluation(found.count, level, estimates, classes, None, notes), labels


def _answers(labels: Labels | None, found: Any) -> Any:
    return found.y_pred if labels is None else labels.predicted


def _moved(bounds: Interval | None, constant: float) -> Interval | None:
    if bounds is None or not constant:
        return bounds
    return Interval(bounds.low + constant, bounds.high + constant, bounds.level, bounds.method)


def _rare(classes: Sequence[ClassScore]) -> list[str]:
    few = [str(score.label) for score in classes if score.n < 10]
    if not few:
        return []
    return [f"fewer than 10 samples of class {', '.join(few[:8])}: their figures say little"]
