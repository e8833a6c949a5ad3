"""Matrix decompositions of the two last axes; leading axes are a batch.

Derivatives: I. Murray, "Differentiation of the Cholesky decomposition" (2016); M. Giles, "Collected matrix
derivative results for forward and reverse mode algorithmic differentiation" (2008); J. Townsend,
"Differentiating the singular value decomposition" (2016); M. Seeger et al., "Auto-differentiating linear
algebra" (2017); F. de Hoog, R. Anderssen, M. Lukas, "Differentiation of matrix functionals using triangular
factorization" (2011).

cholesky and eigh read the lower triangle only; their gradient is that of a symmetric matrix. svd and eigh
have one only where singular values and eigenvalues differ: terms of equal ones count as 0.

Complex matrices have adjoints (^H) where real ones have transposes. The rules of lu and triangular_solve are
complex-linear and hold unchanged; those of the others compute with the conjugates of cotangents. Gradients by
complex eigenvectors and singular vectors hold for functions that do not depend on their phases, which are
arbitrary. How complex decompositions are computed is in `primitives/complex_linalg.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import PRIMITIVES, Sample, bind, full, movement_bytes, primitive, zeros_like
from hornbeam.ir.sizes import minimum, same_shape
from hornbeam.ir.types import (
    HornbeamTypeError,
    Shape,
    ShapeError,
    TensorType,
    is_complex,
    numpy_dtype,
    real_dtype,
)
from hornbeam.primitives.complex_numbers import conj
from hornbeam.primitives.contract import dot_general
from hornbeam.primitives.elementwise import convert, eq, ge, select
from hornbeam.primitives.index import argsort, gather
from hornbeam.primitives.numerics import Array, quiet, rounded
from hornbeam.primitives.shape import broadcast, iota, reshape, transpose

__all__ = ["cholesky", "eigh", "lu", "qr", "svd", "triangular_solve"]

_DTYPES = ("float32", "float64")


# ---------------------------------------------------------------- matrix notation for the derivatives


def _mt(x: Node) -> Node:
    """Transpose matrices."""
    return transpose(x, (*range(x.rank - 2), x.rank - 1, x.rank - 2))


def _conj(x: Node) -> Node:
    return conj(x) if is_complex(x.dtype) else x


def _adjoint(x: Node) -> Node:
    return _mt(_conj(x))


def _mm(*factors: Node) -> Node:
    """Multiply batches of matrices, from the left."""
    result = factors[0]
    for factor in factors[1:]:
        batch = tuple(range(factor.rank - 2))
        result = dot_general(
            result, factor, contract=((factor.rank - 1,), (factor.rank - 2,)), batch=(batch, batch)
        )
    return result


def _band(x: Node, keep: Callable[[Node, Node], Node]) -> Node:
    """Select x where keep(row, column), else 0."""
    row, column = iota("int32", x.shape, x.rank - 2), iota("int32", x.shape, x.rank - 1)
    return select(keep(row, column), x, zeros_like(x))


def _tril(x: Node, strict: bool = False) -> Node:
    return _band(x, (lambda row, column: ge(row, column + 1)) if strict else ge)


def _triu(x: Node, strict: bool = False) -> Node:
    return _mt(_tril(_mt(x), strict))


def _diagonal(x: Node) -> Node:
    return _band(x, eq)


def _columns(s: Node, like: Node) -> Node:
    """Broadcast vectors s (..., k) over the rows of `like` (..., n, k)."""
    return broadcast(s, like.shape, (*range(like.rank - 2), like.rank - 1))


def _rows(s: Node, like: Node) -> Node:
    """Broadcast vectors s (..., n) over the columns of `like` (..., n, k)."""
    return broadcast(s, like.shape, tuple(range(like.rank - 1)))


def _inverse_gaps(s: Node, like: Node) -> Node:
    """Compute 1 / (s_j - s_i), and 0 where they are equal."""
    gaps = _columns(s, like) - _rows(s, like)
    equal = eq(gaps, 0)
    return select(equal, zeros_like(gaps), 1 / select(equal, full(1, gaps.type), gaps))


def _symmetric(x: Node) -> Node:
    """Return the symmetric part, of complex matrices the Hermitian one."""
    return (x + _adjoint(x)) * 0.5


def _part(out: Node, index: int) -> Node:
    return bind(PRIMITIVES["project"], out, index=index)


def _given(ct: Node | None, like: Node) -> Node:
    return zeros_like(like) if ct is None else ct


def _gradient(ct: Node | None, like: Node) -> Node:
    """Return the gradient, of which the cotangent is the conjugate."""
    return _conj(_given(ct, like))


def _cost(flops: Callable[[int, int], float]) -> Callable[..., tuple[int, int]]:
    """`flops(m, n)` for one matrix (m, n)."""

    def cost(types: Sequence[TensorType], out: TensorType, **params: Any) -> tuple[int, int]:
        *batch, m, n = types[0].shape
        return int(np.prod(batch, dtype=np.int64) * flops(m, n)), movement_bytes(types, out)

    return cost


# ---------------------------------------------------------------- operands


def _check_matrix(name: str, x: TensorType, square: bool = False) -> Shape:
    """Return the leading axes of a batch of matrices."""
    if x.rank < 2:
        raise ShapeError(f"{name} needs matrices in the two last axes, got {x}")
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name} needs square matrices, got {x}")
    return x.shape[:-2]


def _definite(*shape: int) -> Callable[[np.random.Generator, str], list[Array]]:
    def make(rng: np.random.Generator, dtype: str) -> list[Array]:
        x = rng.normal(size=shape)
        return [(x @ x.swapaxes(-1, -2) + np.eye(shape[-1])).astype(numpy_dtype(dtype))]

    return make


def _spread(*shape: int) -> Callable[[np.random.Generator, str], list[Array]]:
    """Matrices with singular values (and, symmetrised, eigenvalues) that are well separated."""

    def make(rng: np.random.Generator, dtype: str) -> list[Array]:
        x = rng.uniform(-0.3, 0.3, shape)
        x[..., range(min(shape[-2:])), range(min(shape[-2:]))] += 1.0 + np.arange(min(shape[-2:]))
        if shape[-1] == shape[-2]:
            x = (x + x.swapaxes(-1, -2)) / 2
        return [x.astype(numpy_dtype(dtype))]

    return make


# ---------------------------------------------------------------- cholesky


def _cholesky_type(x: TensorType) -> TensorType:
    _check_matrix("cholesky", x, square=True)
    return x


def _cholesky(x: Array) -> Array:
    out = np.empty_like(x)
    for at in np.ndindex(x.shape[:-2]):
        try:
            out[at] = np.linalg.cholesky(x[at])
        except np.linalg.LinAlgError:
            out[at] = np.nan
    return out


def _cholesky_vjp(ct: Node, out: Node, x: Node) -> tuple[Node]:
    inner = _tril(_mm(_adjoint(out), _conj(ct)))
    inner = inner - _diagonal(inner) * 0.5
    half = triangular_solve(_conj(out), inner, transpose=True)
    return (_conj(_symmetric(_mt(triangular_solve(out, _mt(half), transpose=True)))),)


CHOLESKY = primitive(
    "cholesky",
    type_rule=_cholesky_type,
    reference=rounded(_cholesky),
    vjp=_cholesky_vjp,
    cost=_cost(lambda m, n: n**3 / 3),
    dtypes=_DTYPES,
    samples=[Sample((s,), make=_definite(*s)) for s in ((3, 3), (1, 1), (2, 4, 4), (0, 0), (0, 3, 3))],
)


def cholesky(x: Node) -> Node:
    """Lower L with L L^H = x (..., n, n), read from the lower triangle; NaN where x is not positive
    definite."""
    return bind(CHOLESKY, x)


# ---------------------------------------------------------------- triangular_solve


def _solve_type(
    a: TensorType, b: TensorType, *, lower: bool, transpose: bool, unit_diagonal: bool
) -> TensorType:
    batch = _check_matrix("triangular_solve", a, square=True)
    _check_matrix("triangular_solve", b)
    if b.dtype != a.dtype:
        raise HornbeamTypeError(f"triangular_solve needs operands of one dtype, got {a} and {b}")
    if not same_shape(b.shape[:-1], (*batch, a.shape[-1])):
        raise ShapeError(f"triangular_solve by {a} needs b of shape {(*batch, a.shape[-1], 'k')}, got {b}")
    return b


def _triangular_solve(a: Array, b: Array, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Array:
    matrix = a.swapaxes(-1, -2) if transpose else a
    size = a.shape[-1]
    out = np.zeros_like(b)
    for row in range(size) if lower != transpose else reversed(range(size)):
        known = slice(0, row) if lower != transpose else slice(row + 1, size)
        rest = b[..., row, :] - np.einsum("...k,...kn->...n", matrix[..., row, known], out[..., known, :])
        out[..., row, :] = rest if unit_diagonal else rest / matrix[..., row, row, None]
    return out


def _solve_vjp(
    ct: Node, out: Node, a: Node, b: Node, *, lower: bool, transpose: bool, unit_diagonal: bool
) -> tuple[Node, Node]:
    b_part = triangular_solve(a, ct, lower=lower, transpose=not transpose, unit_diagonal=unit_diagonal)
    full_part = -(_mm(out, _mt(b_part)) if transpose else _mm(b_part, _mt(out)))
    return (_tril if lower else _triu)(full_part, unit_diagonal), b_part


def _triangular(a_shape: Shape, b_shape: Shape) -> Callable[[np.random.Generator, str], list[Array]]:
    def make(rng: np.random.Generator, dtype: str) -> list[Array]:
        a = rng.uniform(-0.5, 0.5, a_shape) + 2 * np.eye(a_shape[-1])
        return [part.astype(numpy_dtype(dtype)) for part in (a, rng.normal(size=b_shape))]

    return make


def _solve_cost(types: Sequence[TensorType], out: TensorType, **params: Any) -> tuple[int, int]:
    return out.size * types[0].shape[-1], movement_bytes(types, out)


TRIANGULAR_SOLVE = primitive(
    "triangular_solve",
    type_rule=_solve_type,
    reference=rounded(_triangular_solve),
    vjp=_solve_vjp,
    cost=_solve_cost,
    dtypes=_DTYPES,
    samples=[
        Sample((a, b), {"lower": lower, "transpose": turned, "unit_diagonal": unit}, make=_triangular(a, b))
        for lower in (True, False)
        for turned in (False, True)
        for unit in (False, True)
        for a, b in (((3, 3), (3, 2)), ((2, 4, 4), (2, 4, 1)))
    ]
    + [
        Sample(((0, 0), (0, 2)), {"lower": True, "transpose": False, "unit_diagonal": False}),
        Sample(
            ((1, 1), (1, 1)),
            {"lower": False, "transpose": True, "unit_diagonal": False},
            make=_triangular((1, 1), (1, 1)),
        ),
    ],
)


def triangular_solve(
    a: Node, b: Node, lower: bool = True, transpose: bool = False, unit_diagonal: bool = False
) -> Node:
    """x with op(a) x = b, from one triangle of a (..., n, n); op transposes if asked. b is (..., n, k)."""
    return bind(TRIANGULAR_SOLVE, a, b, lower=lower, transpose=transpose, unit_diagonal=unit_diagonal)


# ---------------------------------------------------------------- lu


def _lu_type(x: TensorType) -> tuple[TensorType, TensorType, TensorType]:
    batch = _check_matrix("lu", x)
    rows, columns = x.shape[-2:]
    return x, TensorType((*batch, minimum(rows, columns)), "int32"), TensorType((*batch, rows), "int32")


def _lu_one(x: Array) -> tuple[Array, list[int], list[int]]:
    """Row by row elimination with partial pivoting; the first largest pivot is taken."""
    x, order, pivots = x.copy(), list(range(len(x))), []
    for k in range(min(x.shape)):
        best = k + int(np.argmax(np.abs(x[k:, k].real) + np.abs(x[k:, k].imag)))
        pivots.append(best)
        x[[k, best]] = x[[best, k]]
        order[k], order[best] = order[best], order[k]
        if x[k, k] != 0:
            x[k + 1 :, k] /= x[k, k]
        x[k + 1 :, k + 1 :] -= np.outer(x[k + 1 :, k], x[k, k + 1 :])
    return x, pivots, order


@quiet
def _lu(x: Array) -> tuple[Array, Array, Array]:
    rows, columns = x.shape[-2:]
    out = x.astype(np.result_type(x, np.float64))
    pivots = np.zeros((*x.shape[:-2], min(rows, columns)), np.int32)
    order = np.zeros((*x.shape[:-2], rows), np.int32)
    for at in np.ndindex(x.shape[:-2]):
        out[at], pivots[at], order[at] = _lu_one(out[at])
    return out.astype(x.dtype), pivots, order


def _lu_vjp(ct: Sequence[Node | None], out: Node, x: Node) -> tuple[Node]:
    if x.shape[-1] != x.shape[-2]:
        raise NotImplementedError(f"lu has a derivative for square matrices only, got {x.type}")
    packed = _part(out, 0)
    ct_packed = _given(ct[0], packed)
    lower, upper = _tril(packed, strict=True), _triu(packed)
    unit = lower + _diagonal(full(1, packed.type))
    inner = _tril(_mm(_mt(unit), _tril(ct_packed, strict=True)), strict=True) + _triu(
        _mm(_triu(ct_packed), _mt(upper))
    )
    left = triangular_solve(unit, inner, lower=True, transpose=True, unit_diagonal=True)
    permuted = _mt(triangular_solve(upper, _mt(left), lower=False))
    back = argsort(_part(out, 2), x.rank - 2)
    return (gather(permuted, reshape(back, (*back.shape, 1)), batch_dims=x.rank - 2),)


LU = primitive(
    "lu",
    type_rule=_lu_type,
    reference=_lu,
    vjp=_lu_vjp,
    cost=_cost(lambda m, n: 2 * m * n * min(m, n) / 3),
    dtypes=_DTYPES,
    samples=[Sample((s,)) for s in ((3, 3), (1, 1), (2, 4, 4), (0, 0))]
    + [Sample((s,), derivative=False) for s in ((5, 3), (3, 5), (2, 4, 2))],
)


def lu(x: Node) -> Node:
    """(lu, pivots, permutation) of x (..., m, n): unit-lower L and U in one matrix, x[permutation] = L U.

    Row k was swapped with row pivots[k]; both integer outputs are int32 and count from 0.
    """
    return bind(LU, x)


# ---------------------------------------------------------------- qr


def _qr_type(x: TensorType) -> tuple[TensorType, TensorType]:
    batch = _check_matrix("qr", x)
    rows, columns = x.shape[-2:]
    rank = minimum(rows, columns)
    return TensorType((*batch, rows, rank), x.dtype), TensorType((*batch, rank, columns), x.dtype)


def _qr_vjp(ct: Sequence[Node | None], out: Node, x: Node) -> tuple[Node]:
    if x.shape[-2] < x.shape[-1]:
        raise NotImplementedError(f"qr has a derivative for matrices with m >= n only, got {x.type}")
    q, r = _part(out, 0), _part(out, 1)
    g_q, g_r = _gradient(ct[0], q), _gradient(ct[1], r)
    inner = _mm(r, _adjoint(g_r)) - _mm(_adjoint(g_q), q)
    below = _tril(inner, strict=True)
    mirrored = below + _adjoint(below) + _symmetric(_diagonal(inner))
    return (_mt(triangular_solve(r, _adjoint(g_q + _mm(q, mirrored)), lower=False)),)


QR = primitive(
    "qr",
    type_rule=_qr_type,
    reference=rounded(lambda x: tuple(np.linalg.qr(x))),
    vjp=_qr_vjp,
    cost=_cost(lambda m, n: 2 * m * n * min(m, n)),
    dtypes=_DTYPES,
    samples=[Sample((s,), make=_spread(*s)) for s in ((3, 3), (5, 3), (2, 4, 2), (1, 1))]
    + [Sample((s,), make=_spread(*s), derivative=False) for s in ((3, 5), (0, 3, 2))],
)


def qr(x: Node) -> Node:
    """(q, r) of x (..., m, n), reduced, by Householder reflections; the diagonal of r is real and may be
    negative."""
    return bind(QR, x)


# ---------------------------------------------------------------- svd


def _svd_type(x: TensorType) -> tuple[TensorType, TensorType, TensorType]:
    batch = _check_matrix("svd", x)
    rows, columns = x.shape[-2:]
    rank = minimum(rows, columns)
    return (
        TensorType((*batch, rows, rank), x.dtype),
        TensorType((*batch, rank), real_dtype(x.dtype)),
        TensorType((*batch, rank, columns), x.dtype),
    )


def _svd_vjp(ct: Sequence[Node | None], out: Node, x: Node) -> tuple[Node]:
    u, s, vh = (_part(out, index) for index in range(3))
    g_u, g_v = _gradient(ct[0], u), _mt(_given(ct[2], vh))
    v, core = _adjoint(vh), _mm(_adjoint(u), g_u)
    gaps = convert(_inverse_gaps(s * s, core), u.dtype)
    ct_s, s = (convert(x, u.dtype) for x in (_given(ct[1], s), s))
    inner = _diagonal(_columns(ct_s, core))
    if ct[0] is not None:
        inner = inner + gaps * (core - _adjoint(core)) * _columns(s, core)
        if is_complex(u.dtype):  # what turns the phases of u turns those of v
            inner = inner + _diagonal(core - _adjoint(core)) * 0.5 / _columns(s, core)
    if ct[2] is not None:
        right = _mm(vh, g_v)
        inner = inner + _rows(s, right) * (gaps * (right - _adjoint(right)))
    total = _mm(u, inner, vh)
    if ct[0] is not None and u.shape[-2] > u.shape[-1]:
        outside = (g_u - _mm(u, core)) / _columns(s, u)
        total = total + _mm(outside, vh)
    if ct[2] is not None and v.shape[-2] > v.shape[-1]:
        outside = (g_v - _mm(v, _mm(vh, g_v))) / _columns(s, v)
        total = total + _mm(u, _adjoint(outside))
    return (_conj(total),)


SVD = primitive(
    "svd",
    type_rule=_svd_type,
    reference=rounded(lambda x: tuple(np.linalg.svd(x, full_matrices=False))),
    vjp=_svd_vjp,
    cost=_cost(lambda m, n: 14 * m * n * min(m, n)),
    dtypes=_DTYPES,
    samples=[Sample((s,), make=_spread(*s)) for s in ((3, 3), (4, 2), (2, 3, 4), (1, 1), (0, 3, 2))],
)


def svd(x: Node) -> Node:
    """(u, s, vh) of x (..., m, n), reduced: x = u diag(s) vh, s falling; signs of u, vh are the engine's."""
    return bind(SVD, x)


# ---------------------------------------------------------------- eigh


def _eigh_type(x: TensorType) -> tuple[TensorType, TensorType]:
    batch = _check_matrix("eigh", x, square=True)
    return TensorType((*batch, x.shape[-1]), real_dtype(x.dtype)), x


def _eigh_vjp(ct: Sequence[Node | None], out: Node, x: Node) -> tuple[Node]:
    w, v = _part(out, 0), _part(out, 1)
    inner = _diagonal(_columns(convert(_given(ct[0], w), v.dtype), v))
    if ct[1] is not None:
        inner = inner + convert(_inverse_gaps(w, v), v.dtype) * _mm(_adjoint(v), _conj(ct[1]))
    return (_conj(_symmetric(_mm(v, inner, _adjoint(v)))),)


EIGH = primitive(
    "eigh",
    type_rule=_eigh_type,
    reference=rounded(lambda x: tuple(np.linalg.eigh(x))),
    vjp=_eigh_vjp,
    cost=_cost(lambda m, n: 9 * n**3),
    dtypes=_DTYPES,
    samples=[Sample((s,), make=_spread(*s)) for s in ((3, 3), (1, 1), (2, 4, 4), (0, 3, 3))],
)


def eigh(x: Node) -> Node:
    """(w, v) of symmetric (complex: Hermitian) x (..., n, n), read from the lower triangle: x = v diag(w) v^H
    with rising w."""
    return bind(EIGH, x)
