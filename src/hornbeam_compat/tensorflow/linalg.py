"""tf.linalg: products and decompositions of matrices. Arguments are TensorFlow's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hornbeam import Tensor, ops
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.arrays import eye
from hornbeam_compat.tensorflow.nn import l2_normalize
from hornbeam_compat.tensorflow.tensors import axes_of
from hornbeam_compat.tensorflow.typing import AxisLike, TensorLike

__all__ = [
    "band_part", "cholesky", "cross", "det", "diag", "diag_part", "eig", "eigh", "eigvals", "einsum", "expm",
    "eye", "inv", "l2_normalize", "logdet", "lstsq", "matmul", "matrix_transpose", "matvec", "norm",
    "normalize", "pinv", "qr", "set_diag", "slogdet", "solve", "svd", "tensordot", "trace",
    "triangular_solve",
]  # fmt: skip


def matmul(
    a: TensorLike, b: TensorLike, transpose_a: bool = False, transpose_b: bool = False,
    adjoint_a: bool = False, adjoint_b: bool = False, name: str | None = None, **sparse: object,
) -> Tensor:  # fmt: skip
    """Compute the matrix product over the last two axes."""
    a = matrix_transpose(a) if transpose_a or adjoint_a else a
    b = matrix_transpose(b) if transpose_b or adjoint_b else b
    return ops.matmul(a, b)


def matrix_transpose(a: TensorLike, name: str = "matrix_transpose", conjugate: bool = False) -> Tensor:
    """Swap the last two axes."""
    return ops.swapaxes(a, -1, -2)


def matvec(a: TensorLike, b: TensorLike, transpose_a: bool = False, **options: object) -> Tensor:
    """Multiply a matrix by a vector."""
    return ops.squeeze(matmul(a, ops.expand_dims(b, -1), transpose_a=transpose_a), axis=-1)


def einsum(equation: str, *inputs: TensorLike, **kwargs: object) -> Tensor:
    """Compute sums of products in Einstein's notation."""
    return ops.einsum(equation, *inputs)


def tensordot(a: TensorLike, b: TensorLike, axes: int | Sequence[int], name: str | None = None) -> Tensor:
    """Compute products summed over axes of both tensors."""
    return ops.tensordot(a, b, axes=axes)


def norm(
    tensor: TensorLike, ord: float | str | None = "euclidean", axis: AxisLike = None, keepdims: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Compute the norm of all elements, or along axes."""
    x = as_tensor(tensor)
    if ord is None or ord == "euclidean":
        return ops.sqrt(ops.sum(ops.square(x), axis=axes_of(axis), keepdims=keepdims))
    return ops.norm(x, ord=ord, axis=axes_of(axis), keepdims=keepdims)


def normalize(
    tensor: TensorLike, ord: float | str | None = "euclidean", axis: AxisLike = None, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """Divide a tensor by its norm, and return both."""
    length = norm(tensor, ord, axis, keepdims=True)
    return as_tensor(tensor) / length, length


def logdet(matrix: TensorLike, name: str | None = None) -> Tensor:
    """Compute the logarithm of the determinant of a positive definite matrix."""
    return ops.slogdet(matrix)[1]


def cross(a: TensorLike, b: TensorLike, name: str | None = None) -> Tensor:
    """Compute the cross product of vectors of size 3."""
    return ops.cross(a, b)


def inv(input: TensorLike, adjoint: bool = False, name: str | None = None) -> Tensor:
    """Compute the inverse."""
    return ops.inv(matrix_transpose(input) if adjoint else input)


def pinv(
    a: TensorLike, rcond: float | None = None, validate_args: bool = False, name: str | None = None
) -> Tensor:
    """Compute the pseudo-inverse."""
    return ops.pinv(a, rcond)


def det(input: TensorLike, name: str | None = None) -> Tensor:
    """Compute the determinant."""
    return ops.det(input)


def slogdet(input: TensorLike, name: str | None = None) -> tuple[Tensor, Tensor]:
    """Compute the sign and the logarithm of the determinant."""
    return ops.slogdet(input)


def solve(matrix: TensorLike, rhs: TensorLike, adjoint: bool = False, name: str | None = None) -> Tensor:
    """Solve matrix x = rhs."""
    return ops.solve(matrix_transpose(matrix) if adjoint else matrix, rhs)


def triangular_solve(
    matrix: TensorLike, rhs: TensorLike, lower: bool = True, adjoint: bool = False, name: str | None = None
) -> Tensor:
    """Solve matrix x = rhs for a triangular matrix."""
    if adjoint:
        return ops.solve_triangular(matrix_transpose(matrix), rhs, lower=not lower)
    return ops.solve_triangular(matrix, rhs, lower=lower)


def lstsq(
    matrix: TensorLike, rhs: TensorLike, l2_regularizer: float = 0.0, fast: bool = True,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Solve a least-squares problem."""
    if l2_regularizer:
        raise NotImplementedError("tf.linalg.lstsq(l2_regularizer=) is not supported by `hornbeam run`")
    return ops.lstsq(matrix, rhs)


def cholesky(input: TensorLike, name: str | None = None) -> Tensor:
    """Compute the lower triangular L with L L^T = input."""
    return ops.cholesky(input)


def qr(input: TensorLike, full_matrices: bool = False, name: str | None = None) -> tuple[Tensor, Tensor]:
    """Compute the QR decomposition."""
    return ops.qr(input, mode="complete" if full_matrices else "reduced")


def eigh(tensor: TensorLike, name: str | None = None) -> tuple[Tensor, Tensor]:
    """Compute the eigenvalues, in increasing order, and eigenvectors of a symmetric matrix."""
    return ops.eigh(tensor)


def eig(tensor: TensorLike, name: str | None = None) -> tuple[Tensor, Tensor]:
    """Compute the complex eigenvalues and eigenvectors of a square matrix, on the host."""
    values, vectors = np.linalg.eig(np.asarray(tensor))
    dtype = "complex128" if str(as_tensor(tensor).dtype) in ("float64", "complex128") else "complex64"
    return as_tensor(values.astype(dtype)), as_tensor(vectors.astype(dtype))


def eigvals(tensor: TensorLike, name: str | None = None) -> Tensor:
    """Compute the complex eigenvalues of a square matrix, on the host."""
    return eig(tensor)[0]


def svd(
    tensor: TensorLike, full_matrices: bool = False, compute_uv: bool = True, name: str | None = None
) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Compute the singular value decomposition as (s, u, v), where v is not transposed."""
    if not compute_uv:
        return ops.svd(tensor, full_matrices=full_matrices, compute_uv=False)
    u, s, vh = ops.svd(tensor, full_matrices=full_matrices)
    return s, u, matrix_transpose(vh)


def trace(x: TensorLike, name: str | None = None) -> Tensor:
    """Compute the sum of the diagonal."""
    return ops.trace(x, axis1=-2, axis2=-1)


def diag_part(input: TensorLike, name: str = "diag_part", k: int = 0, **options: object) -> Tensor:
    """Return the diagonal."""
    return ops.diagonal(input, offset=k, axis1=-2, axis2=-1)


def diag(diagonal: TensorLike, name: str = "diag", **options: object) -> Tensor:
    """Create matrices from their diagonals."""
    values = as_tensor(diagonal)
    return ops.expand_dims(values, -1) * ops.eye(values.shape[-1], dtype=values.dtype)


def set_diag(
    input: TensorLike, diagonal: TensorLike, name: str = "set_diag", k: int = 0, **options: object
) -> Tensor:
    """Replace the diagonal of a matrix."""
    if k:
        raise NotImplementedError("tf.linalg.set_diag(k=) is not supported by `hornbeam run`")
    matrix = as_tensor(input)
    rows, columns = matrix.shape[-2:]
    padding = abs(rows - columns)
    values = ops.pad(diagonal, [(0, 0)] * (matrix.ndim - 2) + [(0, padding)]) if padding else diagonal
    on_diagonal = ops.eye(rows, columns, dtype="bool")
    return ops.where(on_diagonal, ops.expand_dims(values, -1 if rows >= columns else -2), matrix)


def band_part(input: TensorLike, num_lower: int, num_upper: int, name: str | None = None) -> Tensor:
    """Keep the main diagonal and so many diagonals below and above it (-1: all); set others to 0."""
    matrix = as_tensor(input)
    rows, columns = matrix.shape[-2:]
    distance = ops.expand_dims(ops.arange(rows), 1) - ops.expand_dims(ops.arange(columns), 0)
    lower, upper = (int(x) if int(x) >= 0 else math.inf for x in (num_lower, num_upper))
    in_band = ops.logical_and(distance <= min(lower, rows), distance >= -min(upper, columns))
    return ops.where(in_band, matrix, ops.zeros_like(matrix))


# Numerator of the Padé approximant of order 13 of exp; up to this norm it is exact to float64.
_PADE = [
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600,
    670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
]  # fmt: skip
_LARGEST_NORM = 5.371920351148152
# Matrices of a norm above 10^10 give NaN: nothing of the result would be exact.
_MOST_SQUARINGS = 31


def expm(input: TensorLike, name: str | None = None) -> Tensor:
    """Compute the exponential of square matrices (..., n, n), by scaling and squaring.

    Source: Higham, "The Scaling and Squaring Method for the Matrix Exponential Revisited", 2005.
    """
    a = as_tensor(input)
    norm = ops.max(ops.sum(ops.abs(a), axis=-2, keepdims=True), axis=-1, keepdims=True)
    squarings = ops.maximum(ops.ceil(ops.log2(ops.maximum(norm, 1e-30) / _LARGEST_NORM)), 0.0)
    squarings = ops.stop_gradient(squarings)
    a = a / 2.0**squarings
    unit = ops.eye(a.shape[-1], dtype=a.dtype)
    square, odd, even = ops.matmul(a, a), ops.zeros_like(a), ops.zeros_like(a)
    # The coefficients are divided by the first, to stay in the range of float32.
    for high, low in zip(_PADE[:0:-2], _PADE[-2::-2], strict=True):
        odd = ops.matmul(odd, square) + unit * (high / _PADE[0])
        even = ops.matmul(even, square) + unit * (low / _PADE[0])
    odd = ops.matmul(a, odd)
    result = ops.solve(even - odd, even + odd)

    def square_once(result: Tensor, count: Tensor) -> tuple[Tensor, None]:
        is_left = count < squarings
        squared = ops.where(is_left, result, unit)  # no overflow of results that are done
        return ops.where(is_left, ops.matmul(squared, squared), result), None

    result = ops.scan(square_once, result, ops.arange(_MOST_SQUARINGS, dtype=a.dtype))[0]
    return ops.where(squarings > _MOST_SQUARINGS, math.nan, result)
