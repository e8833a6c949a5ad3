"""Integers with a scale: by the largest absolute value, or by the range of a block with a zero point."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam import ops
from hornbeam._internal.typing import DTypeLike
from hornbeam._internal.validation import check_int
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.types import ShapeError, is_float

EPSILON = 1e-7


def abs_max_quantize(
    inputs: TensorLike,
    axis: int | Sequence[int],
    value_range: tuple[int, int] = (-127, 127),
    dtype: DTypeLike = "int8",
    epsilon: float = EPSILON,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor]:
    """Quantize to integers by the largest absolute value along some axes.

    Formula: `scale = value_range[1] / (max(|x|) + epsilon)`; `q = clip(round(x * scale), *value_range)`. So
    `x` is about `q / scale`.

    Args:
        inputs: Tensor of floats.
        axis: Axis or axes whose elements share a scale.
        value_range: Smallest and largest integer.
        dtype: Dtype of the integers.
        epsilon: Number that keeps zeros from dividing by zero.
        to_numpy: Ignored, for Keras's signature: values are computed when they are read.

    Returns:
        Integers of the shape of `inputs`, and scales with size 1 along `axis`.

    Example:
        >>> q, scale = hornbeam.quantizers.abs_max_quantize([[1.0, -2.0]], axis=-1)
        >>> q.tolist()
        [[64, -127]]
    """
    x = _floats(inputs)
    axes = tuple(axis) if isinstance(axis, Sequence) else axis
    scale = ops.cast(value_range[1] / (ops.max(ops.abs(x), axis=axes, keepdims=True) + epsilon), x.dtype)
    return ops.cast(ops.clip(ops.round(x * scale), *value_range), dtype), scale


def abs_max_quantize_grouped_with_zero_point(
    inputs: TensorLike,
    block_size: int,
    value_range: tuple[int, int] = (-8, 7),
    dtype: DTypeLike = "int8",
    epsilon: float = EPSILON,
    to_numpy: bool = False,
) -> tuple[Tensor, Tensor, Tensor]:
    """Quantize each block of rows of a matrix by its range.

    Formula, for each block of a column: `scale = (max - min + epsilon) / (high - low)`; `zero = round(-min /
    scale) + low`; `q = clip(round(x / scale) + zero, low, high)`. So `x` is about `(q - zero) * scale`,
    if its block has values on both sides of 0, as weights do: others are clipped.

    Args:
        inputs: Matrix of floats (n, m).
        block_size: Number of rows of a block; the last block may be shorter.
        value_range: Smallest and largest integer, `low` and `high`.
        dtype: Dtype of the integers.
        epsilon: Number that keeps constant blocks from dividing by zero.
        to_numpy: Ignored, for Keras's signature: values are computed when they are read.

    Returns:
        Integers (n, m), scales (ceil(n / block_size), m), and zero points of their shape, in int8.

    Raises:
        ShapeError: If `inputs` is not a matrix.
        ValueError: If `block_size` is below 1.

    Example:
        >>> q, scale, zero = hornbeam.quantizers.abs_max_quantize_grouped_with_zero_point(
        ...     [[-1.0], [0.5], [-2.0], [4.0]], block_size=2)
        >>> q.tolist(), scale.shape
        ([[-8], [7], [-8], [7]], (2, 1))
    """
    x = _floats(inputs)
    if x.ndim != 2:
        raise ShapeError(f"abs_max_quantize_grouped_with_zero_point takes a matrix, got shape {x.shape}")
    check_int("block_size", block_size, minimum=1)
    rows, columns = x.shape
    padding = -rows % block_size
    blocks = ops.reshape(ops.pad(x, ((0, padding), (0, 0))), (-1, block_size, columns))
    low, high = ops.min(blocks, axis=1), ops.max(blocks, axis=1)
    smallest, largest = value_range
    scale = (high - low + epsilon) / (largest - smallest)
    zero = ops.clip(ops.round(-low / scale) + smallest, smallest, largest)
    scale = ops.cast(scale, x.dtype)
    integers = ops.round(blocks / ops.expand_dims(scale, 1)) + ops.expand_dims(zero, 1)
    integers = ops.reshape(ops.clip(integers, *value_range), (rows + padding, columns))[:rows]
    return ops.cast(integers, dtype), scale, ops.cast(zero, "int8")


def _floats(inputs: TensorLike) -> Tensor:
    x = as_tensor(inputs)
    return x if is_float(x.dtype) else ops.cast(x, "float32")
