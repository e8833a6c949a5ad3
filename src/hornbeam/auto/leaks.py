"""Columns that know the target."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

from hornbeam.auto.columns import Column
from hornbeam.auto.table import Table
from hornbeam.auto.task import Task
from hornbeam.data.inspection.columns import rows_explained

# Share of the variance of a number, or of its ranks, that one column must explain.
_EXPLAINED = 0.999
_FEWEST = 30


def without_leaks(
    columns: Sequence[Column], table: Table, task: Task, kept: Iterable[str] = ()
) -> list[Column]:
    """Leave out the columns that tell the target alone, nearly without an error.

    Such a column is known only after the target: a sum that contains the price, the date of a discharge.
    Of classes it tells 99% of the rows, of a number 99.9% of its variance, by the column's order or the mean
    of each word. Whether a value is missing may tell the target, too.

    Args:
        columns: The columns.
        table: Rows with a target.
        task: The prediction task.
        kept: Names of columns that stay.

    Example:
        >>> table = hornbeam.auto.read_table({"x": np.arange(99.0), "y": np.arange(99.0) * 2})
        >>> task, _, _ = hornbeam.auto.find_task(table, "y")
        >>> hornbeam.auto.without_leaks(hornbeam.auto.guess_columns(table, "y", {"x": "number"}), table, task)
        [Column(name='x', kind='left out', form='', reason='tells the target: 100.0% of it')]
    """
    y = task.targets(table)
    result = []
    for column in columns:
        share = 0.0 if column.kind == "left out" or column.name in kept else _told(column, table, task, y)
        if share:
            column = dataclasses.replace(
                column, kind="left out", reason=f"tells the target: {share:.1%} of it"
            )
        result.append(column)
    return result


def _told(column: Column, table: Table, task: Task, y: np.ndarray) -> float:
    """Return the share of the target that a column tells, 0 below the limits."""
    values = column.values(table)
    if values.dtype.kind == "M":
        values = np.where(np.isnat(values), np.nan, values.astype("int64"))
    missing = values == "" if values.dtype == object else np.isnan(values.astype("float64"))
    codes = values.astype(str) if values.dtype == object else np.where(missing, -np.inf, values)
    views = [codes, missing.astype("int64")] if 0 < missing.sum() < len(y) else [codes]
    if task.classes:
        return max(rows_explained(view, y) for view in views) / len(y)
    return max(_explained(view, y) for view in views)


def _explained(values: np.ndarray, y: np.ndarray) -> float:
    """Return the share of the variance of numbers that values explain, 0 below the limit."""
    if len(y) < _FEWEST:
        return 0.0
    share = 0.0
    distinct, codes = np.unique(values, return_inverse=True)
    codes = codes.reshape(-1)
    if len(distinct) * 5 <= len(y):
        means = np.bincount(codes, y.astype("float64")) / np.bincount(codes)
        share = 1 - float(np.mean((y - means[codes]) ** 2)) / max(float(np.var(y, dtype="float64")), 1e-300)
    elif values.dtype.kind == "f":
        ranks = np.unique(y, return_inverse=True)[1].reshape(-1)
        share = float(np.corrcoef(_ranks(codes), _ranks(ranks))[0, 1]) ** 2
    return share if share >= _EXPLAINED else 0.0


def _ranks(codes: np.ndarray) -> np.ndarray:
    """Return mean ranks: equal values share one."""
    counts = np.bincount(codes)
    ends = np.cumsum(counts)
    return (ends - (counts - 1) / 2)[codes]
