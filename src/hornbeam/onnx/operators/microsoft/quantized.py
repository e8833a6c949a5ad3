"""ONNX Runtime's operators on quantized numbers (domain com.microsoft), which its quantizer writes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from hornbeam import ops
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.onnx.operators.quantized import (
    dequantize,
    dynamic_quantize,
    from_levels,
    product_of_levels,
    qlinear_conv,
    quantize,
    requantized,
    to_levels,
)
from hornbeam.onnx.operators.recurrent import GATES_OF_LSTM, lstm, reorder
from hornbeam.onnx.operators.vocabulary import ANY, ONE, OPERATORS, Call, filled, microsoft
from hornbeam.onnx.operators.windows import average_pool, global_average_pool

microsoft("DequantizeLinear", ONE, through=1)(dequantize)
microsoft("QuantizeLinear", ONE)(quantize)


def _triples(inputs: Any) -> list[Tensor]:
    """Return the numbers of each (levels, scale, zero)."""
    return [from_levels(x, scale, zero, -1) for x, scale, zero in zip(*[iter(inputs)] * 3, strict=True)]


def _result(y: Tensor, like: Tensor, scale: Tensor, zero: Tensor | None = None) -> Tensor:
    return to_levels(y, scale, zero, like.dtype, -1)


def _on_numbers(op: str, count: int) -> Callable[..., Tensor]:
    """Return the operator on quantized operands: it computes in float32."""

    def compute(call: Call, *inputs: Any) -> Tensor:
        numbers = _triples(inputs[: 3 * count])
        call = dataclasses.replace(call, opset=call.get("opset", 13))
        return _result(OPERATORS[op].compute(call, *numbers), inputs[0], *inputs[3 * count :])

    return compute


for _op, _count in (("Add", 2), ("Mul", 2), ("Sigmoid", 1), ("LeakyRelu", 1)):
    microsoft(f"QLinear{_op}", ANY)(_on_numbers(_op, _count))


@microsoft("QLinearSoftmax")
def qlinear_softmax(
    call: Call, x: Tensor, x_scale: Tensor, x_zero: Any, scale: Tensor, zero: Tensor
) -> Tensor:
    """Compute softmax of quantized numbers. ONNX Runtime has an integer number of levels from 0 to 1."""
    return _on_numbers("Softmax", 1)(call, x, x_scale, x_zero, 1.0 / ops.floor(1.0 / scale), zero)


@microsoft("QLinearWhere")
def qlinear_where(call: Call, condition: Tensor, *inputs: Any) -> Tensor:
    """Select elements of two quantized tensors."""
    x, y = _triples(inputs[:6])
    return _result(ops.where(condition, x, y), inputs[0], *inputs[6:])


@microsoft("QLinearConcat")
def qlinear_concat(call: Call, scale: Tensor, zero: Tensor, *inputs: Any) -> Tensor:
    """Concatenate quantized tensors along an axis."""
    return _result(ops.concatenate(_triples(inputs), axis=call.get("axis", 0)), inputs[0], scale, zero)


def _on_images(call: Call, x: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
    """Apply a function of images with channels last to such, or to others, as `channels_last` says."""
    return (
        compute(x) if call.get("channels_last", 0) else ops.moveaxis(compute(ops.moveaxis(x, 1, -1)), -1, 1)
    )


@microsoft("QLinearAveragePool QLinearGlobalAveragePool")
def qlinear_average_pool(call: Call, x: Tensor, scale: Tensor, zero: Tensor, *target: Any) -> Tensor:
    """Compute means of windows, or of all pixels, of quantized numbers."""
    pool = global_average_pool if "Global" in call.op else average_pool
    if call.get("ceil_mode", 0) and call.get("count_include_pad", 0):
        raise GraphError("ceil_mode with count_include_pad is not supported")
    y = _on_images(call, from_levels(x, scale, zero, -1), lambda images: pool(call, images))
    return _result(y, x, *target)


@microsoft("QLinearConv")
def qlinear_conv_of_layout(call: Call, x: Tensor, *others: Any) -> Tensor:
    """Convolve quantized numbers, with channels last or not."""
    return _on_images(call, x, lambda images: qlinear_conv(call, images, *others))


# -- products ------------------------------------------------------------------------------------------------


@microsoft("MatMulIntegerToFloat")
def matmul_integer_to_float(
    call: Call,
    a: Tensor,
    b: Tensor,
    a_scale: Tensor,
    b_scale: Tensor,
    a_zero: Tensor | None = None,
    b_zero: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Multiply matrices of integers, less their zeros, by their scales, and add a bias."""
    product = product_of_levels(a, b, a_zero, b_zero)
    y = ops.cast(product, "float32") * (ops.reshape(a_scale, ()) * b_scale)
    return y if bias is None else y + bias


@microsoft("DynamicQuantizeMatMul")
def dynamic_quantize_matmul(
    call: Call, a: Tensor, b: Tensor, scale: Tensor, zero: Tensor | None = None, bias: Tensor | None = None
) -> Tensor:
    """Quantize a over its own range, and multiply by quantized b."""
    levels, a_scale, a_zero = dynamic_quantize(call, a)
    return matmul_integer_to_float(call, levels, b, a_scale, scale, a_zero, zero, bias)


@microsoft("QGemm")
def qgemm(call: Call, *inputs: Any) -> Tensor:
    """Compute alpha (A B + C) of quantized matrices; the result is quantized if it has a scale."""
    a, a_scale, a_zero, b, b_scale, b_zero, c, scale, zero = filled(inputs, 9)
    a, b = (ops.transpose(x) if call.get(f"trans{name}", 0) else x for x, name in ((a, "A"), (b, "B")))
    total = product_of_levels(a, b, a_zero, b_zero, c)
    factor = ops.reshape(a_scale, ()) * b_scale * call.get("alpha", 1.0)
    return ops.cast(total, "float32") * factor if scale is None else requantized(total, factor, scale, zero)


def unpacked(x: Tensor, bits: int) -> Tensor:
    """Return the numbers of a few bits in the last axis of bytes, the lowest bits first."""
    parts = [ops.right_shift(x, ops.full((), i, x.dtype)) for i in range(0, 8, bits)]
    numbers = ops.bitwise_and(ops.stack(parts, axis=-1), ops.full((), (1 << bits) - 1, x.dtype))
    return ops.reshape(numbers, (*x.shape[:-1], x.shape[-1] * (8 // bits)))


@microsoft("MatMulNBits")
def matmul_few_bits(
    call: Call,
    x: Tensor,
    w: Tensor,
    scales: Tensor,
    zeros: Tensor | None = None,
    groups: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    """Multiply by the transpose of a matrix (N, K) of few bits, with a scale and a zero for blocks of K."""
    call.only(weight_prepacked=0)
    call.get("accuracy_level")
    bits, block, rows, columns = (call.get(name, 0) for name in ("bits", "block_size", "N", "K"))
    if bits not in (2, 4, 8) or groups is not None:
        raise GraphError("weights of 2, 4 and 8 bits without an order of groups (g_idx) are supported")
    count = -(-columns // block)
    levels = ops.cast(unpacked(ops.reshape(w, (rows, count, -1)), bits), "float32")
    middle: Any = float(1 << (bits - 1))
    if zeros is not None:
        table = ops.reshape(zeros, (rows, -1))
        table = unpacked(table, bits) if zeros.dtype == "uint8" else table
        middle = ops.cast(table[:, :count, None], "float32")
    kernel = (levels - middle) * ops.cast(ops.reshape(scales, (rows, count, 1)), "float32")
    kernel = ops.reshape(kernel, (rows, count * block))[:, :columns]
    y = ops.matmul(x, ops.cast(ops.transpose(kernel), x.dtype))
    return y if bias is None else y + bias


@microsoft("DynamicQuantizeLSTM", weights=(3,))
def dynamic_quantize_lstm(call: Call, x: Tensor, w: Tensor, r: Tensor, *others: Any) -> tuple[Any, ...]:
    """Compute an LSTM with quantized kernels; inputs and states are quantized over their own range."""

    def multiply(x: Tensor, kernel: Tensor, which: int, number: int) -> Tensor:
        levels, scale, zero = dynamic_quantize(call, x)
        factor, shift = (in_order(v[number]) for v in others[5 + 2 * which : 7 + 2 * which])
        return ops.cast(product_of_levels(levels, kernel, zero, shift), "float32") * (scale * factor)

    def in_order(v: Tensor) -> Tensor:
        return reorder(v, GATES_OF_LSTM, 0) if v.shape else v

    return lstm(call, x, *(ops.transpose(v, (0, 2, 1)) for v in (w, r)), *others[:5], multiply=multiply)
