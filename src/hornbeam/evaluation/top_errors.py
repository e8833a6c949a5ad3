"""`mistakes`: the most confident errors of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import ArrayLike, Tree
from hornbeam._internal.validation import check_int
from hornbeam.data import Dataset
from hornbeam.diagnostics.predictions import Predictions, predictions
from hornbeam.evaluation.confusion_matrix import class_names
from hornbeam.evaluation.display import EvaluationReport, PlainValues, Table
from hornbeam.evaluation.labels import Labels, require_labels
from hornbeam.models import Model
from hornbeam.visualization.figure import Figure
from hornbeam.visualization.panels import ImagePanel, displayable

_COLUMNS = 5


@dataclass(frozen=True)
class Mistake(PlainValues):
    """A misclassified sample: its row, both classes, and their probabilities.

    `confidence` is the probability of the predicted class, `true_probability` that of the true class.
    """

    row: int
    true: str
    predicted: str
    confidence: float
    true_probability: float


@dataclass(frozen=True, repr=False)
class Mistakes(EvaluationReport):
    """The most confident errors of a classifier.

    Args:
        examples: The errors, the most confident first.
        wrong: Number of all errors.
        n: Number of all samples.
        x: Samples of the examples.
    """

    examples: Sequence[Mistake]
    wrong: int
    n: int
    x: Tree

    def headline(self) -> str:
        """Return the number of errors."""
        text = f"{self.wrong:,} of {self.n:,} samples are misclassified"
        return f"{text}; the {len(self.examples)} most confident errors:" if self.examples else text

    def tables(self) -> list[Table]:
        """Return a table of the examples."""
        rows = [
            (str(m.row), m.true, m.predicted, f"{m.confidence:.1%}", f"{m.true_probability:.2%}")
            for m in self.examples
        ]
        return [Table("", ("row", "true", "predicted", "confidence", "of the true class"), rows)]

    def remarks(self) -> list[str]:
        """Return advice."""
        return ["check these labels first: confident errors include wrong labels"] if self.examples else []

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and the examples."""
        return {"n": self.n, "wrong": self.wrong, "examples": [m.as_dict() for m in self.examples]}

    @property
    def figure(self) -> Figure | None:
        """The samples, if they are images (h, w) or (h, w, 1, 3 or 4)."""
        return contact_sheet(self.x, self.examples, "") if self.examples and self._are_images else None

    @property
    def _are_images(self) -> bool:
        shape: tuple[int, ...] = getattr(self.x, "shape", ())
        return len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3, 4))

    def plot(self, path: str | Path, title: str = "The most confident errors") -> Path:
        """Draw the samples, if they are images (h, w) or (h, w, 1, 3 or 4), into a file.

        Args:
            path: File; its suffix chooses PNG, SVG or PDF.
            title: Line above the images.

        Returns:
            The path.

        Raises:
            ImportError: If Matplotlib is not installed (extra `plot`).
            ValueError: If the samples are not images, or no sample is misclassified.
        """
        if not self.examples:
            raise ValueError("no sample is misclassified, so nothing can be drawn")
        if not self._are_images:
            raise ValueError(
                "only images (h, w) or (h, w, 1, 3 or 4) can be drawn: print the mistakes instead"
            )
        contact_sheet(self.x, self.examples, title).save(path, dpi=100)
        return Path(path)


def contact_sheet(images: np.ndarray, mistakes: Sequence[Mistake], title: str) -> Figure:
    """Draw images with their true and predicted classes."""
    panels = [
        ImagePanel(
            displayable(image),
            f"{m.true} taken for {m.predicted}\n({m.confidence:.0%} confident)",
            palette="grey_reversed",
        )
        for image, m in zip(images, mistakes, strict=True)
    ]
    alt = "; ".join(f"{m.true} taken for {m.predicted}" for m in mistakes)
    return Figure(title, alt, panels, _COLUMNS, panel_size=(2.0, 2.0))


def most_confident_errors(
    true: np.ndarray, probabilities: np.ndarray, most: int, names: Sequence[str]
) -> tuple[list[Mistake], int]:
    """Return the most confident errors of probabilities (n, classes), and the number of all errors."""
    predicted = probabilities.argmax(1)
    wrong = np.flatnonzero(predicted != true)
    confidence = probabilities[wrong, predicted[wrong]]
    rows = wrong[np.argsort(-confidence, kind="stable")[:most]]
    examples = [
        Mistake(
            row,
            names[true[row]],
            names[predicted[row]],
            float(probabilities[row, predicted[row]]),
            float(probabilities[row, true[row]]),
        )
        for row in rows.tolist()
    ]
    return examples, len(wrong)


def mistakes(
    model: Model,
    x: ArrayLike | Dataset,
    y: ArrayLike | None = None,
    batch_size: int | None = None,
    *,
    most: int = 20,
    names: Sequence[str] | None = None,
) -> Mistakes:
    """List the most confident errors of a classifier.

    Args:
        model: Classifier with one output.
        x: Inputs as for `evaluate`.
        y: Targets.
        batch_size: Samples in a batch.
        most: Largest number of errors that are listed.
        names: Names of the classes, integers by default.

    Returns:
        The errors; rows count samples from 0 in the order of the data. `plot` draws images.

    Raises:
        ValueError: If the model is not a classifier with one output.

    Example:
        >>> mistakes(model, x_val, y_val).plot("mistakes.png")  # doctest: +SKIP
    """
    most = check_int("most", most, 1)
    predicted = predictions(model, x, y, batch_size=batch_size, keep_x=True, purpose="mistakes")
    return mistakes_of(predicted, require_labels(model, predicted, "mistakes()"), most, names)


def mistakes_of(
    predicted: Predictions, labels: Labels, most: int = 20, names: Sequence[str] | None = None
) -> Mistakes:
    """Compute `mistakes` of `Predictions` with their samples, and labels that are known."""
    names = class_names(names, labels.classes)
    examples, wrong = most_confident_errors(labels.true, labels.probabilities, most, names)
    rows = [mistake.row for mistake in examples]
    return Mistakes(
        examples, wrong, predicted.count, tree.map_structure(lambda part: part[rows], predicted.x)
    )
