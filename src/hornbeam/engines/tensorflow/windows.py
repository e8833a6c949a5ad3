"""Products, convolutions and pools: for XLA, and what oneDNN and Eigen compute in its position on a CPU."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from hornbeam.engines.table import Table
from hornbeam.engines.tensorflow.arrays import pad
from hornbeam.engines.tensorflow.elementwise import (
    Tensor,
    in_wider_integers,
    is_zero,
    long,
    maximum,
    raw,
    sizes_of,
    widened,
    zero_like,
)
from hornbeam.ir.node import Node
from hornbeam.ir.types import Shape
from hornbeam.primitives.contract import AxesPair, Padding

# -- products, convolutions, pools ---------------------------------------------------------------------------


def _dot(x: Tensor, y: Tensor, *, contract: AxesPair, batch: AxesPair) -> Tensor:
    x_free = [a for a in range(x.shape.rank) if a not in contract[0] and a not in batch[0]]
    y_free = [a for a in range(y.shape.rank) if a not in contract[1] and a not in batch[1]]
    shape, other = sizes_of(x), sizes_of(y)
    batches = [shape[a] for a in batch[0]]
    left, right = [shape[a] for a in x_free], [other[a] for a in y_free]
    inner = math.prod(shape[a] for a in contract[0])
    n = [math.prod(batches)] if batches else []
    rows = tf.reshape(tf.transpose(x, [*batch[0], *x_free, *contract[0]]), [*n, math.prod(left), inner])
    columns = tf.transpose(y, [*batch[1], *contract[1], *y_free])
    product = tf.matmul(rows, tf.reshape(columns, [*n, inner, math.prod(right)]))
    return tf.reshape(product, [*batches, *left, *right])


class _Window:
    """A convolution with at least two spatial axes, as arguments of TensorFlow's own operations.

    Their gradients take four times as long with explicit padding: "SAME" is used where it applies, and
    otherwise the input is padded first.
    """

    def __init__(self, shape: Sequence[Any], size: Sequence[int], *, strides: Shape, padding: Padding,
                 dilation: Shape, groups: int) -> None:  # fmt: skip
        self.is_1d = len(strides) == 1
        self.deep = len(strides) == 3
        reaches = [(k - 1) * d + 1 for k, d in zip(size, dilation, strict=True)]
        amounts = [tuple(pair) for pair in padding]
        is_same = not any(map(tf.is_tensor, tf.nest.flatten([shape, amounts]))) and amounts == [
            _same(*sizes) for sizes in zip(shape[1:-1], reaches, strides, strict=True)
        ]
        self.padding = [(0, 0)] * len(amounts) if is_same else amounts
        self.options = {
            "strides": [1, *([1] * self.is_1d), *strides, 1],
            "dilations": [1, *([1] * self.is_1d), *dilation, 1],
            "padding": "SAME" if is_same else "VALID",
        }

    def flat(self, shape: Sequence[Any], at: int) -> list[Any]:
        """A shape with the axis of size 1 that a convolution over one axis gets."""
        return [*shape[:at], *([1] * self.is_1d), *shape[at:]]

    def image(self, x: Tensor) -> Tensor:
        return tf.expand_dims(x, 1) if self.is_1d else x

    def kernel(self, w: Tensor) -> Tensor:
        return tf.expand_dims(w, 0) if self.is_1d else w

    def padded(self, x: Tensor) -> Tensor:
        """The input of a convolution, padded unless "SAME" does it."""
        return self.image(tf.pad(x, [(0, 0), *self.padding, (0, 0)]) if self.is_padded else x)

    @property
    def is_padded(self) -> bool:
        """True unless the input is known to need no padding first."""
        return not all(is_zero(n) for pair in self.padding for n in pair)

    def grown(self, shape: Sequence[Any]) -> list[Any]:
        """The shape of `padded`."""
        spatial = [n + sum(pair) for n, pair in zip(shape[1:-1], self.padding, strict=True)]
        return self.flat([shape[0], *spatial, shape[-1]], 1)


def _same(size: int, reach: int, stride: int) -> tuple[int, int]:
    """The padding that TensorFlow calls "SAME"."""
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2


def _conv(x: Tensor, w: Tensor, **params: Any) -> Tensor:
    window = _Window(sizes_of(x), w.shape[:-2], **params)
    fn = raw.Conv3D if window.deep else raw.Conv2D
    out = fn(input=window.padded(x), filter=window.kernel(w), **window.options)
    return tf.squeeze(out, 1) if window.is_1d else out


def _conv_input_grad(dy: Tensor, w: Tensor, *, input_shape: Shape, **params: Any) -> Tensor:
    window = _Window(input_shape, w.shape[:-2], **params)
    fn = raw.Conv3DBackpropInputV2 if window.deep else raw.Conv2DBackpropInput
    sizes = tf.convert_to_tensor(window.grown(input_shape), tf.int32)
    dx = fn(input_sizes=sizes, filter=window.kernel(w), out_backprop=window.image(dy), **window.options)
    if window.is_padded:
        begin = [0, *([0] * window.is_1d), *(low for low, _ in window.padding), 0]
        dx = tf.slice(dx, begin, window.flat(input_shape, 1))
    return tf.reshape(dx, input_shape)


def _conv_kernel_grad(x: Tensor, dy: Tensor, *, kernel_shape: Shape, **params: Any) -> Tensor:
    window = _Window(sizes_of(x), kernel_shape[:-2], **params)
    fn = raw.Conv3DBackpropFilterV2 if window.deep else raw.Conv2DBackpropFilter
    sizes = tf.constant(window.flat(kernel_shape, 0), tf.int32)
    dw = fn(input=window.padded(x), filter_sizes=sizes, out_backprop=window.image(dy), **window.options)
    return tf.reshape(dw, kernel_shape)


def _views(x: Tensor, fill: Any, window: Shape, strides: Shape, padding: Padding) -> list[Tensor]:
    """For every window position, the elements of the padded x that it meets."""
    padded = tf.pad(x, [[0, 0], *map(list, padding), [0, 0]], constant_values=tf.constant(fill, x.dtype))
    sizes = [(n - k) // s + 1 for n, k, s in zip(sizes_of(padded)[1:-1], window, strides, strict=True)]

    def view(at: Sequence[int]) -> Tensor:
        reaches = zip(at, sizes, strides, strict=True)
        spatial = [slice(k, k + (n - 1) * s + 1, s) for k, n, s in reaches]
        return padded[tuple([slice(None), *spatial])]

    return [view(at) for at in itertools.product(*map(range, window))]


def _spread(
    parts: Sequence[Tensor], shape: Sequence[Any], window: Shape, strides: Shape, padding: Padding
) -> Tensor:
    """The transpose of `_views`: parts added up where they came from."""
    total = tf.zeros(shape, parts[0].dtype)
    zero = tf.constant(0, parts[0].dtype)
    for at, part in zip(itertools.product(*map(range, window)), parts, strict=True):
        low, high = [0], [0]
        for k, s, n, m, pair in zip(at, strides, shape[1:-1], sizes_of(part)[1:-1], padding, strict=True):
            low.append(k - pair[0])
            high.append(n - (k - pair[0]) - ((m - 1) * s + 1))
        total += pad(part, zero, low=[*low, 0], high=[*high, 0], interior=[0, *(s - 1 for s in strides), 0])
    return total


def _choices(x: Tensor, window: dict[str, Any]) -> list[Tensor]:
    """For every window position, a mask of the windows that choose their element there."""
    values = _views(x, 0, **window)
    valid = _views(tf.ones_like(x, tf.bool), False, **window)
    best, chosen = zero_like(values[0]), tf.zeros_like(values[0], tf.int32) - 1
    for position, (value, real) in enumerate(zip(values, valid, strict=True)):
        larger = (value > best) | (tf.math.is_nan(value) & ~tf.math.is_nan(best))
        take = real & ((chosen < 0) | larger)
        best, chosen = tf.where(take, value, best), tf.where(take, position, chosen)
    return [chosen == position for position in range(len(values))]


def _max_pool(x: Tensor, **window: Any) -> Tensor:
    views = _views(x, -math.inf, **window)
    out = views[0]
    for view in views[1:]:
        out = maximum(out, view)
    return out


def _max_pool_gather(x: Tensor, t: Tensor, **window: Any) -> Tensor:
    pairs = zip(_choices(x, window), _views(t, 0, **window), strict=True)
    return tf.add_n([tf.where(chosen, view, zero_like(view)) for chosen, view in pairs])


def _max_pool_scatter(x: Tensor, dy: Tensor, **window: Any) -> Tensor:
    parts = [tf.where(chosen, dy, zero_like(dy)) for chosen in _choices(x, window)]
    return _spread(parts, sizes_of(x), **window)


def _sum_pool(x: Tensor, **window: Any) -> Tensor:
    return tf.add_n(_views(x, 0, **window))


def _sum_pool_grad(dy: Tensor, *, input_shape: Shape, **window: Any) -> Tensor:
    return _spread([dy] * math.prod(window["window"]), input_shape, **window)


CONTRACT: Table = {
    "dot_general": in_wider_integers(long, widened(_dot)),
    "conv": widened(_conv),
    "conv_input_grad": widened(_conv_input_grad),
    "conv_kernel_grad": widened(_conv_kernel_grad),
    "max_pool": _max_pool,
    "max_pool_gather": _max_pool_gather,
    "max_pool_scatter": widened(_max_pool_scatter),
    "sum_pool": widened(_sum_pool),
    "sum_pool_grad": widened(_sum_pool_grad),
}


# -- what oneDNN and Eigen compute ---------------------------------------------------------------------------


def is_plain(node: Node) -> bool:
    """Convolutions and pools over two axes that TensorFlow has kernels for: no groups, no dilation."""
    operand, params = node.inputs[0], node.params
    if operand.dtype != "float32" or len(params["strides"]) != 2 or 0 in operand.shape:
        return False
    if "window" in params:
        return all(n == 0 for pair in params["padding"] for n in pair)
    return params["groups"] == 1 and set(params["dilation"]) == {1}


def _pool_options(window: dict[str, Any]) -> dict[str, Any]:
    return {"ksize": [1, *window["window"], 1], "strides": [1, *window["strides"], 1], "padding": "VALID"}


def _fast_max_pool_scatter(x: Tensor, dy: Tensor, **window: Any) -> Tensor:
    options = _pool_options(window)
    return raw.MaxPoolGrad(orig_input=x, orig_output=raw.MaxPool(input=x, **options), grad=dy, **options)


def _fast_sum_pool(x: Tensor, **window: Any) -> Tensor:
    return raw.AvgPool(value=x, **_pool_options(window)) * float(math.prod(window["window"]))


def _fast_sum_pool_grad(dy: Tensor, *, input_shape: Shape, **window: Any) -> Tensor:
    scaled = dy * float(math.prod(window["window"]))
    return raw.AvgPoolGrad(
        orig_input_shape=tf.convert_to_tensor(input_shape, tf.int32), grad=scaled, **_pool_options(window)
    )


HOST: Table = {
    "conv": _conv,
    "conv_input_grad": _conv_input_grad,
    "conv_kernel_grad": _conv_kernel_grad,
    "max_pool": lambda x, **window: raw.MaxPool(input=x, **_pool_options(window)),
    "max_pool_scatter": _fast_max_pool_scatter,
    "sum_pool": _fast_sum_pool,
    "sum_pool_grad": _fast_sum_pool_grad,
}
