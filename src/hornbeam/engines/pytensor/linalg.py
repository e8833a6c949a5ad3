"""Linear algebra by NumPy, which takes stacks of matrices at once; PyTensor's own would loop over them."""

from __future__ import annotations

import numpy as np

from hornbeam.engines.pytensor.ops import Array
from hornbeam.engines.table import Table
from hornbeam.primitives import PRIMITIVES


def _cholesky(x: Array) -> Array:
    """NaN where a matrix is not definite."""
    out = np.full(x.shape, np.nan, x.dtype)
    for at in np.ndindex(x.shape[:-2]):
        try:
            out[at] = np.linalg.cholesky(x[at])
        except np.linalg.LinAlgError:
            continue
    return out


def _triangular_solve(a: Array, b: Array, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Array:
    """By substitution, a row of all right-hand sides at a time."""
    matrix = a.swapaxes(-1, -2) if transpose else a
    size, forward = a.shape[-1], lower != transpose
    out = np.zeros_like(b)
    for row in range(size) if forward else reversed(range(size)):
        known = slice(0, row) if forward else slice(row + 1, size)
        rest = b[..., row, :] - np.matmul(matrix[..., row, None, known], out[..., known, :])[..., 0, :]
        out[..., row, :] = rest if unit_diagonal else rest / matrix[..., row, row, None]
    return out


def _lu(x: Array) -> tuple[Array, Array, Array]:
    """Gaussian elimination with the first largest pivot, a column of all matrices at a time."""
    *batch, m, n = x.shape
    x = x.copy()
    pivots = np.zeros((*batch, min(m, n)), np.int32)
    order = np.broadcast_to(np.arange(m, dtype=np.int32), (*batch, m)).copy()
    for k in range(min(m, n)):
        pivots[..., k] = best = k + np.argmax(np.abs(x[..., k:, k]), -1)
        swap = np.broadcast_to(np.arange(m), (*batch, m)).copy()
        np.put_along_axis(swap, best[..., None], k, -1)
        swap[..., k] = best
        x = np.take_along_axis(x, swap[..., None], -2)
        order = np.take_along_axis(order, swap, -1)
        pivot = x[..., k, k, None]
        x[..., k + 1 :, k] /= np.where(pivot == 0, x.dtype.type(1), pivot)
        x[..., k + 1 :, k + 1 :] -= x[..., k + 1 :, k, None] * x[..., None, k, k + 1 :]
    return x, pivots, order


FUNCTIONS: Table = {
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
    "lu": _lu,
    "qr": lambda x: tuple(np.linalg.qr(x)),
    "svd": lambda x: tuple(np.linalg.svd(x, full_matrices=False)),
    "eig": PRIMITIVES["eig"].reference,
    "eigh": lambda x: tuple(np.linalg.eigh(x)),
}
