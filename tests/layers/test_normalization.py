"""Normalization layers against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam import layers, ops
from hornbeam.core.grad import grad
from hornbeam.core.jit import jit


def test_batch_normalization_uses_and_moves_its_statistics(rng: np.random.Generator) -> None:
    layer = layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    x = rng.normal(2, 3, size=(16, 5, 4))
    mean, variance = x.mean((0, 1)), x.var((0, 1))
    y = layer(x, training=True)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-3), atol=1e-4)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * variance, rtol=1e-4)
    held = np.asarray(layer(x))
    np.testing.assert_allclose(held, (x - 0.1 * mean) / np.sqrt(0.9 + 0.1 * variance + 1e-3), atol=1e-4)
    layer.trainable = False
    np.testing.assert_array_equal(np.asarray(layer(x, training=True)), held)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * mean, rtol=1e-4)


def test_batch_normalization_moves_its_statistics_in_compiled_code(rng: np.random.Generator) -> None:
    layer = layers.BatchNormalization(momentum=0.5)
    x = rng.normal(size=(8, 3)).astype("float32")
    layer.build(x.shape)
    step = jit(lambda batch: layer(batch, training=True))
    step(x)
    step(x)
    np.testing.assert_allclose(layer.moving_mean, 0.75 * x.mean(0), rtol=1e-5, atol=1e-6)


def test_batch_normalization_leaves_masked_steps_out(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 6, 3))
    mask = rng.random((4, 6)) > 0.4
    layer = layers.BatchNormalization(momentum=0.0)
    layer(x, training=True, mask=mask)
    np.testing.assert_allclose(layer.moving_mean, x[mask].mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, x[mask].var(0), rtol=1e-4)


def test_batch_normalization_far_from_zero(rng: np.random.Generator) -> None:
    # Mean 1000, deviation 1: one unit in the last place of an element is 6e-5.
    x = rng.normal(1e3, 1.0, size=(512, 3)).astype("float32")
    ct = rng.normal(size=x.shape).astype("float32")
    layer = layers.BatchNormalization(epsilon=0.0)
    layer.build(x.shape)

    def loss(batch: Any) -> Any:
        return ops.sum(layer(batch, training=True) * ct)

    wide, g = x.astype("float64"), ct.astype("float64")
    deviation = wide.std(0)
    normal = (wide - wide.mean(0)) / deviation
    np.testing.assert_allclose(jit(lambda batch: layer(batch, training=True))(x), normal, atol=2e-4)
    expected = (g - g.mean(0) - normal * (g * normal).mean(0)) / deviation
    np.testing.assert_allclose(jit(grad(loss))(x), expected, atol=2e-4)


def test_batch_normalization_by_another_axis(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 3, 5)).astype("float32")
    first = layers.BatchNormalization(axis=1)(x, training=True)
    last = layers.BatchNormalization()(np.moveaxis(x, 1, -1), training=True)
    np.testing.assert_allclose(np.moveaxis(np.asarray(first), 1, -1), last, atol=1e-6)


def test_renormalized_statistics_after_some_batches(rng: np.random.Generator) -> None:
    layer = layers.BatchNormalization(momentum=0.5, renorm=True, renorm_momentum=0.25, epsilon=1e-3)
    mean, deviation, seen = np.zeros(3), np.ones(3), np.ones(3)
    for batch in rng.normal(2, 3, size=(4, 16, 3)):
        y = layer(batch, training=True)
        ours = np.sqrt(batch.var(0) + 1e-3)
        # r and d undo the batch's own statistics: what counts is what moves.
        np.testing.assert_allclose(y, (batch - mean) / deviation, rtol=1e-3, atol=1e-4)
        mean = 0.25 * mean + 0.75 * batch.mean(0)
        deviation, seen = 0.25 * deviation + 0.75 * ours, 0.5 * seen + 0.5 * ours
    np.testing.assert_allclose(layer.renorm_mean, mean, rtol=1e-4)
    np.testing.assert_allclose(layer.renorm_stddev, deviation, rtol=1e-4)
    np.testing.assert_allclose(layer.moving_variance, seen**2 - 1e-3, rtol=1e-4)


def test_synchronized_statistics_of_one_process_are_its_own(rng: np.random.Generator) -> None:
    x = rng.normal(size=(8, 3)).astype("float32")
    one, other = layers.BatchNormalization(), layers.BatchNormalization(synchronized=True)
    np.testing.assert_array_equal(one(x, training=True), other(x, training=True))
    np.testing.assert_array_equal(one.moving_variance, other.moving_variance)
    assert other.get_config()["synchronized"] is True


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"max": 3}, "some of the keys rmin, rmax, dmax"),
        ({"dmax": -1}, "numbers of at least 0"),
        ({"rmin": 2, "rmax": 1}, "rmin of renorm_clipping must not exceed rmax"),
    ],
)
def test_limits_of_renormalization_are_checked(limits: dict[str, float], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        layers.BatchNormalization(renorm=True, renorm_clipping=limits)


@pytest.mark.parametrize("axis", [-1, 1, (1, 2), [-1, 1]])
def test_layer_normalization(rng: np.random.Generator, axis: Any) -> None:
    x = rng.normal(size=(4, 3, 5))
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    y = layers.LayerNormalization(axis=axis)(x)
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(variance + 1e-3), atol=1e-5)


def test_group_normalization_lies_between_layer_and_instance(rng: np.random.Generator) -> None:
    x = rng.normal(size=(2, 5, 4))
    groups = x.reshape(2, 5, 2, 2)
    mean, variance = groups.mean((1, 3), keepdims=True), groups.var((1, 3), keepdims=True)
    expected = ((groups - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape)
    np.testing.assert_allclose(layers.GroupNormalization(2)(x), expected, atol=1e-5)
    one_each = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-3)
    np.testing.assert_allclose(layers.GroupNormalization(-1)(x), one_each, atol=1e-5)


def test_unit_and_rms_normalization(rng: np.random.Generator) -> None:
    x = rng.normal(size=(4, 3))
    np.testing.assert_allclose(np.linalg.norm(layers.UnitNormalization()(x), axis=-1), np.ones(4), rtol=1e-5)
    expected = x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(layers.RMSNormalization()(x), expected, atol=1e-5)


def test_spectral_normalization_brings_the_largest_singular_value_to_one(rng: np.random.Generator) -> None:
    layer = layers.SpectralNormalization(layers.Dense(4, use_bias=False), power_iterations=30)
    layer.build((None, 6))
    layer.layer.set_weights([rng.normal(size=(6, 4))])
    layer(np.ones((1, 6)), training=True)
    largest = np.linalg.svd(np.asarray(layer.layer.kernel), compute_uv=False)[0]
    assert largest == pytest.approx(1, abs=1e-3)


def test_half_precision_takes_statistics_in_float32() -> None:
    x = np.full((1, 4), 300.0, "float16")
    x[0, 0] = 301
    y = layers.LayerNormalization(dtype="float16")(x)
    assert y.dtype == "float16"
    np.testing.assert_allclose(np.asarray(y, "float32").mean(), 0, atol=1e-3)
    assert np.isfinite(np.asarray(y)).all()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    "layer",
    [
        layers.LayerNormalization(dtype="float32"),
        layers.RMSNormalization(dtype="float32"),
        layers.GroupNormalization(2, dtype="float32"),
    ],
    ids=["layer", "rms", "group"],
)
def test_half_precision_is_rounded_once(rng: np.random.Generator, layer: Any, dtype: str) -> None:
    x, ct = (ops.cast(rng.normal(1, 3, size=(3, 5, 40)), dtype) for _ in range(2))
    layer.build(x.shape)

    def gradients(x: Any, ct: Any) -> Any:
        def loss(x: Any) -> Any:
            return ops.sum(ops.cast(ops.cast(layer(ops.cast(x, "float32")), x.dtype) * ct, "float32"))

        return ops.cast(layer(ops.cast(x, "float32")), x.dtype), grad(loss)(x)

    narrow = jit(gradients)(x, ct)
    wide = jit(gradients)(*(ops.cast(v, "float32") for v in (x, ct)))
    for half, single in zip(narrow, wide, strict=True):
        assert half.dtype == dtype
        np.testing.assert_array_equal(np.asarray(half), np.asarray(ops.cast(single, dtype)))


def test_group_normalization_of_large_samples(rng: np.random.Generator) -> None:
    # Several pieces per sample, and channels beside the vector lanes.
    x = rng.normal(1e3, 1.0, size=(2, 60, 90, 36)).astype("float32")
    groups = x.astype("float64").reshape(2, -1, 6, 6)
    mean, variance = groups.mean((1, 3), keepdims=True), groups.var((1, 3), keepdims=True)
    expected = ((groups - mean) / np.sqrt(variance + 1e-3)).reshape(x.shape)
    np.testing.assert_allclose(layers.GroupNormalization(6)(x), expected, atol=2e-4)
