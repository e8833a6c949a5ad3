"""Linear algebra."""

from __future__ import annotations

from typing import Any

from jax import lax

from hornbeam.engines.table import Table

Array = Any


def _triangular_solve(a: Array, b: Array, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Array:
    return lax.linalg.triangular_solve(
        a, b, left_side=True, lower=lower, transpose_a=transpose, unit_diagonal=unit_diagonal
    )


def _eigh(x: Array) -> tuple[Array, Array]:
    v, w = lax.linalg.eigh(x, lower=True, symmetrize_input=False)
    return w, v


def _eig(x: Array, y: Array) -> tuple[Array, ...]:
    w, v = lax.linalg.eig(lax.complex(x, y), compute_left_eigenvectors=False)
    return lax.real(w), lax.imag(w), lax.real(v), lax.imag(v)


LINALG: Table = {
    "cholesky": lambda x: lax.linalg.cholesky(x, symmetrize_input=False),
    "triangular_solve": _triangular_solve,
    "lu": lambda x: tuple(lax.linalg.lu(x)),
    "qr": lambda x: tuple(lax.linalg.qr(x, full_matrices=False)),
    "svd": lambda x: tuple(lax.linalg.svd(x, full_matrices=False)),
    "eig": _eig,
    "eigh": _eigh,
}
