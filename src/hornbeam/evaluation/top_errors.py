"""`mistakes`: what a classifier was most sure of and wrong about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hornbeam._internal.validation import check_int
from hornbeam.data.inspection.figure import scale_to_unit
from hornbeam.evaluation.confusion_matrix import class_names
from hornbeam.evaluation.display import Report, Table
from hornbeam.evaluation.labels import Labels, require_labels
from hornbeam.visualization.files import blank_figure, save_figure

_ACROSS = 5


@dataclass(frozen=True)
class Mistake:
    """Sample `row`, of class `true`, was taken for `taken` with probability `sure`; the true class got
    `given`.
    """

    row: int
    true: str
    taken: str
    sure: float
    given: float

    def as_dict(self) -> dict[str, Any]:
        """All of it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Mistakes(Report):
    """What `mistakes` found, the surest first. wrong, n: all mistakes, all samples. x: the samples of
    `found`.
    """

    found: Sequence[Mistake]
    wrong: int
    n: int
    x: Any

    def headline(self) -> str:
        shown = f"the {len(self.found)} that the model was surest of:" if self.found else ""
        return f"{self.wrong:,} of {self.n:,} samples are wrong; {shown}".rstrip("; ")

    def tables(self) -> list[Table]:
        rows = [(str(m.row), m.true, m.taken, f"{m.sure:.1%}", f"{m.given:.2%}") for m in self.found]
        return [Table("", ("row", "true", "taken for", "sure", "of the true class"), rows)]

    def remarks(self) -> list[str]:
        return (
            ["look at these first: among mistakes of which a model is sure are wrong labels"]
            if self.found
            else []
        )

    def as_dict(self) -> dict[str, Any]:
        return {"n": self.n, "wrong": self.wrong, "found": [mistake.as_dict() for mistake in self.found]}

    def plot(self, path: str | Path, title: str = "The surest mistakes") -> Path:
        """A contact sheet of the samples, if they are pictures (h, w) or (h, w, 1, 3 or 4).

        Raises ImportError without matplotlib, ValueError for samples that are no pictures and for no
        mistakes.
        """
        pictures = self.x
        if not self.found:
            raise ValueError("there are no mistakes to be drawn")
        shape: tuple[int, ...] = getattr(pictures, "shape", ())
        if not (len(shape) == 3 or (len(shape) == 4 and shape[-1] in (1, 3, 4))):
            raise ValueError(
                "only pictures (h, w) or (h, w, 1, 3 or 4) can be drawn: print the mistakes instead"
            )
        return contact_sheet(pictures, self.found, path, title)


def contact_sheet(pictures: np.ndarray, found: Sequence[Mistake], path: str | Path, title: str) -> Path:
    """Draw pictures with what they are and what they were taken for. Raises ImportError without
    matplotlib.
    """
    lines = -(-len(found) // _ACROSS)
    drawn = blank_figure("a contact sheet", (10, 0.5 + 2.0 * lines))
    for place, (picture, mistake) in enumerate(zip(pictures, found, strict=True)):
        axes = drawn.add_subplot(lines, _ACROSS, place + 1)
        flat = picture.ndim == 2 or picture.shape[-1] == 1
        axes.imshow(
            picture.reshape(picture.shape[:2]) if flat else scale_to_unit(picture),
            cmap="gray_r" if flat else None,
        )
        axes.set_axis_off()
        axes.set_title(f"{mistake.true} taken for {mistake.taken}\n({mistake.sure:.0%} sure)", fontsize=9)
    drawn.suptitle(title)
    listed = "; ".join(f"{m.true} taken for {m.taken}" for m in found)
    return save_figure(drawn, path, title, listed, dpi=100)


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
