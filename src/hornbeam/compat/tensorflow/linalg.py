"""tf.linalg: products and decompositions."""

from __future__ import annotations

import math
from typing import Any

from hornbeam import ops
from hornbeam.compat.tensorflow.arrays import eye
from hornbeam.compat.tensorflow.nn import l2_normalize
from hornbeam.compat.tensorflow.tensors import axes_of
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor

__all__ = [
    "band_part", "cholesky", "cross", "det", "diag", "diag_part", "eigh", "einsum", "eye", "inv",
    "l2_normalize", "logdet", "lstsq", "matmul", "matrix_transpose", "matvec", "norm", "normalize", "pinv",
    "qr", "set_diag",
    "slogdet", "solve", "svd", "tensordot", "trace", "triangular_solve",
]  # fmt: skip


def matmul(
    a: Any,
    b: Any,
    transpose_a: bool = False,
    transpose_b: bool = False,
    adjoint_a: bool = False,
    adjoint_b: bool = False,
    name: str | None = None,
    **sparse: Any,
) -> Tensor:
    """Matrix product over the last two axes."""
    a = matrix_transpose(a) if transpose_a or adjoint_a else a
    b = matrix_transpose(b) if transpose_b or adjoint_b else b
    return ops.matmul(a, b)


def matrix_transpose(a: Any, name: str = "matrix_transpose", conjugate: bool = False) -> Tensor:
    """The last two axes exchanged."""
    return ops.swapaxes(a, -1, -2)


def matvec(a: Any, b: Any, transpose_a: bool = False, **options: Any) -> Tensor:
    """Matrix times vector."""
    return ops.squeeze(matmul(a, ops.expand_dims(b, -1), transpose_a=transpose_a), axis=-1)


def einsum(equation: str, *inputs: Any, **kwargs: Any) -> Tensor:
    """Sums of products, in Einstein's notation."""
    return ops.einsum(equation, *inputs)


def tensordot(a: Any, b: Any, axes: Any, name: str | None = None) -> Tensor:
    """Products summed over axes of both."""
    return ops.tensordot(a, b, axes=axes)


def norm(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, keepdims: bool = False, name: str | None = None
) -> Tensor:
    """Of all elements, or along axes."""
    kind = None if ord == "euclidean" else ord
    given = as_tensor(tensor)
    if kind is None:
        return ops.sqrt(ops.sum(ops.square(given), axis=axes_of(axis), keepdims=keepdims))
    return ops.norm(given, ord=kind, axis=axes_of(axis), keepdims=keepdims)


def normalize(
    tensor: Any, ord: Any = "euclidean", axis: Any = None, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """The tensor divided by its norm, and the norm."""
    length = norm(tensor, ord, axis, keepdims=True)
    return as_tensor(tensor) / length, length


def logdet(matrix: Any, name: str | None = None) -> Tensor:
    """The logarithm of the determinant of a positive definite matrix."""
    return ops.slogdet(matrix)[1]


def cross(a: Any, b: Any, name: str | None = None) -> Tensor:
    """Cross product of vectors of three."""
    return ops.cross(a, b)


def inv(input: Any, adjoint: bool = False, name: str | None = None) -> Tensor:
    """Inverse."""
    return ops.inv(matrix_transpose(input) if adjoint else input)


def pinv(a: Any, rcond: Any = None, validate_args: bool = False, name: str | None = None) -> Tensor:
    """Pseudo-inverse."""
    return ops.pinv(a, rcond)


def det(input: Any, name: str | None = None) -> Tensor:
    """Determinant."""
    return ops.det(input)


def slogdet(input: Any, name: str | None = None) -> tuple[Tensor, Tensor]:
    """Sign and logarithm of the determinant."""
    return ops.slogdet(input)


def solve(matrix: Any, rhs: Any, adjoint: bool = False, name: str | None = None) -> Tensor:
    """x with matrix x = rhs."""
    return ops.solve(matrix_transpose(matrix) if adjoint else matrix, rhs)


def triangular_solve(
    matrix: Any, rhs: Any, lower: bool = True, adjoint: bool = False, name: str | None = None
) -> Tensor:
    """x with matrix x = rhs, the matrix triangular."""
    if adjoint:
        return ops.solve_triangular(matrix_transpose(matrix), rhs, lower=not lower)
    return ops.solve_triangular(matrix, rhs, lower=lower)


def lstsq(
    matrix: Any, rhs: Any, l2_regularizer: float = 0.0, fast: bool = True, name: str | None = None
) -> Tensor:
    """Least squares."""
    if l2_regularizer:
        raise NotImplementedError("tf.linalg.lstsq(l2_regularizer=) is not in `hornbeam run`")
    return ops.lstsq(matrix, rhs)


def cholesky(input: Any, name: str | None = None) -> Tensor:
    """Lower triangular L with L L^T = input."""
    return ops.cholesky(input)


def qr(input: Any, full_matrices: bool = False, name: str | None = None) -> tuple[Tensor, Tensor]:
    """Orthogonal times triangular."""
    return ops.qr(input, mode="complete" if full_matrices else "reduced")


def eigh(tensor: Any, name: str | None = None) -> tuple[Tensor, Tensor]:
    """Eigenvalues, increasing, and eigenvectors of a symmetric matrix."""
    return ops.eigh(tensor)


def svd(tensor: Any, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None) -> Any:
    """(s, u, v), TensorFlow's order; v is not transposed."""
    if not compute_uv:
        return ops.svd(tensor, full_matrices=full_matrices, compute_uv=False)
    u, s, vh = ops.svd(tensor, full_matrices=full_matrices)
    return s, u, matrix_transpose(vh)


def trace(x: Any, name: str | None = None) -> Tensor:
    """Sum of the diagonal."""
    return ops.trace(x, axis1=-2, axis2=-1)


def diag_part(input: Any, name: str = "diag_part", k: int = 0, **options: Any) -> Tensor:
    """The diagonal."""
    return ops.diagonal(input, offset=k, axis1=-2, axis2=-1)


def diag(diagonal: Any, name: str = "diag", **options: Any) -> Tensor:
    """Matrices with these diagonals, zeros elsewhere."""
    given = as_tensor(diagonal)
    return ops.expand_dims(given, -1) * ops.eye(given.shape[-1], dtype=given.dtype)


def set_diag(input: Any, diagonal: Any, name: str = "set_diag", k: int = 0, **options: Any) -> Tensor:
    """The matrix with another diagonal."""
    if k:
        raise NotImplementedError("tf.linalg.set_diag(k=) is not in `hornbeam run`")
    given = as_tensor(input)
    on = ops.eye(given.shape[-2], given.shape[-1], dtype="bool")
    length = max(given.shape[-2:]) - min(given.shape[-2:])
    rows = ops.pad(diagonal, [(0, 0)] * (len(given.shape) - 2) + [(0, length)]) if length else diagonal
    axis = -1 if given.shape[-2] >= given.shape[-1] else -2
    return ops.where(on, ops.expand_dims(rows, axis), given)


def band_part(input: Any, num_lower: int, num_upper: int, name: str | None = None) -> Tensor:
    """What lies at most so many diagonals below and above the main one (-1: all); zeros elsewhere."""
    given = as_tensor(input)
    rows, columns = given.shape[-2:]
    distance = ops.expand_dims(ops.arange(rows), 1) - ops.expand_dims(ops.arange(columns), 0)
    low, high = (int(x) if int(x) >= 0 else math.inf for x in (num_lower, num_upper))
    kept = ops.logical_and(distance <= min(low, rows), distance >= -min(high, columns))
    return ops.where(kept, given, ops.zeros_like(given))
