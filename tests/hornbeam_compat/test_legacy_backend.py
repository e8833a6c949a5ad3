"""Functions of `keras.backend` on windows, borders and rows, against the layers and NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers, ops
from hornbeam_compat.legacy_api import backend as K
from hornbeam_compat.legacy_api.backend_windows import REPLACEMENTS

rng = np.random.default_rng(0)
IMAGES = rng.normal(size=(2, 6, 8, 3)).astype("float32")
STEPS = rng.normal(size=(2, 7, 3)).astype("float32")
VOLUMES = rng.normal(size=(1, 4, 5, 6, 2)).astype("float32")


def weights_of(layer: layers.Layer, x: np.ndarray) -> list[np.ndarray]:
    layer(x)
    return layer.get_weights()


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("function", "kind", "x"),
    [
        ("conv1d", layers.Conv1D, STEPS),
        ("conv3d", layers.Conv3D, VOLUMES),
        ("depthwise_conv2d", layers.DepthwiseConv2D, IMAGES),
        ("separable_conv2d", layers.SeparableConv2D, IMAGES),
    ],
)
def test_convolutions(function: str, kind: Any, x: np.ndarray, padding: str) -> None:
    sizes = (2,) if function.startswith("depthwise") else (4, 2)
    layer = kind(*sizes, strides=2, padding=padding, use_bias=False)
    kernels = weights_of(layer, x)
    strides = (2,) * (x.ndim - 2) if x.ndim > 3 else 2
    result = getattr(K, function)(x, *kernels, strides=strides, padding=padding)
    np.testing.assert_allclose(np.array(result), np.array(layer(x)), rtol=1e-5, atol=1e-6)


def test_causal_convolution() -> None:
    layer = layers.Conv1D(4, 3, padding="causal", dilation_rate=2, use_bias=False)
    (kernel,) = weights_of(layer, STEPS)
    result = K.conv1d(STEPS, kernel, padding="causal", dilation_rate=2)
    np.testing.assert_allclose(np.array(result), np.array(layer(STEPS)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("padding", "shape"), [("valid", (2, 13, 17, 4)), ("same", (2, 12, 16, 4))])
def test_transposed_convolution(padding: str, shape: tuple[int, ...]) -> None:
    layer = layers.Conv2DTranspose(4, 3, strides=2, padding=padding, use_bias=False)
    (kernel,) = weights_of(layer, IMAGES)
    result = K.conv2d_transpose(IMAGES, kernel, shape, strides=(2, 2), padding=padding)
    assert tuple(result.shape) == shape
    np.testing.assert_allclose(np.array(result), np.array(layer(IMAGES)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mode", "two", "three"), [
    ("max", layers.MaxPooling2D, layers.MaxPooling3D),
    ("avg", layers.AveragePooling2D, layers.AveragePooling3D),
])  # fmt: skip
def test_pooling(mode: str, two: Any, three: Any) -> None:
    result = K.pool2d(IMAGES, (2, 2), pool_mode=mode)
    np.testing.assert_allclose(np.array(result), np.array(two(2, strides=1)(IMAGES)), rtol=1e-6)
    result = K.pool3d(VOLUMES, (2, 2, 2), (2, 2, 2), padding="same", pool_mode=mode)
    np.testing.assert_allclose(np.array(result), np.array(three(2, padding="same")(VOLUMES)), rtol=1e-6)
    with pytest.raises(ValueError, match="pool_mode"):
        K.pool2d(IMAGES, (2, 2), pool_mode="min")


def test_borders_and_sizes() -> None:
    pairs = ((1, 2), (0, 3))
    np.testing.assert_array_equal(
        np.array(K.spatial_2d_padding(IMAGES, pairs)), np.pad(IMAGES, [(0, 0), *pairs, (0, 0)])
    )
    np.testing.assert_array_equal(
        np.array(K.spatial_2d_padding(IMAGES, pairs, "channels_first")),
        np.pad(IMAGES, [(0, 0), (0, 0), *pairs]),
    )
    assert K.spatial_3d_padding(VOLUMES).shape == (1, 6, 7, 8, 2)
    assert K.temporal_padding(STEPS, (2, 0)).shape == (2, 9, 3)
    enlarged = np.array(K.resize_images(IMAGES, 2, 3, "channels_last"))
    np.testing.assert_array_equal(enlarged, IMAGES.repeat(2, axis=1).repeat(3, axis=2))


def test_statistics_and_variables() -> None:
    mean, variance = STEPS.mean((0, 1)), STEPS.var((0, 1))
    result = K.batch_normalization(STEPS, mean, variance, beta=np.ones(3), gamma=np.full(3, 2.0))
    expected = 2 * (STEPS - mean) / np.sqrt(variance + 1e-3) + 1
    np.testing.assert_allclose(np.array(result), expected, rtol=1e-4, atol=1e-5)
    moving = hornbeam.Variable(1.0)
    K.moving_average_update(moving, 3.0, 0.75)
    assert float(moving) == 1.5
    assert K.count_params(ops.ones((3, 4))) == 12
    predictions = np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]], "float32")
    assert np.array(K.in_top_k(predictions, np.array([1, 2]), 2)).tolist() == [True, False]
    assert K.random_normal_variable((2, 3), 5.0, 0.0).numpy().tolist() == [[5.0] * 3] * 2
    uniform = K.random_uniform_variable((100,), 2.0, 3.0, seed=1).numpy()
    assert 2 <= uniform.min() < uniform.max() < 3
    assert 20 < np.array(K.random_bernoulli((100,), 0.5, seed=2)).sum() < 80
    with K.name_scope("encoder"):
        assert hornbeam.Variable(1.0, name="scale").path == "encoder/scale"


def test_batches_are_normalized() -> None:
    gamma, beta = np.arange(1.0, 4), np.ones(3)
    result, mean, variance = K.normalize_batch_in_training(STEPS, gamma, beta, [0, 1])
    expected = (STEPS - STEPS.mean((0, 1))) / np.sqrt(STEPS.var((0, 1)) + 1e-3) * gamma + beta
    np.testing.assert_allclose(np.array(result), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(np.array(mean), STEPS.mean((0, 1)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.array(variance), STEPS.var((0, 1)), rtol=1e-4)
    assert not K.is_sparse(ops.ones(3))


def test_loops_over_steps() -> None:
    def step(x: Any, states: Any) -> Any:
        return states[0] + x * states[1], [states[0] + x * states[1]]

    two = [np.full((2, 3), 2.0, "float32")]
    last, outputs, (state,) = K.rnn(step, STEPS, [ops.zeros((2, 3))], constants=two)
    np.testing.assert_allclose(np.array(outputs), np.cumsum(2 * STEPS, 1), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.array(last), np.array(outputs)[:, -1])
    np.testing.assert_array_equal(np.array(state), np.array(last))
    mask = np.array([[1, 1, 1, 0, 0, 0, 0], [1] * 7], bool)
    last, outputs, _ = K.rnn(step, STEPS, [ops.zeros((2, 3))], mask=mask, constants=two)
    np.testing.assert_allclose(np.array(last)[0], 2 * STEPS[0, :3].sum(0), rtol=1e-4, atol=1e-5)
    zeros = K.rnn(step, STEPS, [ops.zeros((2, 3))], True, mask, two, zero_output_for_mask=True)[1]
    assert not np.array(zeros)[0, :4].any()


def test_loops_over_rows() -> None:
    rows = np.array([[1.0], [2.0], [3.0]], "float32")
    assert np.array(K.map_fn(lambda row: row * 2, rows)).tolist() == [[2.0], [4.0], [6.0]]
    assert np.array(K.foldl(lambda a, b: a - b, rows)).tolist() == [-4.0]
    assert np.array(K.foldr(lambda a, b: a - b, rows)).tolist() == [0.0]
    assert np.array(K.foldl(lambda a, b: a - b, rows, initializer=10.0)).tolist() == [4.0]


def test_each_name_exists() -> None:
    assert all(callable(getattr(K, name)) for name in REPLACEMENTS)


def test_defaults_of_keras_2() -> None:
    x = np.array([[1.0, -2.0, 4.0], [3.0, 0.0, -1.0]], "float32")
    cases = [
        (K.argmax(x), [2, 0]),
        (K.argmin(x, axis=0), [0, 0, 1]),
        (K.cumsum(x), np.cumsum(x, 0)),
        (K.cumprod(x, 1), np.cumprod(x, 1)),
        (K.expand_dims(x), x[..., None]),
        (K.hard_sigmoid(x), np.clip(0.2 * x + 0.5, 0, 1)),
        (K.clip(x, min_value=0, max_value=2), np.clip(x, 0, 2)),
        (K.pow(x, a=2), x**2),
        (K.reshape(x, shape=(3, 2)), x.reshape(3, 2)),
    ]
    for result, expected in cases:
        np.testing.assert_allclose(np.array(result), expected, rtol=1e-6)
    assert K.constant([1, 2]).dtype == "float32"
