"""The NumPy references against independent statements: SciPy, brute force, published vectors, small cases."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest
import scipy.special

from hornbeam import primitives as p
from hornbeam.ir.autodiff import gradients
from hornbeam.ir.node import Node, leaf_array
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import FLOATS, SIGNED, numpy_dtype
from hornbeam.primitives.random import threefry2x32
from tests.helpers.primitive_cases import random_array, value


def run(name: str, *arrays: np.ndarray, **params: object) -> np.ndarray:
    return PRIMITIVES[name].reference(*arrays, **params)


SPECIAL = {
    "erf": (scipy.special.erf, np.linspace(-6, 6, 401)),
    "lgamma": (
        scipy.special.gammaln,
        np.concatenate([np.linspace(0.01, 200, 997), np.linspace(-9.95, -0.05, 100)]),
    ),
    "digamma": (
        scipy.special.digamma,
        np.concatenate([np.linspace(0.01, 200, 997), np.linspace(-9.95, -0.05, 100)]),
    ),
    "erf_inv": (
        scipy.special.erfinv,
        np.concatenate([np.linspace(-0.999, 0.999, 401), 1 - 10.0 ** -np.arange(3, 16)]),
    ),
    "logistic": (scipy.special.expit, np.linspace(-50, 50, 201)),
}


@pytest.mark.parametrize("name", sorted(SPECIAL))
def test_special_functions_agree_with_scipy(name: str) -> None:
    oracle, x = SPECIAL[name]
    np.testing.assert_allclose(run(name, x), oracle(x), rtol=1e-12, atol=1e-13)


def test_special_functions_at_their_poles() -> None:
    x = np.array([1e-300, -1e-300, 1e-40, -1e-40])
    np.testing.assert_allclose(run("digamma", x), scipy.special.digamma(x), rtol=1e-12)
    x = np.array([0.0, -1.0, -2.0, np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(run("lgamma", x), [np.inf, np.inf, np.inf, np.inf, np.inf, np.nan])
    np.testing.assert_array_equal(run("digamma", x), [-np.inf, np.nan, np.nan, np.inf, np.nan, np.nan])
    assert run("digamma", np.array([-0.0])) == np.inf
    edge = np.array([1.0, -1.0, 1.5, 0.0, -0.0, np.nan])
    np.testing.assert_array_equal(run("erf_inv", edge), [np.inf, -np.inf, np.nan, 0.0, -0.0, np.nan])


def test_trigamma_in_both_half_planes() -> None:
    x = np.array([0.1, 0.4999, 0.5, 1.0, 3.0, 60.0, -0.3, -2.5, -7.9])
    node = leaf_array(x)
    (gradient,) = gradients([p.digamma(node)], [p.ones_like(node)], [node])
    assert gradient is not None
    np.testing.assert_allclose(value(gradient), [float(_trigamma(v)) for v in x], rtol=2e-12)


def _trigamma(x: float) -> float:
    if x > 0:
        return scipy.special.polygamma(1, x)
    return np.pi**2 / np.sin(np.pi * x) ** 2 - scipy.special.polygamma(1, 1 - x)


# ---------------------------------------------------------------- integers


@pytest.mark.parametrize("dtype", SIGNED)
def test_integer_division_truncates_and_never_fails(dtype: str) -> None:
    kind = numpy_dtype(dtype)
    low = np.iinfo(kind).min
    x = np.array([7, -7, 7, -7, 5, low, 0], kind)
    y = np.array([2, 2, -2, -2, 0, -1, 0], kind)
    np.testing.assert_array_equal(run("div", x, y), np.array([3, -3, -3, 3, 0, low, 0], kind))
    np.testing.assert_array_equal(run("rem", x, y), np.array([1, -1, 1, -1, 0, 0, 0], kind))


def test_integer_division_of_every_int8_pair() -> None:
    x, y = (a.astype(np.int8) for a in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    exact = [
        [0 if b == 0 else int(a / b) for a, b in zip(*rows, strict=True)]
        for rows in zip(x.tolist(), y.tolist(), strict=True)
    ]
    np.testing.assert_array_equal(run("div", x, y), np.array(exact).astype(np.int8))


def test_integer_power() -> None:
    x, y = (
        np.array([2, -2, 0, 0, 1, -1, -1, 3, 2], np.int32),
        np.array([10, 3, 0, -1, -5, -5, -4, -1, 33], np.int32),
    )
    np.testing.assert_array_equal(run("pow", x, y), [1024, -8, 1, 0, 1, -1, 1, 0, 0])
    wide = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(run("pow", wide, np.full(256, 3, np.uint8)), (wide.astype(int) ** 3 % 256))


def test_shifts_beyond_the_width() -> None:
    x, by = np.array([-3, 3, -3, 3, 1, -128], np.int8), np.array([8, 8, -1, 100, 7, 7], np.int8)
    np.testing.assert_array_equal(run("shift_right", x, by), [-1, 0, -1, 0, 0, -1])
    np.testing.assert_array_equal(run("shift_left", x, by), [0, 0, 0, 0, -128, 0])
    np.testing.assert_array_equal(run("shift_right", np.uint8([255, 255]), np.uint8([7, 8])), [1, 0])


def test_convert_truncates_saturates_wraps() -> None:
    x = np.array([1.9, -1.9, 300.0, -300.0, np.nan, np.inf, -np.inf])
    np.testing.assert_array_equal(run("convert", x, dtype="int8"), [1, -1, 127, -128, 0, 127, -128])
    np.testing.assert_array_equal(run("convert", x, dtype="uint8"), [1, 0, 255, 0, 0, 255, 0])
    np.testing.assert_array_equal(run("convert", x, dtype="bool"), [True] * 7)
    big = np.array([2.0**63, -(2.0**63), 2.0**64, 1e300, 2.0**62], np.float64)
    top = 2**63 - 1
    np.testing.assert_array_equal(run("convert", big, dtype="int64"), [top, -(2**63), top, top, 2**62])
    np.testing.assert_array_equal(
        run("convert", big, dtype="uint64"), np.uint64([2**63, 0, 2**64 - 1, 2**64 - 1, 2**62])
    )
    np.testing.assert_array_equal(run("convert", np.int32([300, -1]), dtype="uint8"), [44, 255])
    np.testing.assert_array_equal(
        run("convert", np.array([True, False]), dtype="bfloat16").astype(float), [1, 0]
    )


# ---------------------------------------------------------------- NaN and halves


@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_rules(dtype: str) -> None:
    kind = numpy_dtype(dtype)
    x, y = np.array([np.nan, 1.0, np.nan]).astype(kind), np.array([1.0, np.nan, np.nan]).astype(kind)
    for name in ("max", "min", "reduce_max", "reduce_min"):
        out = run(name, x, axes=(0,)) if name.startswith("reduce") else run(name, x, y)
        assert np.isnan(out.astype(float)).all(), name
    assert not run("eq", x, x)[0]
    assert run("ne", x, x)[0]
    row = np.array([2.0, np.nan, 9.0, np.nan]).astype(kind)
    assert int(run("argmax", row, axis=0)) == int(run("argmin", row, axis=0)) == 1
    np.testing.assert_array_equal(run("argsort", row, axis=0), [0, 2, 1, 3])


def test_halves_accumulate_in_float32() -> None:
    many = np.full(5000, 1.0, np.float16)
    assert float(run("reduce_sum", many, axes=(0,))) == 5000
    brain = np.full(1000, 1.0).astype(ml_dtypes.bfloat16)
    assert float(run("dot_general", brain, brain, contract=((0,), (0,)), batch=((), ()))) == 1000


def test_empty_reductions_give_the_neutral_value() -> None:
    empty = np.zeros((0,), np.float32)
    expected = {"reduce_sum": 0.0, "reduce_prod": 1.0, "reduce_max": -np.inf, "reduce_min": np.inf}
    for name, neutral in expected.items():
        assert float(run(name, empty, axes=(0,))) == neutral
    assert int(run("reduce_max", np.zeros((0,), np.int8), axes=(0,))) == -128


# ---------------------------------------------------------------- convolution and pooling by brute force


def _brute_conv(x: np.ndarray, w: np.ndarray, strides, padding, dilation, groups) -> np.ndarray:
    padded = np.pad(x, ((0, 0), *padding, (0, 0)))
    kernel, per_group = w.shape[:-2], w.shape[-1] // groups
    spatial = [
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(padded.shape[1:-1], kernel, strides, dilation, strict=True)
    ]
    out = np.zeros((x.shape[0], *spatial, w.shape[-1]))
    for n, o in itertools.product(range(x.shape[0]), range(w.shape[-1])):
        channels = range(o // per_group * w.shape[-2], (o // per_group + 1) * w.shape[-2])
        for at in itertools.product(*map(range, spatial)):
            for k in itertools.product(*map(range, kernel)):
                index = tuple(a * s + i * d for a, s, i, d in zip(at, strides, k, dilation, strict=True))
                for c, channel in enumerate(channels):
                    out[(n, *at, o)] += padded[(n, *index, channel)] * w[(*k, c, o)]
    return out


@pytest.mark.parametrize("index", range(len(PRIMITIVES["conv"].samples)))
def test_conv_is_the_sum_it_says(index: int) -> None:
    sample = PRIMITIVES["conv"].samples[index]
    rng = np.random.default_rng(index)
    x, w = (random_array(rng, shape, "float64", (-1, 1)) for shape in sample.shapes)
    np.testing.assert_allclose(
        run("conv", x, w, **sample.params), _brute_conv(x, w, **sample.params), atol=1e-12
    )


@pytest.mark.parametrize("index", range(len(PRIMITIVES["conv"].samples)))
def test_convolutions_are_one_trilinear_form(index: int) -> None:
    """<dy, conv(x, w)> = <conv_input_grad(dy, w), x> = <conv_kernel_grad(x, dy), w>."""
    sample = PRIMITIVES["conv"].samples[index]
    rng = np.random.default_rng(index)
    x, w = (rng.normal(size=shape) for shape in sample.shapes)
    y = run("conv", x, w, **sample.params)
    dy = rng.normal(size=y.shape)
    expected = np.sum(dy * y)
    dx = run("conv_input_grad", dy, w, input_shape=x.shape, **sample.params)
    dw = run("conv_kernel_grad", x, dy, kernel_shape=w.shape, **sample.params)
    np.testing.assert_allclose([np.sum(dx * x), np.sum(dw * w)], [expected] * 2, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("index", range(len(PRIMITIVES["max_pool"].samples)))
def test_pools_by_brute_force(index: int) -> None:
    sample = PRIMITIVES["max_pool"].samples[index]
    window, strides, padding = (sample.params[key] for key in ("window", "strides", "padding"))
    rng = np.random.default_rng(index)
    x = rng.integers(-2, 3, sample.shapes[0]).astype(np.float64)  # with ties
    t = rng.normal(size=x.shape)
    largest, total, picked = (
        run(n, *a, **sample.params)
        for n, a in (("max_pool", (x,)), ("sum_pool", (x,)), ("max_pool_gather", (x, t)))
    )
    for at in np.ndindex(largest.shape):
        places = [
            tuple(
                a * s + k - low for a, s, k, (low, _) in zip(at[1:-1], strides, offset, padding, strict=True)
            )
            for offset in itertools.product(*map(range, window))
        ]
        inside = [
            (at[0], *q, at[-1])
            for q in places
            if all(0 <= i < n for i, n in zip(q, x.shape[1:-1], strict=True))
        ]
        best = max(inside, key=lambda q: x[q])  # the first of equals
        assert largest[at] == x[best]
        assert picked[at] == t[best]
        assert total[at] == sum(x[q] for q in inside)


def test_max_pool_of_padding_nan_and_minus_infinity() -> None:
    window = {"window": (2,), "strides": (2,), "padding": ((2, 1),)}
    x = np.array([-np.inf, 1.0, np.nan]).reshape(1, 3, 1)
    t = np.array([10.0, 20.0, 30.0]).reshape(1, 3, 1)
    np.testing.assert_array_equal(run("max_pool", x, **window).ravel(), [-np.inf, 1.0, np.nan])
    np.testing.assert_array_equal(run("max_pool_gather", x, t, **window).ravel(), [0.0, 20.0, 30.0])
    low = {"window": (2,), "strides": (1,), "padding": ((1, 0),)}
    lonely = np.full((1, 1, 1), -np.inf)
    assert (
        run("max_pool_gather", lonely, np.ones((1, 1, 1)), **low).item() == 1.0
    )  # data, not padding, is chosen


# ---------------------------------------------------------------- indexing


def test_gather_clamps() -> None:
    x = np.arange(5.0)
    out = run("gather", x, np.array([[-3], [0], [4], [99]]), batch_dims=0)
    np.testing.assert_array_equal(out, [0, 0, 4, 4])
    far = np.array([[2**64 - 1]], np.uint64)
    np.testing.assert_array_equal(run("gather", x, far, batch_dims=0), [4])


def test_scatter_modes_with_repeated_indices() -> None:
    x, at = np.ones(4), np.array([[1], [1], [3], [9]])
    updates = np.array([5.0, -2.0, 3.0, 0.5])
    expected = {
        "add": [1, 4, 1, 4.5],
        "set": [1, -2, 1, 0.5],
        "mul": [1, -10, 1, 1.5],
        "max": [1, 5, 1, 3],
        "min": [1, -2, 1, 0.5],
    }
    for mode, out in expected.items():
        np.testing.assert_array_equal(run("scatter", x, at, updates, mode=mode, batch_dims=0), out)


def test_scatter_mul_derivative_at_zeros() -> None:
    x, updates = leaf_array(np.array([2.0, 3.0, 4.0])), leaf_array(np.array([0.0, 5.0, 0.0, 0.0, 7.0]))
    at = leaf_array(np.array([[0], [0], [1], [1], [2]]))
    out = p.scatter(x, at, updates, "mul")
    dx, du = gradients([out], [p.ones_like(out)], [x, updates])
    assert dx is not None
    assert du is not None
    np.testing.assert_array_equal(value(dx), [0, 0, 7])
    np.testing.assert_array_equal(value(du), [10, 0, 0, 0, 4])


# ---------------------------------------------------------------- ties and zeros of derivatives


def gradient_lists(node: Node, *wrt: Node) -> list[list[float]]:
    result = gradients([node], [p.ones_like(node)], wrt)
    return [value(g).ravel().tolist() if g is not None else [] for g in result]


def test_choices_of_the_field_at_kinks() -> None:
    x, y = leaf_array(np.array([1.0, 2.0, 0.0])), leaf_array(np.array([1.0, 1.0, 5.0]))
    assert gradient_lists(p.maximum(x, y), x, y) == [[0.5, 1, 0], [0.5, 0, 1]]
    assert gradient_lists(p.minimum(x, y), x, y) == [[0.5, 0, 1], [0.5, 1, 0]]
    assert gradient_lists(p.absolute(leaf := leaf_array(np.array([0.0, -2.0]))), leaf) == [[0, -1]]
    ties = leaf_array(np.array([3.0, 1.0, 3.0]))
    assert gradient_lists(p.reduce_max(ties, (0,)), ties) == [[0.5, 0, 0.5]]
    assert gradient_lists(p.cummax(ties, 0), ties) == [[2, 0, 1]]
    zero = leaf_array(np.array([0.0, 0.0, 0.0, -2.0]))
    power = leaf_array(np.array([0.0, 1.0, 2.0, 3.0]))
    assert gradient_lists(p.power(zero, power), zero, power) == [[0, 1, 0, 12], [0, 0, 0, 0]]


def test_products_with_zeros_have_exact_derivatives() -> None:
    x = leaf_array(np.array([2.0, 0.0, 5.0]))
    assert gradient_lists(p.reduce_prod(x, (0,)), x) == [[0, 10, 0]]
    assert gradient_lists(p.cumprod(x, 0), x) == [[1, 2 + 10, 0]]
    both = leaf_array(np.array([0.0, 3.0, 0.0]))
    assert gradient_lists(p.reduce_prod(both, (0,)), both) == [[0, 0, 0]]


# ---------------------------------------------------------------- random bits

# Random123, file kat_vectors: threefry2x32, 20 rounds (counter, key, output).
KNOWN_ANSWERS = [
    ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
    ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
    ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
]


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN_ANSWERS)
def test_threefry_known_answers(counter: tuple, key: tuple, output: tuple) -> None:
    out = threefry2x32(np.array(key, np.uint32), np.array(counter, np.uint32))
    assert tuple(out.tolist()) == output


def test_random_bits_count_words_within_blocks() -> None:
    key = np.array([7, 9], np.uint32)
    bits = run("random_bits", key, shape=(3, 3)).ravel()
    for i, word in enumerate(bits):
        assert word == threefry2x32(key, np.array([0, i // 2], np.uint32))[i % 2]
    np.testing.assert_array_equal(run("random_bits", key, shape=(4,)), bits[:4])


# ---------------------------------------------------------------- linear algebra


def test_decompositions_put_the_matrix_together_again() -> None:
    rng = np.random.default_rng(0)
    for shape in ((4, 4), (5, 3), (3, 5), (2, 4, 4)):
        x = rng.normal(size=shape)
        q, r = run("qr", x)
        np.testing.assert_allclose(q @ r, x, atol=1e-12)
        u, s, vh = run("svd", x)
        np.testing.assert_allclose(u * s[..., None, :] @ vh, x, atol=1e-12)
        packed, pivots, order = run("lu", x)
        rank = min(shape[-2:])
        lower = np.tril(packed, -1)[..., :rank] + np.eye(shape[-2], rank)
        np.testing.assert_allclose(
            lower @ np.triu(packed)[..., :rank, :], np.take_along_axis(x, order[..., None], -2), atol=1e-12
        )
        assert pivots.shape[-1] == rank


def test_lu_pivots_are_the_swaps() -> None:
    x = np.random.default_rng(1).normal(size=(6, 6))
    _, pivots, order = run("lu", x)
    rows = list(range(6))
    for k, other in enumerate(pivots):
        rows[k], rows[other] = rows[other], rows[k]
    assert rows == order.tolist()


def test_cholesky_of_an_indefinite_matrix_is_nan() -> None:
    out = run("cholesky", np.stack([np.eye(2), -np.eye(2)]))
    np.testing.assert_array_equal(out[0], np.eye(2))
    assert np.isnan(out[1]).all()
