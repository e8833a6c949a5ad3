"""Reductions, cumulative operations and statistics against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import hornbeam
from hornbeam import ops
from hornbeam.ir.types import ShapeError

RNG = np.random.default_rng(2)
X = RNG.normal(size=(3, 4, 5)).astype(np.float32)
HOLES = X.copy()
HOLES[1:][RNG.random(X[1:].shape) < 0.4] = np.nan
AXES = [None, 0, -1, (0, 2), (2, 1), ()]
NAMES = ["sum", "prod", "mean", "std", "var", "max", "min", "amax", "amin", "all", "any", "ptp", "median"]


@pytest.mark.parametrize(
    ("name", "axis"),
    [(name, axis) for name in NAMES for axis in AXES if axis != () or name not in ("ptp", "median")],
    ids=str,
)
def test_reductions(name: str, axis: object) -> None:
    for keepdims in (False, True):
        expected = getattr(np, name)(X, axis=axis, keepdims=keepdims)
        got = np.asarray(getattr(ops, name)(X, axis=axis, keepdims=keepdims))
        assert got.shape == np.shape(expected)
        np.testing.assert_allclose(got, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("axis", [None, 0, (0, 2)], ids=str)
@pytest.mark.parametrize(
    "name", ["nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian"]
)
def test_reductions_that_skip_nan(name: str, axis: object) -> None:
    got = getattr(ops, name)(HOLES, axis=axis)
    np.testing.assert_allclose(got, getattr(np, name)(HOLES, axis=axis), rtol=2e-5, atol=1e-6)


def test_nothing_but_nan() -> None:
    nothing = np.full((2, 2), np.nan, np.float32)
    assert np.isnan(np.asarray(ops.nanmax(nothing))).all()
    assert np.isnan(np.asarray(ops.nanmean(nothing, axis=0))).all()
    assert np.isnan(np.asarray(ops.nanmedian(nothing, axis=0))).all()
    np.testing.assert_array_equal(ops.nanargmax(nothing, axis=0), [-1, -1])


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("bool", "int32"), ("int8", "int32"), ("uint8", "uint32"), ("int64", "int64"), ("float16", "float16")],
)
def test_sums_of_narrow_integers_are_wide(dtype: str, expected: str) -> None:
    assert ops.sum(ops.ones((300,), dtype)).dtype == expected
    assert int(ops.sum(ops.ones((300,), dtype))) == 300
    assert ops.mean(ops.ones((3,), "int32")).dtype == "float32"


def test_means_of_half_precision_do_not_overflow() -> None:
    x = np.full((70000,), 2.0, np.float16)
    assert float(ops.mean(x)) == 2.0
    assert float(ops.var(x)) == 0.0
    assert ops.mean(x).dtype == "float16"


@pytest.mark.parametrize("name", ["argmax", "argmin", "nanargmax", "nanargmin"])
def test_positions(name: str) -> None:
    x = HOLES if name.startswith("nan") else X
    x = np.where(np.isnan(x).all(axis=1, keepdims=True), np.float32(0), x)
    for axis in (None, 1):
        got = getattr(ops, name)(x, axis=axis)
        assert got.dtype == "int32"
        np.testing.assert_array_equal(got, getattr(np, name)(x, axis=axis))
    assert getattr(ops, name)(x, axis=1, keepdims=True).shape == (3, 1, 5)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "nancumsum", "nancumprod"])
def test_running_totals(name: str) -> None:
    x = HOLES if name.startswith("nan") else X
    for axis in (None, 0, -1):
        np.testing.assert_allclose(
            getattr(ops, name)(x, axis=axis), getattr(np, name)(x, axis=axis), rtol=2e-5, atol=1e-6
        )
    assert ops.cumsum(X > 0).dtype == "int32"
    assert ops.cumsum(X, dtype="float64").dtype == "float64"


def test_logsumexp_does_not_overflow() -> None:
    x = X * 1000
    expected = np.log(np.exp(x.astype(np.float64) - x.max(axis=1, keepdims=True)).sum(axis=1)) + x.max(axis=1)
    np.testing.assert_allclose(ops.logsumexp(x, axis=1), expected, rtol=1e-6)
    assert float(ops.logsumexp([-np.inf, -np.inf])) == -np.inf


def test_average() -> None:
    w = np.abs(X)
    np.testing.assert_allclose(
        ops.average(X, 1, weights=w), np.average(X, 1, weights=w), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_allclose(
        ops.average(X, 2, weights=w[0, 0]), np.average(X, 2, weights=w[0, 0]), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(ShapeError, match="weights"):
        ops.average(X, 0, weights=np.ones(4, np.float32))


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("axis", [None, 0, (0, 2)], ids=str)
def test_quantiles(method: str, axis: object) -> None:
    q = [0.0, 0.2, 0.77, 1.0]
    expected = np.quantile(X, q, axis=axis, method=method)
    np.testing.assert_allclose(ops.quantile(X, q, axis, method), expected, rtol=1e-5, atol=1e-6)
    expected = np.nanquantile(HOLES, 0.3, axis=axis, method=method, keepdims=True)
    np.testing.assert_allclose(
        ops.nanquantile(HOLES, 0.3, axis, method, keepdims=True), expected, rtol=1e-5, atol=1e-6
    )


def test_quantiles_of_nan_and_of_unknown_methods() -> None:
    assert np.isnan(np.asarray(ops.median([1.0, np.nan])))
    np.testing.assert_allclose(ops.percentile(X, [10, 90]), np.percentile(X, [10, 90]), rtol=1e-5)
    with pytest.raises(ValueError, match="method"):
        ops.quantile(X, 0.5, method="cubic")


def test_differences_integrals_and_correlations() -> None:
    np.testing.assert_allclose(ops.diff(X, 2, 1), np.diff(X, 2, 1), atol=1e-6)
    np.testing.assert_allclose(ops.trapezoid(X, dx=0.5, axis=0), np.trapezoid(X, dx=0.5, axis=0), atol=1e-6)
    places = np.sort(X[0, 0])
    np.testing.assert_allclose(ops.trapezoid(X, places), np.trapezoid(X, places), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ops.corrcoef(X[0]), np.corrcoef(X[0]), atol=1e-6)


def test_errors_name_the_axis() -> None:
    with pytest.raises(ShapeError, match="axis 3 is out of range"):
        ops.sum(X, axis=3)
    with pytest.raises(ShapeError, match="occurs twice"):
        ops.sum(X, axis=(0, -3))
    with pytest.raises(ShapeError, match="max of an empty tensor"):
        ops.max(ops.zeros((0, 2)), axis=0)
    assert float(ops.max(ops.zeros((0,)), initial=-1.0)) == -1.0


def test_derivatives() -> None:
    x = np.array([1.0, 3.0, 2.0], np.float32)
    np.testing.assert_allclose(hornbeam.grad(lambda v: ops.max(v))(x), [0, 1, 0])
    np.testing.assert_allclose(hornbeam.grad(lambda v: ops.var(v))(x), 2 * (x - 2) / 3, atol=1e-6)
    np.testing.assert_allclose(hornbeam.grad(lambda v: ops.median(v))(x), [0, 0, 1])
    soft = np.exp(x) / np.exp(x).sum()
    np.testing.assert_allclose(hornbeam.grad(lambda v: ops.logsumexp(v))(x), soft, rtol=1e-6)
