"""ONNX operators on windows, and normalizations, on tensors with channels last."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError
from hornbeam.ir.limits import count_elements
from hornbeam.ir.node import Node
from hornbeam.onnx.operators.vocabulary import LAST, Call, ints, operator

Pairs = tuple[tuple[int, int], ...]


def numbers_of(call: Call, name: str, rank: int, default: int = 1) -> tuple[int, ...]:
    """Return one number for each spatial axis."""
    value = call.attributes.get(name)
    numbers = [default] * rank if value is None else ints(value, name)
    if len(numbers) != rank or min(numbers) < 0 or (default and min(numbers) < 1):
        raise GraphError(f"{name}={value} for {rank} spatial axes")
    return tuple(numbers)


def _padding(call: Call, sizes: Sequence[int], extents: Sequence[int], strides: Sequence[int]) -> Pairs:
    """Return the padding before and after each spatial axis, for windows of the given extents."""
    auto = call.get("auto_pad", "NOTSET")
    if auto == "NOTSET":
        amounts = numbers_of(call, "pads", 2 * len(sizes), 0)
        return tuple(zip(amounts[: len(sizes)], amounts[len(sizes) :], strict=True))
    if auto == "VALID":
        return ((0, 0),) * len(sizes)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise GraphError(f"auto_pad={auto!r} is not supported")
    pairs = []
    for size, k, stride in zip(sizes, extents, strides, strict=True):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        half = total // 2
        pairs.append((half, total - half) if auto == "SAME_UPPER" else (total - half, half))
    return tuple(pairs)


def _extents(window: Sequence[int], dilation: Sequence[int]) -> list[int]:
    return [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]


def _spatial(x: Node) -> int:
    if x.rank not in (3, 4, 5):
        raise GraphError(f"windows need 1 to 3 spatial axes, got {x.rank - 2}")
    return x.rank - 2


def kernel_of(call: Call, w: Tensor) -> Node:
    """Transpose (filters, channels, *window) to (*window, channels, filters)."""
    call.only(kernel_shape=list(w.shape[2:]))
    return p.transpose(w.node, (*range(2, w.node.rank), 1, 0))


def window_of(call: Call, x: Node, kernel: Node) -> tuple[tuple[int, ...], Pairs, tuple[int, ...], int]:
    """Return strides, padding, dilation and groups of a convolution."""
    rank = _spatial(x)
    strides, dilation = numbers_of(call, "strides", rank), numbers_of(call, "dilations", rank)
    pads = _padding(call, x.shape[1:-1], _extents(kernel.shape[:rank], dilation), strides)
    return strides, pads, dilation, call.get("group", 1)


@operator("Conv", LAST, weights=(1, 2))
def conv(call: Call, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Convolve (cross-correlation), in groups."""
    kernel = kernel_of(call, w)
    outputs = Tensor(p.conv(x.node, kernel, *window_of(call, x.node, kernel)))
    return outputs if b is None else outputs + b


@operator("ConvTranspose", LAST, weights=(1, 2))
def conv_transpose(call: Call, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    """Compute the transpose of a convolution."""
    node, kernel = x.node, kernel_of(call, w)
    rank = _spatial(node)
    strides, dilation = numbers_of(call, "strides", rank), numbers_of(call, "dilations", rank)
    call.get("pads")  # without effect beside output_shape
    extra, groups = numbers_of(call, "output_padding", rank, 0), call.get("group", 1)
    extents = _extents(kernel.shape[:rank], dilation)
    full_sizes = [
        (n - 1) * s + k + e for n, s, k, e in zip(node.shape[1:-1], strides, extents, extra, strict=True)
    ]
    auto, output_shape = call.get("auto_pad", "NOTSET"), call.attributes.get("output_shape")
    if output_shape is not None or auto.startswith("SAME"):
        sizes = ints(output_shape, "output_shape")[-rank:] if output_shape is not None else [
            n * s for n, s in zip(node.shape[1:-1], strides, strict=True)
        ]  # fmt: skip
        # Sizes beyond the full result are zeros at its end.
        full_sizes = [max(full, n) for full, n in zip(full_sizes, sizes, strict=True)]
        cuts = [full - n for full, n in zip(full_sizes, sizes, strict=True)]
        halves = [cut // 2 if auto == "SAME_UPPER" else cut - cut // 2 for cut in cuts]
        pads = tuple((half, cut - half) for half, cut in zip(halves, cuts, strict=True))
    else:
        pads = _padding(call, node.shape[1:-1], extents, strides)
    sizes = [n - low - high for n, (low, high) in zip(full_sizes, pads, strict=True)]
    shape = (node.shape[0], *sizes, kernel.shape[-2] * groups)
    outputs = Tensor(p.conv_input_grad(node, kernel, shape, strides, pads, dilation, groups))
    return outputs if b is None else outputs + b


# -- pools ---------------------------------------------------------------------------------------------------


def _pool(call: Call, x: Node) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], Pairs, Pairs]:
    """Return window, strides, dilation, padding, and the padding with the extra of `ceil_mode`."""
    rank = _spatial(x)
    window, strides = (
        ints(call.attributes.get("kernel_shape", []), "kernel_shape"),
        numbers_of(call, "strides", rank),
    )
    dilation = numbers_of(call, "dilations", rank)
    if len(window) != rank or min(window) < 1:
        raise GraphError(f"kernel_shape={window} for {rank} spatial axes")
    extents = _extents(window, dilation)
    pads = _padding(call, x.shape[1:-1], extents, strides)
    more = []
    for size, k, s, (low, high) in zip(x.shape[1:-1], extents, strides, pads, strict=True):
        remainder = (size + low + high - k) % s
        # One more window, unless it would start beyond the input.
        start = size + low + high - k - remainder + s
        has_extra = call.get("ceil_mode", 0) and remainder and start < size + low
        more.append((low, high + s - remainder if has_extra else high))
    return tuple(window), strides, dilation, pads, tuple(more)


def _window_views(
    x: Node, value: float, window: Any, strides: Sequence[int], dilation: Any, pads: Pairs
) -> list[Node]:
    """Return a view of the input for every position in a window."""
    low, high = zip((0, 0), *pads, (0, 0), strict=True)
    padded = p.pad(x, value, low, high)
    extents = _extents(window, dilation)
    counts = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:-1], extents, strides, strict=True)]
    count_elements(200 * math.prod(window))
    views = []
    for at in itertools.product(*(range(0, k * d, d) for k, d in zip(window, dilation, strict=True))):
        stop = [a + (c - 1) * s + 1 for a, c, s in zip(at, counts, strides, strict=True)]
        views.append(p.slice_(padded, (0, *at, 0), (x.shape[0], *stop, x.shape[-1]), (1, *strides, 1)))
    return views


@operator("MaxPool", LAST)
def max_pool(call: Call, x: Tensor) -> Any:
    """Compute the maximum of each window, and the positions of maxima."""
    node = x.node
    window, strides, dilation, _, pads = _pool(call, node)
    by_column = call.get("storage_order", 0)
    if (
        call.outputs == 1
        and set(dilation) == {1}
        and node.dtype in ("float32", "float64", "float16", "bfloat16")
    ):
        return Tensor(p.max_pool(node, window, strides, pads))
    lowest = -math.inf if node.dtype.startswith(("float", "bfloat")) else np.iinfo(node.dtype).min
    result, *views = _window_views(node, lowest, window, strides, dilation, pads)
    if call.outputs == 1:
        for view in views:
            result = p.maximum(result, view)
        return Tensor(result)
    position, *places = _window_views(_places(node, by_column), -1, window, strides, dilation, pads)
    for view, at in zip(views, places, strict=True):
        is_larger = p.gt(view, result)
        result, position = p.select(is_larger, view, result), p.select(is_larger, at, position)
    return Tensor(result), ops.moveaxis(Tensor(position), -1, 1)


def _places(x: Node, by_column: int) -> Node:
    """Return where each element of x (batch, *spatial, channels) lies in an array with channels first."""
    sizes = x.shape[1:-1]
    position, stride = p.iota("int64", x.shape, 0) * 0, 1
    axes = list(range(1, len(sizes) + 1))
    for axis in (axes if by_column else axes[::-1]) + [len(sizes) + 1, 0]:
        position = p.iota("int64", x.shape, axis) * stride + position
        stride *= x.shape[axis]
    return position


@operator("MaxUnpool", tensors=1)
def max_unpool(call: Call, x: Tensor, indices: Any, output_shape: Any = None) -> Tensor:
    """Put maxima back to where MaxPool found them, zeros elsewhere."""
    rank = len(x.shape) - 2
    window, strides = numbers_of(call, "kernel_shape", rank), numbers_of(call, "strides", rank)
    pads = numbers_of(call, "pads", 2 * rank, 0)
    sizes = [
        (n - 1) * s + k - low - high
        for n, s, k, low, high in zip(x.shape[2:], strides, window, pads[:rank], pads[rank:], strict=True)
    ]
    shape = (*x.shape[:2], *sizes)
    if output_shape is not None and tuple(ints(output_shape, "output_shape")) != shape:
        raise GraphError(
            f"an output_shape other than {shape}, which follows from the windows, is not supported"
        )
    flat = ops.zeros((math.prod(shape),), x.dtype)
    at = ops.reshape(ops.cast(indices, "int64"), (-1, 1))
    return ops.reshape(Tensor(p.scatter(flat.node, at.node, ops.reshape(x, (-1,)).node, "set")), shape)


@operator("Col2Im", tensors=1)
def col2im(call: Call, x: Tensor, image: Any, block: Any) -> Tensor:
    """Add the columns of blocks (batch, channels * block, positions) up to an image."""
    sizes, window = (
        list(map(int, ints(v, name))) for v, name in ((image, "image_shape"), (block, "block_shape"))
    )
    rank, taps = len(sizes), math.prod(window)
    strides, dilation = numbers_of(call, "strides", rank), numbers_of(call, "dilations", rank)
    pads = numbers_of(call, "pads", 2 * rank, 0)
    count_elements(taps * x.shape[2])
    inside, index = np.ones((taps, x.shape[2]), bool), np.zeros((taps, x.shape[2]), "int64")
    extents = _extents(window, dilation)
    counts = [
        (n + low + high - k) // s + 1
        for n, low, high, k, s in zip(sizes, pads[:rank], pads[rank:], extents, strides, strict=True)
    ]
    for i in range(rank):
        tap, at = np.indices(window)[i].reshape(-1, 1), np.indices(counts)[i].reshape(1, -1)
        position = at * strides[i] + tap * dilation[i] - pads[i]
        inside &= (position >= 0) & (position < sizes[i])
        index = index * sizes[i] + np.clip(position, 0, sizes[i] - 1)
    channels = x.shape[1] // taps
    columns = ops.transpose(ops.reshape(x, (x.shape[0], channels, -1)), (2, 0, 1))
    columns = columns * ops.cast(as_tensor(inside.reshape(-1, 1, 1)), x.dtype)
    flat = ops.zeros((math.prod(sizes), x.shape[0], channels), x.dtype)
    added = p.scatter(flat.node, as_tensor(index.reshape(-1, 1)).node, columns.node, "add")
    return ops.reshape(ops.transpose(Tensor(added), (1, 2, 0)), (x.shape[0], channels, *sizes))


@operator("LpPool", LAST)
def lp_pool(call: Call, x: Tensor) -> Tensor:
    """Compute the p-norm of each window."""
    window, strides, dilation, _, pads = _pool(call, x.node)
    power = float(call.get("p", 2))
    first, *views = _window_views(
        ops.power(ops.absolute(x), power).node, 0.0, window, strides, dilation, pads
    )
    return ops.power(Tensor(sum(views, first)), 1 / power)


@operator("GlobalLpPool", LAST)
def global_lp_pool(call: Call, x: Tensor) -> Tensor:
    """Compute the p-norm over all positions."""
    power = float(call.get("p", 2))
    return ops.power(ops.sum(ops.power(ops.absolute(x), power), _spatial_axes(x), True), 1 / power)


@operator("AveragePool", LAST)
def average_pool(call: Call, x: Tensor) -> Tensor:
    """Compute the mean of each window. Padding counts only with count_include_pad, and never that of
    `ceil_mode`.
    """
    node = x.node
    window, strides, dilation, pads, extended_pads = _pool(call, node)

    def sums(node: Node, pads: Pairs) -> Tensor:
        if set(dilation) == {1}:
            return Tensor(p.sum_pool(node, window, strides, pads))
        result, *views = _window_views(node, 0.0, window, strides, dilation, pads)
        return Tensor(sum(views, result))

    total = sums(node, extended_pads)
    counted = pads if call.get("count_include_pad", 0) else ((0, 0),) * len(pads)
    if counted == extended_pads:
        return total * (1.0 / math.prod(window))
    ones = p.broadcast(as_tensor(1.0, total.dtype).node, (1, *node.shape[1:-1], 1), ())
    low, high = zip((0, 0), *counted, (0, 0), strict=True)
    rest = tuple((a - c, b - d) for (a, b), (c, d) in zip(extended_pads, counted, strict=True))
    return total / sums(p.pad(ones, 1.0, low, high), rest)


def _spatial_axes(x: Tensor) -> tuple[int, ...]:
    return tuple(range(1, len(x.shape) - 1))


@operator("GlobalAveragePool", LAST)
def global_average_pool(call: Call, x: Tensor) -> Tensor:
    """Compute the mean over all positions."""
    return ops.mean(x, _spatial_axes(x), True)


@operator("GlobalMaxPool", LAST)
def global_max_pool(call: Call, x: Tensor) -> Tensor:
    """Compute the maximum over all positions."""
    return ops.max(x, _spatial_axes(x), True)


# -- normalizations ------------------------------------------------------------------------------------------


@operator("BatchNormalization", LAST, weights=(1, 2))
def batch_normalization(
    call: Call, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Any:
    """Normalize by the means and variances of the file, in training too; in `training_mode` by those of x."""
    call.only(spatial=1)
    is_training, momentum = call.get("training_mode", 0), call.get("momentum", 0.9)
    used = ops.moments(x, tuple(range(len(x.shape) - 1))) if is_training else (mean, variance)
    center, spread, offset, factor = (ops.cast(v, x.dtype) for v in (*used, bias, scale))
    y = ops.batch_normalization(x, center, spread, -1, offset, factor, call.get("epsilon", 1e-5))
    moved = (
        old * momentum + ops.cast(new, old.dtype) * (1 - momentum)
        for old, new in zip((mean, variance), used, strict=True)
    )
    return (y, *moved) if is_training else y


@operator("InstanceNormalization", LAST, weights=(1, 2))
def instance_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalize by mean and variance over the positions of each example and channel."""
    mean, variance = ops.moments(x, _spatial_axes(x), keepdims=True)
    factor = ops.rsqrt(variance + call.get("epsilon", 1e-5)) * scale
    return (x - mean) * factor + bias


@operator("LRN", LAST)
def local_response_normalization(call: Call, x: Tensor) -> Tensor:
    """Compute x / (bias + alpha / size * sum of squares of neighboring channels)^beta."""
    size, rank = call.get("size", 1), len(x.shape)
    num_before = (size - 1) // 2
    low, high = [0] * rank, [0] * rank
    low[-1], high[-1] = num_before, size - 1 - num_before
    count_elements(200 * size)
    squares = Tensor(p.pad((x * x).node, 0.0, tuple(low), tuple(high)))
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(size))
    scale = call.get("bias", 1.0) + call.get("alpha", 1e-4) / size * total
    return x / ops.power(scale, call.get("beta", 0.75))


@operator("GroupNormalization", weights=(1, 2))
def group_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """Normalize groups of channels; scales are of groups, or from version 21 on of channels."""
    groups = call.get("num_groups", 1)
    n, channels = x.shape[:2]
    parts = ops.reshape(x, (n, groups, -1))
    mean, variance = ops.moments(parts, 2, keepdims=True)
    normalized = (parts - mean) * ops.rsqrt(variance + call.get("epsilon", 1e-5))
    rows = ops.reshape(normalized, (n, groups, channels // groups, -1))
    factors = [ops.reshape(v, (groups, -1, 1)) for v in (scale, bias)]
    return ops.reshape(rows * factors[0] + factors[1], x.shape)


@operator("LayerNormalization", weights=(1, 2))
def layer_normalization(call: Call, x: Tensor, scale: Tensor, bias: Tensor | None = None) -> Any:
    """Normalize by mean and variance over the last axes; further outputs are the mean and 1 / deviation."""
    axes = tuple(range(call.get("axis", -1) % len(x.shape), len(x.shape)))
    shape = tuple(x.shape[a] for a in axes)
    gamma, beta = (None if v is None else ops.broadcast_to(v, shape) for v in (scale, bias))
    epsilon = call.get("epsilon", 1e-5)
    y = ops.layer_normalization(x, gamma, beta, axes, epsilon)
    if call.outputs == 1:
        return y
    mean, variance = ops.moments(x, axes, keepdims=True)
    return y, mean, ops.rsqrt(variance + epsilon)


@operator("RMSNormalization", weights=(1,))
def rms_normalization(call: Call, x: Tensor, scale: Tensor) -> Tensor:
    """Normalize by the root mean square over the last axes."""
    axes = tuple(range(call.get("axis", -1) % len(x.shape), len(x.shape)))
    gamma = ops.broadcast_to(scale, tuple(x.shape[a] for a in axes))
    return ops.rms_normalization(x, gamma, axes, call.get("epsilon", 1e-5))


@operator("SimplifiedLayerNormalization com.microsoft::SimplifiedLayerNormalization", weights=(1,))
def simplified_layer_normalization(call: Call, x: Tensor, scale: Tensor) -> Any:
    """Normalize by the root mean square over the last axes; the second output is its inverse."""
    y = rms_normalization(call, x, scale)
    axes = tuple(range(call.get("axis", -1) % len(x.shape), len(x.shape)))
    squares = ops.mean(ops.cast(x * x, "float32"), axes, True)
    return (y, ops.rsqrt(squares + call.get("epsilon", 1e-5))) if call.outputs > 1 else y


@operator("MeanVarianceNormalization")
def mean_variance_normalization(call: Call, x: Tensor) -> Tensor:
    """Normalize by mean and variance over given axes."""
    axes = tuple(call.get("axes", [0, 2, 3]))
    mean, variance = ops.moments(x, axes, keepdims=True)
    return (x - mean) / (ops.sqrt(variance) + 1e-9)
