"""`mistakes`: what a classifier was most sure of and wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam.evaluation.confusion_matrix import class_names
from hornbeam.evaluation.display import EvaluationReport, Table
from hornbeam.evaluation.labels import Labels, require_labels
from hornbeam.visualization.figure import Figure, ImagePanel, displayable

_ACROSS = 5


@dataclass(frozen=True)
class Mistake:
    """Sample `row`, of class `true`, was taken for `taken` with probability `sure`; the true class got
    `given`.
    """

    row: int
    true: str
    predicted: str
    confidence: float
    true_probability: float

    def as_dict(self) -> dict[str, Any]:
        """All of it."""
        return dict(vars(self))


@dataclass(frozen=True, repr=False)
class Mistakes(EvaluationReport):
    """What `mistakes` found, the surest first. wrong, n: all mistakes, all samples. x: the samples of
    `found`.
    """

    examples: Sequence[Mistake]
    wrong: int
    n: int
    x: Any

    def headline(self) -> str:
        shown = f"the {len(self.examples)} that the model was surest of:" if self.examples else ""
        return f"{self.wrong:,} of {self.n:,} samples are wrong; {shown}".rstrip("; ")

    def tables(self) -> list[Table]:
        rows = [
            (str(m.row), m.true, m.predicted, f"{m.confidence:.1%}", f"{m.true_probability:.2%}")
            for m in self.examples
        ]
        return [Table("", ("row", "true", "taken for", "sure", "of the true class"), rows)]

    def remarks(self) -> list[str]:
        return (
            ["look at these first: among mistakes of which a model is sure are wrong labels"]
            if self.examples
            else []
        )

    def as_dict(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "wrong": self.wrong,
            "examples": [mistake.as_dict() for mistake in self.examples],
        }

    def plot(self, path: str | Path, title: str = "The surest mistakes") -> Path:
        """A contact sheet of the samples, if they are pictures (h, w) or (h, w, 1, 3 or 4).

        Raises ImportError without matplotlib, ValueError for samples that are no pictures and for no
        mistakes.
        """
        pictures = self.x
        if not self.examples:
            raise ValueError("there are no mistakes to be drawn")
        shape: tuple[int, ...] = getattr(pictures, "shape", ())
        if not (len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3, 4))):
            raise ValueError(
                "only pictures (h, w) or (h, w, 1, 3 or 4) can be drawn: print the mistakes instead"
            )
        contact_sheet(pictures, self.examples, title).save(path, dpi=100)
        return Path(path)


def contact_sheet(images: np.ndarray, mistakes: Sequence[Mistake], title: str) -> Figure:
    """Draw images with their true and predicted classes."""
    panels = [
        ImagePanel(
            displayable(image),
            f"{m.true} taken for {m.predicted}\n({m.confidence:.0%} sure)",
            palette="grey_reversed",
        )
        for image, m in zip(images, mistakes, strict=True)
    ]
    alt = "; ".join(f"{m.true} taken for {m.predicted}" for m in mistakes)
    return Figure(title, alt, panels, _ACROSS, panel_size=(2.0, 2.0))


def most_confident_errors(
    true: np.ndarray, probabilities: np.ndarray, most: int, names: Sequence[str]
) -> tuple[list[Mistake], int]:
    """The mistakes (n,) that probabilities (n, classes) were surest of, and how many there are."""
    taken = probabilities.argmax(1)
    wrong = np.flatnonzero(taken != true)
    sure = probabilities[wrong, taken[wrong]]
    rows = wrong[np.argsort(-sure, kind="stable")[:most]]
    found = [
        Mistake(row, names[true[row]], names[taken[row]], float(probabilities[row, taken[row]]),
                float(probabilities[row, true[row]]))
        for row in rows.tolist()
    ]  # fmt: skip
    return found, len(wrong)


def mistakes(
    model: Any,
    x: Any,
    y: Any = None,
    batch_size: int | None = None,
    *,
    most: int = 20,
    names: Sequence[str] | None = None,
) -> Mistakes:
    """The mistakes that a classifier was surest of: print them, or `plot(path)` pictures as a contact sheet.

    x, y, batch_size: as for `evaluate`. most: how many. names: of the classes. `row` counts samples from 0 in
    the order of the data.

    Raises ValueError for what is no classifier with one output.

    >>> mistakes(model, x_val, y_val).plot("mistakes.png")  # doctest: +SKIP
    """
    from hornbeam.diagnostics.predictions import predictions

    most = check_int("most", most, 1)
    found = predictions(model, x, y, batch_size=batch_size, keep_x=True, purpose="mistakes")
    return mistakes_of(found, require_labels(model, found, "mistakes()"), most, names)


def mistakes_of(found: Any, labels: Labels, most: int = 20, names: Sequence[str] | None = None) -> Mistakes:
    """As `mistakes`, of predictions with their samples (`training.predictions`) and labels that are known."""
    from hornbeam import tree

    chosen, wrong = most_confident_errors(
        labels.true, labels.probabilities, most, class_names(names, labels.classes)
    )
    rows = [mistake.row for mistake in chosen]
    return Mistakes(chosen, wrong, found.count, tree.map_structure(lambda part: part[rows], found.x))
