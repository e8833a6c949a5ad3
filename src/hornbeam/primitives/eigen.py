"""Eigenvalues and eigenvectors of any square matrix, which are complex.

The derivative is that of C. Boeddeker et al., "On the computation of complex-valued gradients with
application to statistically optimum beamforming" (2017), for vectors of norm 1. It is one of functions that
do not depend on the phases of the vectors, which are arbitrary; terms of equal eigenvalues count as 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hornbeam.ir.autodiff import outputs_of
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Sample, bind, primitive, zeros_like
from hornbeam.ir.types import ShapeError, TensorType
from hornbeam.primitives.complex_numbers import complex_, conj, imag, real
from hornbeam.primitives.elementwise import eq, select
from hornbeam.primitives.index import gather
from hornbeam.primitives.linalg import _columns, _cost, _diagonal, _mm, _mt, _rows, lu, triangular_solve
from hornbeam.primitives.numerics import rounded
from hornbeam.primitives.reduce import reduce_sum
from hornbeam.primitives.shape import concatenate, reshape, slice_

__all__ = ["complex_solve", "eig"]


def _eig_type(x: TensorType, y: TensorType) -> tuple[TensorType, ...]:
    if x.rank < 2 or x.shape[-1] != x.shape[-2] or x != y:
        raise ShapeError(f"eig needs the two parts of square matrices (..., n, n), got {x} and {y}")
    values = TensorType(x.shape[:-1], x.dtype)
    return values, values, x, x


def _eig(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
    finite = np.isfinite(x).all((-2, -1)) & np.isfinite(y).all((-2, -1))
    z = x + 1j * y
    w, v = np.linalg.eig(np.where(finite[..., None, None], z, 0))
    w, v = np.where(finite[..., None], w, np.nan), np.where(finite[..., None, None], v, np.nan)
    return w.real, w.imag, v.real, v.imag


def _eig_vjp(cts: Sequence[Node | None], out: Node, x: Node, y: Node) -> tuple[Node, Node]:
    """Of a = v diag(w) v^-1: dw = diag(p) and dv = v m - v diag(Re diag(v^H v m)), where p = v^-1 da v, and m
    is p over the gaps of eigenvalues.
    """
    w_real, w_imag, v_real, v_imag = outputs_of(out)
    w, v = complex_(w_real, w_imag), complex_(v_real, v_imag)
    ct_w = _joined(cts[0], cts[1], w)
    inner = _diagonal(_columns(ct_w, v))
    if cts[2] is not None or cts[3] is not None:
        ct_v = _joined(cts[2], cts[3], v)
        along = real(reduce_sum(ct_v * v, (v.rank - 2,)))
        length = _columns(complex_(along, zeros_like(along)), v)
        ct_m = _mm(_mt(v), ct_v) - _mm(_mt(v), conj(v)) * length
        gaps = _columns(w, v) - _rows(w, v)
        equal = eq(gaps, zeros_like(gaps))
        safe = select(equal, zeros_like(gaps) + 1.0, gaps)
        inner = inner + select(equal, zeros_like(gaps), ct_m / safe)
    ct = complex_solve(_mt(v), _mm(inner, _mt(v)))
    return real(ct), -imag(ct)


def _joined(real_ct: Node | None, imag_ct: Node | None, like: Node) -> Node:
    """Cotangent of complex values from those of their parts: JAX's convention."""
    zero = zeros_like(real(like))
    return complex_(zero if real_ct is None else real_ct, -(zero if imag_ct is None else imag_ct))


EIG = primitive(
    "eig",
    type_rule=_eig_type,
    reference=rounded(_eig),
    vjp=_eig_vjp,
    cost=_cost(lambda m, n: 100 * n**3),
    dtypes=("float32", "float64"),
    samples=[Sample((s, s), derivative=False) for s in ((3, 3), (2, 4, 4))],  # of arbitrary phase
)


def eig(x: Node, y: Node) -> tuple[Node, Node]:
    """(w, v) of the matrices x + iy (..., n, n): a v = v diag(w), in no particular order."""
    w_real, w_imag, v_real, v_imag = outputs_of(bind(EIG, x, y))
    return complex_(w_real, w_imag), complex_(v_real, v_imag)


def complex_solve(a: Node, b: Node) -> Node:
    """Solve a x = b for complex a (..., n, n) and b (..., n, k), as one real system of twice the size."""
    last, n = a.rank - 1, a.shape[-1]
    a_real, a_imag = real(a), imag(a)
    matrix = concatenate(
        concatenate(a_real, -a_imag, axis=last), concatenate(a_imag, a_real, axis=last), axis=last - 1
    )
    factors = outputs_of(lu(matrix))
    order = reshape(factors[2], (*factors[2].shape, 1))
    rows = gather(concatenate(real(b), imag(b), axis=last - 1), order, batch_dims=a.rank - 2)
    half = triangular_solve(factors[0], rows, lower=True, unit_diagonal=True)
    x = triangular_solve(factors[0], half, lower=False)
    start = (*(0,) * (last - 1), n, 0)
    return complex_(slice_(x, (0,) * x.rank, (*x.shape[:-2], n, x.shape[-1])), slice_(x, start, x.shape))
