"""Functions of `hornbeam.quantizers`: values, gradients and errors."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import hornbeam
from hornbeam import quantizers
from hornbeam.errors import UnknownObjectError
from hornbeam.quantizers.configs import resolve_config

X = np.random.default_rng(0).normal(size=(6, 5)).astype("float32")


@pytest.mark.parametrize("axis", [0, -1, (0, 1)])
def test_integers_times_scale_are_near_the_values(axis: int | tuple[int, ...]) -> None:
    integers, scale = quantizers.abs_max_quantize(X, axis=axis)
    assert (integers.dtype, scale.dtype) == ("int8", "float32")
    assert np.abs(integers.numpy()).max(axis).min() == 127  # the range is used
    np.testing.assert_allclose(integers.numpy() / scale.numpy(), X, atol=0.5 / scale.numpy().min())


@pytest.mark.parametrize("block_size", [1, 2, 4, 6, 100])
def test_blocks_have_a_scale_and_a_zero_point(block_size: int) -> None:
    integers, scale, zero = quantizers.abs_max_quantize_grouped_with_zero_point(X, block_size)
    assert scale.shape == zero.shape == (-(-6 // block_size), 5)
    assert integers.numpy().min() >= -8
    assert integers.numpy().max() <= 7
    if block_size == 2:  # both values are ends of their range, unless the zero point is clipped
        block = np.arange(6) // 2
        near = (integers.numpy() - zero.numpy()[block].astype("float32")) * scale.numpy()[block]
        inside = (np.abs(zero.numpy()) < 8)[block] & (zero.numpy() != 7)[block]
        np.testing.assert_allclose(near[inside], X[inside], atol=float(scale.numpy().max()) * 0.51)


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("size", [(4, 6), (5, 7), (1, 1)])
def test_pairs_of_four_bits(dtype: str, axis: int, size: tuple[int, int]) -> None:
    low, high = (-8, 8) if dtype == "int8" else (0, 16)
    values = np.random.default_rng(1).integers(low, high, size).astype(dtype)
    packed, shape, length = quantizers.pack_int4(values, axis, dtype)
    assert packed.dtype == dtype
    assert shape == packed.shape
    assert length == values.shape[axis]
    assert packed.shape[axis] == -(-length // 2)
    np.testing.assert_array_equal(quantizers.unpack_int4(packed, length, axis, dtype), values)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "float8_e5m2"])
def test_float8_is_that_of_ml_dtypes(dtype: str) -> None:
    target = getattr(ml_dtypes, dtype)
    largest = float(ml_dtypes.finfo(target).max)
    every = np.arange(256, dtype="uint8").view(target).astype("float32")
    values = np.sort(every[np.isfinite(every)])
    middles = (values[1:] + values[:-1]) / 2  # ties
    x = np.concatenate([values, middles, np.nextafter(middles, np.float32(1e9)), X.ravel() * 1e-3, X.ravel()])
    rounded = quantizers.quantize_and_dequantize(x, 1.0, dtype, "float32")
    np.testing.assert_array_equal(rounded, x.astype(target).astype("float32"))
    beyond = quantizers.quantize_and_dequantize([1e6, -1e6], 1.0, dtype, "float32")
    assert beyond.tolist() == [largest, -largest]


def test_scales_follow_the_largest_value() -> None:
    assert float(quantizers.compute_float8_scale(896.0, 1.0, 448.0)) == 2.0
    assert float(quantizers.compute_float8_scale(0.0, 3.0, 448.0)) == 3.0
    assert float(quantizers.compute_float8_scale(np.inf, 3.0, 448.0)) == 3.0
    history = np.array([3.0, 2.0, 1.0], "float32")
    for x, expected in ((-5.0, [5, 1, 3]), (4.0, [4, 3, 5]), (1.0, [1, 5, 4])):
        history = quantizers.compute_float8_amax_history([x], history).numpy()
        assert history.tolist() == expected


def test_fake_quantization_and_its_gradients() -> None:
    x = np.array([-1.0, 0.1, 0.4, 0.76, 2.0], "float32")

    def loss(x: object, low: object, high: object) -> hornbeam.Tensor:
        y = quantizers.fake_quant_with_min_max_vars(x, low, high, num_bits=2)
        return hornbeam.ops.sum(y * np.array([1.0, 2.0, 3.0, 4.0, 5.0], "float32"))

    y = quantizers.fake_quant_with_min_max_vars(x, 0.0, 1.0, num_bits=2)
    np.testing.assert_allclose(y, [0, 0, 1 / 3, 2 / 3, 1], atol=1e-6)
    dx, low, high = hornbeam.grad(loss, argnums=(0, 1, 2))(x, 0.0, 1.0)
    np.testing.assert_array_equal(dx, [0, 2, 3, 4, 0])
    assert (float(low), float(high)) == (1.0, 5.0)
    channels = quantizers.fake_quant_with_min_max_vars(X, [-1.0] * 5, [1.0] * 5, axis=1)
    np.testing.assert_allclose(channels, np.clip(X, -1, 1), atol=1.01 / 127)


def test_names_and_configs() -> None:
    assert quantizers.get(None) is None
    by_name = quantizers.get("abs_max_quantizer", axis=0)
    assert by_name.axis == (0,)
    again = quantizers.deserialize(quantizers.serialize(by_name))
    assert again.get_config() == by_name.get_config()
    config = quantizers.Int8QuantizationConfig(by_name, activation_quantizer=None)
    same = quantizers.deserialize(quantizers.serialize(config))
    assert same.weight_quantizer.axis == (0,)
    assert same.activation_quantizer is None
    assert quantizers.get("Int4QuantizationConfig", block_size=8).block_size == 8
    with pytest.raises(UnknownObjectError):
        quantizers.get("abs_min_quantizer")


def test_modes_and_configs_go_together() -> None:
    assert resolve_config("int4", None).mode == "int4"
    assert resolve_config(None, "int8").mode == "int8"
    for mode, config, message in (
        (None, None, "needs a mode"),
        ("int7", None, "unknown quantization mode 'int7': the modes are int8"),
        ("gptq", None, "pass config=GPTQConfig"),
        ("int8", quantizers.Int4QuantizationConfig(), "the mode is 'int8', but the config is one of 'int4'"),
        ("int8", {"a": 1}, "must be a config of hornbeam.quantizers"),
    ):
        with pytest.raises(ValueError, match=message):
            resolve_config(mode, config)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: quantizers.AbsMaxQuantizer(value_range=(-200, 100)), "value_range"),
        (lambda: quantizers.Int4QuantizationConfig(block_size=0), "block_size"),
        (
            lambda: quantizers.Int4QuantizationConfig(activation_quantizer=quantizers.AbsMaxQuantizer()),
            "pass block_size=None",
        ),
        (lambda: quantizers.GPTQConfig(None, None, weight_bits=5), "2, 3, 4 or 8"),
        (lambda: quantizers.GPTQConfig(None, None, hessian_damping=2.0), "hessian_damping"),
        (lambda: quantizers.AWQConfig(None, None, weight_bits=8), "must be 4"),
        (lambda: quantizers.AWQConfig(None, None, group_size=0), "group_size"),
        (lambda: quantizers.pack_int4(X), "takes int8, got float32"),
        (lambda: quantizers.quantize_and_dequantize(X, 1.0, "float16", "float32"), "float8"),
    ],
)
def test_invalid_arguments(make: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        make()  # type: ignore[operator]
