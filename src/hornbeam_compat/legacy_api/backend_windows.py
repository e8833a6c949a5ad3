"""Functions of `keras.backend` in Keras 1 and 2 on windows and borders, and loops over rows."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

from hornbeam import Tensor, Variable, config, layers, ops, random
from hornbeam import name_scope as name_scope
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.keras_src.arguments import standardize_data_format
from hornbeam_compat.legacy_api.arguments import with_earlier_names

if TYPE_CHECKING:
    from hornbeam_compat.tensorflow.typing import TensorLike

R = TypeVar("R")
_Fold = Callable[[Tensor, Tensor], Tensor]

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
    x: TensorLike,
    kernel: Tensor,
    strides: int = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: int = 1,
) -> Tensor:
    """Convolve over one axis; "causal" pads the start."""
    if padding == "causal":
        x, padding = temporal_padding(x, (dilation_rate * (kernel.shape[0] - 1), 0)), "valid"
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


conv3d = with_earlier_names(ops.conv, x="inputs")
depthwise_conv2d = with_earlier_names(ops.depthwise_conv, x="inputs", depthwise_kernel="kernel")
separable_conv2d = with_earlier_names(ops.separable_conv, x="inputs")


def conv2d_transpose(
    x: Tensor,
    kernel: Tensor,
    output_shape: Sequence[int],
    strides: Sequence[int] = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sequence[int] = (1, 1),
) -> Tensor:
    """Convolve transposed, to a shape of which the sizes decide how much is added at the end."""
    first = 1 if standardize_data_format(data_format) == "channels_last" else 2
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


def pool2d(
    x: TensorLike,
    pool_size: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: str = "valid",
    data_format: str | None = None,
    pool_mode: str = "max",
) -> Tensor:
    """Pool over windows: the maximum or the mean of each."""
    pools = {"max": ops.max_pool, "avg": ops.average_pool}
    if pool_mode not in pools:
        raise ValueError(f"pool_mode must be 'max' or 'avg', got {pool_mode!r}")
    return pools[pool_mode](x, pool_size, strides, padding, data_format)


pool3d = pool2d


# -- borders and sizes ---------------------------------------------------------------------------------------


_Pairs = Sequence[Sequence[int]]


def _padded(x: TensorLike, amounts: _Pairs, data_format: str | None) -> Tensor:
    last = standardize_data_format(data_format) == "channels_last"
    pairs, none = [tuple(pair) for pair in amounts], (0, 0)
    return ops.pad(x, [none, *pairs, none] if last else [none, none, *pairs])


def temporal_padding(x: TensorLike, padding: Sequence[int] = (1, 1)) -> Tensor:
    """Add zeros at both ends of the middle axis."""
    return _padded(x, [padding], "channels_last")


def spatial_2d_padding(
    x: TensorLike, padding: _Pairs = ((1, 1), (1, 1)), data_format: str | None = None
) -> Tensor:
    """Add zeros around two axes."""
    return _padded(x, padding, data_format)


def spatial_3d_padding(
    x: TensorLike, padding: _Pairs = ((1, 1), (1, 1), (1, 1)), data_format: str | None = None
) -> Tensor:
    """Add zeros around three axes."""
    return _padded(x, padding, data_format)


def resize_images(
    x: Tensor, height_factor: int, width_factor: int, data_format: str, interpolation: str = "nearest"
) -> Tensor:
    """Enlarge images by integer factors."""
    factors = (height_factor, width_factor)
    return layers.UpSampling2D(factors, data_format=data_format, interpolation=interpolation)(x)


# -- statistics, variables, loops ----------------------------------------------------------------------------


def batch_normalization(
    x: TensorLike,
    mean: TensorLike,
    var: TensorLike,
    beta: TensorLike | None,
    gamma: TensorLike | None,
    axis: int = -1,
    epsilon: float = 1e-3,
) -> Tensor:
    """Subtract the mean, divide by the standard deviation, scale by `gamma` and add `beta`."""
    return ops.batch_normalization(x, mean, var, axis=axis, offset=beta, scale=gamma, epsilon=epsilon)


def count_params(x: Tensor) -> int:
    """Return the number of elements."""
    return math.prod(x.shape)


def in_top_k(predictions: TensorLike, targets: TensorLike, k: int) -> Tensor:
    """Return for each row whether the target is among the `k` largest predictions."""
    return ops.in_top_k(targets, predictions, k)


def moving_average_update(x: Variable, value: TensorLike, momentum: float) -> Tensor:
    """Move a variable towards a value: x * momentum + value * (1 - momentum)."""
    return x.assign(x * momentum + as_tensor(value) * (1.0 - momentum))


def random_bernoulli(
    shape: Iterable[int], p: float = 0.0, dtype: str | None = None, seed: int | None = None
) -> Tensor:
    """Draw 1 with probability `p`, else 0."""
    return ops.cast(random.uniform(tuple(shape), seed=seed) < p, dtype or config.floatx())


def random_normal_variable(
    shape: Iterable[int],
    mean: float,
    scale: float,
    dtype: str | None = None,
    name: str | None = None,
    seed: int | None = None,
) -> Variable:
    """Create a Variable of normal random numbers."""
    return Variable(random.normal(tuple(shape), mean, scale, dtype=dtype, seed=seed), name=name)


def random_uniform_variable(
    shape: Iterable[int],
    low: float,
    high: float,
    dtype: str | None = None,
    name: str | None = None,
    seed: int | None = None,
) -> Variable:
    """Create a Variable of uniform random numbers."""
    return Variable(random.uniform(tuple(shape), low, high, dtype=dtype, seed=seed), name=name)


def map_fn(
    fn: Callable[[Tensor], R], elems: TensorLike, name: str | None = None, dtype: str | None = None
) -> R:
    """Apply a function to each row."""
    result: R = ops.map(fn, as_tensor(elems))
    return result


def foldl(fn: _Fold, elems: TensorLike, initializer: Tensor | None = None, name: str | None = None) -> Tensor:
    """Combine the rows from the first to the last: fn(fn(a, b), c)."""
    tensor = as_tensor(elems)
    rows = [tensor[index] for index in range(len(tensor))]
    return functools.reduce(fn, rows if initializer is None else [initializer, *rows])


def foldr(fn: _Fold, elems: TensorLike, initializer: Tensor | None = None, name: str | None = None) -> Tensor:
    """Combine the rows from the last to the first: fn(fn(c, b), a)."""
    return foldl(fn, ops.flip(elems, axis=0), initializer)
