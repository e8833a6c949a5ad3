"""`confusion`: what is taken for what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam._internal.intervals import Interval, wilson
from hornbeam.evaluation.display import EvaluationReport, Table
from hornbeam.evaluation.labels import Labels, require_labels
from hornbeam.visualization.figure import Figure, ImagePanel

_MOST_CLASSES = 20


@dataclass(frozen=True)
class ConfusedPair:
    """Samples of class `true` that were taken for class `taken`: `count` of `n`."""

    true: int
    predicted: int
    count: int
    n: int

    @property
    def rate(self) -> float:
        """count / n."""
        return self.count / self.n

    def interval(self, level: float = 0.95) -> Interval:
        """Wilson's, of the share."""
        return wilson(self.count, self.n, level)

    def as_dict(self) -> dict[str, Any]:
        """Classes, counts and share."""
        return {
            "true": self.true,
            "predicted": self.predicted,
            "count": self.count,
            "n": self.n,
            "rate": self.rate,
        }


def confusion_matrix(true: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    """Counts (classes, classes) of true classes (rows) against predicted ones (columns).

    >>> confusion_matrix(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 0], [1, 1]]
    """
    return np.bincount(true * classes + predicted, minlength=classes**2).reshape(classes, classes)


def confused_pairs(matrix: np.ndarray, most: int = 5) -> list[ConfusedPair]:
    """The most frequent confusions, none that did not occur."""
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:most]
    pairs = [divmod(int(place), len(matrix)) for place in order]
    return [
        ConfusedPair(true, taken, int(matrix[true, taken]), int(matrix[true].sum()))
        for true, taken in pairs
        if wrong[true, taken]
    ]


@dataclass(frozen=True, repr=False)
class Confusion(EvaluationReport):
    """`matrix` (classes, classes): true classes are rows, predicted ones columns. names: of the classes."""

    matrix: np.ndarray
    names: Sequence[str]
    level: float = 0.95

    def worst(self, most: int = 5) -> list[ConfusedPair]:
        """The most frequent confusions."""
        return confused_pairs(self.matrix, most)

    def headline(self) -> str:
        total, right = int(self.matrix.sum()), int(np.trace(self.matrix))
        found = self.worst()
        covered = sum(mixup.count for mixup in found)
        said = f"{total - right:,} of {total:,} samples are taken for another class"
        return said if not found else f"{said}; {covered / (total - right):.0%} of these as listed"

    def tables(self) -> list[Table]:
        rows = [
            (
                f"{self.names[m.true]} taken for {self.names[m.predicted]}",
                f"{m.count:,} of {m.n:,}",
                f"{m.rate:.2%}",
                "{:.2%} to {:.2%}".format(*m.interval(self.level)),
            )
            for m in self.worst()
        ]
        shown = [Table("most frequent confusions", ("confusion", "count", "proportion", "interval"), rows)]
        if len(self.matrix) <= _MOST_CLASSES:
            cells = [
                (name, *(f"{count:,}" if count else "." for count in line))
                for name, line in zip(self.names, self.matrix.tolist(), strict=True)
            ]
            shown.append(Table("true classes are rows, predicted ones columns", ("", *self.names), cells))
        return shown

    def as_dict(self) -> dict[str, Any]:
        return {
            "names": list(self.names),
            "matrix": self.matrix.tolist(),
            "worst": [mixup.as_dict() for mixup in self.worst()],
        }

    def plot(self, path: str | Path) -> Path:
        """Draw the proportions of each true class into a file.

        Args:
            path: File; its suffix chooses PNG, SVG or PDF.

        Returns:
            The path.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
        """
        size = max(4.0, min(0.45 * len(self.matrix) + 1.5, 16.0))
        proportions = self.matrix / np.maximum(self.matrix.sum(1, keepdims=True), 1)
        small = len(self.matrix) <= _MOST_CLASSES
        panel = ImagePanel(
            proportions,
            palette="blue",
            low=0.0,
            high=1.0,
            row_names=self.names if small else (),
            column_names=self.names if small else (),
            annotations=self.matrix if small else None,
            axis_labels=("predicted", "true"),
        )
        Figure("Confusion matrix", self.headline(), [panel], panel_size=(size, size)).save(path, dpi=110)
        return Path(path)


def confusion(
    model: Any,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    *,
    names: Sequence[str] | None = None,
    level: float = 0.95,
) -> Confusion:
    """Which classes a classifier takes for which: the matrix, and the confusions that matter with their
    intervals.

    x, y, batch_size: as for `evaluate`. names: of the classes, numbers by default.

    Raises ValueError for what is no classifier with one output, and for names that are not one for each
    class.

    >>> confusion(model, x_val, y_val).worst(3)  # doctest: +SKIP
    """
    from hornbeam.diagnostics.predictions import predictions

    found = predictions(model, x, y, batch_size=batch_size, purpose="confusion")
    return confusion_of(require_labels(model, found, "confusion()"), names, level)


def confusion_of(labels: Labels, names: Sequence[str] | None = None, level: float = 0.95) -> Confusion:
    """As `confusion`, of labels that are known."""
    return Confusion(
        confusion_matrix(labels.true, labels.predicted, labels.classes),
        class_names(names, labels.classes),
        level,
    )


def class_names(names: Sequence[str] | None, classes: int) -> list[str]:
    """Names of classes, numbers by default. Raises ValueError for another number of them."""
    chosen = [str(number) for number in range(classes)] if names is None else [str(name) for name in names]
    if len(chosen) != classes:
        raise ValueError(f"there are {classes} classes, and {len(chosen)} names for them")
    return chosen
