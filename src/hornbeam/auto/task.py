"""The prediction task: a number, or one of some classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hornbeam.auto.columns import Column, guess_columns, number_form, texts
from hornbeam.auto.table import Table
from hornbeam.models import Model

# Integers of at most so many different values are classes.
_MOST_CLASSES = 10
# Rows of a class that training, calibration and test need together; classes with fewer are left out.
_LEAST_ROWS = 10


@dataclass(frozen=True)
class Task:
    """The prediction task: a number, or one of some classes.

    Args:
        target: The column.
        labels: Classes as texts, the most frequent first; none for a number.
    """

    target: Column
    labels: tuple[str, ...] = ()

    @property
    def classes(self) -> int:
        """Number of classes, 0 for a number."""
        return len(self.labels)

    @property
    def units(self) -> int:
        """Number of outputs of a model."""
        return self.classes or 1

    @property
    def objective(self) -> str:
        """LightGBM's name of the loss."""
        return "regression" if not self.classes else "binary" if self.classes == 2 else "multiclass"

    @property
    def loss(self) -> str:
        """Keras's name of the loss."""
        return "sparse_categorical_crossentropy" if self.classes else "mse"

    @property
    def metrics(self) -> list[str]:
        """Keras's names of the metrics."""
        return ["accuracy"] if self.classes else ["mae", "root_mean_squared_error", "r2_score"]

    def targets(self, table: Table) -> np.ndarray:
        """Return numbers as float32, or int32 numbers of classes, -1 for a missing or unknown one.

        Args:
            table: A table with the target.
        """
        values = self.target.values(table)
        if not self.classes:
            return values.astype("float32")
        codes = {label: code for code, label in enumerate(self.labels)}
        return np.array([codes.get(value, -1) for value in texts(values).tolist()], "int32")

    def losses(self, y: np.ndarray, predicted: np.ndarray) -> np.ndarray:
        """Return the loss of each row: squared error, or cross-entropy.

        Args:
            y: Targets.
            predicted: Predictions, (rows, units).
        """
        if not self.classes:
            return (predicted[:, 0].astype("float64") - y) ** 2
        return -np.log(np.clip(predicted[np.arange(len(y)), y].astype("float64"), 1e-7, 1))

    def loss_of(self, y: np.ndarray, predicted: np.ndarray) -> float:
        """Return the mean of `losses`, by which candidates are compared.

        Args:
            y: Targets.
            predicted: Predictions, (rows, units).
        """
        return float(np.mean(self.losses(y, predicted)))

    def shown_loss(self, loss: float) -> str:
        """Return a loss in words: the root of a squared error, or a cross-entropy.

        Args:
            loss: Result of `loss_of`.
        """
        return f"cross-entropy {loss:.4f}" if self.classes else f"root mean squared error {loss**0.5:.4g}"


class Problem(NamedTuple):
    """The task, and the columns of the matrix.

    task: the prediction task. numbers: how many columns of the matrix are numbers. words: of each of the
    other columns, which are numbers of words, how many there are, with the unknown one.
    """

    task: Task
    numbers: int
    words: tuple[int, ...]


class Fitted(NamedTuple):
    """Result of a training.

    model: predicts from the matrix. predictions: of the held-out rows, (rows, units). length: epochs or
    rounds that were run.
    """

    model: Model
    predictions: np.ndarray
    length: int


def find_task(table: Table, target: str, kind: str | None = None) -> tuple[Task, np.ndarray, list[str]]:
    """Find out what is predicted.

    Args:
        table: The table.
        target: Name of the column.
        kind: "number" or "category", in place of the guess: texts, and integers of at most ten values,
            are classes.

    Returns:
        The task, the rows that have a target that can be learned, and sentences on what was decided.

    Raises:
        ValueError: If the column does not exist, or has nothing to learn: one value, or no class of 10 rows
            beside another.
    """
    if target not in table.columns:
        raise ValueError(f"the target {target!r} is not a column: {', '.join(table.columns)}")
    if kind not in (None, "number", "category"):
        raise ValueError(f"the target can be a 'number' or a 'category', got {kind!r}")
    single = Table({target: table.columns[target]})
    column = _target_column(single, target, kind)
    values = column.values(single)
    present = values != "" if column.kind == "category" else np.isfinite(values)
    notes = []
    if lost := int((~present).sum()):
        notes.append(f"{lost:,} rows without a value of {target!r} are left out")
    if column.kind == "number":
        if len(np.unique(values[present])) < 2:
            raise ValueError(f"the target {target!r} has one value in all rows: there is nothing to learn")
        return Task(column), np.flatnonzero(present), notes
    words, counts = np.unique(values[present].astype(str), return_counts=True)
    order = np.lexsort((words, -counts))
    labels = [str(words[i]) for i in order if counts[i] >= _LEAST_ROWS]
    if rare := [f"{str(words[i])!r} ({counts[i]})" for i in order if counts[i] < _LEAST_ROWS]:
        shown = ", ".join(rare[:5]) + (f" and {len(rare) - 5:,} more" if len(rare) > 5 else "")
        if len(labels) > 1:
            notes.append(
                f"classes of fewer than {_LEAST_ROWS} rows can be neither learned nor measured, and are left "
                f"out: {shown}"
            )
    if len(labels) < 2:
        raise ValueError(
            f"the target {target!r} needs two classes of at least {_LEAST_ROWS} rows each, got "
            + (", ".join(f"{str(words[i])!r} ({counts[i]:,} rows)" for i in order[:5]) or "none")
        )
    kept = np.isin(values.astype(str), labels) & present
    return Task(column, tuple(labels)), np.flatnonzero(kept), notes


def _target_column(single: Table, target: str, kind: str | None) -> Column:
    array = single.columns[target]
    if kind is not None:
        return guess_columns(single, kinds={target: kind})[0]
    if array.dtype.kind == "M":
        raise ValueError(f"the target {target!r} has times: make a number of it, such as days from now")
    form = number_form(array) if array.dtype == object else "1234.5"
    column = Column(target, "number", form) if form else Column(target, "category")
    is_code = column.kind == "number" and _is_code(column.values(single))
    return Column(target, "category") if is_code else column


def _is_code(values: np.ndarray) -> bool:
    """Return whether numbers are classes: whole, and of few values."""
    present = values[np.isfinite(values)]
    return bool((present == np.round(present)).all()) and len(np.unique(present)) <= _MOST_CLASSES
