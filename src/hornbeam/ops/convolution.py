"""Convolutions and pooling over one, two or three axes, in both data formats."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.typing import Sizes
from hornbeam.config import standard_data_format
from hornbeam.core.convert import cast_node, result_dtype
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.limits import count_elements
from hornbeam.ir.node import Node
from hornbeam.ir.types import ShapeError, is_float
from hornbeam.ops._common import array_functions, float_node, node_of, size_constant

# fmt: off
__all__ = [
    "adaptive_average_pool", "adaptive_max_pool", "average_pool", "conv", "conv_transpose",
    "depthwise_conv", "max_pool", "separable_conv",
]
# fmt: on

Pairs = tuple[tuple[int, int], ...]


def sizes_of(value: Sizes, rank: int, name: str) -> tuple[int, ...]:
    """Return one integer per spatial axis, from one integer or several."""
    if isinstance(value, str):
        raise TypeError(f"{name} must be an integer or {rank} of them, got {value!r}")
    sizes = (value,) * rank if isinstance(value, (int, np.integer)) else tuple(value)
    if len(sizes) != rank or any(int(n) < 1 for n in sizes):
        raise ValueError(f"{name} must be a positive integer or {rank} of them, got {value!r}")
    return tuple(int(n) for n in sizes)


def padding_of(
    padding: str, sizes: Sequence[int], window: Sequence[int], strides: Sequence[int], dilation: Sequence[int]
) -> Pairs:
    """Return the numbers of zeros before and after each axis.

    None for "valid"; for "same" so many that the output has size ceil(size / stride), an odd one after, as in
    TensorFlow.
    """
    kind = padding.lower() if isinstance(padding, str) else padding
    if kind == "valid":
        return tuple((0, 0) for _ in sizes)
    if kind != "same":
        raise ValueError(f'padding must be "valid" or "same", got {padding!r}')
    pairs = []
    for size, k, stride, step in zip(sizes, window, strides, dilation, strict=True):
        total = max((-(-size // stride) - 1) * stride + step * (k - 1) + 1 - size, 0)
        pairs.append((total // 2, total - total // 2))
    return tuple(pairs)


def channels_last(node: Node, data_format: str | None) -> Node:
    """Move the channels after the spatial axes, if they precede them."""
    if standard_data_format(data_format) == "channels_last":
        return node
    return p.transpose(node, (0, *range(2, node.rank), 1))


def restore_channels(node: Node, data_format: str | None) -> Node:
    """Invert `channels_last`."""
    if standard_data_format(data_format) == "channels_last":
        return node
    return p.transpose(node, (0, node.rank - 1, *range(1, node.rank - 1)))


def _operands(
    name: str, inputs: TensorLike, kernel: TensorLike, data_format: str | None
) -> tuple[Node, Node, int]:
    dtype = result_dtype(inputs, kernel)
    dtype = dtype if is_float(dtype) else "float32"
    x, w = cast_node(inputs, dtype), cast_node(kernel, dtype)
    if x.rank not in (3, 4, 5) or w.rank != x.rank:
        raise ShapeError(
            f"{name} needs inputs (batch, 1 to 3 spatial axes, channels) and a kernel with as many axes, "
            f"got shapes {x.shape} and {w.shape}"
        )
    return channels_last(x, data_format), w, x.rank - 2


def _fitting(
    name: str, sizes: Sequence[int], window: Sequence[int], dilation: Sequence[int], pads: Pairs
) -> None:
    reach = [d * (k - 1) + 1 for k, d in zip(window, dilation, strict=True)]
    if any(n + sum(pad) < r for n, r, pad in zip(sizes, reach, pads, strict=True)):
        raise ShapeError(
            f"{name}: a window of {tuple(reach)} does not fit into spatial axes of {tuple(sizes)}. "
            'Use padding="same", a smaller window, or larger inputs'
        )


@operation
def conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Convolve (cross-correlate) over one to three spatial axes.

    Args:
        inputs: Tensor (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        kernel: Tensor (*window, channels / groups, filters); with fewer kernel than input channels the input
            is split into groups.
        strides: Integer or one integer for each spatial axis.
        padding: "valid" or "same".
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.
        dilation_rate: Integer or one integer for each spatial axis, the distance of kernel elements.

    Returns:
        Tensor (batch, *spatial, filters), or (batch, filters, *spatial).

    Raises:
        ShapeError: If the shapes do not fit.

    Example:
        >>> hornbeam.ops.conv(hornbeam.ops.ones((1, 8, 8, 3)), hornbeam.ops.ones((3, 3, 3, 5))).shape
        (1, 6, 6, 5)
    """
    x, w, rank = _operands("conv", inputs, kernel, data_format)
    steps, dilation = sizes_of(strides, rank, "strides"), sizes_of(dilation_rate, rank, "dilation_rate")
    channels, per_group, filters = x.shape[-1], w.shape[-2], w.shape[-1]
    if not per_group or channels % per_group or filters % max(channels // per_group, 1):
        raise ShapeError(
            f"conv: {channels} input channels do not fit a kernel for {per_group} channels and "
            f"{filters} filters (inputs {x.shape}, channels last; kernel {w.shape})"
        )
    pads = padding_of(padding, x.shape[1:-1], w.shape[:rank], steps, dilation)
    _fitting("conv", x.shape[1:-1], w.shape[:rank], dilation, pads)
    return Tensor(restore_channels(p.conv(x, w, steps, pads, dilation, channels // per_group), data_format))


@operation
def depthwise_conv(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Convolve every channel by itself, with several filters each.

    Output channel c * multiplier + m is channel c under its filter m.

    Args:
        inputs: Tensor (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        kernel: Tensor (*window, channels, multiplier).
        strides: Integer or one integer for each spatial axis.
        padding: "valid" or "same".
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.
        dilation_rate: Integer or one integer for each spatial axis, the distance of kernel elements.

    Returns:
        Tensor (batch, *spatial, channels * multiplier), or channels first.

    Raises:
        ShapeError: If the shapes do not fit.

    Example:
        >>> x = hornbeam.ops.ones((1, 8, 8, 3))
        >>> hornbeam.ops.depthwise_conv(x, hornbeam.ops.ones((3, 3, 3, 2))).shape
        (1, 6, 6, 6)
    """
    x, w, rank = _operands("depthwise_conv", inputs, kernel, data_format)
    steps, dilation = sizes_of(strides, rank, "strides"), sizes_of(dilation_rate, rank, "dilation_rate")
    channels, multiplier = w.shape[-2:]
    if x.shape[-1] != channels:
        raise ShapeError(f"depthwise_conv: {x.shape[-1]} input channels, the kernel {w.shape} has {channels}")
    pads = padding_of(padding, x.shape[1:-1], w.shape[:rank], steps, dilation)
    _fitting("depthwise_conv", x.shape[1:-1], w.shape[:rank], dilation, pads)
    grouped = p.reshape(w, (*w.shape[:rank], 1, channels * multiplier))
    return Tensor(restore_channels(p.conv(x, grouped, steps, pads, dilation, channels), data_format))


@operation
def separable_conv(
    inputs: TensorLike,
    depthwise_kernel: TensorLike,
    pointwise_kernel: TensorLike,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Apply a depthwise convolution, then a 1x1 convolution that mixes the channels.

    Args:
        inputs: Tensor (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        depthwise_kernel: Tensor (*window, channels, multiplier).
        pointwise_kernel: Tensor (1, ..., channels * multiplier, filters).
        strides: Integer or one integer for each spatial axis.
        padding: "valid" or "same".
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.
        dilation_rate: Integer or one integer for each spatial axis, the distance of kernel elements.

    Returns:
        Tensor (batch, *spatial, filters), or channels first.

    Raises:
        ShapeError: If the shapes do not fit.

    Example:
        >>> x, d = hornbeam.ops.ones((1, 8, 8, 3)), hornbeam.ops.ones((3, 3, 3, 1))
        >>> hornbeam.ops.separable_conv(x, d, hornbeam.ops.ones((1, 1, 3, 5))).shape
        (1, 6, 6, 5)
    """
    middle = depthwise_conv(inputs, depthwise_kernel, strides, padding, data_format, dilation_rate)
    return conv(middle, pointwise_kernel, 1, "valid", data_format, 1)


def transposed_size(
    size: int, window: int, stride: int, padding: str, output_padding: int | None, dilation: int
) -> int:
    """Return the size of the output of `conv_transpose` along one axis."""
    reach = dilation * (window - 1) + 1
    same = padding.lower() == "same"
    if output_padding is None:
        return size * stride if same else size * stride + max(reach - stride, 0)
    return (size - 1) * stride + reach + output_padding - (2 * (reach // 2) if same else 0)


@operation
def conv_transpose(
    inputs: TensorLike,
    kernel: TensorLike,
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    output_padding: int | Sequence[int] | None = None,
    data_format: str | None = None,
    dilation_rate: int | Sequence[int] = 1,
) -> Tensor:
    """Apply the transpose of a convolution: spread every input through the kernel, `strides` apart.

    An axis grows to size * stride for "same", and for "valid" by as much more as the window is wider than the
    stride.

    Args:
        inputs: Tensor (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        kernel: Tensor (*window, filters, channels).
        strides: Integer or one integer for each spatial axis.
        padding: "valid" or "same".
        output_padding: Integer or one integer for each spatial axis that sets the size explicitly, or None.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.
        dilation_rate: Integer or one integer for each spatial axis, the distance of kernel elements.

    Returns:
        Tensor (batch, *spatial, filters), or channels first.

    Raises:
        ShapeError: If the shapes do not fit.

    Example:
        >>> x = hornbeam.ops.ones((1, 4, 4, 3))
        >>> hornbeam.ops.conv_transpose(x, hornbeam.ops.ones((2, 2, 5, 3)), 2).shape
        (1, 8, 8, 5)
    """
    x, w, rank = _operands("conv_transpose", inputs, kernel, data_format)
    steps, dilation = sizes_of(strides, rank, "strides"), sizes_of(dilation_rate, rank, "dilation_rate")
    if x.shape[-1] != w.shape[-1]:
        raise ShapeError(
            f"conv_transpose: {x.shape[-1]} input channels, the kernel {w.shape} has {w.shape[-1]}"
        )
    padding_of(padding, (), (), (), ())
    extra = (None,) * rank if output_padding is None else _extras(output_padding, rank)
    sizes, pads = [], []
    for size, k, stride, more, step in zip(
        x.shape[1:-1], w.shape[:rank], steps, extra, dilation, strict=True
    ):
        out = transposed_size(size, k, stride, padding, more, step)
        total = max((size - 1) * stride + step * (k - 1) + 1 - out, 0)
        low = total // 2
        sizes.append(out)
        pads.append((low, total - low))
    shape = (x.shape[0], *sizes, w.shape[-2])
    result = p.conv_input_grad(x, w, shape, steps, tuple(pads), dilation, 1)
    return Tensor(restore_channels(result, data_format))


def _extras(output_padding: int | Sequence[int | None], rank: int) -> tuple[int | None, ...]:
    extras = (output_padding,) * rank if isinstance(output_padding, int) else tuple(output_padding)
    if len(extras) != rank:
        raise ValueError(f"output_padding must be an integer or {rank} of them, got {output_padding!r}")
    return extras


# -- pooling ---------------------------------------------------------------------------------------------


def _pooling(
    name: str, node: Node, pool_size: Sizes, strides: Sizes | None, padding: str, data_format: str | None
) -> tuple[Node, dict[str, Any]]:
    if node.rank not in (3, 4, 5):
        raise ShapeError(f"{name} needs (batch, 1 to 3 spatial axes, channels), got shape {node.shape}")
    x, rank = channels_last(node, data_format), node.rank - 2
    window = sizes_of(pool_size, rank, "pool_size")
    steps = window if strides is None else sizes_of(strides, rank, "strides")
    pads = padding_of(padding, x.shape[1:-1], window, steps, (1,) * rank)
    _fitting(name, x.shape[1:-1], window, (1,) * rank, pads)
    return x, {"window": window, "strides": steps, "padding": pads}


@operation
def max_pool(
    inputs: TensorLike,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Compute the maximum of each window; padding never wins.

    Args:
        inputs: Tensor (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        pool_size: Integer or one integer for each spatial axis, the size of the windows.
        strides: Integer or one integer for each spatial axis; None for `pool_size`.
        padding: "valid" or "same".
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor (batch, *spatial, channels), or channels first.

    Example:
        >>> hornbeam.ops.max_pool(hornbeam.ops.ones((1, 8, 8, 3)), 2).shape
        (1, 4, 4, 3)
    """
    x, window = _pooling("max_pool", node_of(inputs), pool_size, strides, padding, data_format)
    return Tensor(restore_channels(p.max_pool(x, **window), data_format))


@operation
def average_pool(
    inputs: TensorLike,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Tensor:
    """Compute the mean of each window over the elements inside the input: padding does not count.

    Args:
        inputs: Tensor (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        pool_size: Integer or one integer for each spatial axis, the size of the windows.
        strides: Integer or one integer for each spatial axis; None for `pool_size`.
        padding: "valid" or "same".
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor (batch, *spatial, channels), or channels first.

    Example:
        >>> hornbeam.ops.average_pool(hornbeam.ops.ones((1, 8, 8, 3)), 2).shape
        (1, 4, 4, 3)
    """
    x, window = _pooling("average_pool", float_node(inputs), pool_size, strides, padding, data_format)
    total = p.sum_pool(x, **window)
    if any(a or b for a, b in window["padding"]):
        means = total * _inverse_counts(x.shape[1:-1], total, **window)
    else:
        means = total * (1.0 / math.prod(window["window"]))
    return Tensor(restore_channels(means, data_format))


def _inverse_counts(
    sizes: Sequence[int], total: Node, window: Sequence[int], strides: Sequence[int], padding: Pairs
) -> Node:
    """Return 1 / (number of inputs in each window) as a product of one small vector per axis."""
    product = None
    for axis, (size, k, stride, (low, _)) in enumerate(zip(sizes, window, strides, padding, strict=True)):
        out = total.shape[axis + 1]
        inverse = size_constant(_inverse_counts_along(out, size, k, stride, low), total.dtype)
        factor = p.broadcast(inverse, total.shape, (axis + 1,))
        product = factor if product is None else product * factor
    assert product is not None
    return product


def _inverse_counts_along(out: int, size: int, window: int, stride: int, low: int) -> Any:
    xp = array_functions(out, size, low)
    starts = xp.arange(out) * stride - low
    return 1.0 / (xp.minimum(starts + window, size) - xp.maximum(starts, 0))


def _adaptive(
    name: str, inputs: TensorLike, output_size: Sizes, data_format: str | None, reduce: Callable[..., Node]
) -> Tensor:
    node = float_node(inputs)
    if node.rank not in (3, 4, 5):
        raise ShapeError(f"{name} needs (batch, 1 to 3 spatial axes, channels), got shape {node.shape}")
    x, rank = channels_last(node, data_format), node.rank - 2
    for axis, count in enumerate(sizes_of(output_size, rank, "output_size"), start=1):
        size = x.shape[axis]
        count_elements(count)
        borders = [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]
        parts = []
        for low, high in borders:
            start = tuple(low if i == axis else 0 for i in range(x.rank))
            stop = tuple(high if i == axis else n for i, n in enumerate(x.shape))
            part = reduce(p.slice_(x, start, stop), axis, high - low)
            parts.append(p.reshape(part, tuple(1 if i == axis else n for i, n in enumerate(x.shape))))
        x = p.concatenate(*parts, axis=axis)
    return Tensor(restore_channels(x, data_format))


@operation
def adaptive_average_pool(
    inputs: TensorLike, output_size: int | Sequence[int], data_format: str | None = None
) -> Tensor:
    """Compute means over a grid of windows that cover each spatial axis evenly.

    Window i covers floor(i n / m) to ceil((i + 1) n / m) of an axis of size n with m windows.

    Args:
        inputs: Tensor (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        output_size: Integer or one integer for each spatial axis, the number of windows.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor (batch, *output_size, channels), or channels first.
    """
    return _adaptive(
        "adaptive_average_pool", inputs, output_size, data_format,
        lambda x, axis, count: p.reduce_sum(x, (axis,)) * (1.0 / count),
    )  # fmt: skip


@operation
def adaptive_max_pool(
    inputs: TensorLike, output_size: int | Sequence[int], data_format: str | None = None
) -> Tensor:
    """Compute maxima over a grid of windows that cover each spatial axis evenly.

    Window i covers floor(i n / m) to ceil((i + 1) n / m) of an axis of size n with m windows.

    Args:
        inputs: Tensor (batch, *spatial, channels), or (batch, channels, *spatial) for "channels_first".
        output_size: Integer or one integer for each spatial axis, the number of windows.
        data_format: "channels_last", "channels_first", or None for `hornbeam.config.image_data_format()`.

    Returns:
        Tensor (batch, *output_size, channels), or channels first.
    """
    return _adaptive(
        "adaptive_max_pool", inputs, output_size, data_format, lambda x, axis, count: p.reduce_max(x, (axis,))
    )
