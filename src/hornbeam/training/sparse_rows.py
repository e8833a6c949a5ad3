"""Sparse matrices of SciPy as data: rows become dense when a batch takes them."""

from __future__ import annotations

from typing import Any

import numpy as np


class SparseRows:
    """Array of the rows of a sparse matrix, among the leaves of a `Batch` in place of an array.

    The matrix stays sparse in memory. What a batch takes of it is dense, since products of a few rows are
    fastest so.

    Args:
        matrix: Sparse matrix or array of SciPy with two axes.
    """

    __slots__ = ("_matrix", "dtype", "shape")

    def __init__(self, matrix: Any) -> None:
        self._matrix = matrix.tocsr()
        self.shape: tuple[int, ...] = tuple(self._matrix.shape)
        self.dtype: np.dtype = self._matrix.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def values(self) -> np.ndarray:
        """The elements that are stored."""
        return self._matrix.data

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | slice | np.ndarray) -> np.ndarray:
        if isinstance(rows, (int, np.integer)):
            return self._matrix[[rows]].toarray()[0]
        return self._matrix[rows].toarray()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a sparse matrix cannot become an array without a copy")
        return np.asarray(self._matrix.toarray(), dtype)
