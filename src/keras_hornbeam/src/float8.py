"""Values of float8 dtypes, which the engine does not have: rounded, and held as float32."""

from __future__ import annotations

from typing import Any

from hornbeam import Tensor, ops
from hornbeam.extensions.float8 import FORMATS, round_to_float8


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
    format = FORMATS[dtype]
    beyond = float("nan" if dtype == "float8_e4m3fn" else "inf")

    @ops.custom_gradient
    def rounded(x: Tensor) -> Any:
        result = round_to_float8(x, format)
        result = ops.where(ops.abs(result) > format.largest, ops.sign(x) * beyond, result)
        # As any cast between floats, that to float8 passes gradients on unchanged.
        return result, lambda upstream: upstream

    return rounded(ops.cast(x, "float32"))
