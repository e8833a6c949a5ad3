"""Parts of a table: training, calibration and a sealed test part, and the folds of the training part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hornbeam import data
from hornbeam.auto.columns import guess_columns, texts
from hornbeam.auto.table import Table
from hornbeam.auto.task import Task

CALIBRATION, TEST = 0.15, 0.2
# Rows up to which the training part has so many folds; a larger one has one held-out part.
_FOLDS = ((5_000, 5), (20_000, 3))
_HELD_OUT = 0.2


@dataclass(frozen=True, repr=False)
class Parts:
    """Numbers of the rows of each part.

    Args:
        train: Rows to learn from.
        calibration: Rows that tell how far predictions are off, for sets and intervals.
        test: Rows that are used once, at the end.
        folds: Pairs of positions in `train`: to learn from, and held out to choose by.
        method: How the rows were drawn, in words.
    """

    train: np.ndarray
    calibration: np.ndarray
    test: np.ndarray
    folds: list[tuple[np.ndarray, np.ndarray]]
    method: str

    def __repr__(self) -> str:
        return f"<Parts: {self.summary}>"

    @property
    def summary(self) -> str:
        """Sizes and method, in a line."""
        return (
            f"{len(self.train):,} to learn from, {len(self.calibration):,} for calibration, "
            f"{len(self.test):,} sealed; {self.method}"
        )


def split(
    table: Table,
    task: Task,
    *,
    groups: str | None = None,
    time_column: str | None = None,
    seed: int = 0,
) -> Parts:
    """Split a table.

    Equal rows are never separated, and classes keep their proportions. With groups, rows of a group are never
    separated. With a time column the latest fifth of the rows is the test part, those before it are for
    calibration, and so on: the future is never learned from.

    Args:
        table: The rows that have a target.
        task: The prediction task.
        groups: Name of a column: a patient, a customer, a document.
        time_column: Name of a column of dates or numbers.
        seed: Seed of the order.

    Raises:
        ValueError: If a column does not exist, or there are too few rows or groups.

    Example:
        >>> table = hornbeam.auto.read_table({"x": np.arange(100.0), "y": np.arange(100.0)})
        >>> task, rows, notes = hornbeam.auto.find_task(table, "y")
        >>> hornbeam.auto.split(table, task)
        <Parts: 65 to learn from, 15 for calibration, 20 sealed; at random>
    """
    for name in (groups, time_column):
        if name is not None and name not in table.columns:
            raise ValueError(f"there is no column {name!r}: the table has {', '.join(table.columns)}")
    if time_column is not None:
        if groups is not None:
            raise ValueError(
                "pass groups or time_column, not both: a group may be in the past and the future"
            )
        return _in_time(table.columns[time_column], time_column)
    count = len(table)
    if groups is None:
        ids, method = _equal_rows(table), "at random"
        if len(np.unique(ids)) < count:
            method = f"at random, {count - len(np.unique(ids)):,} repeated rows with their likes"
    else:
        ids = np.unique(texts(table.columns[groups]).astype(str), return_inverse=True)[1].reshape(-1)
        method = f"groups by {groups!r} kept whole"
        if len(np.unique(ids)) < 10:
            raise ValueError(f"groups={groups!r} has {len(np.unique(ids))} groups: at least 10 are needed")
    repeated = len(np.unique(ids)) < count
    draw = _Draw(task.targets(table) if task.classes else None, ids if repeated else None, seed)
    rows = data.split(
        np.arange(count), validation=CALIBRATION, test=TEST, verbose=False, **draw.of(np.arange(count))
    ).rows
    train = rows["train"]
    method += ", classes in proportion" if task.classes else ""
    return Parts(train, rows["validation"], rows["test"], list(_folds(train, draw.of(train))), method)


class _Draw(NamedTuple):
    """Classes and groups of all rows, None without, and the seed, by which rows are drawn."""

    classes: np.ndarray | None
    groups: np.ndarray | None
    seed: int

    def of(self, rows: np.ndarray) -> dict[str, Any]:
        """Return the arguments of `data.split` for some rows."""
        return {
            "stratify": False if self.classes is None else self.classes[rows],
            "groups": None if self.groups is None else self.groups[rows],
            "seed": self.seed,
        }


def _folds(train: np.ndarray, options: dict[str, Any]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    positions = np.arange(len(train))
    for most, k in _FOLDS:
        if len(train) <= most:
            for fold in data.k_fold(positions, k=k, **options):
                yield fold.train_rows, fold.validation_rows
            return
    rows = data.split(positions, validation=_HELD_OUT, test=None, verbose=False, **options).rows
    yield rows["train"], rows["validation"]


def _equal_rows(table: Table) -> np.ndarray:
    """Return equal numbers for equal rows."""
    ids = np.zeros(len(table), "int64")
    for values in table.columns.values():
        codes = np.unique(texts(values).astype(str), return_inverse=True)[1].reshape(-1)
        ids = np.unique(ids * (int(codes.max()) + 1) + codes, return_inverse=True)[1].reshape(-1)
    return ids


def _in_time(values: np.ndarray, name: str) -> Parts:
    column = guess_columns(Table({name: values}))[0]
    if values.dtype == object and column.kind in ("number", "date"):
        values = column.values(Table({name: values}))
    if values.dtype == object:
        raise ValueError(f"time_column={name!r} has neither dates nor numbers")
    missing = np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)
    if missing.any():
        raise ValueError(f"time_column={name!r} has no time in {int(missing.sum()):,} rows: drop them first")
    order = np.argsort(values, kind="stable")
    count = len(order)
    test, calibration = round(TEST * count), round(CALIBRATION * count)
    train = order[: count - test - calibration]
    if min(len(train), test, calibration) < 10:
        raise ValueError(f"{count} rows are too few for parts in time: at least 80 are needed")
    held_out = round(_HELD_OUT * len(train))
    positions = np.arange(len(train))
    return Parts(
        train,
        order[len(train) : count - test],
        order[count - test :],
        [(positions[:-held_out], positions[-held_out:])],
        f"in the order of {name!r}, the latest sealed",
    )
