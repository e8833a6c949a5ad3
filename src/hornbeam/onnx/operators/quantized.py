"""ONNX operators on integers that stand for scaled numbers.

Sums of products are exact. Weights are shifted to int8 first, as the native engine has kernels for them, and
the products with the zeros are subtracted: sum (x - a)(w - b) = sum x w - a sum w - b sum (x - a).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.onnx.operators.elementwise import dtype_of
from hornbeam.onnx.operators.vocabulary import LAST, ON_LEVELS, ONE, Call, operator, resolved
from hornbeam.onnx.operators.windows import kernel_of, window_of


def _along(vector: Tensor, axis: int, rank: int) -> Tensor:
    if vector.shape in ((), (1,)):
        return ops.reshape(vector, ())
    if len(vector.shape) > 1:
        return vector
    return ops.reshape(vector, tuple(-1 if i == axis % rank else 1 for i in range(rank)))


def from_levels(x: Tensor, scale: Tensor, zero: Tensor | None, axis: int) -> Tensor:
    """Return (x - zero) scale in float32."""
    rank = max(len(x.shape), 1)
    # Differences of bytes are exact in floats.
    dtype = "float32" if x.dtype in ("int8", "uint8") else "int32"
    values = ops.cast(x, dtype)
    values = values if zero is None else values - ops.cast(_along(zero, axis, rank), dtype)
    return ops.cast(values, "float32") * ops.cast(_along(scale, axis, rank), "float32")


def to_levels(x: Tensor, scale: Tensor, zero: Tensor | None, dtype: str, axis: int) -> Tensor:
    """Return x / scale + zero, rounded to an integer dtype."""
    rank = max(len(x.shape), 1)
    numbers = ops.cast(x, "float32") / ops.cast(_along(scale, axis, rank), "float32")
    return _rounded(numbers, None if zero is None else _along(zero, axis, rank), dtype)


def _rounded(x: Tensor, zero: Tensor | None, dtype: str) -> Tensor:
    limits, levels = np.iinfo(dtype), ops.round(x)
    levels = levels if zero is None else levels + ops.cast(zero, "float32")
    return ops.cast(ops.minimum(ops.maximum(levels, float(limits.min)), float(limits.max)), dtype)


@operator("DequantizeLinear", ONE, through=1)
def dequantize(call: Call, x: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    """Compute (x - zero) scale; both are numbers, vectors along an axis, or for blocks of an axis."""
    axis, block = call.get("axis", 1), call.get("block_size", 0)
    dtype = dtype_of(call.get("output_dtype", 0)) if call.get("output_dtype", 0) else scale.dtype
    factor, shift = _repeated(x, (scale, zero), axis, block)
    return ops.cast(from_levels(x, factor, shift, axis), dtype)


@operator("QuantizeLinear", ONE)
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


# -- products ------------------------------------------------------------------------------------------------


def _or_none(zero: Tensor | None) -> Tensor | None:
    """Return a zero in int32, None if it is known to be 0."""
    if zero is None:
        return None
    value = resolved(zero)
    return None if isinstance(value, np.ndarray) and not value.any() else ops.cast(zero, "int32")


def _as_int8(w: Tensor, zero: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Return int8 and its zero. Those of uint8 are shifted by 128."""
    if w.dtype == "uint8":
        zero = (0 if zero is None else ops.cast(zero, "int32")) - as_tensor(128)
        w = ops.cast(ops.cast(w, "int32") - 128, "int8")
    return w, _or_none(zero)


def _exact(steps: int, product: Callable[..., Tensor], *operands: Tensor) -> Tensor:
    """Return a product of bytes in int32, computed in the smallest floats that hold its sums."""
    dtype = "float32" if steps <= 1 << 9 else "float64"
    return ops.cast(product(*(ops.cast(x, dtype) for x in operands)), "int32")


def _total(sums: Tensor, *shifts: Tensor | None) -> Tensor:
    """Add what is not None to sums: first to each other, as most of it is known."""
    shift = sum(x for x in shifts if x is not None)
    return sums if isinstance(shift, int) else sums + shift


def product_of_levels(
    x: Tensor,
    w: Tensor,
    x_zero: Tensor | None = None,
    w_zero: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Multiply matrices of bytes, less their zeros, in int32. Those of x may differ by row."""
    x_zero, (w, w_zero) = _or_none(x_zero), _as_int8(w, w_zero)
    shifts, rank = [bias], len(w.shape)
    if x_zero is not None:
        x_zero = _along(x_zero, -2, 2)
        shifts.append(-x_zero * ops.sum(ops.cast(w, "int32"), -min(rank, 2), rank > 2))
    total = _total(_exact(x.shape[-1], ops.matmul, x, w), *shifts)
    if w_zero is not None:
        rows = ops.sum(ops.cast(x, "int32"), -1, rank > 1)
        total = total - w_zero * (rows if x_zero is None else rows - x_zero * x.shape[-1])
    return total


@operator("MatMulInteger")
def matmul_integer(call: Call, *inputs: Tensor) -> Tensor:
    """Multiply matrices of integers, less their zeros, in int32."""
    return product_of_levels(*inputs)


def _literal(x: Tensor) -> Tensor:
    """Return a number that is known as a constant, which stays one where it is broadcast."""
    value = resolved(x)
    return as_tensor(value) if isinstance(value, np.ndarray) and value.size == 1 else x


def requantized(total: Tensor, factor: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
    """Return the levels of a product: its sums times the scales of both operands over that of the result."""
    ratio = _literal(ops.cast(factor, "float32") / ops.cast(_along(scale, -1, 1), "float32"))
    return _rounded(ops.cast(total, "float32") * ratio, _along(zero, -1, 1), zero.dtype)


@operator("QLinearMatMul")
def qlinear_matmul(call: Call, *inputs: Tensor) -> Tensor:
    """Multiply quantized matrices; the result is quantized."""
    a, a_scale, a_zero, b, b_scale, b_zero, scale, zero = inputs
    total = product_of_levels(a, b, a_zero, b_zero)
    return requantized(total, _along(a_scale, -2, 2) * _along(b_scale, -1, 2), scale, zero)


@operator("ConvInteger", LAST)
def conv_integer(
    call: Call,
    x: Tensor,
    w: Tensor,
    x_zero: Tensor | None = None,
    w_zero: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Convolve integers, less their zeros, in int32."""
    x_zero, (w, w_zero) = _or_none(x_zero), _as_int8(w, w_zero)
    kernel = Tensor(kernel_of(call, w))
    strides, pads, dilation, groups = window_of(call, x.node, kernel.node)
    if x_zero is not None and any(map(any, pads)):
        low, high = zip((0, 0), *pads, (0, 0), strict=True)
        x = Tensor(p.pad(x.node, ops.cast(ops.reshape(x_zero, ()), x.dtype).node, low, high))
        pads = ((0, 0),) * len(pads)
    steps, outputs = math.prod(kernel.shape[:-1]), kernel.shape[-1]

    def convolved(x: Tensor, kernel: Tensor) -> Tensor:
        return Tensor(p.conv(x.node, kernel.node, strides, pads, dilation, groups))

    shifts = [bias]
    if x_zero is not None:
        shifts.append(-x_zero * ops.sum(ops.cast(kernel, "int32"), tuple(range(len(x.shape) - 1))))
    total = _total(_exact(steps, convolved, x, kernel), *shifts)
    if w_zero is not None:
        sums = _exact(steps, convolved, x, ops.ones((*kernel.shape[:-1], groups), "int8"))
        sums = sums if x_zero is None else sums - x_zero * steps
        total = total - w_zero * (sums if groups == 1 else ops.repeat(sums, outputs // groups, -1))
    return total


@operator("QLinearConv", LAST)
def qlinear_conv(call: Call, *inputs: Tensor) -> Tensor:
    """Convolve quantized numbers; the result is quantized."""
    x, x_scale, x_zero, w, w_scale, w_zero, scale, zero, *bias = inputs
    total = conv_integer(call, x, w, x_zero, w_zero, *bias)
    return requantized(total, ops.reshape(x_scale, ()) * _along(w_scale, -1, 1), scale, zero)


# -- products of what DequantizeLinear computes --------------------------------------------------------------


def _scaled(total: Tensor, x_scale: Tensor, w_scale: Tensor, bias: Tensor | None = None) -> Tensor:
    y = ops.cast(total, x_scale.dtype) * _literal(ops.reshape(x_scale, ()) * _along(w_scale, -1, 1))
    return y if bias is None else y + bias


@operator("Conv", LAST, table=ON_LEVELS)
def conv_of_levels(call: Call, *inputs: Any) -> Tensor:
    """Convolve levels, and apply the scales to the sums."""
    x, x_scale, x_zero, w, w_scale, w_zero, *bias = inputs
    return _scaled(conv_integer(call, x, w, x_zero, w_zero), x_scale, w_scale, *bias)


@operator("MatMul Gemm", table=ON_LEVELS)
def matmul_of_levels(call: Call, *inputs: Any) -> Tensor:
    """Multiply matrices of levels, either transposed, and apply the scales to the sums."""
    x, x_scale, x_zero, w, w_scale, w_zero, *bias = inputs
    x, w = (ops.transpose(v) if call.get(f"trans{name}", 0) else v for v, name in ((x, "A"), (w, "B")))
    bias = [c * call.get("beta", 1.0) for c in bias]
    return _scaled(product_of_levels(x, w, x_zero, w_zero), x_scale * call.get("alpha", 1.0), w_scale, *bias)
