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
    **dict.fromkeys(("conv1d", "conv3d"), "keras.ops.conv"),
    **dict.fromkeys(("pool2d", "pool3d"), "keras.ops.max_pool or keras.ops.average_pool"),
    **dict.fromkeys(("spatial_2d_padding", "spatial_3d_padding", "temporal_padding"), "keras.ops.pad"),
    "batch_normalization": "keras.ops.batch_normalization",
    "conv2d_transpose": "keras.ops.conv_transpose",
    "count_params": "math.prod(x.shape)",
    "depthwise_conv2d": "keras.ops.depthwise_conv",
    "foldl": "keras.ops.scan",
    "foldr": "keras.ops.scan(reverse=True)",
    "in_top_k": "keras.ops.in_top_k",
    "map_fn": "keras.ops.map",
    "moving_average_update": "variable.assign()",
    "name_scope": "keras.name_scope",
    "normalize_batch_in_training": "keras.ops.moments and keras.ops.batch_normalization",
    "random_bernoulli": "keras.random.binomial",
    "random_normal_variable": "keras.Variable(keras.random.normal(shape))",
    "random_uniform_variable": "keras.Variable(keras.random.uniform(shape))",
    "resize_images": "keras.ops.repeat or keras.ops.image.resize",
    "rnn": "keras.ops.scan, or keras.layers.RNN",
    "separable_conv2d": "keras.ops.separable_conv",
}


def conv1d(
    x: TensorLike, kernel: Tensor, strides: int = 1, padding: str = "valid", data_format: str | None = None,
    dilation_rate: int = 1,
) -> Tensor:  # fmt: skip
    """Convolve over one axis; "causal" pads the start."""
    if padding == "causal":
        x, padding = temporal_padding(x, (dilation_rate * (kernel.shape[0] - 1), 0)), "valid"
    return ops.conv(x, kernel, strides, padding, data_format, dilation_rate)


conv3d = with_earlier_names(ops.conv, x="inputs")
depthwise_conv2d = with_earlier_names(ops.depthwise_conv, x="inputs", depthwise_kernel="kernel")
separable_conv2d = with_earlier_names(ops.separable_conv, x="inputs")


def conv2d_transpose(
    x: Tensor, kernel: Tensor, output_shape: Sequence[int], strides: Sequence[int] = (1, 1),
    padding: str = "valid", data_format: str | None = None, dilation_rate: Sequence[int] = (1, 1),
) -> Tensor:  # fmt: skip
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
    x: TensorLike, pool_size: int | Sequence[int], strides: int | Sequence[int] = 1, padding: str = "valid",
    data_format: str | None = None, pool_mode: str = "max",
) -> Tensor:  # fmt: skip
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


def _padding(axes: int) -> Callable[..., Tensor]:
    """Return a function that adds zeros around so many axes."""

    def pad(x: TensorLike, padding: _Pairs = ((1, 1),) * axes, data_format: str | None = None) -> Tensor:
        return _padded(x, padding, data_format)

    return pad


spatial_2d_padding, spatial_3d_padding = _padding(2), _padding(3)


def resize_images(
    x: Tensor, height_factor: int, width_factor: int, data_format: str, interpolation: str = "nearest"
) -> Tensor:
    """Enlarge images by integer factors."""
    factors = (height_factor, width_factor)
    return layers.UpSampling2D(factors, data_format=data_format, interpolation=interpolation)(x)


# -- statistics, variables, loops ----------------------------------------------------------------------------


def batch_normalization(
    x: TensorLike, mean: TensorLike, var: TensorLike, beta: TensorLike | None, gamma: TensorLike | None,
    axis: int = -1, epsilon: float = 1e-3,
) -> Tensor:  # fmt: skip
    """Subtract the mean, divide by the standard deviation, scale by `gamma` and add `beta`."""
    return ops.batch_normalization(x, mean, var, axis=axis, offset=beta, scale=gamma, epsilon=epsilon)


def normalize_batch_in_training(
    x: Tensor, gamma: TensorLike | None, beta: TensorLike | None, reduction_axes: Sequence[int],
    epsilon: float = 1e-3,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Normalize by the mean and variance over all axes but one; return these, too."""
    (axis,) = set(range(len(x.shape))) - set(reduction_axes)
    mean, variance = ops.moments(x, tuple(reduction_axes))
    return batch_normalization(x, mean, variance, beta, gamma, axis, epsilon), mean, variance


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
    shape: Iterable[int], mean: float, scale: float, dtype: str | None = None, name: str | None = None,
    seed: int | None = None,
) -> Variable:  # fmt: skip
    """Create a Variable of normal random numbers."""
    return Variable(random.normal(tuple(shape), mean, scale, dtype=dtype, seed=seed), name=name)


def random_uniform_variable(
    shape: Iterable[int], low: float, high: float, dtype: str | None = None, name: str | None = None,
    seed: int | None = None,
) -> Variable:  # fmt: skip
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


def rnn(
    step_function: Callable[[Tensor, list[Tensor]], tuple[Tensor, Sequence[Tensor]]], inputs: TensorLike,
    initial_states: Iterable[Tensor], go_backwards: bool = False, mask: TensorLike | None = None,
    constants: Iterable[Tensor] | None = None, zero_output_for_mask: bool = False, **unused: object,
) -> tuple[Tensor, Tensor, list[Tensor]]:  # fmt: skip
    """Call `step_function(x, states)` for each step; return the last output, all outputs and the states.

    A step that the mask leaves out repeats the last output, or zeros, and keeps the states.
    """

    def steps_first(x: TensorLike) -> Tensor:
        steps = ops.swapaxes(x, 0, 1)
        return ops.flip(steps, axis=0) if go_backwards else steps

    def step(carry: list[Tensor], at: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        last, *states = carry
        output, new = step_function(at[0], [*states, *fixed])
        if mask is not None:
            keep = ops.reshape(ops.cast(at[1], "bool"), (-1, 1))
            output = ops.where(keep, output, ops.zeros_like(last) if zero_output_for_mask else last)
            new = [ops.where(keep, a, b) for a, b in zip(new, states, strict=True)]
        return [output, *new], output

    fixed, states = list(constants or ()), list(initial_states)
    steps = [steps_first(x) for x in (inputs, mask) if x is not None]
    blank = ops.zeros_like(step_function(steps[0][0], [*states, *fixed])[0])
    (last, *states), outputs = ops.scan(step, [blank, *states], steps)
    return last, ops.swapaxes(outputs, 0, 1), states
