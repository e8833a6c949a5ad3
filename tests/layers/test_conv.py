"""Convolutions and pooling against loops in NumPy, and both data formats against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers


def convolve(x: np.ndarray, w: np.ndarray, stride: int, dilation: int) -> np.ndarray:
    """A valid convolution over images, one output position at a time."""
    kh, kw, _, filters = w.shape
    height = (x.shape[1] - dilation * (kh - 1) - 1) // stride + 1
    width = (x.shape[2] - dilation * (kw - 1) - 1) // stride + 1
    y = np.zeros((len(x), height, width, filters))
    for i in range(height):
        for j in range(width):
            rows = slice(i * stride, i * stride + dilation * (kh - 1) + 1, dilation)
            columns = slice(j * stride, j * stride + dilation * (kw - 1) + 1, dilation)
            y[:, i, j] = np.einsum("nabc,abcf->nf", x[:, rows, columns], w)
    return y


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_conv2d_is_the_loop(rng: np.random.Generator, stride: int, dilation: int) -> None:
    layer = layers.Conv2D(4, (3, 2), strides=stride, dilation_rate=dilation, bias_initializer="ones")
    x = rng.normal(size=(2, 7, 8, 3))
    y = layer(x)
    np.testing.assert_allclose(y, convolve(x, np.asarray(layer.kernel), stride, dilation) + 1, atol=1e-5)


def test_causal_outputs_see_nothing_later(rng: np.random.Generator) -> None:
    layer = layers.Conv1D(2, 3, padding="causal", dilation_rate=2)
    x = rng.normal(size=(1, 9, 3))
    changed = x.copy()
    changed[:, 5:] += 1
    np.testing.assert_array_equal(np.asarray(layer(x))[:, :5], np.asarray(layer(changed))[:, :5])
    assert np.abs(np.asarray(layer(x))[:, 5:] - np.asarray(layer(changed))[:, 5:]).min() > 0


def test_subclasses_convolve_by_another_kernel(rng: np.random.Generator) -> None:
    class Doubled(layers.Conv1D):
        def convolution_op(self, inputs: Any, kernel: Any) -> Any:
            return super().convolution_op(inputs, 2 * kernel)

    x = rng.normal(size=(2, 7, 3)).astype("float32")
    layer = Doubled(4, 3, padding="causal", activation="relu", bias_initializer="ones")
    array = np.asarray(layer(x))
    plain = layers.Conv1D(4, 3, padding="causal")
    plain.build(x.shape)
    plain.set_weights([2 * np.asarray(layer.kernel), layer.bias])
    np.testing.assert_allclose(array, np.maximum(np.asarray(plain(x)), 0), atol=1e-5)


def test_separable_is_depthwise_then_pointwise(rng: np.random.Generator) -> None:
    layer = layers.SeparableConv2D(4, 3, depth_multiplier=2, padding="same")
    x = rng.normal(size=(2, 5, 6, 3)).astype("float32")
    y = layer(x)
    depthwise = layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same", use_bias=False)
    depthwise.build(x.shape)
    depthwise.set_weights([layer.depthwise_kernel])
    mixed = np.einsum("nhwc,cf->nhwf", np.asarray(depthwise(x)), np.asarray(layer.pointwise_kernel)[0, 0])
    np.testing.assert_allclose(y, mixed, atol=1e-5)


def test_transposed_convolution_is_the_derivative_of_convolution(rng: np.random.Generator) -> None:
    back = layers.Conv2DTranspose(3, 3, strides=2, use_bias=False)
    dy = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    up = back(dy)
    forward = layers.Conv2D(5, 3, strides=2, use_bias=False)
    forward.build(up.shape)
    forward.set_weights([back.kernel])
    x = hornbeam.Variable(np.zeros(up.shape, "float32"))
    (gradient,) = hornbeam.gradients(hornbeam.ops.sum(forward(x) * dy), [x])
    np.testing.assert_allclose(up, np.asarray(gradient), atol=1e-5)


FORMATS: list[tuple[Any, tuple[int, ...]]] = [
    (lambda **k: layers.Conv1D(4, 3, padding="causal", **k), (2, 8, 3)),
    (
        lambda **k: layers.Conv2D(4, 3, activation="tanh", **k),
        (2, 8, 7, 3),
    ),
    (lambda **k: layers.Conv2D(4, 3, strides=2, padding="same", groups=2, **k), (2, 8, 7, 6)),
    (lambda **k: layers.Conv3D(2, 2, **k), (1, 4, 5, 6, 3)),
    (lambda **k: layers.Conv1DTranspose(4, 3, strides=2, **k), (2, 5, 3)),
    (lambda **k: layers.Conv2DTranspose(4, 3, strides=2, padding="same", **k), (2, 5, 4, 3)),
    (lambda **k: layers.Conv3DTranspose(2, 2, strides=2, **k), (1, 2, 3, 2, 3)),
    (lambda **k: layers.DepthwiseConv1D(3, depth_multiplier=2, **k), (2, 8, 3)),
    (lambda **k: layers.DepthwiseConv2D(3, **k), (2, 8, 7, 3)),
    (lambda **k: layers.SeparableConv1D(4, 3, padding="causal", **k), (2, 8, 3)),
    (lambda **k: layers.SeparableConv2D(4, 3, **k), (2, 8, 7, 3)),
    (lambda **k: layers.MaxPooling1D(2, **k), (2, 8, 3)),
    (lambda **k: layers.MaxPooling2D(3, 2, "same", **k), (2, 8, 7, 3)),
    (lambda **k: layers.MaxPooling3D(2, **k), (1, 4, 5, 6, 3)),
    (lambda **k: layers.AveragePooling1D(2, **k), (2, 8, 3)),
    (lambda **k: layers.AveragePooling2D(3, 2, "same", **k), (2, 8, 7, 3)),
    (lambda **k: layers.AveragePooling3D(2, **k), (1, 4, 5, 6, 3)),
    (lambda **k: layers.GlobalMaxPooling2D(keepdims=True, **k), (2, 8, 7, 3)),
    (lambda **k: layers.GlobalAveragePooling2D(keepdims=True, **k), (2, 8, 7, 3)),
    (lambda **k: layers.AdaptiveAveragePooling2D((3, 2), **k), (2, 8, 7, 3)),
    (lambda **k: layers.AdaptiveMaxPooling2D((3, 2), **k), (2, 8, 7, 3)),
    (lambda **k: layers.ZeroPadding1D((1, 2), **k), (2, 8, 3)),
    (lambda **k: layers.ZeroPadding2D(((1, 2), (0, 3)), **k), (2, 8, 7, 3)),
    (lambda **k: layers.ZeroPadding3D(((1, 2), (0, 3), (1, 1)), **k), (1, 2, 3, 4, 3)),
    (lambda **k: layers.Cropping2D(((1, 2), (0, 3)), **k), (2, 8, 7, 3)),
    (lambda **k: layers.Cropping3D(((1, 0), (0, 2), (1, 1)), **k), (1, 3, 4, 5, 3)),
    (lambda **k: layers.UpSampling2D((2, 3), **k), (2, 3, 4, 3)),
    (lambda **k: layers.UpSampling2D(2, interpolation="bilinear", **k), (2, 3, 4, 3)),
    (lambda **k: layers.UpSampling3D(2, **k), (1, 2, 3, 4, 3)),
    (lambda **k: layers.CenterCrop(2, 3, **k), (2, 5, 5, 3)),
    (lambda **k: layers.Resizing(3, 7, **k), (2, 5, 5, 3)),
]


@pytest.mark.parametrize(("make", "shape"), FORMATS, ids=lambda x: str(x) if isinstance(x, tuple) else "")
def test_channels_first_is_channels_last_moved(
    rng: np.random.Generator, make: Any, shape: tuple[int, ...]
) -> None:
    x = rng.normal(size=shape).astype("float32")
    last, first = make(data_format="channels_last"), make(data_format="channels_first")
    y = last(x)
    moved = np.moveaxis(x, -1, 1)
    first(moved)
    first.set_weights(last.get_weights())
    np.testing.assert_allclose(np.moveaxis(np.asarray(first(moved)), 1, -1), np.asarray(y), atol=1e-5)


def test_pooling_is_the_loop(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 6, 7, 3))
    windows = np.stack([x[:, i : i + 4 : 2, j : j + 5 : 2] for i in range(3) for j in range(3)])
    np.testing.assert_allclose(layers.MaxPooling2D(3, 2)(x), windows.max(0)[:, :2, :3], rtol=1e-6)
    np.testing.assert_allclose(layers.AveragePooling2D(3, 2)(x), windows.mean(0)[:, :2, :3], atol=1e-6)


def test_average_pooling_does_not_count_padding() -> None:
    y = layers.AveragePooling1D(3, strides=1, padding="same")(np.array([[[1.0], [2.0], [6.0]]]))
    np.testing.assert_allclose(np.asarray(y).ravel(), [1.5, 3.0, 4.0])


def test_global_average_leaves_masked_steps_out() -> None:
    x = np.array([[[1.0], [3.0], [100.0]], [[5.0], [7.0], [9.0]]])
    mask = np.array([[True, True, False], [False, False, False]])
    np.testing.assert_allclose(layers.GlobalAveragePooling1D()(x, mask=mask), [[2.0], [0.0]])


def test_flatten_gives_the_same_order_for_both_formats(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    last = layers.Flatten()(x)
    first = layers.Flatten(data_format="channels_first")(np.moveaxis(x, -1, 1))
    np.testing.assert_array_equal(np.asarray(last), np.asarray(first))
    np.testing.assert_array_equal(np.asarray(last), x.reshape(2, -1))


def test_cropping_undoes_padding(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 3, 4, 5)).astype("float32")
    sides = ((1, 2), (3, 0))
    np.testing.assert_array_equal(np.asarray(layers.Cropping2D(sides)(layers.ZeroPadding2D(sides)(x))), x)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("options", [{}, {"strides": (2, 1)}, {"dilation_rate": (2, 1)}, {"groups": 2}])
def test_columns_are_convolved_as_rows_are(padding: str, options: dict[str, Any]) -> None:
    """An image of one column has the kernels of a row: same values, same gradients."""
    x = np.random.default_rng(0).normal(size=(2, 40, 1, 8)).astype("float32")
    swapped = {key: value[::-1] if isinstance(value, tuple) else value for key, value in options.items()}
    results = []
    for size, data, settings in (((5, 1), x, options), ((1, 5), x.swapaxes(1, 2), swapped)):
        hornbeam.utils.set_random_seed(0)
        layer = layers.Conv2D(12, size, padding=padding, bias_initializer="ones", **settings)
        tensor = hornbeam.Variable(data)
        y = layer(tensor)
        gradients = hornbeam.gradients(hornbeam.ops.sum(y * y), [tensor, layer.kernel, layer.bias])
        axes = (1, 2) if size == (1, 5) else (1, 1)
        results.append([np.asarray(part) for part in (y.numpy().swapaxes(*axes), *gradients)])
    (y, to_x, to_kernel, to_bias), (other, to_row, to_row_kernel, to_row_bias) = results
    np.testing.assert_allclose(y, other, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(to_x, to_row.swapaxes(1, 2), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(to_kernel, to_row_kernel.swapaxes(0, 1), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(to_bias, to_row_bias, rtol=1e-4)
