"""Decompositions and order of complex numbers: what makes them such on every engine, derivatives against
differences and JAX.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import engines, ops
from hornbeam.errors import HornbeamTypeError
from tests.helpers.installed import engine_or_skip

ENGINES = ("native", "reference", "jax", "torch", "tensorflow", "onnxruntime", "pytensor", "mlx")
# What the operators of ONNX cannot compute.
LACKS = {"onnxruntime": {"eigh", "svd", "svd of wide", "pinv", "lstsq", "norm 2", "nuclear norm", "rank"}}


def normal(*shape: int, seed: int = 3, dtype: str = "complex128") -> np.ndarray:
    rng = np.random.default_rng([seed, *shape])
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


def adjoint(x: Any) -> np.ndarray:
    return np.asarray(x).conj().swapaxes(-1, -2)


def definite(*shape: int, dtype: str = "complex128") -> np.ndarray:
    x = normal(*shape)
    return (x @ adjoint(x) + np.eye(shape[-1])).astype(dtype)


def rank_one(dtype: str) -> np.ndarray:
    """Matrices whose columns depend on each other, and of which some are 0."""
    x = normal(4, 1) * normal(1, 3)
    return np.stack([x, np.zeros((4, 3)), np.eye(4)[:, :3] * (1 - 2j)]).astype(dtype)


def close(actual: Any, expected: Any, dtype: str) -> None:
    actual = np.asarray(actual)
    assert actual.dtype == np.asarray(expected).dtype
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    tolerance = 2e-5 if dtype == "complex64" else 1e-12
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance * scale)


# Functions of a dtype that compare with NumPy.
def check_cholesky(dtype: str) -> None:
    for x in (definite(4, 4, dtype=dtype), definite(2, 3, 3, dtype=dtype)):
        close(ops.cholesky(x), np.linalg.cholesky(x), dtype)
        close(ops.cholesky(x, upper=True), adjoint(np.linalg.cholesky(x)), dtype)
        close(ops.cholesky(np.tril(x)), np.linalg.cholesky(x), dtype)
        close(ops.cholesky_inverse(ops.cholesky(x)), np.linalg.inv(x), dtype)
        close(ops.logdet(x), np.linalg.slogdet(x)[1], dtype)


def check_triangular(dtype: str) -> None:
    a = (normal(2, 4, 4) + 3 * np.eye(4)).astype(dtype)
    b = normal(2, 4, 3, dtype=dtype)
    for lower, part in ((True, np.tril(a)), (False, np.triu(a))):
        close(ops.solve_triangular(a, b, lower=lower), np.linalg.solve(part, b), dtype)


def check_lu(dtype: str) -> None:
    for x in (normal(4, 4, dtype=dtype), normal(2, 5, 3, dtype=dtype), normal(3, 5, dtype=dtype)):
        packed, pivots = map(np.asarray, ops.lu_factor(x))
        rank = min(x.shape[-2:])
        rebuilt = (np.tril(packed, -1)[..., :rank] + np.eye(x.shape[-2], rank)) @ np.triu(packed)[
            ..., :rank, :
        ]
        for at in np.ndindex(x.shape[:-2]):
            for k in reversed(range(rank)):
                rows = [k, pivots[(*at, k)]]
                rebuilt[(*at, rows)] = rebuilt[(*at, rows[::-1])]
        close(rebuilt.astype(dtype), x, dtype)


def check_det(dtype: str) -> None:
    for x in (normal(4, 4, dtype=dtype), normal(2, 3, 3, dtype=dtype)):
        close(ops.det(x), np.linalg.det(x), dtype)
        for part, expected in zip(ops.slogdet(x), np.linalg.slogdet(x), strict=True):
            close(part, expected, dtype)
    assert abs(complex(ops.det(rank_one(dtype)[0, :3]))) < 1e-5


def check_qr(dtype: str) -> None:
    for x in (normal(4, 4, dtype=dtype), normal(2, 5, 3, dtype=dtype), normal(3, 5, dtype=dtype)):
        for mode in ("reduced", "complete"):
            expected = np.linalg.qr(x, mode=mode)
            q, r = ops.qr(x, mode=mode)
            close(r, expected[1], dtype)  # the phases are those of LAPACK
            close(np.asarray(q)[..., : min(x.shape[-2:])], expected[0][..., : min(x.shape[-2:])], dtype)
            close(
                adjoint(q) @ np.asarray(q),
                np.broadcast_to(np.eye(q.shape[-1], dtype=dtype), adjoint(q).shape[:-1] + q.shape[-1:]),
                dtype,
            )
    q, r = map(np.asarray, ops.qr(rank_one(dtype)))
    close(q @ r, rank_one(dtype), dtype)
    close(adjoint(q) @ q, np.broadcast_to(np.eye(3, dtype=dtype), (3, 3, 3)), dtype)


def check_eigh(dtype: str) -> None:
    equal = rank_one(dtype)
    for x in (
        definite(4, 4, dtype=dtype),
        definite(2, 3, 3, dtype=dtype),
        equal @ adjoint(equal),
        np.eye(1, dtype=dtype),
    ):
        w, v = map(np.asarray, ops.eigh(x))
        close(w, np.linalg.eigh(x)[0], dtype)
        close(adjoint(v) @ v, np.broadcast_to(np.eye(x.shape[-1], dtype=dtype), x.shape), dtype)
        close((v * w[..., None, :]) @ adjoint(v), x, dtype)
        close(ops.eigh(np.tril(x))[0], w, dtype)


def check_svd(dtype: str) -> None:
    for x in (
        normal(4, 4, dtype=dtype),
        normal(2, 5, 3, dtype=dtype),
        rank_one(dtype),
        np.full((1, 1), 2j, dtype),
    ):
        for full in (False, True):
            u, s, vh = map(np.asarray, ops.svd(x, full_matrices=full))
            rank = s.shape[-1]
            close(s, np.linalg.svd(x)[1], dtype)
            close((u[..., :rank] * s[..., None, :]) @ vh[..., :rank, :], x, dtype)
            for q in (u, adjoint(vh)):
                close(
                    adjoint(q) @ q,
                    np.broadcast_to(
                        np.eye(q.shape[-1], dtype=dtype), (*x.shape[:-2], q.shape[-1], q.shape[-1])
                    ),
                    dtype,
                )


def check_wide_svd(dtype: str) -> None:
    x = normal(3, 5, dtype=dtype)
    u, s, vh = map(np.asarray, ops.svd(x))
    assert (u.shape, s.shape, vh.shape) == ((3, 3), (3,), (5, 5))
    close((u * s) @ vh[:3], x, dtype)
    close(vh @ adjoint(vh), np.eye(5, dtype=dtype), dtype)


def against_numpy(ours: Callable[[Any], Any], theirs: Callable[[Any], Any]) -> Callable[[str], None]:
    return lambda dtype: close(ours(normal(4, 3, dtype=dtype)), theirs(normal(4, 3, dtype=dtype)), dtype)


TIES = np.array([[1 + 2j, 1 - 2j, 0, 1j, -1, 1 + 2j, 3 - 1j], [0, 1, 1, -1j, 1j, -1, 0]])


def check_order(dtype: str) -> None:
    z = TIES.astype(dtype)
    for axis in (0, 1, None):
        close(ops.sort(z, axis), np.sort(z, axis), dtype)
        order = np.asarray(ops.argsort(z, axis))
        np.testing.assert_array_equal(order, np.argsort(z, axis, kind="stable"))
        for name in ("max", "min"):
            close(getattr(ops, name)(z, axis), getattr(np, name)(z, axis), dtype)
    for name in ("maximum", "minimum"):
        close(getattr(ops, name)(z[0], z[1]), getattr(np, name)(z[0], z[1]), dtype)
    z[0, 2] = complex(1, np.nan)
    assert np.isnan(np.asarray(ops.max(z, 1)))[0]
    assert np.isnan(np.asarray(ops.maximum(z, 9))[0, 2])
    assert np.isnan(np.asarray(ops.minimum(-9, z))[0, 2])
    np.testing.assert_array_equal(np.asarray(ops.sort(z)), np.sort(z))  # NaN last


CHECKS: dict[str, Callable[[str], None]] = {
    "cholesky": check_cholesky,
    "triangular_solve": check_triangular,
    "lu": check_lu,
    "det": check_det,
    "qr": check_qr,
    "eigh": check_eigh,
    "svd": check_svd,
    "svd of wide": check_wide_svd,
    "order": check_order,
    "pinv": against_numpy(ops.pinv, np.linalg.pinv),
    "lstsq": against_numpy(
        lambda z: ops.lstsq(z, z[:, :2] * 1j), lambda z: np.linalg.lstsq(z, z[:, :2] * 1j)[0]
    ),
    "norm 2": against_numpy(
        lambda z: ops.norm(z, 2, axis=(0, 1)), lambda z: np.linalg.norm(z, 2, axis=(0, 1))
    ),
    "nuclear norm": against_numpy(
        lambda z: ops.norm(z, "nuc", axis=(0, 1)), lambda z: np.linalg.norm(z, "nuc", axis=(0, 1))
    ),
    "rank": lambda dtype: np.testing.assert_array_equal(ops.matrix_rank(rank_one(dtype)), [1, 0, 3]),
}


@pytest.mark.parametrize("name", list(CHECKS))
@pytest.mark.parametrize("engine", ENGINES)
def test_decompositions(engine: str, name: str) -> None:
    engine_or_skip(engine)
    with engines.using(engine):
        if name in LACKS.get(engine, ()):
            with pytest.raises(NotImplementedError, match=f"the {engine} engine"):
                CHECKS[name]("complex64")
        else:
            for dtype in ("complex64", "complex128") if engine in ("native", "reference") else ("complex64",):
                CHECKS[name](dtype)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_small_and_large_matrices(scale: float) -> None:
    x = (normal(4, 3) * scale).astype("complex64")
    q, r = map(np.asarray, ops.qr(x))
    np.testing.assert_allclose(q @ r / scale, x / scale, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ops.svd(x, compute_uv=False) / scale, np.linalg.svd(x)[1] / scale, rtol=1e-4)


def test_matrices_without_elements() -> None:
    x = np.zeros((2, 0, 3), "complex64")
    assert [tuple(part.shape) for part in ops.svd(x, full_matrices=False)] == [(2, 0, 0), (2, 0), (2, 0, 3)]
    assert [tuple(part.shape) for part in ops.qr(x)] == [(2, 0, 0), (2, 0, 3)]
    assert np.asarray(ops.det(np.zeros((2, 0, 0), "complex64"))).tolist() == [1, 1]
    assert ops.eigh(np.zeros((0, 3, 3), "complex64"))[0].shape == (0, 3)


def test_matrices_that_are_not_definite() -> None:
    with pytest.raises(ValueError, match="positive definite"):
        ops.cholesky(np.array([[1, 2j], [-2j, 1]]))


def test_what_has_no_order_is_refused() -> None:
    with pytest.raises(HornbeamTypeError, match="argmax does not take complex128"):
        ops.argmax(TIES)


def _hermitian(x: Any, z: Any) -> Any:
    return x.matmul(z, x.conj(x.transpose(z))) + np.eye(3)


def _weighted(x: Any, z: Any) -> Any:
    weights = normal(*z.shape, seed=8)
    return x.sum(x.abs(z) ** 2 * abs(weights)) + x.sum(x.real(z * weights))


def _spectral(x: Any, vectors: Any) -> Any:
    """A function that does not depend on the phases of vectors."""
    return x.sum(x.abs(vectors) ** 4 * np.arange(1.0, 1 + vectors.shape[-1]))


# Real functions of a complex matrix (3, 3), from `hornbeam.ops`, or `jax.numpy` and its linalg.
LOSSES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "cholesky": lambda x, la, z: _weighted(x, la.cholesky(_hermitian(x, z))),
    "inv": lambda x, la, z: _weighted(x, la.inv(z)),
    "solve": lambda x, la, z: _weighted(x, la.solve(z, x.exp(z))),
    "det": lambda x, la, z: x.abs(la.det(z)) ** 2 + x.imag(la.det(z)),
    "slogdet": lambda x, la, z: x.real(la.slogdet(z)[0]) * la.slogdet(z)[1],
    "qr": lambda x, la, z: _weighted(x, la.qr(z)[0]) + _weighted(x, la.qr(z)[1]),
    "qr of tall": lambda x, la, z: _weighted(x, la.qr(z[:, :2])[0]) + _weighted(x, la.qr(z[:, :2])[1]),
    "eigenvalues": lambda x, la, z: x.sum(la.eigh(_hermitian(x, z))[0] ** 2 * np.arange(3.0)),
    "eigenvectors": lambda x, la, z: _spectral(x, la.eigh(_hermitian(x, z))[1]),
    "singular values": lambda x, la, z: x.sum(la.svd(z)[1] ** 3),
    "singular vectors": lambda x, la, z: _spectral(x, la.svd(z)[0]) + _spectral(x, x.transpose(la.svd(z)[2])),
    "both singular vectors": lambda x, la, z: _weighted(x, x.matmul(la.svd(z)[0], la.svd(z)[2])),
    "singular vectors of tall": lambda x, la, z: _weighted(
        x, x.matmul(la.svd(z[:, :2], full_matrices=False)[0], la.svd(z[:, :2], full_matrices=False)[2])
    ),
    "singular vectors of wide": lambda x, la, z: _weighted(
        x, x.matmul(la.svd(z[:2], full_matrices=False)[0], la.svd(z[:2], full_matrices=False)[2])
    ),
    "norm": lambda x, la, z: la.norm(z) + la.norm(z, "nuc", axis=(0, 1)),
    "pinv": lambda x, la, z: _weighted(x, la.pinv(z[:, :2])),
    "sort": lambda x, la, z: _weighted(x, x.sort(z, -1)),
    "max": lambda x, la, z: _weighted(x, x.max(z, 1)) + _weighted(x, x.maximum(z, 0.1j)),
}


@pytest.mark.parametrize("name", list(LOSSES))
def test_gradients_agree_with_differences(name: str) -> None:
    z = normal(3, 3)

    def loss(z: Any) -> Any:
        return LOSSES[name](ops, ops, z)

    gradient = np.asarray(hornbeam.grad(loss)(z))
    assert gradient.dtype == z.dtype
    for seed in range(3):
        step = 1e-6 * normal(3, 3, seed=seed)
        difference = (float(loss(z + step)) - float(loss(z - step))) / 2
        np.testing.assert_allclose(np.real(np.sum(gradient * step)), difference, rtol=1e-5, atol=1e-13)


@pytest.mark.parametrize("name", ["cholesky", "qr", "eigenvectors", "both singular vectors", "sort"])
def test_gradients_agree_with_jax(name: str) -> None:
    jax = pytest.importorskip("jax")
    import jax.numpy as jnp

    z = normal(3, 3)
    with jax.enable_x64(True):
        expected = np.asarray(jax.grad(lambda z: LOSSES[name](jnp, jnp.linalg, z))(jnp.asarray(z)))
    gradient = hornbeam.grad(lambda z: LOSSES[name](ops, ops, z))(z)
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ["cholesky", "qr", "eigenvectors", "det"])
def test_second_derivatives(name: str) -> None:
    def loss(z: Any) -> Any:
        return LOSSES[name](ops, ops, z)

    def squared_gradient(z: Any) -> Any:
        return ops.sum(ops.abs(hornbeam.grad(loss)(z)) ** 2)

    z, step = normal(3, 3), 1e-6 * normal(3, 3, seed=1)
    difference = (float(squared_gradient(z + step)) - float(squared_gradient(z - step))) / 2
    np.testing.assert_allclose(
        np.real(np.sum(np.asarray(hornbeam.grad(squared_gradient)(z)) * step)), difference, rtol=1e-4
    )
