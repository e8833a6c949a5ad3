"""Precision, recall and F1 of each class, with what they are counted from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval, f1_interval, wilson
from hornbeam.evaluation.labels import Labels


@dataclass(frozen=True)
class ClassScore:
    """One class: n samples have it, `found` of them were told so, `claimed` samples were told to have it.

    precision = found / claimed, recall = found / n, f1 = 2 found / (n + claimed); NaN, with no interval,
    where there is nothing to divide by.
    """

    label: int
    n: int
    predicted: int
    correct: int
    level: float

    @property
    def precision(self) -> float:
        """found / claimed."""
        return self.correct / self.predicted if self.predicted else float("nan")

    @property
    def recall(self) -> float:
        """found / n."""
        return self.correct / self.n if self.n else float("nan")

    @property
    def f1(self) -> float:
        """2 found / (n + claimed)."""
        return 2 * self.correct / (self.n + self.predicted) if self.n + self.predicted else float("nan")

    @property
    def intervals(self) -> tuple[Interval | None, Interval | None, Interval | None]:
        """Of precision, recall and F1."""
        wrong = self.n + self.predicted - 2 * self.correct
        return (
            wilson(self.correct, self.predicted, self.level) if self.predicted else None,
            wilson(self.correct, self.n, self.level) if self.n else None,
            f1_interval(self.correct, wrong, self.level) if self.n + self.predicted else None,
        )

    def row(self) -> tuple[str, ...]:
        """Texts for a table."""
        values = zip((self.precision, self.recall, self.f1), self.intervals, strict=True)
        shown = [
            f"{value:.3f} ({bounds.low:.3f} to {bounds.high:.3f})" if bounds else "-"
            for value, bounds in values
        ]
        return (str(self.label), f"{self.n:,}", *shown)

    def as_dict(self) -> dict[str, Any]:
        """Counts, values and bounds."""
        made: dict[str, Any] = {
            "label": self.label,
            "n": self.n,
            "predicted": self.predicted,
            "correct": self.correct,
        }
        for name, bounds in zip(("precision", "recall", "f1"), self.intervals, strict=True):
            made[name] = getattr(self, name) if bounds else None
            made[f"{name}_interval"] = tuple(bounds) if bounds else None
        return made


def class_scores(labels: Labels, level: float = 0.95) -> list[ClassScore]:
    """The scores of every class that occurs among targets or predictions."""
    size = labels.classes
    n = np.bincount(labels.true, minlength=size)
    claimed = np.bincount(labels.predicted, minlength=size)
    found = np.bincount(labels.true[labels.right], minlength=size)
    return [
        ClassScore(label, int(n[label]), int(claimed[label]), int(found[label]), level)
        for label in range(size)
        if n[label] or claimed[label]
    ]
