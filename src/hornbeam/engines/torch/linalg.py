"""Linear algebra."""

from __future__ import annotations

import math

import torch

from hornbeam.engines.table import Table
from hornbeam.engines.torch.elementwise import Tensor


def _cholesky(x: Tensor) -> Tensor:
    factor, info = torch.linalg.cholesky_ex(x)
    return torch.where((info != 0)[..., None, None], torch.full_like(factor, math.nan), factor)


def _triangular_solve(a: Tensor, b: Tensor, *, lower: bool, transpose: bool, unit_diagonal: bool) -> Tensor:
    matrix = a.mT if transpose else a
    return torch.linalg.solve_triangular(matrix, b, upper=lower == transpose, unitriangular=unit_diagonal)


def _lu(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    packed, pivots = torch.linalg.lu_factor(x)
    swaps = torch.lu_unpack(packed, pivots, unpack_data=False)[0]
    order = swaps.argmax(-2) if x.shape[-2] else pivots
    return packed, (pivots - 1).to(torch.int32), order.to(torch.int32)


def _eig(x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """NaN for matrices that are not finite, which are an error in PyTorch."""
    z = torch.complex(x, y)
    finite = torch.isfinite(z).all(-1, keepdim=True).all(-2, keepdim=True)
    w, v = torch.linalg.eig(torch.where(finite, z, torch.zeros_like(z)))
    w, v = torch.where(finite[..., 0], w, math.nan), torch.where(finite, v, math.nan)
    return w.real, w.imag, v.real, v.imag


LINALG: Table = {
    "cholesky": _cholesky,
    "triangular_solve": _triangular_solve,
    "lu": _lu,
    "qr": lambda x: tuple(torch.linalg.qr(x)),
    "svd": lambda x: tuple(torch.linalg.svd(x, full_matrices=False)),
    "eig": _eig,
    "eigh": lambda x: tuple(torch.linalg.eigh(x)),
}
