"""Affine quantization: `x` is about `(q - zero) * scale`, with a scale and a zero point for each group."""

from __future__ import annotations

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike


def affine_parameters(
    low: Tensor, high: Tensor, value_range: tuple[int, int], epsilon: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Return scales and zero points that map the ranges [low, high] to integers.

    Formula: `scale = (high - low + epsilon) / (largest - smallest)`; `zero = round(-low / scale) + smallest`.

    Args:
        low: Tensor of the smallest values of the groups.
        high: Tensor of the largest values of the groups.
        value_range: Smallest and largest integer.
        epsilon: Number that is added to the ranges.

    Returns:
        Scales, and zero points as floats.
    """
    smallest, largest = value_range
    scale = (high - low + epsilon) / (largest - smallest)
    zero = ops.round(-low / scale) + smallest
    return scale, ops.clip(zero, smallest, largest)


def dequantize_groups(
    integers: TensorLike, scale: Tensor, zero: Tensor, groups: Tensor, axis: int = -1
) -> Tensor:
    """Return `(q - zero) * scale`, where row or column `i` has the parameters of group `groups[i]`.

    Args:
        integers: Matrix of integers.
        scale: Scales of the groups along `axis`.
        zero: Zero points, of the shape of `scale`.
        groups: Vector of the group of each position along `axis`, in any dtype.
        axis: Axis along which positions belong to groups.

    Returns:
        Tensor of the dtype of `scale`.
    """
    index = ops.cast(groups, "int32")
    scales = ops.take(scale, index, axis=axis)
    zeros = ops.cast(ops.take(zero, index, axis=axis), scales.dtype)
    return (ops.cast(integers, scales.dtype) - zeros) * scales
