"""Values of float8 dtypes, which the engine does not have: rounded, and held as float32."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes

from hornbeam import Tensor, ops
from hornbeam.quantizers import quantize_and_dequantize

DTYPES = ("float8_e4m3fn", "float8_e5m2")


class Float8Tensor:
    """Result of a cast to a float8 dtype; another cast makes a tensor of it, and no other operation takes it.

    Args:
        x: Tensor of floats.
        dtype: "float8_e4m3fn" or "float8_e5m2".
    """

    def __init__(self, x: Tensor, dtype: str) -> None:
        self.values = _rounded(x, dtype)
        self.dtype = dtype
        self.shape = x.shape


def _rounded(x: Tensor, dtype: str) -> Tensor:
    """Round to float8; values that are too large become inf, or NaN where the format has no inf (e4m3fn)."""
    format = ml_dtypes.finfo(dtype)
    largest = float(format.max)
    step = 2.0 ** (math.floor(math.log2(largest)) - format.nmant)
    beyond = float("nan" if dtype == "float8_e4m3fn" else "inf")

    @ops.custom_gradient
    def rounded(x: Tensor) -> Any:
        result = quantize_and_dequantize(x, 1.0, dtype, "float32")
        # Rounded with the step between the largest values, ties to even.
        is_beyond = ops.round(ops.abs(x) / step) * step > largest
        result = ops.where(is_beyond, ops.sign(x) * beyond, result)
        # As any cast between floats, that to float8 passes gradients on unchanged.
        return result, lambda upstream: upstream

    return rounded(ops.cast(x, "float32"))
