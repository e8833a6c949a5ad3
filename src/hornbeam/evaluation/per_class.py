"""Precision, recall and F1 of each class, with the counts that they follow from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval, f1_interval, wilson
from hornbeam.evaluation.display import PlainValues
from hornbeam.evaluation.labels import Labels


@dataclass(frozen=True)
class ClassScore(PlainValues):
    """Scores of one class.

    `n` samples have the class, `predicted` samples are predicted to have it, `correct` are both. precision =
    correct / predicted, recall = correct / n, f1 = 2 correct / (n + predicted); NaN without an interval where
    the denominator is 0.
    """

    label: int
    n: int
    predicted: int
    correct: int
    level: float
    _omitted = ("level",)

    @property
    def precision(self) -> float:
        """Fraction correct / predicted."""
        return self.correct / self.predicted if self.predicted else float("nan")

    @property
    def recall(self) -> float:
        """Fraction correct / n."""
        return self.correct / self.n if self.n else float("nan")

    @property
    def f1(self) -> float:
        """Fraction 2 correct / (n + predicted)."""
        return 2 * self.correct / (self.n + self.predicted) if self.n + self.predicted else float("nan")

    @property
    def intervals(self) -> tuple[Interval | None, Interval | None, Interval | None]:
        """Intervals of precision, recall and F1."""
        wrong = self.n + self.predicted - 2 * self.correct
        return (
            wilson(self.correct, self.predicted, self.level) if self.predicted else None,
            wilson(self.correct, self.n, self.level) if self.n else None,
            f1_interval(self.correct, wrong, self.level) if self.n + self.predicted else None,
        )

    def row(self) -> tuple[str, ...]:
        """Return the texts of a table's row."""
        values = zip((self.precision, self.recall, self.f1), self.intervals, strict=True)
        shown = [
            f"{value:.3f} ({bounds.low:.3f} to {bounds.high:.3f})" if bounds else "-"
            for value, bounds in values
        ]
        return (str(self.label), f"{self.n:,}", *shown)

    def as_dict(self) -> dict[str, Any]:
        """Return counts, values and bounds."""
        fields = super().as_dict()
        for name, bounds in zip(("precision", "recall", "f1"), self.intervals, strict=True):
            fields[name] = getattr(self, name) if bounds else None
            fields[f"{name}_interval"] = tuple(bounds) if bounds else None
        return fields


def class_scores(labels: Labels, level: float = 0.95) -> list[ClassScore]:
    """Return the scores of every class that occurs among targets or predictions."""
    size = labels.classes
    n = np.bincount(labels.true, minlength=size)
    predicted = np.bincount(labels.predicted, minlength=size)
    correct = np.bincount(labels.true[labels.correct], minlength=size)
    return [
        ClassScore(label, int(n[label]), int(predicted[label]), int(correct[label]), level)
        for label in range(size)
        if n[label] or predicted[label]
    ]
