"""Rounding to few values in training, with gradients that ignore it."""

from __future__ import annotations

from hornbeam import ops
from hornbeam._internal.validation import check_number
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike


def fake_quant_with_min_max_vars(
    inputs: TensorLike,
    min_vals: TensorLike,
    max_vals: TensorLike,
    num_bits: int = 8,
    narrow_range: bool = False,
    axis: int | None = None,
) -> Tensor:
    """Round to `2^num_bits` evenly spaced values between a minimum and a maximum.

    The range is shifted a little, so that 0 is one of the values. The gradient with respect to `inputs` is
    that of clipping; those of the values that are clipped go to `min_vals` and `max_vals`.

    Args:
        inputs: Tensor of floats.
        min_vals: Smallest value: a scalar, or a vector with `axis`.
        max_vals: Largest value: a scalar, or a vector with `axis`.
        num_bits: Bits of an integer, from 2 to 16.
        narrow_range: Whether the lowest integer is left out, for a symmetric range.
        axis: Axis of `inputs` each of whose positions has its own range; None for one range.

    Returns:
        Tensor of the shape and dtype of `inputs`.

    Raises:
        ValueError: If `num_bits` is out of range.

    Source: Jacob et al. 2018, Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference.

    Example:
        >>> hornbeam.quantizers.fake_quant_with_min_max_vars([-9.0, 0.3, 2.6], 0.0, 3.0, num_bits=2).tolist()
        [0.0, 0.0, 3.0]
    """
    check_number("num_bits", int(num_bits), minimum=2, maximum=16)
    x = as_tensor(inputs)
    lowest, highest = 1 if narrow_range else 0, 2 ** int(num_bits) - 1
    own = None if axis is None else axis % x.ndim

    def along(values: Tensor) -> Tensor:
        """Bring the ranges into the form of the inputs."""
        if own is None:
            return ops.reshape(values, ())
        return ops.reshape(values, [-1 if i == own else 1 for i in range(x.ndim)])

    def collected(gradient: Tensor, like: Tensor) -> Tensor:
        axes = [i for i in range(x.ndim) if i != own]
        return ops.reshape(ops.sum(gradient, axis=axes), like.shape)

    @ops.custom_gradient
    def rounded(x: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, object]:
        low_range, high_range = (along(ops.cast(v, "float32")) for v in (low, high))
        spread = high_range - low_range
        scale, inverse = spread / (highest - lowest), (highest - lowest) / spread
        zero = ops.round(ops.clip(lowest - low_range / scale, lowest, highest))
        smallest, largest = (lowest - zero) * scale, (highest - zero) * scale
        values = ops.cast(x, "float32")
        shifted = (ops.clip(values, smallest, largest) - smallest) * inverse
        origin = ops.floor(-smallest * inverse + 0.5)
        result = ops.floor(shifted - origin + 0.5) * scale

        def gradients(upstream: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            nothing = ops.zeros_like(upstream)
            inside = ops.logical_and(values >= smallest, values <= largest)
            below, above = values <= smallest, values >= largest
            return (
                ops.where(inside, upstream, nothing),
                collected(ops.where(below, upstream, nothing), low),
                collected(ops.where(above, upstream, nothing), high),
            )

        return ops.cast(result, x.dtype), gradients

    return rounded(x, as_tensor(min_vals), as_tensor(max_vals))
