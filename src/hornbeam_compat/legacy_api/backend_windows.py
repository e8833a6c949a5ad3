"""Functions of `keras.backend` in Keras 1 and 2 on windows and borders, and loops over rows."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam import Tensor, Variable, config, ops, random
from hornbeam import name_scope as name_scope
from hornbeam.extensions.tensors import as_tensor
from hornbeam.ops import conv as _conv

# Name -> its replacement.
REPLACEMENTS = {
    "batch_normalization": "keras.ops.batch_normalization",
    "conv1d": "keras.ops.conv",
    "conv2d_transpose": "keras.ops.conv_transpose",
    "conv3d": "keras.ops.conv",
    "count_params": "math.prod(x.shape)",
    "depthwise_conv2d": "keras.ops.depthwise_conv",
    "foldl": "keras.ops.scan",
    "foldr": "keras.ops.scan(reverse=True)",
    "in_top_k": "keras.ops.in_top_k",
    "map_fn": "keras.ops.map",
    "moving_average_update": "variable.assign()",
    "name_scope": "keras.name_scope",
    "pool2d": "keras.ops.max_pool or keras.ops.average_pool",
    "pool3d": "keras.ops.max_pool or keras.ops.average_pool",
    "random_bernoulli": "keras.random.binomial",
    "random_normal_variable": "keras.Variable(keras.random.normal(shape))",
    "random_uniform_variable": "keras.Variable(keras.random.uniform(shape))",
    "resize_images": "keras.ops.repeat or keras.ops.image.resize",
    "separable_conv2d": "keras.ops.separable_conv",
    "spatial_2d_padding": "keras.ops.pad",
    "spatial_3d_padding": "keras.ops.pad",
    "temporal_padding": "keras.ops.pad",
}


def conv1d(
    x: Any,
    kernel: Any,
    strides: int = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int = 1,
) -> Tensor:
    """Convolve over one axis; "causal" pads the start."""
    if padding == "causal":
        x, padding = temporal_padding(x, (dilation_rate * (kernel.shape[0] - 1), 0)), "valid"
    return _conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv3d(
    x: Any,
    kernel: Any,
    strides: Any = (1, 1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1, 1),
) -> Tensor:
    """Convolve over three axes."""
    return _conv(x, kernel, strides, padding, data_format, dilation_rate)


def conv2d_transpose(
    x: Any,
    kernel: Any,
    output_shape: Sequence[Any],
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Tensor:
    """Convolve transposed, to a shape of which the sizes decide how much is added at the end."""
    first = 1 if config.standard_data_format(data_format) == "channels_last" else 2
    extra = []
    for axis, step, rate in zip(range(2), strides, dilation_rate, strict=True):
        window = rate * (kernel.shape[axis] - 1) + 1
        border = window // 2 if padding == "same" else 0
        length = (x.shape[first + axis] - 1) * step + window - 2 * border
        extra.append(int(output_shape[first + axis]) - length)
    return ops.conv_transpose(
        x, kernel, strides, padding,
        output_padding=tuple(extra), data_format=data_format, dilation_rate=dilation_rate,
    )  # fmt: skip


def depthwise_conv2d(
    x: Any,
    depthwise_kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Tensor:
    """Convolve each channel by its own kernels."""
    return ops.depthwise_conv(x, depthwise_kernel, strides, padding, data_format, dilation_rate)


def separable_conv2d(
    x: Any,
    depthwise_kernel: Any,
    pointwise_kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Tensor:
    """Convolve each channel, and mix the channels."""
    return ops.separable_conv(
        x, depthwise_kernel, pointwise_kernel, strides, padding, data_format, dilation_rate
    )


def _pool(
    x: Any, pool_size: Any, strides: Any, padding: str, data_format: str | None, pool_mode: str
) -> Tensor:
    pools: dict[str, Callable[..., Tensor]] = {"max": ops.max_pool, "avg": ops.average_pool}
    if pool_mode not in pools:
        raise ValueError(f"pool_mode must be 'max' or 'avg', got {pool_mode!r}")
    return pools[pool_mode](x, pool_size, strides, padding, data_format)


def pool2d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Tensor:
    """Pool over two axes: the maximum or the mean of each window."""
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


def pool3d(
    x: Any,
    pool_size: Any,
    strides: Any = (1, 1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Tensor:
    """Pool over three axes: the maximum or the mean of each window."""
    return _pool(x, pool_size, strides, padding, data_format, pool_mode)


# -- borders and sizes ---------------------------------------------------------------------------------------


def _padded(x: Any, amounts: Sequence[Any], data_format: str | None) -> Tensor:
    last = config.standard_data_format(data_format) == "channels_last"
    none, amounts = (0, 0), [tuple(pair) for pair in amounts]
    return ops.pad(x, [none, *amounts, none] if last else [none, none, *amounts])


def temporal_padding(x: Any, padding: Any = (1, 1)) -> Tensor:
    """Add zeros at both ends of the middle axis."""
    return _padded(x, [padding], "channels_last")


def spatial_2d_padding(x: Any, padding: Any = ((1, 1), (1, 1)), data_format: str | None = None) -> Tensor:
    """Add zeros around two axes."""
    return _padded(x, padding, data_format)


def spatial_3d_padding(
    x: Any, padding: Any = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None
) -> Tensor:
    """Add zeros around three axes."""
    return _padded(x, padding, data_format)


def resize_images(
    x: Any, height_factor: int, width_factor: int, data_format: str, interpolation: str = "nearest"
) -> Tensor:
    """Enlarge images by integer factors."""
    from hornbeam.layers import UpSampling2D

    factors = (height_factor, width_factor)
    return UpSampling2D(factors, data_format=data_format, interpolation=interpolation)(x)


# -- statistics, variables, loops ----------------------------------------------------------------------------


def batch_normalization(
    x: Any, mean: Any, var: Any, beta: Any, gamma: Any, axis: int = -1, epsilon: float = 1e-3
) -> Tensor:
    """Subtract the mean, divide by the standard deviation, scale by `gamma` and add `beta`."""
    return ops.batch_normalization(x, mean, var, axis=axis, offset=beta, scale=gamma, epsilon=epsilon)


def count_params(x: Any) -> int:
    """Return the number of elements."""
    return int(np.prod(x.shape))


def in_top_k(predictions: Any, targets: Any, k: int) -> Tensor:
    """Return for each row whether the target is among the `k` largest predictions."""
    return ops.in_top_k(targets, predictions, k)


def moving_average_update(x: Variable, value: Any, momentum: float) -> Tensor:
    """Move a variable towards a value: x * momentum + value * (1 - momentum)."""
    return x.assign(x * momentum + as_tensor(value) * (1.0 - momentum))


def random_bernoulli(shape: Any, p: float = 0.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Draw 1 with probability `p`, else 0."""
    uniform = random.uniform(tuple(shape), seed=seed)
    return ops.cast(uniform < p, dtype or config.floatx())


def random_normal_variable(
    shape: Any, mean: float, scale: float, dtype: Any = None, name: str | None = None, seed: Any = None
) -> Variable:
    """Create a Variable of normal random numbers."""
    return Variable(random.normal(tuple(shape), mean, scale, dtype=dtype, seed=seed), name=name)


def random_uniform_variable(
    shape: Any, low: float, high: float, dtype: Any = None, name: str | None = None, seed: Any = None
) -> Variable:
    """Create a Variable of uniform random numbers."""
    return Variable(random.uniform(tuple(shape), low, high, dtype=dtype, seed=seed), name=name)


def map_fn(fn: Callable[[Any], Any], elems: Any, name: str | None = None, dtype: Any = None) -> Any:
    """Apply a function to each row."""
    return ops.map(fn, as_tensor(elems))


def _fold(fn: Callable[[Any, Any], Any], rows: list[Any], initializer: Any) -> Any:
    start = rows[:1] if initializer is None else [initializer]
    remaining = rows[1:] if initializer is None else rows
    return list(itertools.accumulate([*start, *remaining], fn))[-1]


def foldl(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """Combine the rows from the first to the last: fn(fn(a, b), c)."""
    tensor = as_tensor(elems)
    return _fold(fn, [tensor[i] for i in range(len(tensor))], initializer)


def foldr(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, name: str | None = None) -> Any:
    """Combine the rows from the last to the first: fn(fn(c, b), a)."""
    tensor = as_tensor(elems)
    return _fold(fn, [tensor[i] for i in reversed(range(len(tensor)))], initializer)
