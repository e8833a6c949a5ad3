"""Columns that a model should not get: numbers of rows, and answers in other words."""

from __future__ import annotations

import re

import numpy as np

# Fraction of the rows that a column must tell, and the fewest rows on which anything is said.
_EXPLAINED, _FEWEST = 0.99, 30
# Pairs of equal values that chance would give integers of a quantity; numbers of rows have none.
_EXPECTED_PAIRS = 10


def is_row_id(column: np.ndarray, name: str) -> bool:
    """Return True for integers or words without spaces that never repeat, as customers' numbers.

    Integers of a quantity never repeat either if they are few, or of a wide range: these are ids only if
    their name says so.
    """
    count = len(column)
    if count < _FEWEST or column.dtype.kind not in "iuOSU" or len(np.unique(column.astype("U"))) < count:
        return False
    if column.dtype.kind not in "iu":
        return not any(" " in str(value) for value in column)
    pairs = count**2 / 2 / (int(column.max()) - int(column.min()) + 1)
    return pairs > _EXPECTED_PAIRS or "id" in re.findall("[a-z]+", name.lower())


def rows_explained(column: np.ndarray, labels: np.ndarray) -> int:
    """Return the number of rows whose label the column alone tells, 0 unless those are nearly all.

    A column of few values tells the most frequent label of each value, any other the label of the next
    smaller value. Anything tells labels of which nearly all are equal: the column has to avoid nine in ten
    errors of always answering the most frequent one.
    """
    count = len(labels)
    trivial = count - int(np.bincount(labels).max())
    if count < _FEWEST or trivial < 10:
        return 0
    values = column if column.dtype.kind in "biuf" else column.astype("U")
    distinct, codes = np.unique(values, return_inverse=True)
    if len(distinct) * 5 <= count:
        table = np.zeros((len(distinct), int(labels.max()) + 1), int)
        np.add.at(table, (codes.reshape(-1), labels), 1)
        explained = int(table.max(axis=1).sum())
    else:
        in_order = labels[np.argsort(codes.reshape(-1), kind="stable")]
        explained = 1 + int((in_order[1:] == in_order[:-1]).sum())
    return explained if explained >= _EXPLAINED * count and count - explained <= trivial / 10 else 0
