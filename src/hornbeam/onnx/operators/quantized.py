"""ONNX operators on integers that stand for scaled numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.onnx.operators.elementwise import dtype_of
from hornbeam.onnx.operators.vocabulary import LAST, Call, operator
from hornbeam.onnx.operators.windows import conv


def _along(vector: Tensor, axis: int, rank: int) -> Tensor:
    if vector.shape in ((), (1,)):
        return ops.reshape(vector, ())
    if len(vector.shape) > 1:
        return vector
    return ops.reshape(vector, tuple(-1 if i == axis % rank else 1 for i in range(rank)))


def shifted(x: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    """Return x - zero in int32."""
    values = ops.cast(x, "int32")
    return values if zero is None else values - ops.cast(_along(zero, axis, max(len(x.shape), 1)), "int32")


def from_levels(x: Tensor, scale: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    factor = ops.cast(_along(scale, axis, max(len(x.shape), 1)), "float32")
    return ops.cast(shifted(x, zero, axis), "float32") * factor


def to_levels(x: Tensor, scale: Tensor, zero: Tensor | None, dtype: str, axis: int) -> Tensor:
    """Return x / scale + zero, rounded to an integer dtype."""
    rank, limits = max(len(x.shape), 1), np.iinfo(dtype)
    levels = ops.round(ops.cast(x, "float32") / ops.cast(_along(scale, axis, rank), "float32"))
    levels = levels if zero is None else levels + ops.cast(_along(zero, axis, rank), "float32")
    return ops.cast(ops.clip(levels, float(limits.min), float(limits.max)), dtype)


@operator("DequantizeLinear", through=1)
def dequantize(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Compute (x - zero) scale; both are numbers, vectors along an axis, or for blocks of an axis."""
    axis, block = call.get("axis", 1), call.get("block_size", 0)
    dtype = dtype_of(call.get("output_dtype", 0)) if call.get("output_dtype", 0) else scale.dtype
    factor, shift = _repeated(x, (scale, zero), axis, block)
    return ops.cast(from_levels(x, factor, shift, axis), dtype)


@operator("QuantizeLinear")
def quantize(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Compute x / scale + zero, rounded to the dtype of `zero` (uint8 by default)."""
    call.only(saturate=1)
    call.only(precision=0)
    code, axis = call.get("output_dtype", 0) or 2, call.get("axis", 1)
    factor, shift = _repeated(x, (scale, zero), axis, call.get("block_size", 0))
    return to_levels(x, factor, shift, zero.dtype if zero is not None else dtype_of(code), axis)


def _repeated(x: Tensor, parts: Any, axis: int, block: int) -> Any:
    """Repeat the numbers of blocks along their axis."""
    if not block:
        return parts
    index = np.arange(x.shape[axis]) // block
    return [v if v is None else ops.take(v, index, axis=axis) for v in parts]


@operator("DynamicQuantizeLinear")
def dynamic_quantize(call: Call, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return x as uint8 over its own range, which includes 0, with scale and zero."""
    low, high = ops.minimum(ops.min(x), 0.0), ops.maximum(ops.max(x), 0.0)
    scale = (high - low) / 255.0
    step = ops.where(scale == 0, ops.ones_like(scale), scale)
    zero = ops.cast(ops.clip(ops.round(-low / step), 0.0, 255.0), "uint8")
    return to_levels(x, step, zero, "uint8", 0), scale, zero


@operator("MatMulInteger")
def matmul_integer(
    call: Call, a: Tensor, b: Tensor, a_zero: Tensor | None = None, b_zero: Tensor | None = None
) -> Tensor:
    """Multiply matrices of integers, less their zeros, in int32."""
    rows = a_zero if a_zero is None or len(a_zero.shape) != 1 else a_zero[:, None]
    return ops.matmul(shifted(a, rows, -1), shifted(b, b_zero, -1))


@operator("QLinearMatMul")
def qlinear_matmul(call: Call, *inputs: Tensor) -> Tensor:
    """Multiply quantized matrices; the result is quantized."""
    a, a_scale, a_zero, b, b_scale, b_zero, scale, zero = inputs
    rows = [v[:, None] if len(v.shape) == 1 and v.shape != (1,) else v for v in (a_scale, a_zero)]
    product = ops.matmul(shifted(a, rows[1], -1), shifted(b, b_zero, -1))
    factor = _along(rows[0], -1, 2) * _along(b_scale, -1, 2)
    return to_levels(ops.cast(product, "float32") * ops.cast(factor, "float32"), scale, zero, zero.dtype, -1)


@operator("ConvInteger", LAST)
def conv_integer(
    call: Call, x: Tensor, w: Tensor, x_zero: Tensor | None = None, w_zero: Tensor | None = None
) -> Tensor:
    """Convolve integers, less their zeros; sums are exact in float64."""
    exact = [
        ops.cast(shifted(v, zero, axis), "float64") for v, zero, axis in ((x, x_zero, -1), (w, w_zero, 0))
    ]
    return ops.cast(conv(call, *exact), "int32")


@operator("QLinearConv", LAST)
def qlinear_conv(call: Call, *inputs: Tensor) -> Tensor:
    """Convolve quantized numbers; the result is quantized."""
    x, x_scale, x_zero, w, w_scale, w_zero, scale, zero, *bias = inputs
    total = sum(bias, conv_integer(call, x, w, x_zero, w_zero))
    factor = ops.cast(as_tensor(x_scale).reshape(()) * _along(w_scale, -1, len(x.shape)), "float32")
    return to_levels(ops.cast(total, "float32") * factor, scale, zero, zero.dtype, -1)
