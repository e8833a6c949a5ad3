"""Initializers: moments, bounds, configs, and use while a function is being compiled."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from hornbeam import Variable, initializers, jit, layers, ops, random
from hornbeam.core import registry
from hornbeam.ir.types import ShapeError

SHAPE = (200, 120)
N = 200 * 120

VARIANCES = {
    "glorot_uniform": 2 / 320, "glorot_normal": 2 / 320, "he_uniform": 2 / 200, "he_normal": 2 / 200,
    "lecun_uniform": 1 / 200, "lecun_normal": 1 / 200, "variance_scaling": 1 / 200,
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANCES)
def test_variances(name: str) -> None:
    x = np.asarray(initializers.get(name)(SHAPE))
    variance = VARIANCES[name]
    assert abs(x.mean()) < 5 * math.sqrt(variance / N)
    assert x.var() == pytest.approx(variance, rel=5 * 1.5 / math.sqrt(N))
    limit = math.sqrt(3 * variance) if name.endswith("uniform") else 2 * math.sqrt(variance) / 0.87962566
    assert limit * 0.99 < np.abs(x).max() <= limit * 1.000001


def test_modes_and_distributions() -> None:
    x = np.asarray(initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal", seed=1)(SHAPE))
    assert x.var() == pytest.approx(2 / 120, rel=0.05)
    assert np.abs(x).max() > 3 * math.sqrt(2 / 120)
    assert initializers.compute_fans((3, 3, 8, 16)) == (72, 144)
    assert initializers.compute_fans((7,)) == (7, 7)
    assert initializers.compute_fans(()) == (1, 1)
    assert initializers.compute_fans((4, 5, 6), [0], [1, 2]) == (4, 30)
    for arguments in ({"scale": 0.0}, {"mode": "fan"}, {"distribution": "x"}, {"input_axes": [0]}):
        with pytest.raises(ValueError, match=r"scale|mode|distribution|axes"):
            initializers.VarianceScaling(**arguments)


def test_plain_ones() -> None:
    x = np.asarray(initializers.RandomNormal(1.0, 0.5, seed=2)(SHAPE))
    assert (x.mean(), x.std()) == (pytest.approx(1.0, abs=0.02), pytest.approx(0.5, rel=0.03))
    x = np.asarray(initializers.RandomUniform(-1.0, 3.0, seed=2)(SHAPE))
    assert x.min() >= -1
    assert x.max() < 3
    assert x.mean() == pytest.approx(1.0, abs=0.05)
    x = np.asarray(initializers.TruncatedNormal(1.0, 0.5, seed=2)(SHAPE))
    assert np.abs(x - 1).max() <= 1
    np.testing.assert_array_equal(initializers.Zeros()((2,)), [0, 0])
    np.testing.assert_array_equal(initializers.Ones()((2,), "int32"), [1, 1])
    np.testing.assert_array_equal(initializers.Constant([1.0, 2.0])((2, 2)), [[1, 2], [1, 2]])
    np.testing.assert_array_equal(initializers.Identity(2.0)((2, 3)), [[2, 0, 0], [0, 2, 0]])
    with pytest.raises(ShapeError, match="a matrix"):
        initializers.Identity()((2, 2, 2))


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (3, 3, 2, 6)])
def test_orthogonal(shape: tuple[int, ...]) -> None:
    x = np.asarray(initializers.Orthogonal(2.0, seed=1)(shape)).reshape(-1, shape[-1])
    product = x @ x.T if x.shape[0] < x.shape[1] else x.T @ x
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)
    with pytest.raises(ShapeError, match="two axes"):
        initializers.Orthogonal()((3,))


def test_stft_is_the_kernel_of_a_fourier_transform() -> None:
    x = np.random.default_rng(0).normal(size=(1, 32, 1)).astype(np.float32)
    kernels = [
        initializers.STFT(side, "hann", "spectrum", periodic=True)((8, 1, 5)) for side in ("real", "imag")
    ]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(8) / 8)
    expected = np.fft.rfft(x[0, 4:12, 0] * window / window.sum())
    real, imag = (np.asarray(ops.conv(x, k, strides=4))[0, 1] for k in kernels)
    np.testing.assert_allclose(real, expected.real, atol=1e-5)
    np.testing.assert_allclose(imag, expected.imag, atol=1e-5)


@pytest.mark.parametrize("name", sorted(set(registry.names_in("keras.initializers")) - {"Initializer"}))
def test_names_and_configs(name: str) -> None:
    result = initializers.get(name)
    assert result.get_config() == initializers.deserialize(initializers.serialize(result)).get_config()
    assert type(result.clone()) is type(result)
    assert getattr(initializers, name) is type(result)


def test_seeds() -> None:
    fixed = initializers.GlorotUniform(seed=3)
    np.testing.assert_array_equal(fixed((4, 4)), fixed((4, 4)))
    np.testing.assert_array_equal(fixed((4, 4)), initializers.GlorotUniform(3)((4, 4)))
    assert not np.array_equal(initializers.GlorotUniform()((4, 4)), initializers.GlorotUniform()((4, 4)))
    fresh = initializers.GlorotUniform(seed=random.SeedGenerator(3))
    assert not np.array_equal(fresh((4, 4)), fresh((4, 4)))
    random.set_random_seed(1)
    first = np.asarray(initializers.HeNormal()((4, 4)))
    random.set_random_seed(1)
    np.testing.assert_array_equal(first, initializers.HeNormal()((4, 4)))


@pytest.mark.parametrize(
    "initializer",
    [
        initializers.Constant(np.array([1.0, 2.0])),
        initializers.GlorotUniform(seed=random.SeedGenerator(3)),
        initializers.Orthogonal(seed=random.SeedGenerator(3)),
        initializers.RandomUniform(seed=random.SeedGenerator(3)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_configs_are_plain_values(initializer: initializers.Initializer) -> None:
    config = json.loads(json.dumps(initializer.get_config()))
    again = type(initializer).from_config(config)
    assert again.get_config() == config
    np.testing.assert_array_equal(again((2, 2)), initializer((2, 2)))


@pytest.mark.parametrize(
    ("equation", "output_shape", "inputs"),
    [("abc,cde->abde", (None, 8, 16), 32), ("abde,dec->abc", (None, 32), 8 * 16), ("ab,bc->ac", 16, 32)],
)
def test_variance_of_kernels_over_several_axes(equation: str, output_shape: Any, inputs: int) -> None:
    """The axes of the kernel that the output has are outputs, all others are inputs."""
    shape = {"abc": (None, 10, 32), "abde": (None, 10, 8, 16), "ab": (None, 32)}[equation.split(",")[0]]
    layer = layers.EinsumDense(equation, output_shape, kernel_initializer="lecun_normal")
    layer.build(shape)
    assert np.asarray(layer.kernel).var() == pytest.approx(1 / inputs, rel=0.25)
    own = initializers.LecunNormal(seed=1, input_axes=[0], output_axes=[1])
    layer = layers.EinsumDense("ab,bc->ac", 16, kernel_initializer=own)
    layer.build((None, 32))
    np.testing.assert_array_equal(layer.kernel, own((32, 16)))


def test_values_are_known_while_a_function_is_being_compiled() -> None:
    result = []
    generator = random.SeedGenerator(4)

    def fn(x: object) -> object:
        for initializer in (
            initializers.GlorotUniform(1),
            initializers.Orthogonal(),
            initializers.HeNormal(generator),
        ):
            result.append(Variable(initializer, shape=(3, 3)))
        return x @ result[0]

    x = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(jit(fn)(x), initializers.GlorotUniform(1)((3, 3)), rtol=1e-6)
    assert all(np.isfinite(np.asarray(v)).all() for v in result)


def test_get() -> None:
    assert initializers.get(None) is None
    assert isinstance(initializers.get(initializers.Ones), initializers.Ones)
    np.testing.assert_array_equal(initializers.get(np.array([1.0, 2.0]))((2,)), [1, 2])
    own = initializers.get(lambda shape, dtype=None: ops.ones(shape, dtype))
    np.testing.assert_array_equal(own((2,)), [1, 1])
    with pytest.raises(ValueError, match="Did you mean 'glorot_uniform'"):
        initializers.get("glorot_unifrom")
    with pytest.raises(ValueError, match="seed must be"):
        initializers.HeNormal(seed="x")
