"""`confusion`: counts of true classes against predicted classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval, wilson
from hornbeam._internal.typing import ArrayLike
from hornbeam.data import Dataset
from hornbeam.diagnostics.predictions import predictions
from hornbeam.evaluation.display import DrawnReport, PlainValues, Table
from hornbeam.evaluation.labels import Labels, require_labels
from hornbeam.models import Model
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.panels import ImagePanel

_MATRIX = "true classes are rows, predicted ones columns"
_MOST_CLASSES = 20


@dataclass(frozen=True)
class ConfusedPair(PlainValues):
    """Samples of class `true` that were predicted as class `predicted`: `count` of `n`."""

    true: int
    predicted: int
    count: int
    n: int
    _properties = ("rate",)

    @property
    def rate(self) -> float:
        """Fraction count / n."""
        return self.count / self.n

    def interval(self, level: float = 0.95) -> Interval:
        """Return the Wilson interval of the rate."""
        return wilson(self.count, self.n, level)


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Return counts (classes, classes) of true classes (rows) against predicted ones (columns).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def confused_pairs(matrix: np.ndarray, most: int = 5) -> list[ConfusedPair]:
    """Return the most frequent confusions that occurred."""
    errors = matrix.copy()
    np.fill_diagonal(errors, 0)
    order = np.argsort(-errors, axis=None, kind="stable")[:most]
    pairs = [divmod(int(index), len(matrix)) for index in order]
    return [
        ConfusedPair(true, predicted, int(matrix[true, predicted]), int(matrix[true].sum()))
        for true, predicted in pairs
        if errors[true, predicted]
    ]


@dataclass(frozen=True, repr=False)
class Confusion(DrawnReport):
    """A confusion matrix.

    Args:
        matrix: Counts (classes, classes): true classes are rows, predicted ones columns.
        names: Names of the classes.
        level: Confidence level of the intervals.
    """

    matrix: np.ndarray
    names: Sequence[str]
    level: float = 0.95
    drawn = (_MATRIX,)
    _omitted = ("level",)

    def worst(self, most: int = 5) -> list[ConfusedPair]:
        """Return the most frequent confusions.

        Args:
            most: Largest number of confusions.
        """
        return confused_pairs(self.matrix, most)

    def headline(self) -> str:
        """Return the number of errors, and the proportion that the table lists."""
        total, correct = int(self.matrix.sum()), int(np.trace(self.matrix))
        pairs = self.worst()
        text = f"{total - correct:,} of {total:,} samples are misclassified"
        if not pairs:
            return text
        listed = sum(pair.count for pair in pairs) / (total - correct)
        return f"{text}; the listed confusions are {listed:.0%} of these"

    def tables(self) -> list[Table]:
        """Return the most frequent confusions, and the matrix unless it is large."""
        rows = [
            (
                f"{self.names[m.true]} taken for {self.names[m.predicted]}",
                f"{m.count:,} of {m.n:,}",
                f"{m.rate:.2%}",
                "{:.2%} to {:.2%}".format(*m.interval(self.level)),
            )
            for m in self.worst()
        ]
        tables = [Table("most frequent confusions", ("confusion", "count", "rate", "interval"), rows)]
        if len(self.matrix) <= _MOST_CLASSES:
            cells = [
                (name, *(f"{count:,}" if count else "." for count in line))
                for name, line in zip(self.names, self.matrix.tolist(), strict=True)
            ]
            tables.append(Table(_MATRIX, ("", *self.names), cells))
        return tables

    def as_dict(self) -> dict[str, Any]:
        """Return names, matrix and the most frequent confusions."""
        return {**super().as_dict(), "worst": [pair.as_dict() for pair in self.worst()]}

    @property
    def figure(self) -> Figure:
        """Counts, colored by the proportion of each true class."""
        size = max(4.0, min(0.45 * len(self.matrix) + 1.5, 16.0))
        small = len(self.matrix) <= _MOST_CLASSES
        panel = ImagePanel(
            self.matrix / np.maximum(self.matrix.sum(1, keepdims=True), 1),
            palette="blue",
            low=0.0,
            high=1.0,
            row_names=self.names if small else (),
            column_names=self.names if small else (),
            annotations=self.matrix if small else None,
            axis_labels=("predicted", "true"),
        )
        return Figure("Confusion matrix", self.headline(), [panel], panel_size=(size, size))


def confusion(
    model: Model,
    x: ArrayLike | Dataset,
    y: ArrayLike | None = None,
    batch_size: int | None = None,
    *,
    names: Sequence[str] | None = None,
    level: float = 0.95,
) -> Confusion:
    """Compute the confusion matrix of a classifier, and intervals of the most frequent confusions.

    Args:
        model: Classifier with one output.
        x: Inputs as for `evaluate`.
        y: Targets.
        batch_size: Samples in a batch.
        names: Names of the classes, integers by default.
        level: Confidence level of the intervals.

    Returns:
        The matrix.

    Raises:
        ValueError: If the model is not a classifier with one output, or `names` is not one name a class.

    Example:
        >>> confusion(model, x_val, y_val).worst(3)  # doctest: +SKIP
    """
    predicted = predictions(model, x, y, batch_size=batch_size, purpose="confusion")
    return confusion_of(require_labels(model, predicted, "confusion()"), names, level)


def confusion_of(labels: Labels, names: Sequence[str] | None = None, level: float = 0.95) -> Confusion:
    """Compute `confusion` of labels that are known."""
    matrix = confusion_matrix(labels.true, labels.predicted, labels.classes)
    return Confusion(matrix, class_names(names, labels.classes), level)


def class_names(names: Sequence[str] | None, classes: int) -> list[str]:
    """Return names of classes, integers by default. Raises ValueError for another number of them."""
    chosen = [str(number) for number in range(classes)] if names is None else [str(name) for name in names]
    if len(chosen) != classes:
        raise ValueError(f"names must have one name for each of {classes} classes, got {len(chosen)}")
    return chosen
