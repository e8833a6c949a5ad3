"""Values rounded to float8, and scales that follow the largest values of past steps."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike


class Float8(NamedTuple):
    """A format of 8 bits: stored bits of the mantissa, smallest exponent of normal numbers, largest value."""

    mantissa: int
    exponent: int
    largest: float


# Micikevicius et al. 2022, FP8 Formats for Deep Learning.
FORMATS = {"float8_e4m3fn": Float8(3, -6, 448.0), "float8_e5m2": Float8(2, -14, 57344.0)}


def float8_format(dtype: Any) -> Float8:
    """Return the format of a dtype, given by name or as a dtype of ml_dtypes.

    Raises:
        ValueError: If it is no float8.
    """
    match = re.search("|".join(FORMATS), str(dtype))
    if match is None:
        raise ValueError(f"the float8 dtypes are {', '.join(FORMATS)}, got {dtype!r}")
    return FORMATS[match[0]]


def round_to_float8(x: Tensor, format: Float8) -> Tensor:
    """Round float32 values in the format's range to the nearest ones that it has, ties to even."""
    bits = ops.view(ops.abs(x), "int32")
    # The power of two of each value, at least that of subnormal numbers, from the bits of its exponent.
    exponent = ops.maximum(ops.right_shift(bits, 23) - 127, format.exponent)
    step = ops.view(ops.left_shift(exponent - format.mantissa + 127, 23), "float32")
    return ops.round(x / step) * step


def quantize_and_dequantize(
    inputs: TensorLike, scale: TensorLike, quantized_dtype: DTypeLike, compute_dtype: DTypeLike
) -> Tensor:
    """Round to the values of a float8 dtype times a scale.

    Formula: `clip(x / scale, -largest, largest)`, rounded to the nearest float8, times `scale`.

    Args:
        inputs: Tensor of floats.
        scale: Tensor that broadcasts to `inputs`.
        quantized_dtype: "float8_e4m3fn" (largest value 448) or "float8_e5m2" (57344).
        compute_dtype: Dtype of the result.

    Returns:
        Tensor of the shape of `inputs`.

    Raises:
        ValueError: If the dtype is no float8.

    Example:
        >>> x = [0.3, 17.1, 1000.0]
        >>> hornbeam.quantizers.quantize_and_dequantize(x, 1.0, "float8_e4m3fn", "float32").tolist()
        [0.3125, 18.0, 448.0]
    """
    format = float8_format(quantized_dtype)
    factor = ops.cast(as_tensor(scale), compute_dtype)
    scaled = ops.clip(ops.cast(as_tensor(inputs), compute_dtype) / factor, -format.largest, format.largest)
    rounded = round_to_float8(ops.cast(scaled, "float32"), format)
    return ops.cast(rounded, compute_dtype) * factor


def compute_float8_scale(
    amax: TensorLike, scale: TensorLike, dtype_max: TensorLike, margin: int = 0
) -> Tensor:
    """Return the scale that maps the largest absolute value to that of a dtype.

    Formula: `amax * 2^margin / dtype_max`; the old scale where `amax` is zero or not finite.

    Args:
        amax: Tensor of the largest absolute value.
        scale: Tensor of the old scale.
        dtype_max: Largest value of the dtype.
        margin: Powers of two that are left free.

    Returns:
        Tensor, the scale by which values are divided before rounding.

    Example:
        >>> float(hornbeam.quantizers.compute_float8_scale(896.0, 1.0, 448.0))
        2.0
    """
    amax, scale = as_tensor(amax), as_tensor(scale)
    inverse = dtype_max / amax / (2**margin)
    usable = ops.logical_and(amax > 0.0, ops.isfinite(amax))
    return ops.reciprocal(ops.where(usable, inverse, ops.reciprocal(scale)))


def compute_float8_amax_history(x: TensorLike, amax_history: TensorLike) -> Tensor:
    """Append the largest absolute value of a tensor to a history, of which the oldest one is dropped.

    Args:
        x: Tensor.
        amax_history: Vector of past values; the newest is at index 0, the others in order of age at the end.

    Returns:
        Vector of the shape of `amax_history`.

    Example:
        >>> hornbeam.quantizers.compute_float8_amax_history([1.0, -5.0], [3.0, 2.0, 1.0]).tolist()
        [5.0, 1.0, 3.0]
    """
    history = as_tensor(amax_history)
    newest = ops.cast(ops.max(ops.abs(as_tensor(x))), history.dtype)
    return ops.concatenate([ops.reshape(newest, (1,)), ops.roll(history, -1)[1:]])
