"""Products, convolutions, pools."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch.utils.weak import WeakTensorKeyDictionary

from hornbeam.engines.table import Table
from hornbeam.engines.torch.elementwise import Tensor, widened
from hornbeam.ir.types import Shape
from hornbeam.primitives.contract import AxesPair, Padding


def _dot(x: Tensor, y: Tensor, *, contract: AxesPair, batch: AxesPair) -> Tensor:
    x_free = [a for a in range(x.dim()) if a not in contract[0] and a not in batch[0]]
    y_free = [a for a in range(y.dim()) if a not in contract[1] and a not in batch[1]]
    batches = [x.shape[a] for a in batch[0]]
    left, right = [x.shape[a] for a in x_free], [y.shape[a] for a in y_free]
    inner = math.prod(x.shape[a] for a in contract[0])
    n = [math.prod(batches)] if batches else []
    rows = x.permute([*batch[0], *x_free, *contract[0]]).reshape([*n, math.prod(left), inner])
    columns = y.permute([*batch[1], *contract[1], *y_free]).reshape([*n, inner, math.prod(right)])
    return torch.matmul(rows, columns).reshape([*batches, *left, *right])


def _first(x: Tensor) -> Tensor:
    """View (N, *S, C) as (N, C, *S), in PyTorch's memory format channels_last."""
    return x.movedim(-1, 1)


def _last(x: Tensor) -> Tensor:
    return x.movedim(1, -1)


def _pad_amounts(padding: Padding) -> list[int]:
    """Return the amounts of F.pad, from the last axis to the first."""
    return [amount for pair in reversed(padding) for amount in pair]


def _even(padding: Padding) -> bool:
    return all(low == high for low, high in padding)


def _convolved(x: Tensor, padding: Padding) -> tuple[Tensor, list[int]]:
    """Pad x if low and high amounts differ; return it with the amounts left to the convolution."""
    if _even(padding):
        return x, [low for low, _ in padding]
    return F.pad(x, _pad_amounts(padding)), [0] * len(padding)


def _unfilled(like: Tensor, shape: Shape, padding: Padding) -> tuple[Tensor, list[int]]:
    """Do as `_convolved` for an x of which only shape and layout matter."""
    n, *spatial, channels = shape
    if _even(padding):
        return _first(like.new_empty(shape)), [low for low, _ in padding]
    grown = [size + low + high for size, (low, high) in zip(spatial, padding, strict=True)]
    return _first(like.new_empty((n, *grown, channels))), [0] * len(padding)


_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)


def _kernel(w: Tensor) -> Tensor:
    """View (*K, I, O) as (O, I, *K)."""
    return w.permute(w.dim() - 1, w.dim() - 2, *range(w.dim() - 2))


def _conv(x: Tensor, w: Tensor, *, strides: Shape, padding: Padding, dilation: Shape, groups: int) -> Tensor:
    inside, amounts = _convolved(_first(x), padding)
    fn = _CONVOLUTIONS[len(strides) - 1]
    return _last(fn(inside, _kernel(w), None, strides, amounts, dilation, groups))


def _conv_gradients(
    dy: Tensor,
    x: Tensor,
    w: Tensor,
    amounts: Any,
    wanted: Any,
    *,
    strides: Shape,
    dilation: Shape,
    groups: int,
) -> tuple[Tensor, Tensor]:
    """Compute gradients of a convolution. Of operands without a gradient only the shape matters."""
    dx, dw, _ = torch.ops.aten.convolution_backward(
        _first(dy), x, w, None, strides, amounts, dilation, False, [0] * len(strides), groups, wanted
    )
    return dx, dw


def _conv_input_grad(dy: Tensor, w: Tensor, *, input_shape: Shape, padding: Padding, **window: Any) -> Tensor:
    x, amounts = _unfilled(dy, input_shape, padding)
    dx, _ = _conv_gradients(dy, x, _kernel(w), amounts, [True, False, False], **window)
    return _last(dx if _even(padding) else _inside(dx, input_shape, padding))


def _conv_kernel_grad(
    x: Tensor, dy: Tensor, *, kernel_shape: Shape, padding: Padding, **window: Any
) -> Tensor:
    inside, amounts = _convolved(_first(x), padding)
    w = _kernel(x.new_empty(kernel_shape))
    _, dw = _conv_gradients(dy, inside, w, amounts, [False, True, False], **window)
    return dw.permute(*range(2, dw.dim()), 1, 0)


_POOLS = (F.max_pool1d, F.max_pool2d, F.max_pool3d)


# The backward pass uses the argmax positions of the forward pass: x -> (window, result of `_pooled`).
_pool_cache: Any = WeakTensorKeyDictionary()


def _pooled(x: Tensor, window: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the padded x as (N, C, *S), its maxima, and their positions in the flattened spatial axes."""
    known = _pool_cache.get(x)
    if known is not None and known[0] == window:
        return _padded(x, window["padding"], -math.inf), *known[1]
    padded = _padded(x, window["padding"], -math.inf)
    fn = _POOLS[len(window["window"]) - 1]
    pooled = fn(padded, window["window"], window["strides"], return_indices=True)
    _pool_cache[x] = window, pooled
    return padded, *pooled


def _padded(x: Tensor, padding: Padding, value: float) -> Tensor:
    """View (N, *S, C) as (N, C, *S), padded. F.pad would copy even without padding."""
    return F.pad(_first(x), _pad_amounts(padding), value=value) if any(map(any, padding)) else _first(x)


def _max_pool(x: Tensor, **window: Any) -> Tensor:
    return _last(_pooled(x, window)[1])


def _max_pool_gather(x: Tensor, t: Tensor, **window: Any) -> Tensor:
    _, out, positions = _pooled(x, window)
    padded = _padded(t, window["padding"], 0)
    values = torch.gather(padded.flatten(2), 2, positions.flatten(2))
    return _last(values.reshape(out.shape))


_POOL_GRADIENTS = {
    2: torch.ops.aten.max_pool2d_with_indices_backward,
    3: torch.ops.aten.max_pool3d_with_indices_backward,
}


def _max_pool_scatter(x: Tensor, dy: Tensor, **window: Any) -> Tensor:
    padded, _, positions = _pooled(x, window)
    backward = _POOL_GRADIENTS.get(len(window["window"]))
    if backward is not None:
        still = [0] * (x.dim() - 2)
        sizes = window["window"], window["strides"], still, [1] * (x.dim() - 2), False
        return _last(_inside(backward(_first(dy), padded, *sizes, positions), x.shape, window["padding"]))
    flat = torch.zeros_like(padded, memory_format=torch.contiguous_format).flatten(2)
    spread = flat.scatter_add(2, positions.flatten(2), _first(dy).flatten(2)).reshape(padded.shape)
    return _last(_inside(spread, x.shape, window["padding"]))


def _inside(x: Tensor, shape: Sequence[int], padding: Padding) -> Tensor:
    """Remove the padding of (N, C, *S) around `shape`, which is (N, *S, C)."""
    for axis, (size, (low, _)) in enumerate(zip(shape[1:-1], padding, strict=True), start=2):
        x = x.narrow(axis, low, size)
    return x


def _flat_window(window: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Return window and strides with at least two axes: PyTorch's pools over one axis always divide."""
    extra = [1] * (len(window["window"]) == 1)
    return [*window["window"], *extra], [*window["strides"], *extra]


def _sum_pool(x: Tensor, **window: Any) -> Tensor:
    padded = _padded(x, window["padding"], 0)
    sizes, strides = _flat_window(window)
    fn = F.avg_pool3d if len(sizes) == 3 else F.avg_pool2d
    if x.dim() == 3:
        return _last(fn(padded[..., None], sizes, strides, divisor_override=1)[..., 0])
    return _last(fn(padded, sizes, strides, divisor_override=1))


def _sum_pool_grad(dy: Tensor, *, input_shape: Shape, **window: Any) -> Tensor:
    like = F.pad(_first(dy.new_zeros(()).expand(input_shape)), _pad_amounts(window["padding"]))
    sizes, strides = _flat_window(window)
    backward = torch.ops.aten.avg_pool3d_backward if len(sizes) == 3 else torch.ops.aten.avg_pool2d_backward
    cotangent = _first(dy)
    one_axis = dy.dim() == 3
    if one_axis:
        like, cotangent = like[..., None], cotangent[..., None]
    dx = backward(cotangent.contiguous(), like.contiguous(), sizes, strides, [0] * len(sizes), False, True, 1)
    return _last(_inside(dx[..., 0] if one_axis else dx, input_shape, window["padding"]))


CONTRACT: Table = {
    "dot_general": _dot,
    "conv": _conv,
    "conv_input_grad": _conv_input_grad,
    "conv_kernel_grad": _conv_kernel_grad,
    "max_pool": _max_pool,
    "max_pool_gather": _max_pool_gather,
    "max_pool_scatter": widened(_max_pool_scatter),
    "sum_pool": widened(_sum_pool),
    "sum_pool_grad": widened(_sum_pool_grad),
}
