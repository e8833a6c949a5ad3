"""Shapes, creation, indexing and ordering against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import hornbeam
from hornbeam import ops
from hornbeam.ir.types import HornbeamTypeError, ShapeError

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3, 4)).astype(np.float32)
V = RNG.normal(size=(4,)).astype(np.float32)
C = RNG.normal(size=(2, 3, 4)).astype(np.float32)

# Expressions that must give the same in NumPy and here; `m` is the module.
SAME = [
    "m.transpose(X)",
    "m.transpose(C, (1, 2, 0))",
    "m.swapaxes(C, 0, -1)",
    "m.moveaxis(C, 0, -1)",
    "m.moveaxis(C, (0, 1), (2, 0))",
    "m.expand_dims(X, (0, -1))",
    "m.squeeze(X[None, :, None])",
    "m.squeeze(X[None], 0)",
    "m.ravel(C)",
    "m.broadcast_to(V, (2, 3, 4))",
    "m.concatenate([X, X], 1)",
    "m.stack([X, X], -1)",
    "m.append(X, X)",
    "m.append(X, X, 0)",
    "m.hstack([V, V])",
    "m.hstack([X, X])",
    "m.vstack([V, V])",
    "m.dstack([V, V])",
    "m.dstack([X, X])",
    "m.repeat(X, 2)",
    "m.repeat(X, 3, 1)",
    "m.repeat(X, [2, 0, 1], 0)",
    "m.tile(X, 2)",
    "m.tile(X, (2, 1, 3))",
    "m.tile(C, (2,))",
    "m.flip(C)",
    "m.flip(C, (0, 2))",
    "m.fliplr(X)",
    "m.flipud(X)",
    "m.rot90(X)",
    "m.rot90(X, 2)",
    "m.rot90(C, -1, (1, 2))",
    "m.roll(X, 3)",
    "m.roll(X, -1, 1)",
    "m.roll(X, (1, 2), (0, 1))",
    "m.diagonal(X)",
    "m.diagonal(C, 1, 2, 0)",
    "m.diagonal(X, -2)",
    "m.diagonal(X, 9)",
    "m.diag(V)",
    "m.diag(V, -2)",
    "m.diag(X, 1)",
    "m.diagflat(X, 1)",
    "m.trace(C, 1, 1, 2)",
    "m.tri(3, 5, -1)",
    "m.tril(C, 1)",
    "m.triu(X, -1)",
    "m.eye(3, 4, 1)",
    "m.identity(2)",
    "m.vander(V)",
    "m.vander(V, 3, increasing=True)",
    "m.pad(X, ((1, 2), (0, 1)))",
    "m.pad(X, 2, 'edge')",
    "m.pad(X, ((1, 2), (2, 1)), 'reflect')",
    "m.pad(X, 2, 'symmetric')",
    "m.pad(X, 1, 'wrap')",
    "m.pad(X, 1, constant_values=7)",
    "m.linspace(0, 1, 5)",
    "m.linspace(V, V + 1, 3, axis=1)",
    "m.linspace(0, 5, 5, endpoint=False)",
    "m.logspace(0, 2, 5)",
    "m.geomspace(1, 100, 5)",
    "m.geomspace(-1, -8, 4)",
    "m.bartlett(7)",
    "m.blackman(6)",
    "m.hamming(5)",
    "m.hanning(8)",
    "m.kaiser(7, 3.0)",
    "m.where(X > 0, X, 0)",
    "m.select([X > 1, X > 0], [X, -X], 5.0)",
    "m.take(X, [0, -1, 2], 1)",
    "m.take(X, [[0, 5], [11, -1]])",
    "m.take_along_axis(X, m.argsort(X, 0), 0)",
    "m.take_along_axis(C, np.array([[[0], [3], [-1]]]), 2)",
    "m.sort(C, 1)",
    "m.sort(C, None)",
    "m.argsort(X, 1)",
    "m.argsort(X, None)",
    "m.searchsorted(m.sort(V), X)",
    "m.searchsorted(np.array([1, 2, 2, 3]), np.array([0, 2, 4]), side='right')",
    "m.digitize(X, np.array([-1.0, 0.5]))",
    "m.isin(m.round(X), [0.0, 1.0])",
    "m.isin(m.round(X), [0.0], invert=True)",
    "m.bincount(np.array([1, 1, 4]))",
    "m.bincount(np.array([1, 1, 4]), weights=np.array([1.0, 2.0, 3.0]), minlength=7)",
    "m.kron(X, V[:2])",
    "m.outer(X, V)",
    "m.inner(X, X)",
    "m.vdot(X, X)",
    "m.dot(X, V)",
    "m.dot(C, X.T)",
    "m.tensordot(C, X, ((1, 2), (0, 1)))",
    "m.tensordot(X, V, 1)",
    "m.cross(X[:, :3], X[:, 1:])",
    "m.cross(X[:, :3], X[:, :3] * 2 + 1, axis=0)",
    "m.correlate(V, V[:2])",
    "m.correlate(V[:2], V, 'full')",
    "m.correlate(V, V[:3], 'same')",
    "m.matmul(C, X.T)",
    "m.matmul(V, X.T)",
    "m.array(X)",
    "m.full_like(X, 2)",
    "m.ones_like(X)",
    "m.zeros_like(X)",
    "m.count_nonzero(X > 0, 0)",
]


@pytest.mark.parametrize("expression", SAME)
def test_as_in_numpy(expression: str) -> None:
    names = {"X": X, "V": V, "C": C, "np": np}
    expected = np.asarray(eval(expression, {"m": np, **names}))
    got = np.asarray(eval(expression, {"m": ops, **names}))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=2e-5, atol=2e-6)


LISTS = [
    "m.split(X, 2, 1)",
    "m.split(X, [1, 3], 1)",
    "m.split(X, [-1], 0)",
    "m.array_split(X, 3, 1)",
    "m.hsplit(X, 2)",
    "m.hsplit(V, 2)",
    "m.vsplit(X, 3)",
    "m.dsplit(C, 2)",
    "m.meshgrid(V, V[:2])",
    "m.meshgrid(V, X[0])",
    "m.meshgrid(V, V[:2], V[:3], indexing='ij')",
    "m.nonzero(X > 0)",
    "m.where(X > 0)",
    "m.unravel_index(np.array([0, 7, 11]), (3, 4))",
    "m.histogram(X, 5)",
    "m.histogram(X, 4, (-1.0, 1.0))",
]


@pytest.mark.parametrize("expression", LISTS)
def test_lists_as_in_numpy(expression: str) -> None:
    names = {"X": X, "V": V, "C": C, "np": np}
    expected = eval(expression, {"m": np, **names})
    got = eval(expression, {"m": ops, **names})
    assert len(got) == len(expected)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


EINSUMS = [
    ("ij,jk->ik", X, X.T),
    ("ij,jk", X, X.T),
    ("ij->j", X),
    ("ij->ji", X),
    ("ij->", X),
    ("i,j->ij", V, V),
    ("i,i", V, V),
    ("bij,kj->bki", C, X),
    ("...j,kj->...k", C, X),
    ("ij,ij,ij->i", X, X, X),
    ("bij,bij->bi", C, C),
    ("ii->i", X[:, :3]),
    ("ii", X[:, :3]),
    ("bij,...j->b...", C, X),
    ("ab,bc,cd->ad", X, X.T, X),
    ("i...->...", C),
    ("ij,k->ikj", X, V),
    ("bhi,ji->bhj", C, X),
]


@pytest.mark.parametrize("case", EINSUMS, ids=lambda case: case[0])
def test_einsum(case: tuple) -> None:
    got = np.asarray(ops.einsum(*case))
    expected = np.asarray(np.einsum(*case))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_einsum_says_what_is_wrong() -> None:
    with pytest.raises(ValueError, match="names 2 operands"):
        ops.einsum("ij,jk->ik", X)
    with pytest.raises(ShapeError, match="sizes 4 and 3"):
        ops.einsum("ij,jk->ik", X, X)
    with pytest.raises(ShapeError, match="does not fit"):
        ops.einsum("ijk->i", X)


@pytest.mark.parametrize(
    ("args", "dtype"),
    [
        ((5,), "int32"),
        ((1, 7, 2), "int32"),
        ((0.0, 1.0, 0.3), "float32"),
        ((5, 0, -2), "int32"),
        ((0, 3, 1, "float16"), "float16"),
    ],
)
def test_ranges(args: tuple, dtype: str) -> None:
    got = ops.arange(*args)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, np.arange(*args).astype(dtype), rtol=1e-6)


def test_creation_defaults() -> None:
    assert ops.full((2,), 1).dtype == ops.zeros(2).dtype == ops.ones((2,)).dtype == "float32"
    assert ops.zeros_like(ops.ones((2,), "int8")).dtype == "int8"
    values, step = ops.linspace(0, 1, 5, retstep=True)
    assert values.shape == (5,)
    assert float(step) == 0.25


def test_top_k_takes_the_first_of_equals() -> None:
    values, indices = ops.top_k([[1.0, 3.0, 3.0, 2.0]], 3)
    np.testing.assert_array_equal(values, [[3, 3, 2]])
    np.testing.assert_array_equal(indices, [[1, 2, 3]])
    with pytest.raises(ShapeError, match="k=5"):
        ops.top_k(V, 5)


def test_unique() -> None:
    x = np.array([3, 1, 3, 2, 1])
    values, index, inverse, counts = ops.unique(x, return_index=True, return_inverse=True, return_counts=True)
    expected = np.unique(x, return_index=True, return_inverse=True, return_counts=True)
    for a, b in zip((values, index, inverse, counts), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(ops.unique(x, size=5, fill_value=0), [1, 2, 3, 0, 0])


def test_derivatives_go_through_moved_elements() -> None:
    weights = RNG.normal(size=(3, 4)).astype(np.float32)

    def total(x: object) -> object:
        moved = ops.roll(ops.flip(ops.take(x, [2, 0, 1], 0), 1), 1, 0)
        return ops.sum(moved * weights)

    expected = np.zeros_like(X)
    order = np.roll(np.flip(np.take(np.arange(12).reshape(3, 4), [2, 0, 1], 0), 1), 1, 0)
    expected.ravel()[order.ravel()] = weights.ravel()
    np.testing.assert_allclose(hornbeam.grad(total)(X), expected)


def test_errors() -> None:
    with pytest.raises(ShapeError, match="name each of 2 axes once"):
        ops.transpose(X, (0, 0))
    with pytest.raises(ShapeError, match="does not divide"):
        ops.split(X, 3, 1)
    with pytest.raises(ShapeError, match="not all of size 1"):
        ops.squeeze(X, 0)
    with pytest.raises(ShapeError, match="stack needs tensors of one shape"):
        ops.stack([X, V])
    with pytest.raises(HornbeamTypeError, match="integer indices"):
        ops.take(X, [0.5])
    with pytest.raises(ValueError, match="neither"):
        ops.where(X > 0, X)
    with pytest.raises(ValueError, match="constant_values"):
        ops.pad(X, 1, "edge", constant_values=1)


def test_misspelled_operations_are_errors() -> None:
    with pytest.raises(AttributeError, match="has no 'nonsense'"):
        ops.nonsense  # noqa: B018
