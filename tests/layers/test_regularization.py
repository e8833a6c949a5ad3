"""Dropout and noise: what they keep on average, what they drop, and that they rest outside of training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hornbeam import layers
from hornbeam.core.jit import jit

NOISE = [
    layers.Dropout,
    layers.GaussianDropout,
    layers.AlphaDropout,
    layers.GaussianNoise,
    layers.SpatialDropout1D,
]


@pytest.mark.parametrize("cls", NOISE)
def test_rests_outside_of_training(rng: np.random.Generator, cls: Any) -> None:
    x = rng.normal(size=(2, 5, 3)).astype("float32")
    np.testing.assert_array_equal(np.asarray(cls(0.5)(x)), x)
    assert np.abs(np.asarray(cls(0.5)(x, training=True)) - x).max() > 0


@pytest.mark.parametrize("cls", NOISE)
def test_draws_anew_each_time_and_the_same_for_a_seed(cls: Any) -> None:
    x = np.ones((4, 50, 8), "float32")
    one, two = cls(0.5, seed=7), cls(0.5, seed=7)
    first = np.asarray(one(x, training=True))
    np.testing.assert_array_equal(first, np.asarray(two(x, training=True)))
    assert np.abs(first - np.asarray(one(x, training=True))).max() > 0


def test_compiled_code_draws_what_eager_code_draws() -> None:
    x = np.ones((100,), "float32")
    eager, compiled = layers.Dropout(0.5, seed=3), layers.Dropout(0.5, seed=3)
    step = jit(lambda batch: compiled(batch, training=True))
    for _ in range(2):
        np.testing.assert_array_equal(np.asarray(step(x)), np.asarray(eager(x, training=True)))


def test_dropout_keeps_the_mean_and_scales_what_stays() -> None:
    y = np.asarray(layers.Dropout(0.25, seed=1)(np.ones((200, 200)), training=True))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert y.mean() == pytest.approx(1, abs=0.01)


def test_noise_shape_shares_the_mask() -> None:
    y = np.asarray(
        layers.Dropout(0.5, noise_shape=(None, 1, None), seed=1)(np.ones((8, 5, 6)), training=True)
    )
    assert (y == y[:, :1]).all()
    assert len(np.unique(y)) == 2
    with pytest.raises(ValueError, match="must have a size for each axis"):
        layers.Dropout(0.5, noise_shape=(1, 1))(np.ones((2, 3, 4)), training=True)


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (layers.SpatialDropout1D(0.5, seed=1), (8, 5, 6), (1,)),
        (layers.SpatialDropout2D(0.5, seed=1), (8, 3, 4, 6), (1, 2)),
        (layers.SpatialDropout2D(0.5, "channels_first", seed=1), (8, 6, 3, 4), (2, 3)),
        (layers.SpatialDropout3D(0.5, seed=1), (8, 2, 3, 4, 6), (1, 2, 3)),
    ],
)
def test_spatial_dropout_drops_whole_channels(
    layer: Any, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    y = np.asarray(layer(np.ones(shape), training=True))
    assert (y.max(axes) == y.min(axes)).all()
    assert len(np.unique(y)) == 2


def test_gaussian_noise_and_dropout_have_their_moments() -> None:
    x = np.ones((300, 300))
    noise = np.asarray(layers.GaussianNoise(0.3, seed=2)(x, training=True)) - 1
    assert noise.mean() == pytest.approx(0, abs=0.01)
    assert noise.std() == pytest.approx(0.3, abs=0.01)
    factors = np.asarray(layers.GaussianDropout(0.2, seed=2)(x, training=True))
    assert factors.mean() == pytest.approx(1, abs=0.01)
    assert factors.std() == pytest.approx(np.sqrt(0.2 / 0.8), abs=0.01)


def test_alpha_dropout_keeps_mean_and_variance(rng: np.random.Generator) -> None:
    y = np.asarray(layers.AlphaDropout(0.3, seed=2)(rng.normal(size=(300, 300)), training=True))
    assert y.mean() == pytest.approx(0, abs=0.02)
    assert y.std() == pytest.approx(1, abs=0.02)


def test_activity_regularization_adds_its_penalty() -> None:
    layer = layers.ActivityRegularization(l1=0.5, l2=2.0)
    layer(np.array([1.0, -3.0]))
    assert float(layer.losses[0]) == pytest.approx((0.5 * 4 + 2 * 10) / 2)


@pytest.mark.parametrize(
    "cls",
    [
        layers.Dropout,
        layers.SpatialDropout1D,
        layers.GaussianDropout,
        layers.GaussianNoise,
        layers.AlphaDropout,
    ],
)
def test_a_layer_that_draws_nothing_has_no_variables(cls: Any) -> None:
    assert (len(cls(0.0).variables), len(cls(0.5).variables)) == (0, 1)


def test_a_rate_that_rises_later_draws() -> None:
    layer = layers.Dropout(0.0, seed=1)
    x = np.ones((4, 100), "float32")
    assert (np.asarray(layer(x, training=True)) == 1).all()
    layer.rate = 0.5
    assert (np.asarray(layer(x, training=True)) == 0).any()
    assert len(layer.variables) == 1
