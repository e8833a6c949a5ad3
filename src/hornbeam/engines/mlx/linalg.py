"""Linear algebra, which MLX has on CPUs."""

from __future__ import annotations

import math
from collections.abc import Callable

import mlx.core as mx

from hornbeam.engines.mlx.elementwise import Array
from hornbeam.engines.table import Table


def _transposed(x: Array) -> Array:
    return mx.swapaxes(x, -1, -2)


def _cholesky(x: Array) -> Array:
    """MLX leaves a pivot that is not positive where a factorization fails."""
    if not x.size:
        return x
    factor = mx.linalg.cholesky(x)
    failed = ~mx.all(mx.diagonal(factor, 0, -2, -1) > 0, -1)
    return mx.where(failed[..., None, None], mx.array(math.nan, x.dtype), factor)


def _triangular_solve(a: Array, b: Array, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Array:
    if not b.size:
        return b
    if unit_diagonal:
        eye = mx.eye(a.shape[-1], dtype=mx.int32).astype(mx.bool_)
        a = mx.where(eye, mx.array(1, a.dtype), a)
    triangle = (mx.tril if lower else mx.triu)(a)
    return mx.linalg.solve_triangular(
        _transposed(triangle) if transpose else triangle, b, upper=lower == transpose
    )


def _lu(x: Array) -> tuple[Array, Array, Array]:
    *batch, rows, columns = x.shape
    if not x.size:
        order = mx.broadcast_to(mx.arange(rows, dtype=mx.int32), (*batch, rows))
        return x, mx.zeros((*batch, min(rows, columns)), mx.int32), order
    packed, pivots = mx.linalg.lu_factor(x)
    return packed, pivots.astype(mx.int32), mx.argsort(mx.linalg.lu(x)[0], -1).astype(mx.int32)


def _qr(x: Array) -> tuple[Array, Array]:
    *batch, rows, columns = x.shape
    rank = min(rows, columns)
    if not x.size:
        return mx.zeros((*batch, rows, rank), x.dtype), mx.zeros((*batch, rank, columns), x.dtype)
    return tuple(mx.linalg.qr(x))


def _if_finite(fn: Callable[[Array], tuple[Array, ...]]) -> Callable[[Array], tuple[Array, ...]]:
    """Wrap `fn`: NaN for matrices that are not finite, for which LAPACK fails."""

    def guarded(x: Array) -> tuple[Array, ...]:
        finite = mx.all(mx.isfinite(x), (-2, -1))
        results = fn(mx.where(finite[..., None, None], x, mx.zeros_like(x)))
        missing = mx.array(math.nan, x.dtype)
        return tuple(
            mx.where(finite.reshape(*finite.shape, *[1] * (y.ndim - finite.ndim)), y, missing)
            for y in results
        )

    return guarded


@_if_finite
def _svd(x: Array) -> tuple[Array, ...]:
    *batch, rows, columns = x.shape
    rank = min(rows, columns)
    if not x.size:
        shapes = ((rows, rank), (rank,), (rank, columns))
        return tuple(mx.zeros((*batch, *shape), x.dtype) for shape in shapes)
    u, s, v = mx.linalg.svd(x)
    return u[..., :rank], s, v[..., :rank, :]


@_if_finite
def _eigh(x: Array) -> tuple[Array, ...]:
    return tuple(mx.linalg.eigh(x)) if x.size else (x[..., 0] if x.shape[-1] else x.reshape(x.shape[:-1]), x)


LINALG: Table = {
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
    "lu": _lu,
    "qr": _qr,
    "svd": _svd,
    "eigh": _eigh,
}
