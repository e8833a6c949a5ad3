"""Linear algebra on the last two axes; leading axes are batch axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, overload

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam._internal.typing import Axis, Tree
from hornbeam.core.convert import broadcast_node, broadcast_shapes, cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.lazy import retain_graph
from hornbeam.core.operators import matmul
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full, ones_like, zeros_like
from hornbeam.ir.sizes import maximum, same_shape
from hornbeam.ir.types import ShapeError, TensorType, is_complex, real_dtype
from hornbeam.ops._common import float_dtype, float_node, many_axes, node_of, one_axis, with_ones
from hornbeam.ops.elementwise import sign as sign_of

# fmt: off
__all__ = [
    "cholesky", "cholesky_inverse", "det", "eig", "eigh", "inv", "jvp", "logdet", "lstsq", "lu_factor",
    "matrix_rank", "norm", "pinv", "qr", "slogdet", "solve", "solve_triangular", "svd",
]
# fmt: on

# Factorizations are not computed in half precision.
_EXACT = {"float16": "float32", "bfloat16": "float32"}


def _matrix(x: TensorLike, name: str, square: bool = False) -> Node:
    node = float_node(x)
    node = p.convert(node, _EXACT.get(node.dtype, node.dtype))
    if node.rank < 2 or (square and node.shape[-1] != node.shape[-2]):
        raise ShapeError(
            f"{name} needs {'square matrices' if square else 'matrices'} (..., n, m), got {node.shape}"
        )
    return node


def _flipped(node: Node) -> Node:
    """Transpose the matrices."""
    return p.transpose(node, (*range(node.rank - 2), node.rank - 1, node.rank - 2))


def _adjoint(node: Node) -> Node:
    """Transpose the matrices, and conjugate complex ones."""
    return _flipped(p.conj(node) if is_complex(node.dtype) else node)


def _identity(node: Node) -> Node:
    """Return identity matrices of the shape of square `node`."""
    hit = p.eq(p.iota("int32", node.shape, node.rank - 2), p.iota("int32", node.shape, node.rank - 1))
    return p.convert(hit, node.dtype)


def _diagonal(node: Node) -> Node:
    """Return the main diagonals (..., n) of square matrices."""
    return p.reduce_sum(node * _identity(node), (node.rank - 1,))


@operation
def cholesky(x: TensorLike, upper: bool = False) -> Tensor:
    """Compute the Cholesky factor: lower L with L L^H = x, or upper U with U^H U = x.

    Args:
        x: Tensor (..., n, n) of symmetric (complex: Hermitian) positive definite matrices.
        upper: Return U.

    Returns:
        Tensor of the shape of `x`; in a compiled function NaN where a matrix is not positive definite.

    Raises:
        ValueError: If a matrix is not positive definite, in eager code, where values are known.

    Example:
        >>> np.asarray(hornbeam.ops.cholesky([[4.0, 0.0], [0.0, 9.0]])).tolist()
        [[2.0, 0.0], [0.0, 3.0]]
    """
    matrix = _matrix(x, "cholesky", square=True)
    lower = p.cholesky(matrix)
    result = Tensor(_adjoint(lower) if upper else lower)
    if not result.node.level:
        failed = p.bit_and(p.ne(lower, lower), p.eq(matrix, matrix))
        with retain_graph():  # gradients may still be taken through the result
            if bool(Tensor(p.reduce_or(failed, tuple(range(lower.rank))))):
                raise ValueError(
                    "cholesky: a matrix is not positive definite. A covariance matrix often becomes so by a "
                    "small number on its diagonal: x + 1e-6 * ops.eye(n)"
                )
    return result


@operation
def cholesky_inverse(x: TensorLike, upper: bool = False) -> Tensor:
    """Compute the inverse of L L^H, or of U^H U, from the Cholesky factor.

    Args:
        x: Tensor (..., n, n) of Cholesky factors.
        upper: Take `x` as U.

    Returns:
        Tensor of the shape of `x`.
    """
    node = _matrix(x, "cholesky_inverse", square=True)
    lower = _adjoint(node) if upper else node
    half = p.triangular_solve(lower, _identity(lower), lower=True)
    return matmul(Tensor(_adjoint(half)), Tensor(half))


@operation
def lu_factor(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Compute the LU factorization with partial pivoting.

    Args:
        x: Tensor (..., n, m).

    Returns:
        Pair of unit-lower L and U in one matrix (..., n, m), and int32 pivots (..., min(n, m)): row k was
        exchanged with row pivots[k].
    """
    factors = p.lu(_matrix(x, "lu_factor"))
    return Tensor(p.project(factors, 0)), Tensor(p.project(factors, 1))


def _sign_and_diagonal(node: Node) -> tuple[Node, Node]:
    """Return the sign of the row exchanges, in the dtype of `node`, and the diagonal of U."""
    factors = p.lu(node)
    pivots = p.project(factors, 1)
    exchanged = p.ne(pivots, p.iota("int32", pivots.shape, pivots.rank - 1))
    odd = p.rem(
        p.reduce_sum(p.convert(exchanged, "int32"), (pivots.rank - 1,)),
        full(2, TensorType(pivots.shape[:-1], "int32")),
    )
    return 1.0 - p.convert(odd, node.dtype) * 2.0, _diagonal(p.project(factors, 0))


@operation
def det(x: TensorLike) -> Tensor:
    """Compute the determinant, the product of the pivots of the LU factorization.

    Args:
        x: Tensor (..., n, n).

    Returns:
        Tensor (...).

    Example:
        >>> float(hornbeam.ops.det([[2.0, 0.0], [0.0, 3.0]]))
        6.0
    """
    sign, diagonal = _sign_and_diagonal(_matrix(x, "det", square=True))
    return Tensor(sign * p.reduce_prod(diagonal, (diagonal.rank - 1,)))


@operation
def slogdet(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Compute the sign and log of the absolute determinant, where the determinant itself could overflow.

    Args:
        x: Tensor (..., n, n).

    Returns:
        Pair of tensors (...): sign, of complex matrices det / |det|, and log |det|.
    """
    sign, diagonal = _sign_and_diagonal(_matrix(x, "slogdet", square=True))
    last = (diagonal.rank - 1,)
    size = (p.magnitude if is_complex(diagonal.dtype) else p.absolute)(diagonal)
    signs = sign_of(Tensor(diagonal)).node
    return Tensor(sign * p.reduce_prod(signs, last)), Tensor(p.reduce_sum(p.log(size), last))


@operation
def logdet(x: TensorLike) -> Tensor:
    """Compute log(det(x)) of positive definite matrices by their Cholesky factors.

    Args:
        x: Tensor (..., n, n) of symmetric positive definite matrices.

    Returns:
        Tensor (...).
    """
    diagonal = _diagonal(p.cholesky(_matrix(x, "logdet", square=True)))
    diagonal = p.real(diagonal) if is_complex(diagonal.dtype) else diagonal
    return Tensor(p.reduce_sum(p.log(diagonal), (diagonal.rank - 1,)) * 2.0)


@operation
def solve_triangular(a: TensorLike, b: TensorLike, lower: bool = False) -> Tensor:
    """Solve a x = b for triangular matrices.

    Args:
        a: Tensor (..., n, n) of triangular matrices.
        b: Tensor (..., n, k) or (..., n).
        lower: Take `a` as lower triangular; otherwise as upper.

    Returns:
        Tensor of the shape of `b`.

    Example:
        >>> np.asarray(hornbeam.ops.solve_triangular([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0])).tolist()
        [1.0, 1.0]
    """
    left, right, vector = _system(a, b, "solve_triangular")
    return _unsystem(p.triangular_solve(left, right, lower=bool(lower)), vector)


@operation
def solve(a: TensorLike, b: TensorLike) -> Tensor:
    """Solve a x = b by LU factorization.

    Args:
        a: Tensor (..., n, n).
        b: Tensor (..., n, k) or (..., n).

    Returns:
        Tensor of the shape of `b`.

    Example:
        >>> np.asarray(hornbeam.ops.solve([[2.0, 0.0], [0.0, 4.0]], [2.0, 4.0])).tolist()
        [1.0, 1.0]
    """
    left, right, vector = _system(a, b, "solve")
    return _unsystem(_solve(left, right), vector)


def _solve(a: Node, b: Node) -> Node:
    if is_complex(a.dtype):
        return p.complex_solve(a, b)
    factors = p.lu(a)
    lu, order = p.project(factors, 0), p.project(factors, 2)
    rows = p.gather(b, p.reshape(order, (*order.shape, 1)), batch_dims=a.rank - 2)
    half = p.triangular_solve(lu, rows, lower=True, unit_diagonal=True)
    return p.triangular_solve(lu, half, lower=False)


def _system(a: TensorLike, b: TensorLike, name: str) -> tuple[Node, Node, bool]:
    """Convert both sides to one dtype and one batch shape; also return whether b has vectors."""
    left, right = _matrix(a, name, square=True), float_node(b)
    dtype = float_dtype(Tensor(left), Tensor(right))
    left, right = p.convert(left, dtype), p.convert(right, dtype)
    vector = right.rank == left.rank - 1
    if vector:
        right = p.reshape(right, (*right.shape, 1))
    if right.rank < 2 or right.shape[-2] != left.shape[-1]:
        raise ShapeError(f"{name}: a has shape {left.shape}, b {right.shape}")
    lead = broadcast_shapes(left.shape[:-2], right.shape[:-2])
    return (
        broadcast_node(left, (*lead, *left.shape[-2:])),
        broadcast_node(right, (*lead, *right.shape[-2:])),
        vector,
    )


def _unsystem(x: Node, vector: bool) -> Tensor:
    return Tensor(p.reshape(x, x.shape[:-1]) if vector else x)


@operation
def inv(x: TensorLike) -> Tensor:
    """Compute the inverse of matrices; not finite where a matrix is singular.

    Args:
        x: Tensor (..., n, n).

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> np.asarray(hornbeam.ops.inv([[2.0, 0.0], [0.0, 4.0]])).tolist()
        [[0.5, 0.0], [0.0, 0.25]]
    """
    node = _matrix(x, "inv", square=True)
    return Tensor(_solve(node, _identity(node)))


@operation
def qr(x: TensorLike, mode: str = "reduced") -> tuple[Tensor, Tensor]:
    """Compute the QR factorization q r = x with orthonormal columns in q and upper triangular r.

    Args:
        x: Tensor (..., m, n).
        mode: "reduced" for q (..., m, min(m, n)); "complete" for q (..., m, m).

    Returns:
        Pair of tensors (q, r).

    Raises:
        ValueError: If `mode` is unknown.
    """
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: invalid mode {mode!r}. Expected one of {{'reduced', 'complete'}}.")
    node = _matrix(x, "qr")
    rows, columns = node.shape[-2:]
    if mode == "complete" and rows > columns:
        # The q of the QR of [x, identity] is an orthonormal basis of the full space.
        eye = p.iota("int32", (*node.shape[:-1], rows), node.rank - 2)
        eye = p.convert(p.eq(eye, p.iota("int32", eye.shape, node.rank - 1)), node.dtype)
        factors = p.qr(p.concatenate(node, eye, axis=node.rank - 1))
        r = p.project(factors, 1)
        return Tensor(p.project(factors, 0)), Tensor(p.slice_(r, (0,) * r.rank, (*r.shape[:-1], columns)))
    factors = p.qr(node)
    return Tensor(p.project(factors, 0)), Tensor(p.project(factors, 1))


@operation
def eig(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Compute eigenvalues and eigenvectors of square matrices: x v = v diag(w).

    Gradients by the vectors hold for functions that do not depend on their phases, since those are
    arbitrary.

    Args:
        x: Tensor (..., n, n), real or complex.

    Returns:
        Pair of eigenvalues (..., n), in no particular order, and eigenvectors of norm 1, the columns of a
        tensor (..., n, n). Both are complex.

    Example:
        >>> sorted(hornbeam.ops.imag(hornbeam.ops.eig([[0.0, -1.0], [1.0, 0.0]])[0]).tolist())
        [-1.0, 1.0]

    Source: Golub & Van Loan, "Matrix Computations", 2013, chapter 7.
    """
    node = _matrix(x, "eig", square=True)
    parts = (p.real(node), p.imag(node)) if is_complex(node.dtype) else (node, zeros_like(node))
    w, v = p.eig(*parts)
    return Tensor(w), Tensor(v)


@operation
def eigh(x: TensorLike) -> tuple[Tensor, Tensor]:
    """Compute eigenvalues and eigenvectors of symmetric (complex: Hermitian) matrices.

    Args:
        x: Tensor (..., n, n) of symmetric matrices, of which the lower triangle is read.

    Returns:
        Pair of ascending eigenvalues (..., n), which are real, and eigenvectors, the columns of a tensor
        (..., n, n).
    """
    factors = p.eigh(_matrix(x, "eigh", square=True))
    return Tensor(p.project(factors, 0)), Tensor(p.project(factors, 1))


@overload
def svd(
    x: TensorLike, full_matrices: bool = ..., compute_uv: Literal[True] = ...
) -> tuple[Tensor, Tensor, Tensor]: ...
@overload
def svd(x: TensorLike, full_matrices: bool = ..., *, compute_uv: Literal[False]) -> Tensor: ...
@operation
def svd(
    x: TensorLike, full_matrices: bool = True, compute_uv: bool = True
) -> Tensor | tuple[Tensor, Tensor, Tensor]:
    """Compute the singular value decomposition u diag(s) vh = x with descending s.

    Args:
        x: Tensor (..., m, n).
        full_matrices: Return u (..., m, m) and vh (..., n, n) instead of (..., m, k) and (..., k, n), k =
            min(m, n).
        compute_uv: Return u and vh, too.

    Returns:
        Tuple (u, s, vh), or s alone without `compute_uv`; s is real.
    """
    node = _matrix(x, "svd")
    factors = p.svd(node)
    u, s, vh = (p.project(factors, i) for i in range(3))
    if not compute_uv:
        return Tensor(s)
    rows, columns = node.shape[-2:]
    if full_matrices and rows > columns:
        u = _completed(u)
    if full_matrices and columns > rows:
        vh = _adjoint(_completed(_adjoint(vh)))
    return Tensor(u), Tensor(s), Tensor(vh)


def _completed(basis: Node) -> Node:
    """Extend orthonormal columns (..., m, k) by m - k more to a basis of the full space."""
    count = basis.shape[-1]
    q = qr(Tensor(basis), mode="complete")[0].node
    rest = p.slice_(q, (*(0,) * (q.rank - 1), count), q.shape)
    return p.concatenate(basis, rest, axis=basis.rank - 1)


def _cutoff(s: Node, factor: float | None, node: Node) -> Node:
    """Return the value up to which singular values are taken as zero."""
    largest = p.reduce_max(s, (s.rank - 1,))
    if factor is None:
        largest, factor = largest * maximum(*node.shape[-2:]), float(np.finfo(s.dtype).eps)
    return p.keep(largest * factor, s, (s.rank - 1,))


@operation
def matrix_rank(x: TensorLike, tol: float | None = None) -> Tensor:
    """Count the singular values above a tolerance.

    Args:
        x: Tensor (..., m, n).
        tol: Number; None for the largest singular value * max(m, n) * eps of the dtype.

    Returns:
        Tensor (...), int32.
    """
    node = _matrix(x, "matrix_rank")
    s = p.project(p.svd(node), 1)
    limit = _cutoff(s, None, node) if tol is None else full(float(tol), s.type)
    return Tensor(p.reduce_sum(p.convert(p.gt(s, limit), "int32"), (s.rank - 1,)))


@operation
def pinv(x: TensorLike, rcond: float | None = None) -> Tensor:
    """Compute the Moore-Penrose inverse.

    Args:
        x: Tensor (..., m, n).
        rcond: Number; singular values up to `rcond` times the largest are taken as zero. None for max(m, n) *
            eps.

    Returns:
        Tensor (..., n, m).
    """
    node = _matrix(x, "pinv")
    factors = p.svd(node)
    u, s, vh = (p.project(factors, i) for i in range(3))
    small = p.le(s, _cutoff(s, rcond, node))
    inverse = p.select(small, zeros_like(s), 1.0 / p.select(small, ones_like(s), s))
    shape = (*s.shape[:-1], vh.shape[-1], s.shape[-1])
    scaled = _adjoint(vh) * p.broadcast(p.convert(inverse, vh.dtype), shape, _without(s.rank + 1, -2))
    return matmul(Tensor(scaled), Tensor(_adjoint(u)))


def _without(rank: int, axis: int) -> tuple[int, ...]:
    return tuple(i for i in range(rank) if i != axis % rank)


@operation
def lstsq(a: TensorLike, b: TensorLike, rcond: float | None = None) -> Tensor:
    """Solve a x = b in the sense of least squares: least ||a x - b||, and among those least ||x||.

    Args:
        a: Tensor (m, n).
        b: Tensor (m,) or (m, k).
        rcond: Number; singular values up to `rcond` times the largest are taken as zero. None for max(m, n) *
            eps.

    Returns:
        Tensor (n,) or (n, k).
    """
    right = Tensor(float_node(b))
    if right.ndim == 1:
        return matmul(pinv(a, rcond), right)
    return matmul(pinv(a, rcond), right)


# -- norms -----------------------------------------------------------------------------------------------


def vector_norm(node: Node, order: float | str, axes: tuple[int, ...]) -> Node:
    """Compute the norm of the vectors along `axes`."""
    size = p.absolute(node)
    if order in (math.inf, "inf"):
        return p.reduce_max(size, axes)
    if order == -math.inf:
        return p.reduce_min(size, axes)
    if order == 0:
        return p.reduce_sum(p.convert(p.ne(node, zeros_like(node)), node.dtype), axes)
    if order == 1:
        return p.reduce_sum(size, axes)
    if order == 2:
        return p.sqrt(p.reduce_sum(node * node, axes))
    if isinstance(order, str):
        raise ValueError(f"norm: {order!r} is not a norm of vectors")
    power = float(order)
    total = p.reduce_sum(p.power(size, full(power, size.type)), axes)
    return p.power(total, full(1 / power, total.type))


def _matrix_norm(node: Node, order: float | str | None, axes: tuple[int, int]) -> Node:
    """Compute the norm of the matrices with rows along axes[0] and columns along axes[1]."""
    if order in (None, "fro"):
        return vector_norm(node, 2, tuple(sorted(axes)))
    rest = tuple(i for i in range(node.rank) if i not in axes)
    transposed = p.transpose(node, (*rest, *axes))
    last = transposed.rank - 1
    if order in (2, -2, "nuc"):
        s = p.project(p.svd(p.convert(transposed, _EXACT.get(transposed.dtype, transposed.dtype))), 1)
        rule = {2: p.reduce_max, -2: p.reduce_min, "nuc": p.reduce_sum}[order]
        return p.convert(rule(s, (s.rank - 1,)), real_dtype(node.dtype))
    if order in (1, -1, math.inf, -math.inf):
        summed = last - 1 if abs(order) == 1 else last
        sums = p.reduce_sum(p.absolute(transposed), (summed,))
        return (p.reduce_max if order > 0 else p.reduce_min)(sums, (sums.rank - 1,))
    raise ValueError(f"norm: {order!r} is not a norm of matrices")


@operation
def norm(x: TensorLike, ord: float | str | None = None, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Compute the norm of vectors (one axis) or matrices (two axes).

    Args:
        x: Tensor of any shape, or anything that converts to one.
        ord: Of vectors any number, inf, -inf or 0 (number of nonzeros); of matrices "fro", "nuc", 1, -1, 2,
            -2, inf or -inf; None for the Euclidean or Frobenius norm.
        axis: Integer or pair of integers; None for all axes, and without `ord` for all elements as one
            vector.
        keepdims: Keep the reduced axes with size 1.

    Returns:
        Tensor of the reduced shape, of floats.

    Raises:
        ShapeError: If `axis` names more than two axes.

    Example:
        >>> float(hornbeam.ops.norm([3.0, 4.0]))
        5.0
    """
    node = float_node(x)
    of_singular_values = ord in (2, -2, "nuc") and len(many_axes(axis, node.rank, "norm")) == 2
    if is_complex(node.dtype) and not of_singular_values:
        node = p.magnitude(node)
    if axis is None and ord is None:
        axes = tuple(range(node.rank))
        result = vector_norm(node, 2, axes) if axes else p.absolute(node)
    else:
        axes = many_axes(axis, node.rank, "norm")
        if len(axes) == 1:
            result = vector_norm(node, 2 if ord is None else ord, axes)
        elif len(axes) == 2:
            pair = axes if axis is None else tuple(one_axis(a, node.rank, "norm") for a in axis)  # type: ignore[union-attr]
            result = _matrix_norm(node, ord, (pair[0], pair[1]))
        else:
            raise ShapeError(f"norm needs one axis (vectors) or two (matrices), got axes {axes}")
    return Tensor(p.reshape(result, with_ones(node.shape, axes)) if keepdims else result)


# -- forward derivative --------------------------------------------------------------------------------------


def _like(tangent: TensorLike, primal: Node) -> Node:
    node = cast_node(tangent, primal.dtype)
    if not same_shape(node.shape, primal.shape):
        raise ShapeError(f"jvp: a tangent of shape {node.shape} for a primal of shape {primal.shape}")
    return p.reshape(node, primal.shape)  # their unknown sizes may have different names


@operation
def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Tree, ...]:
    """Compute a Jacobian-vector product: the value of a function and its derivative in a direction.

    The forward derivative is the derivative of the reverse one, which is linear in its cotangents.

    Args:
        fun: Function of tensors.
        primals: Tuple of tensors, the arguments.
        tangents: Tuple of tensors of the shapes of `primals`, the direction.
        has_aux: Set if `fun` returns a pair of a result and anything else, which is returned, too.

    Returns:
        Pair of the value and its derivative; with `has_aux` followed by the second result.

    Example:
        >>> [float(t) for t in hornbeam.ops.jvp(lambda x: x * x, (3.0,), (1.0,))]
        [9.0, 6.0]

    Source: Townsend, "A new trick for calculating Jacobian vector products", 2017.
    """
    from hornbeam import tree
    from hornbeam.ir import autodiff

    values = [p.optimization_barrier(float_node(x))[0] for x in tree.flatten(list(primals))]
    directions = [_like(t, v) for t, v in zip(tree.flatten(list(tangents)), values, strict=True)]
    result = fun(*tree.pack_sequence_as(list(primals), [Tensor(v) for v in values]))
    result, aux = result if has_aux else (result, None)
    outs = [node_of(x) for x in tree.flatten(result)]
    seeds = [p.optimization_barrier(zeros_like(out))[0] for out in outs]
    gradients = autodiff.dense_cotangents(autodiff.gradients(outs, seeds, values), values)
    forward = autodiff.dense_cotangents(autodiff.gradients(gradients, directions, seeds), seeds)
    derivative = tree.pack_sequence_as(result, [Tensor(n) for n in forward])
    return (result, derivative, aux) if has_aux else (result, derivative)


explain_missing(__name__)
