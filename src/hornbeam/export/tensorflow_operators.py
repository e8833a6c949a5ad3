"""TensorFlow's functions for SavedModels, and for the operators that `tensorflow_rules.py` finds in a graph.

They are written as Keras does: channels last.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from hornbeam.engines.tensorflow import TensorFlowEngine, control
from hornbeam.engines.tensorflow.elementwise import BINARY, Tensor, raw, sizes_of
from hornbeam.export.patterns.walk import FileLibrary, Functions
from hornbeam.ir.types import Shape

tf = TensorFlowEngine.tf


def named(layer: str) -> AbstractContextManager[Any]:
    """The name scope of a layer, again if it exists."""
    name = re.sub(r"[^A-Za-z0-9_./-]", "_", layer).strip("_/")
    return tf.name_scope(f"{name}/" if name else "")


# -- activations ---------------------------------------------------------------------------------------------


def _clip(x: Tensor, low: float, high: float) -> Tensor:
    if low == 0 and high in (6, math.inf):
        return tf.nn.relu6(x) if high == 6 else tf.nn.relu(x)
    x = tf.maximum(x, low) if math.isfinite(low) else x
    return tf.minimum(x, high) if math.isfinite(high) else x


def _elu(x: Tensor, alpha: float) -> Tensor:
    return tf.nn.elu(x) if alpha == 1 else tf.where(x > 0, x, alpha * tf.nn.elu(x))


# The constants of tf.nn.selu.
_SELU = {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}


def _selu(x: Tensor, alpha: float, gamma: float) -> Tensor:
    parameters = {"alpha": alpha, "gamma": gamma}
    is_default = all(math.isclose(parameters[name], _SELU[name], rel_tol=1e-6) for name in _SELU)
    return tf.nn.selu(x) if is_default else gamma * _elu(x, alpha)


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    if math.isclose(alpha, 1 / 6, rel_tol=1e-6) and math.isclose(beta, 0.5, rel_tol=1e-6):
        return tf.nn.relu6(x + 3.0) * (1 / 6)
    return _clip(alpha * x + beta, 0.0, 1.0)


ACTIVATIONS: Functions = {
    "clip": _clip,
    "elu": _elu,
    "gelu": tf.nn.gelu,
    "hard_sigmoid": _hard_sigmoid,
    "hard_silu": lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5),
    "leaky_relu": tf.nn.leaky_relu,
    "log_softmax": tf.nn.log_softmax,
    "prelu": lambda x, alpha: tf.nn.relu(x) - alpha * tf.nn.relu(-x),
    "selu": _selu,
    "softmax": tf.nn.softmax,
    "softplus": tf.nn.softplus,
    "softsign": tf.nn.softsign,
}


# -- windows -------------------------------------------------------------------------------------------------


def _windowed(fn: Callable[..., Tensor], fill: float = 0.0) -> Callable[..., Tensor]:
    """`fn` on images, as it is called with one spatial axis or padded by amounts that have no name."""

    def windowed(x: Tensor, *weights: Tensor, padding: Any, **params: Any) -> Tensor:
        if not isinstance(padding, str):
            x = tf.pad(x, [(0, 0), *padding, (0, 0)], constant_values=fill)
            padding = "VALID"
        is_1d = x.shape.rank == 3
        if is_1d:
            x, weights = tf.expand_dims(x, 1), tuple(tf.expand_dims(w, 0) for w in weights)
            params = {name: (1, *values) for name, values in params.items()}
        y = fn(x, *weights, padding=padding, **params)
        return tf.squeeze(y, [1]) if is_1d else y

    return windowed


def _conv(x: Tensor, w: Tensor, *, strides: Shape, padding: str, dilation: Shape) -> Tensor:
    fn = raw.Conv2D if len(strides) == 2 else raw.Conv3D
    return fn(input=x, filter=w, strides=_all_axes(strides), padding=padding, dilations=_all_axes(dilation))


def _all_axes(sizes: Sequence[int]) -> list[int]:
    return [1, *sizes, 1]


def _depthwise_conv(x: Tensor, w: Tensor, *, strides: Shape, padding: str) -> Tensor:
    stride = max(strides)  # those of two axes are the same, and one of an axis that was added is 1
    return raw.DepthwiseConv2dNative(input=x, filter=w, strides=[1, stride, stride, 1], padding=padding)


def _conv_transpose(y: Tensor, w: Tensor, *, shape: Sequence[Any], strides: Shape, padding: str) -> Tensor:
    is_1d = len(strides) == 1
    if is_1d:
        y, w = tf.expand_dims(y, 1), tf.expand_dims(w, 0)
        shape, strides = [shape[0], 1, *shape[1:]], (1, *strides)
    fn = raw.Conv2DBackpropInput if len(strides) == 2 else raw.Conv3DBackpropInputV2
    sizes = tf.convert_to_tensor(shape, tf.int32)
    x = fn(input_sizes=sizes, filter=w, out_backprop=y, strides=_all_axes(strides), padding=padding)
    return tf.squeeze(x, [1]) if is_1d else x


def _pool(
    of_images: Callable[..., Tensor], of_volumes: Callable[..., Tensor], operand: str
) -> Callable[..., Tensor]:
    def pool(x: Tensor, *, window: Shape, strides: Shape, padding: str) -> Tensor:
        fn, name = (of_images, operand) if len(window) == 2 else (of_volumes, "input")
        return fn(**{name: x}, ksize=_all_axes(window), strides=_all_axes(strides), padding=padding)

    return pool


_average = _pool(raw.AvgPool, raw.AvgPool3D, "value")


def _sum_pool(x: Tensor, *, window: Shape, strides: Shape, padding: Any) -> Tensor:
    # An average over padded windows counts the elements inside.
    amounts = padding if not isinstance(padding, str) else _amounts(x, window, strides, padding)
    average = _windowed(_average)(x, window=window, strides=strides, padding=amounts)
    return average * float(math.prod(window))


def _amounts(x: Tensor, window: Shape, strides: Shape, padding: str) -> Any:
    if padding == "VALID":
        return padding
    totals = [
        tf.maximum((-(-n // s) - 1) * s + k - n, 0)
        for n, k, s in zip(sizes_of(x)[1:-1], window, strides, strict=True)
    ]
    return [(total // 2, total - total // 2) for total in totals]


WINDOWS: Functions = {
    "average_pool": _windowed(_average),
    "conv": _windowed(_conv),
    "conv_transpose": _conv_transpose,
    "depthwise_conv": _windowed(_depthwise_conv),
    "max_pool": _windowed(_pool(raw.MaxPool, raw.MaxPool3D, "input"), -math.inf),
    "sum_pool": _sum_pool,
}


# -- products, normalization ---------------------------------------------------------------------------------


def _batch_normalization(
    x: Tensor, *weights: Tensor, axis: int, epsilon: float, present: Sequence[bool]
) -> Tensor:
    rest, count = iter(weights), x.shape[axis]
    gamma, beta, mean, variance = (
        next(rest) if exists else tf.fill([count], value)
        for exists, value in zip(present, (1.0, 0.0, 0.0, 1.0), strict=True)
    )
    return raw.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=mean, variance=variance, epsilon=epsilon, is_training=False
    ).y


def _layer_norm(x: Tensor, gamma: Tensor, beta: Tensor, *, epsilon: float) -> Tensor:
    centred = x - tf.reduce_mean(x, -1, keepdims=True)
    variance = tf.reduce_mean(tf.square(centred), -1, keepdims=True)
    return centred * tf.math.rsqrt(variance + epsilon) * gamma + beta


def _rms_norm(x: Tensor, gamma: Tensor, *, epsilon: float) -> Tensor:
    return x * tf.math.rsqrt(tf.reduce_mean(tf.square(x), -1, keepdims=True) + epsilon) * gamma


PRODUCTS: Functions = {
    "batch_normalization": _batch_normalization,
    "bias_add": tf.nn.bias_add,
    "einsum": lambda x, y, *, equation: raw.Einsum(inputs=[x, y], equation=equation),
    "layer_norm": _layer_norm,
    "matmul": tf.matmul,
    "rms_norm": _rms_norm,
}


# -- sequences -----------------------------------------------------------------------------------------------


def _size(x: Tensor, axis: int) -> Any:
    return tf.shape(x)[axis] if x.shape[axis] is None else x.shape[axis]


def _embedding(table: Tensor, index: Tensor) -> Tensor:
    count = tf.constant(table.shape[0], index.dtype)
    return tf.gather(table, tf.where(index < 0, index + count, index))


def _attention(q: Tensor, k: Tensor, v: Tensor, *bias: Tensor, scale: float, causal: bool) -> Tensor:
    scores = raw.Einsum(inputs=[q * scale, k], equation="bthd,bshd->bhts")
    for x in bias:
        scores += x
    if causal:
        queries, keys = (tf.range(_size(x, 1)) for x in (q, k))
        scores = tf.where(queries[:, None] >= keys, scores, -math.inf)
    return raw.Einsum(inputs=[tf.nn.softmax(scores), v], equation="bhts,bshd->bthd"), None, None


def _loop(
    cell: Callable[[Tensor, Sequence[Tensor]], list[Tensor]],
    x: Tensor,
    states: Sequence[Tensor],
    mask: Sequence[Tensor],
    reverse: bool,
    all_steps: bool,
) -> tuple[Tensor, ...]:
    """All outputs, if they are read, and the last of each state. `cell(x, states)` returns new states."""
    steps = _size(x, 1)
    rows = tf.TensorArray(x.dtype, steps).unstack(tf.transpose(x, [1, 0, 2]))
    kept = [tf.TensorArray(tf.bool, steps).unstack(tf.transpose(m, [1, 0])) for m in mask]
    outputs = [tf.TensorArray(x.dtype, steps, element_shape=states[0].shape)] if all_steps else []

    def step(count: Tensor, states: Sequence[Tensor], outputs: Sequence[Any]) -> tuple[Any, ...]:
        at = steps - 1 - count if reverse else count
        new = cell(rows.read(at), states)
        for m in kept:
            new = [tf.where(m.read(at)[:, None], a, b) for a, b in zip(new, states, strict=True)]
        return count + 1, new, [array.write(at, new[0]) for array in outputs]

    start = (tf.constant(0), list(states), outputs)
    _, last, outputs = tf.while_loop(lambda count, *_: count < steps, step, start, maximum_iterations=steps)
    every = [tf.transpose(array.stack(), [1, 0, 2]) for array in outputs] or [None]
    return (*every, *last)


def _lstm(
    x: Tensor, w: Tensor, h: Tensor, c: Tensor, *mask: Tensor, reverse: bool, all_steps: bool
) -> tuple[Tensor, ...]:
    def cell(x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        h, c = states
        i, f, g, o = tf.split(x + tf.matmul(h, w), 4, 1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return [tf.sigmoid(o) * tf.tanh(c), c]

    return (*_loop(cell, x, [h, c], mask, reverse, all_steps), None, None)


def _gru(
    x: Tensor, w: Tensor, b: Tensor, h: Tensor, *mask: Tensor, reverse: bool, all_steps: bool
) -> tuple[Tensor, ...]:
    def cell(x: Tensor, states: Sequence[Tensor]) -> list[Tensor]:
        (h,) = states
        x_z, x_r, x_g = tf.split(x, 3, 1)
        s_z, s_r, s_g = tf.split(tf.nn.bias_add(tf.matmul(h, w), b), 3, 1)
        z = tf.sigmoid(x_z + s_z)
        g = tf.tanh(x_g + tf.sigmoid(x_r + s_r) * s_g)
        return [z * h + (1.0 - z) * g]

    return (*_loop(cell, x, [h], mask, reverse, all_steps), None)


SEQUENCES: Functions = {"attention": _attention, "embedding": _embedding, "gru": _gru, "lstm": _lstm}


# -- arrays --------------------------------------------------------------------------------------------------


def _resize(x: Tensor, *, scales: Sequence[float], shape: Sequence[Any], coordinates: str) -> Tensor:
    return raw.ResizeBilinear(
        images=x,
        size=tf.convert_to_tensor(shape[1:3], tf.int32),
        align_corners=coordinates == "align_corners",
        half_pixel_centers=coordinates == "half_pixel",
    )


def _repeat(x: Tensor, *, repeats: Sequence[int], shape: Sequence[Any]) -> Tensor:
    size = tf.convert_to_tensor(shape[1:3], tf.int32)
    return raw.ResizeNearestNeighbor(images=x, size=size, half_pixel_centers=True)


def _pad(x: Tensor, *value: Tensor, paddings: Any) -> Tensor:
    return tf.pad(x, paddings, constant_values=value[0] if value else 0)


def _column(x: Tensor, *, axis: int, index: int) -> Tensor:
    return x[(slice(None),) * axis + (index,)]


def _reduction(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, *, axes, keepdims=False: fn(x, list(axes), keepdims=keepdims)


ARRAYS: Functions = {
    "broadcast_to": lambda x, *, shape: tf.broadcast_to(x, shape),
    "column": _column,
    "identity": lambda x: x,
    "mean": _reduction(tf.reduce_mean),
    "pad": _pad,
    "reduce_max": _reduction(tf.reduce_max),
    "reduce_min": _reduction(tf.reduce_min),
    "reduce_sum": _reduction(tf.reduce_sum),
    "repeat": _repeat,
    "reshape": lambda x, *, shape: tf.reshape(x, shape),
    "resize": _resize,
    "slice": lambda x, *, bounds: x[tuple(slice(*axis) for axis in bounds)] if bounds else x,
}

OPERATORS: Functions = {
    **BINARY, "max": tf.maximum, "min": tf.minimum, "select": tf.where,
    **ACTIVATIONS, **WINDOWS, **PRODUCTS, **SEQUENCES, **ARRAYS,
}  # fmt: skip


def file_library(engine: TensorFlowEngine) -> FileLibrary:
    """Return TensorFlow's own operations alone, for graphs that leave this process."""
    return FileLibrary(
        lambda node: engine.own_kernel(node) or engine.lower(node),
        control,
        lambda tensor, axis: tf.shape(tensor)[axis],
        lambda size: tf.convert_to_tensor(size, tf.int32),
        {"min": tf.minimum, "max": tf.maximum},
        OPERATORS,
        tf.constant,
        named,
    )
