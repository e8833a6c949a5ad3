"""Linear algebra."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from hornbeam.engines.table import Table
from hornbeam.engines.tensorflow.elementwise import Tensor, is_empty, sizes_of, zero_like


def _triangular_solve(a: Tensor, b: Tensor, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Tensor:
    if unit_diagonal:
        a = tf.linalg.set_diag(a, tf.ones(sizes_of(a)[:-1], a.dtype))
    return tf.linalg.triangular_solve(a, b, lower=lower, adjoint=transpose)


def _lu(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Gaussian elimination, column by column: TensorFlow's own wants square matrices that have an inverse."""
    *batch, m, n = sizes_of(x)
    if tf.is_tensor(m) or tf.is_tensor(n):
        raise NotImplementedError("TensorFlow needs matrices of known sizes for lu: fix them")
    if is_empty(x):
        none = tf.zeros([*batch, min(m, n)], tf.int32)
        return x, none, tf.broadcast_to(tf.range(m), [*batch, m])
    rows, columns = tf.range(m), tf.range(n)

    def step(i: Tensor, x: Tensor, pivots: Tensor, order: Tensor) -> tuple[Tensor, ...]:
        column = tf.gather(x, i, axis=-1)
        p = tf.argmax(tf.where(rows < i, tf.constant(-1, x.dtype), tf.abs(column)), -1, tf.int32)
        at_row, at_pivot = rows == i, rows == p[..., None]
        swapped = tf.where(at_row, p[..., None], tf.where(at_pivot, i, rows))
        x = tf.gather(x, swapped, axis=-2, batch_dims=len(batch))
        order = tf.gather(order, swapped, axis=-1, batch_dims=len(batch))
        column, row = tf.gather(x, i, axis=-1), tf.gather(x, i, axis=-2)
        pivot = tf.gather(column, i, axis=-1)[..., None]
        below = (rows > i) & (pivot != 0)
        factors = tf.where(
            below, column / tf.where(pivot == 0, tf.ones_like(pivot), pivot), zero_like(column)
        )
        rest = tf.where(columns > i, row, zero_like(row))
        x = x - factors[..., :, None] * rest[..., None, :]
        x = tf.where((columns == i) & below[..., :, None], factors[..., :, None], x)
        return i + 1, x, tf.where(tf.range(min(m, n)) == i, p[..., None], pivots), order

    start = (
        tf.constant(0), x, tf.zeros([*batch, min(m, n)], tf.int32), tf.broadcast_to(rows, [*batch, m])
    )  # fmt: skip
    _, packed, pivots, order = tf.while_loop(
        lambda i, *_: i < min(m, n), step, start, maximum_iterations=min(m, n)
    )
    return packed, pivots, order


def _svd(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    s, u, v = tf.linalg.svd(x)
    return u, s, tf.linalg.matrix_transpose(v)


def _eig(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """NaN for matrices that are not finite, with which TensorFlow's function may not end."""
    z = tf.complex(x, y)
    finite = tf.reduce_all(tf.math.is_finite(x) & tf.math.is_finite(y), [-2, -1], keepdims=True)
    w, v = tf.linalg.eig(tf.where(finite, z, tf.zeros_like(z)))
    nan = tf.cast(math.nan, z.dtype)
    w, v = tf.where(finite[..., 0], w, nan), tf.where(finite, v, nan)
    return tf.math.real(w), tf.math.imag(w), tf.math.real(v), tf.math.imag(v)


def _tupled(fn: Callable[..., Any]) -> Callable[..., tuple[Tensor, ...]]:
    return lambda x: tuple(fn(x))


DECOMPOSITIONS: Table = {
    "qr": _tupled(tf.linalg.qr),
    "svd": _svd,
    "eig": _eig,
    "eigh": _tupled(tf.linalg.eigh),
}
LINALG: Table = {
    "cholesky": tf.linalg.cholesky, "triangular_solve": _triangular_solve, "lu": _lu, **DECOMPOSITIONS
}  # fmt: skip
