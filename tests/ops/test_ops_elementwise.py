"""Elementwise operations against NumPy: values, dtypes, kinks of derivatives."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hornbeam
from hornbeam import ops
from hornbeam.ir.types import HornbeamTypeError, ShapeError

RNG = np.random.default_rng(1)
X = RNG.normal(size=(3, 5)).astype(np.float32) * 2
Y = RNG.normal(size=(5,)).astype(np.float32)
POSITIVE = np.abs(X) + np.float32(0.1)
UNIT = np.tanh(X) * np.float32(0.9)
INTS = RNG.integers(-6, 7, (3, 5)).astype(np.int32)
NATURAL = RNG.integers(1, 9, (5,)).astype(np.int32)

SAME_NAME = {
    "exp": X,
    "exp2": X,
    "expm1": X,
    "log": POSITIVE,
    "log2": POSITIVE,
    "log10": POSITIVE,
    "log1p": POSITIVE,
    "sqrt": POSITIVE,
    "cbrt": X,
    "reciprocal": POSITIVE,
    "sin": X,
    "cos": X,
    "tan": UNIT,
    "arcsin": UNIT,
    "arccos": UNIT,
    "arctan": X,
    "sinh": X,
    "cosh": X,
    "tanh": X,
    "arcsinh": X,
    "arccosh": POSITIVE + 1,
    "arctanh": UNIT,
    "deg2rad": X,
    "rad2deg": X,
    "sinc": X,
    "i0": X * 3,
    "floor": X,
    "ceil": X,
    "trunc": X,
    "round": X,
    "abs": X,
    "absolute": X,
    "fabs": X,
    "sign": X,
    "signbit": X,
    "square": X,
    "negative": X,
    "isnan": X,
    "isfinite": X,
    "isinf": X,
    "logical_not": X,
    "angle": X,
    "real": X,
    "imag": X,
    "conj": X,
    "isreal": X,
}


@pytest.mark.parametrize("name", SAME_NAME)
def test_functions_of_one_tensor_agree_with_numpy(name: str) -> None:
    x = SAME_NAME[name]
    expected = getattr(np, name)(x)
    got = np.asarray(getattr(ops, name)(x))
    assert got.shape == expected.shape
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", ["exp", "sqrt", "sin", "tanh", "log1p", "floor"])
def test_integers_are_computed_as_floats(name: str) -> None:
    got = getattr(ops, name)(NATURAL)
    assert got.dtype == "float32"
    np.testing.assert_allclose(got, getattr(np, name)(NATURAL.astype(np.float32)), rtol=1e-6)
    assert getattr(ops, name)(NATURAL.astype(np.float16)).dtype == "float16"


BINARY = [
    "add",
    "subtract",
    "multiply",
    "divide",
    "true_divide",
    "floor_divide",
    "mod",
    "fmod",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "arctan2",
    "hypot",
    "logaddexp",
    "logaddexp2",
    "heaviside",
    "equal",
    "not_equal",
    "less",
    "less_equal",
    "greater",
    "greater_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "nextafter",
]


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_tensors_broadcast_and_agree_with_numpy(name: str) -> None:
    expected = getattr(np, name)(X, Y)
    got = np.asarray(getattr(ops, name)(X, Y))
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("gcd", "gcd"),
        ("lcm", "lcm"),
        ("bitwise_and", "bitwise_and"),
        ("bitwise_or", "bitwise_or"),
        ("bitwise_xor", "bitwise_xor"),
        ("left_shift", "left_shift"),
        ("right_shift", "right_shift"),
        ("floor_divide", "floor_divide"),
        ("mod", "mod"),
        ("fmod", "fmod"),
        ("power", "power"),
    ],
)
def test_integer_functions_agree_with_numpy(name: str, other: str) -> None:
    x = np.abs(INTS) if name == "power" else INTS
    got = np.asarray(getattr(ops, name)(x, NATURAL))
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, getattr(np, other)(x, NATURAL))


def test_integer_functions_refuse_floats() -> None:
    for name in ("gcd", "lcm", "left_shift"):
        with pytest.raises(HornbeamTypeError, match="needs integers"):
            getattr(ops, name)(X, X)


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("float16", 1.0, "float16"),
        ("int32", 1, "int32"),
        ("int32", 1.5, "float32"),
        ("uint8", "int8", "int16"),
        ("bfloat16", "float16", "float32"),
        ("int64", "float16", "float16"),
        ("bool", 1, "int32"),
        ("uint32", "int32", "int32"),
        ("float32", "float64", "float64"),
        ("bool", "bool", "bool"),
    ],
)
def test_promotion(left: str, right: object, expected: str) -> None:
    other = ops.ones((2,), right) if isinstance(right, str) else right
    assert ops.add(ops.ones((2,), left), other).dtype == expected


def test_infinities_and_nan() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1.0], np.float32)
    np.testing.assert_array_equal(ops.isposinf(x), [False, True, False, False])
    np.testing.assert_array_equal(ops.isneginf(x), [False, False, True, False])
    np.testing.assert_array_equal(ops.nan_to_num(x), np.nan_to_num(x))
    np.testing.assert_array_equal(ops.nan_to_num(x, 1.0, 2.0, 3.0), [1, 2, 3, 1])
    np.testing.assert_array_equal(ops.fmax(x, 0.0), np.fmax(x, 0))
    assert np.isnan(np.asarray(ops.maximum(x, 0.0))[0])
    same = np.asarray(ops.logaddexp(x[1:3], x[1:3]))
    np.testing.assert_array_equal(same, [np.inf, -np.inf])
    np.testing.assert_array_equal(ops.hypot([np.inf, 0.0], [1.0, 0.0]), [np.inf, 0])
    np.testing.assert_array_equal(ops.isclose(x, x), [False, True, True, True])
    assert bool(ops.allclose(x, x, equal_nan=True))


def test_division_by_zero_is_zero_where_asked() -> None:
    np.testing.assert_array_equal(ops.divide_no_nan([1.0, 4.0, 0.0], [0.0, 2.0, 0.0]), [0, 2, 0])
    gradient = hornbeam.grad(lambda b: ops.sum(ops.divide_no_nan(1.0, b)))(np.array([0.0, 2.0], np.float32))
    np.testing.assert_allclose(gradient, [0, -0.25])


def test_rounding_places() -> None:
    np.testing.assert_allclose(ops.round([1.234, -1.235], 2), np.round([1.234, -1.235], 2), rtol=1e-6)
    np.testing.assert_array_equal(ops.round([149, 150, -151], -2), [100, 200, -200])
    np.testing.assert_array_equal(ops.round([0.5, 1.5, 2.5]), [0, 2, 2])


def test_clip_is_flat_outside_and_has_gradient_one_inside_and_at_its_limits() -> None:
    x = np.array([-2.0, -1.0, 0.0, 1.0, 2.0], np.float32)
    np.testing.assert_array_equal(ops.clip(x, -1, 1), np.clip(x, -1, 1))
    np.testing.assert_array_equal(hornbeam.grad(lambda v: ops.sum(ops.clip(v, -1, 1)))(x), [0, 1, 1, 1, 0])
    np.testing.assert_array_equal(ops.clip(INTS, -2, 2), np.clip(INTS, -2, 2))


def test_view_reads_the_same_bits() -> None:
    np.testing.assert_array_equal(ops.view(X, "int32"), X.view(np.int32))
    for dtype in ("int8", "uint16", "float16", "int64", "uint64", "float64"):
        for x in (X[:2, :4] if X.ndim > 1 else X[:4], np.arange(-8, 8, dtype="int16").reshape(2, 8)):
            y = ops.view(x, dtype)
            assert y.dtype == dtype
            assert np.asarray(y).tobytes() == np.ascontiguousarray(x).tobytes()
    with pytest.raises(ShapeError, match="does not divide into elements of int64"):
        ops.view(np.ones((2, 3), np.float32), "int64")
    np.testing.assert_array_equal(ops.view(X > 0, "int8"), X > 0)
    assert ops.view(ops.view(X > 0, "uint8"), "bool").dtype == "bool"


def test_special_functions() -> None:
    x = np.linspace(-3, 3, 13, dtype=np.float32)
    expected = [math.erf(v) for v in x]
    np.testing.assert_allclose(ops.erf(x), expected, atol=2e-7)
    np.testing.assert_allclose(ops.erfc(x), [math.erfc(v) for v in x], atol=2e-7)
    np.testing.assert_allclose(ops.erf(ops.erfinv(UNIT)), UNIT, atol=1e-6)
    np.testing.assert_allclose(ops.ldexp(x, 3), x * 8)


def test_shapes_that_do_not_broadcast_are_named() -> None:
    with pytest.raises(ShapeError, match=r"\(3, 5\), \(4,\)"):
        ops.add(X, np.ones(4, np.float32))
