"""Neural-network operations against small oracles in NumPy."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import hornbeam
from hornbeam import activations, ops
from hornbeam.ir.types import ShapeError
from hornbeam.ops.attention import masked_attention

RNG = np.random.default_rng(4)
EDGES = np.array([-8.0, -6.0, -3.0, -1.0, -0.5, -0.1, 0.0, 0.1, 0.5, 1.0, 3.0, 6.0, 8.0], np.float32)
D = EDGES.astype(np.float64)


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0, x)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


_phi = np.vectorize(lambda v: 0.5 * (1 + math.erf(v / math.sqrt(2))))

ACTIVATIONS = {
    "relu": np.maximum(D, 0),
    "relu6": np.clip(D, 0, 6),
    "leaky_relu": np.where(D > 0, D, 0.2 * D),
    "elu": np.where(D > 0, D, np.expm1(D)),
    "selu": 1.0507009873554805 * np.where(D > 0, D, 1.6732632423543772 * np.expm1(D)),
    "celu": np.where(D > 0, D, np.expm1(D)),
    "silu": D * _sigmoid(D),
    "swish": D * _sigmoid(D),
    "softplus": _softplus(D),
    "softsign": D / (1 + np.abs(D)),
    "sigmoid": _sigmoid(D),
    "log_sigmoid": -_softplus(-D),
    "hard_sigmoid": np.clip(D / 6 + 0.5, 0, 1),
    "hard_silu": D * np.clip(D / 6 + 0.5, 0, 1),
    "hard_swish": D * np.clip(D / 6 + 0.5, 0, 1),
    "hard_tanh": np.clip(D, -1, 1),
    "tanh": np.tanh(D),
    "tanh_shrink": D - np.tanh(D),
    "hard_shrink": np.where(np.abs(D) > 0.5, D, 0),
    "soft_shrink": np.sign(D) * np.maximum(np.abs(D) - 0.5, 0),
    "squareplus": (D + np.sqrt(D * D + 4)) / 2,
    "sparse_plus": np.where(D <= -1, 0, np.where(D < 1, (D + 1) ** 2 / 4, D)),
    "sparse_sigmoid": np.clip((D + 1) / 2, 0, 1),
    "gelu": D * _phi(D),
    "mish": D * np.tanh(_softplus(D)),
    "exponential": np.exp(D),
    "linear": D,
}


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str) -> None:
    fn = activations.get(name)
    np.testing.assert_allclose(fn(EDGES), ACTIVATIONS[name], rtol=3e-6, atol=1e-6)
    assert activations.get(activations.serialize(fn)) is fn
    if hasattr(ops, name) and name != "gelu":
        np.testing.assert_allclose(getattr(ops, name)(EDGES), ACTIVATIONS[name], rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradients_of_activations_are_finite_everywhere_and_right_between_the_kinks(name: str) -> None:
    fn = activations.get(name)
    wide = np.concatenate([EDGES, [-90.0, 80.0]]).astype(np.float32)
    gradients = np.asarray(hornbeam.grad(lambda v: ops.sum(fn(v)))(wide))
    if name != "exponential":
        assert np.isfinite(gradients).all()
    smooth = EDGES[~np.isin(EDGES, [-6, -3, -1, -0.5, 0, 0.5, 1, 3, 6])].astype(np.float64)
    step = 1e-5
    expected = (np.asarray(fn(smooth + step)) - np.asarray(fn(smooth - step))) / (2 * step)
    got = np.asarray(hornbeam.grad(lambda v: ops.sum(fn(v)))(smooth))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("name", "gradient"), [("relu", 0), ("relu6", 0), ("leaky_relu", 0.2), ("softplus", 0.5), ("elu", 1)]
)
def test_gradients_at_zero(name: str, gradient: float) -> None:
    assert float(hornbeam.grad(activations.get(name))(0.0)) == pytest.approx(gradient)


def test_relu_with_arguments() -> None:
    got = activations.relu(EDGES, negative_slope=0.1, max_value=4.0, threshold=0.5)
    expected = np.where(D >= 4, 4, np.where(D > 0.5, D, 0.1 * (D - 0.5)))
    np.testing.assert_allclose(got, expected, rtol=1e-6, atol=1e-7)
    limited = np.asarray(activations.relu([-1.0, 0.5, 9.0, np.nan], max_value=6.0))
    np.testing.assert_array_equal(limited, np.float32([0, 0.5, 6, np.nan]))


@pytest.mark.parametrize("axis", [-1, 0, 1, (0, 2)], ids=str)
def test_softmax(axis: object) -> None:
    x = RNG.normal(size=(2, 3, 4)).astype(np.float32) * 50
    shifted = np.exp(x.astype(np.float64) - x.max(axis=axis, keepdims=True))
    expected = shifted / shifted.sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(ops.softmax(x, axis), expected, rtol=1e-5, atol=1e-12)
    x = x / 50
    shifted = np.exp(x.astype(np.float64))
    np.testing.assert_allclose(
        ops.log_softmax(x, axis), np.log(shifted / shifted.sum(axis=axis, keepdims=True)), rtol=1e-5
    )


def test_sparsemax_is_the_nearest_point_of_the_simplex() -> None:
    z = RNG.normal(size=(5, 6)).astype(np.float32)
    got = np.asarray(ops.sparsemax(z))
    np.testing.assert_allclose(got.sum(axis=1), 1, rtol=1e-5)
    assert (got >= 0).all()
    for other in RNG.dirichlet(np.ones(6), 200):
        assert (((got - z) ** 2).sum(axis=1) <= ((other - z) ** 2).sum(axis=1) + 1e-5).all()


def test_glu() -> None:
    x = RNG.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_allclose(ops.glu(x), x[:, :2] * _sigmoid(x[:, 2:]), rtol=1e-5)
    with pytest.raises(ShapeError, match="even size"):
        ops.glu(x, axis=0)


# -- convolutions and pooling --------------------------------------------------------------------------------


def naive_windows(
    x: np.ndarray, window: tuple, strides: tuple, dilation: tuple, padding: str, fill: float
) -> np.ndarray:
    """(n, *counts, *window, c) by loops."""
    sizes = x.shape[1:-1]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, window, strict=True)]
    if padding == "same":
        counts = [-(-n // s) for n, s in zip(sizes, strides, strict=True)]
        totals = [
            max((c - 1) * s + r - n, 0) for c, s, r, n in zip(counts, strides, reach, sizes, strict=True)
        ]
    else:
        counts = [(n - r) // s + 1 for n, r, s in zip(sizes, reach, strides, strict=True)]
        totals = [0] * len(sizes)
    pads = [(t // 2, t - t // 2) for t in totals]
    padded = np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=fill)
    out = np.empty((x.shape[0], *counts, *window, x.shape[-1]))
    for result in itertools.product(*map(range, counts)):
        index = tuple(
            slice(i * s, i * s + r, d) for i, s, r, d in zip(result, strides, reach, dilation, strict=True)
        )
        out[(slice(None), *result)] = padded[(slice(None), *index)]
    return out


CONVOLUTIONS = [
    (1, 3, 1, 1, "valid"),
    (1, 3, 2, 1, "same"),
    (1, 2, 1, 3, "valid"),
    (2, 3, 1, 1, "same"),
    (2, 2, 2, 1, "valid"),
    (2, 3, 2, 1, "same"),
    (2, 2, 1, 2, "same"),
    (3, 2, 1, 1, "valid"),
    (3, 3, 2, 1, "same"),
]


@pytest.mark.parametrize(("rank", "kernel", "stride", "dilation", "padding"), CONVOLUTIONS)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_conv(
    rank: int, kernel: int, stride: int, dilation: int, padding: str, groups: int, data_format: str
) -> None:
    x = RNG.normal(size=(2, *(7, 6, 5)[:rank], 4)).astype(np.float32)
    w = RNG.normal(size=(*(kernel,) * rank, 4 // groups, 6)).astype(np.float32)
    windows = naive_windows(x, (kernel,) * rank, (stride,) * rank, (dilation,) * rank, padding, 0)
    parts = []
    for g in range(groups):
        part = windows[..., g * (4 // groups) : (g + 1) * (4 // groups)]
        filters = w[..., g * (6 // groups) : (g + 1) * (6 // groups)]
        parts.append(np.tensordot(part, filters, rank + 1))
    expected = np.concatenate(parts, axis=-1)
    first = data_format == "channels_first"
    inputs = np.moveaxis(x, -1, 1) if first else x
    got = np.asarray(ops.conv(inputs, w, stride, padding, data_format, dilation))
    np.testing.assert_allclose(np.moveaxis(got, 1, -1) if first else got, expected, rtol=1e-4, atol=1e-4)


def test_depthwise_and_separable_conv() -> None:
    x = RNG.normal(size=(2, 6, 5, 3)).astype(np.float32)
    depth = RNG.normal(size=(3, 2, 3, 2)).astype(np.float32)
    point = RNG.normal(size=(1, 1, 6, 4)).astype(np.float32)
    windows = naive_windows(x, (3, 2), (1, 1), (1, 1), "same", 0)
    expected = np.einsum("nhwijc,ijcm->nhwcm", windows, depth).reshape(2, 6, 5, 6)
    np.testing.assert_allclose(ops.depthwise_conv(x, depth, 1, "same"), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        ops.separable_conv(x, depth, point, 1, "same"), expected @ point[0, 0], rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (2, 2), (3, 2), (2, 3)])
def test_conv_transpose_is_the_transpose_of_conv(kernel: int, stride: int, padding: str) -> None:
    x = RNG.normal(size=(1, 4, 5, 3)).astype(np.float32)
    w = RNG.normal(size=(kernel, kernel, 2, 3)).astype(np.float32)
    array = np.asarray(ops.conv_transpose(x, w, stride, padding))
    other = RNG.normal(size=array.shape).astype(np.float32)
    forward = np.asarray(ops.conv(other, w, stride, padding))
    assert forward.shape == x.shape
    assert np.sum(forward * x) == pytest.approx(np.sum(other * array), rel=1e-4)


def test_conv_transpose_output_padding() -> None:
    x, w = np.ones((1, 4, 3), np.float32), np.ones((3, 2, 3), np.float32)
    assert ops.conv_transpose(x, w, 2, "valid", output_padding=1).shape == (1, 10, 2)
    assert ops.conv_transpose(x, w, 2, "same", output_padding=0).shape == (1, 7, 2)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("rank", "window", "stride"), [(1, 3, 2), (2, 2, None), (2, 3, 1), (3, 2, 2)])
def test_pooling(rank: int, window: int, stride: int | None, padding: str) -> None:
    x = RNG.normal(size=(2, *(7, 6, 5)[:rank], 3)).astype(np.float32)
    steps = (stride or window,) * rank
    axes = tuple(range(rank + 1, 2 * rank + 1))
    highest = naive_windows(x, (window,) * rank, steps, (1,) * rank, padding, -np.inf).max(axis=axes)
    np.testing.assert_array_equal(ops.max_pool(x, window, stride, padding), highest.astype(np.float32))
    mean = np.nanmean(naive_windows(x, (window,) * rank, steps, (1,) * rank, padding, np.nan), axis=axes)
    np.testing.assert_allclose(ops.average_pool(x, window, stride, padding), mean, rtol=1e-5, atol=1e-6)
    first = np.moveaxis(x, -1, 1)
    np.testing.assert_allclose(
        ops.average_pool(first, window, stride, padding, "channels_first"),
        np.moveaxis(mean, -1, 1),
        rtol=1e-5,
        atol=1e-6,
    )


def test_adaptive_pooling() -> None:
    x = RNG.normal(size=(2, 7, 6, 3)).astype(np.float32)
    got = np.asarray(ops.adaptive_average_pool(x, (3, 2)))
    np.testing.assert_allclose(got[:, 0, 0], x[:, 0:3, 0:3].mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got[:, 2, 1], x[:, 4:7, 3:6].mean(axis=(1, 2)), rtol=1e-5, atol=1e-6)
    highest = np.asarray(ops.adaptive_max_pool(x, (3, 2)))
    np.testing.assert_array_equal(highest[:, 1, 0], x[:, 2:5, 0:3].max(axis=(1, 2)))


def test_convolution_errors_show_the_shapes() -> None:
    x = np.ones((1, 4, 4, 3), np.float32)
    with pytest.raises(ShapeError, match="does not fit into spatial axes of"):
        ops.conv(x, np.ones((5, 5, 3, 2), np.float32))
    with pytest.raises(ShapeError, match="3 input channels do not fit"):
        ops.conv(x, np.ones((2, 2, 2, 2), np.float32))
    with pytest.raises(ValueError, match='padding must be "valid" or "same"'):
        ops.conv(x, np.ones((2, 2, 3, 2), np.float32), padding="full")
    with pytest.raises(ValueError, match="strides must be a positive int"):
        ops.conv(x, np.ones((2, 2, 3, 2), np.float32), strides=0)
    with pytest.raises(ShapeError, match="max_pool needs"):
        ops.max_pool(np.ones((2, 2), np.float32), 2)


# -- cross-entropies -----------------------------------------------------------------------------------------

LOGITS = RNG.normal(size=(4, 5)).astype(np.float32) * 3
LABELS = np.array([0, 3, 4, 1])
ONE_HOT = np.eye(5, dtype=np.float32)[LABELS]
LOG_PROBABILITIES = LOGITS.astype(np.float64) - np.log(
    np.exp(LOGITS.astype(np.float64)).sum(axis=1, keepdims=True)
)
PROBABILITIES = np.exp(LOG_PROBABILITIES).astype(np.float32)
NLL = -LOG_PROBABILITIES[np.arange(4), LABELS]


def test_categorical_crossentropies() -> None:
    for got in (
        ops.categorical_crossentropy(ONE_HOT, LOGITS, from_logits=True),
        ops.categorical_crossentropy(ONE_HOT, PROBABILITIES),
        ops.categorical_crossentropy(ONE_HOT, 2 * PROBABILITIES),
        ops.categorical_crossentropy(ONE_HOT.T, LOGITS.T, from_logits=True, axis=0),
        ops.sparse_categorical_crossentropy(LABELS, LOGITS, from_logits=True),
        ops.sparse_categorical_crossentropy(LABELS[:, None], LOGITS, from_logits=True),
        ops.sparse_categorical_crossentropy(LABELS, PROBABILITIES),
        ops.sparse_categorical_crossentropy(LABELS.astype(np.float32), LOGITS.T, from_logits=True, axis=0),
    ):
        np.testing.assert_allclose(got, NLL, rtol=1e-4)


def test_binary_crossentropy() -> None:
    x = np.array([-30.0, -1.0, 0.0, 2.0, 40.0], np.float32)
    t = np.array([1.0, 0.0, 1.0, 0.3, 0.0], np.float32)
    expected = np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x.astype(np.float64))))
    np.testing.assert_allclose(ops.binary_crossentropy(t, x, from_logits=True), expected, rtol=1e-6)
    gradients = hornbeam.grad(lambda v: ops.sum(ops.binary_crossentropy(t, v, from_logits=True)))(x)
    np.testing.assert_allclose(gradients, _sigmoid(x.astype(np.float64)) - t, rtol=1e-5, atol=1e-6)
    clipped = float(ops.binary_crossentropy(1.0, 0.0))
    assert clipped == pytest.approx(-math.log(1e-7), rel=1e-3)


def test_crossentropy_of_what_came_out_of_a_softmax_uses_its_argument() -> None:
    hard = np.array([[100.0, 0.0], [0.0, 100.0]], np.float32)
    target = np.array([1, 1])
    exact = ops.sparse_categorical_crossentropy(target, ops.softmax(hard))
    np.testing.assert_allclose(exact, [100.0, 0.0], atol=1e-5)
    np.testing.assert_allclose(
        ops.categorical_crossentropy(np.eye(2, dtype=np.float32)[target], ops.softmax(hard)),
        [100, 0],
        atol=1e-5,
    )
    np.testing.assert_allclose(ops.binary_crossentropy(1.0, ops.sigmoid(-50.0)), 50.0)
    half = ops.cast(ops.softmax(ops.cast(hard, "float16")), "float32")
    np.testing.assert_allclose(ops.sparse_categorical_crossentropy(target, half), [100.0, 0.0], atol=1e-5)
    rounded = ops.sparse_categorical_crossentropy(target, np.asarray(ops.softmax(hard)))
    np.testing.assert_allclose(rounded, [-math.log(1e-7), 0.0], rtol=1e-3, atol=1e-5)


def test_crossentropy_shapes() -> None:
    with pytest.raises(ShapeError, match="One-hot targets go with categorical_crossentropy"):
        ops.sparse_categorical_crossentropy(ONE_HOT, LOGITS)
    with pytest.raises(ShapeError, match="both must have the same shape"):
        ops.categorical_crossentropy(ONE_HOT[:2], LOGITS)
    with pytest.raises(ShapeError, match="both must have the same shape"):
        ops.binary_crossentropy(ONE_HOT[:, :1], LOGITS)


def test_labels_as_vectors() -> None:
    np.testing.assert_array_equal(ops.one_hot(LABELS, 5), ONE_HOT)
    np.testing.assert_array_equal(ops.one_hot(LABELS, 5, axis=0, dtype="int8"), ONE_HOT.T)
    np.testing.assert_array_equal(ops.one_hot([-1, 7], 3), np.zeros((2, 3)))
    np.testing.assert_array_equal(ops.one_hot(np.array([200], np.uint8), 300)[0, 200], 1)
    np.testing.assert_array_equal(ops.multi_hot([[0, 2], [1, 1]], 4), [[1, 0, 1, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(ops.one_hot(LABELS.astype("float32"), 5), ONE_HOT)
    np.testing.assert_array_equal(ops.one_hot([0.5, 1.0], 2), [[0, 0], [0, 1]])


# -- normalisation and attention -----------------------------------------------------------------------------


def test_normalisations() -> None:
    x = RNG.normal(size=(4, 3, 6)).astype(np.float32) * 3 + 1
    scale, offset = RNG.normal(size=(2, 6)).astype(np.float32)
    mean, variance = ops.moments(x, (0, 1))
    np.testing.assert_allclose(mean, x.mean(axis=(0, 1)), rtol=1e-5)
    np.testing.assert_allclose(variance, x.var(axis=(0, 1)), rtol=1e-5)
    got = ops.batch_normalization(x, mean, variance, -1, offset, scale, 1e-3)
    expected = (x - x.mean(axis=(0, 1))) / np.sqrt(x.var(axis=(0, 1)) + 1e-3) * scale + offset
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-3) * scale + offset
    np.testing.assert_allclose(
        ops.layer_normalization(x, scale, offset, epsilon=1e-3), expected, rtol=1e-4, atol=1e-4
    )
    expected = (x - x.mean((0, 2), keepdims=True)) / np.sqrt(x.var((0, 2), keepdims=True) + 1e-7)
    np.testing.assert_allclose(ops.layer_normalization(x, axis=(0, 2)), expected, rtol=1e-4, atol=1e-4)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-7) * scale
    np.testing.assert_allclose(ops.rms_normalization(x, scale), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ops.normalize(x), x / np.linalg.norm(x, axis=-1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(
        ops.normalize(x, 1, 3), x / (np.abs(x) ** 3).sum(1, keepdims=True) ** (1 / 3), rtol=1e-4
    )


def attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, extra: object = 0.0) -> np.ndarray:
    scores = np.einsum("bthd,bshd->bhts", q, k) / math.sqrt(q.shape[-1]) + extra
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("bhts,bshd->bthd", weights / weights.sum(-1, keepdims=True), v)


def test_a_query_that_sees_nothing_has_no_gradient() -> None:
    q, k, v = (RNG.normal(size=(1, 4, 2, 3)).astype("float32") for _ in range(3))
    mask = np.zeros((1, 1, 4, 4), bool)
    mask[..., :2, :2] = True

    def loss(q: object, k: object, v: object) -> object:
        return ops.sum(ops.square(ops.dot_product_attention(q, k, v, mask=mask)))

    by_q, by_k, by_v = (np.asarray(g) for g in hornbeam.grad(loss, argnums=(0, 1, 2))(q, k, v))
    assert not by_q[:, 2:].any()
    assert not by_k[:, 2:].any()
    assert by_q[:, :2].all()
    assert by_v.all()
    np.testing.assert_allclose(ops.dot_product_attention(q, k, v, mask=mask)[:, 2], v.mean(1), rtol=1e-5)


def test_attention() -> None:
    q, k, v = (RNG.normal(size=(2, n, 4, 8)).astype(np.float32) for n in (3, 5, 5))
    np.testing.assert_allclose(ops.dot_product_attention(q, k, v), attention(q, k, v), rtol=1e-4, atol=1e-5)
    bias = RNG.normal(size=(4, 3, 5)).astype(np.float32)
    np.testing.assert_allclose(
        ops.dot_product_attention(q, k, v, bias=bias), attention(q, k, v, bias), rtol=1e-4, atol=1e-5
    )
    mask = RNG.random((2, 1, 3, 5)) < 0.6
    mask[..., 0] = True
    expected = attention(q, k, v, np.where(mask, 0, -np.inf))
    np.testing.assert_allclose(ops.dot_product_attention(q, k, v, mask=mask), expected, rtol=1e-4, atol=1e-5)
    causal = np.where(np.tril(np.ones((3, 3), bool)), 0, -np.inf)
    expected = attention(q, k[:, :3], v[:, :3], causal)
    np.testing.assert_allclose(
        ops.dot_product_attention(q, k[:, :3], v[:, :3], is_causal=True), expected, rtol=1e-4, atol=1e-5
    )
    shared = ops.dot_product_attention(q, k[:, :, :2], v[:, :, :2])
    np.testing.assert_allclose(
        shared, attention(q, k[:, :, [0, 0, 1, 1]], v[:, :, [0, 0, 1, 1]]), rtol=1e-4, atol=1e-5
    )
    capped = np.asarray(ops.dot_product_attention(q, k, v, attn_logits_soft_cap=1e4))
    np.testing.assert_allclose(capped, attention(q, k, v), rtol=1e-3, atol=1e-4)
    with pytest.raises(ShapeError, match="four axes"):
        ops.dot_product_attention(q[0], k[0], v[0])


def test_attention_without_dropout_ignores_the_seed() -> None:
    q = np.random.default_rng(0).normal(size=(1, 3, 2, 4)).astype("float32")
    heads, key = ops.array(q), ops.array(np.array([1, 2], "uint32"))
    got = masked_attention(heads, heads, heads, None, scale=0.5, is_causal=True, rate=0.0, seed=key)
    np.testing.assert_array_equal(got, ops.dot_product_attention(q, q, q, scale=0.5, is_causal=True))
