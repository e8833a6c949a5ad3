"""tf.nn: activations, losses, and operations of layers, with channels last. Arguments are TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, SupportsInt, TypeAlias

from hornbeam import Tensor, ops
from hornbeam import random as hb_random
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.tensors import axes_of, unary
from hornbeam_compat.tensorflow.typing import AxisLike, Sizes, TensorLike

__all__ = [
    "avg_pool", "avg_pool2d", "batch_normalization", "bias_add", "compute_average_loss", "conv1d", "conv2d",
    "conv2d_transpose", "conv3d", "crelu", "ctc_loss", "depth_to_space", "depthwise_conv2d", "dropout",
    "elu", "embedding_lookup", "gelu", "in_top_k", "l2_loss", "l2_normalize", "leaky_relu",
    "local_response_normalization", "log_poisson_loss", "log_softmax", "lrn", "max_pool", "max_pool2d",
    "moments", "relu", "relu6",
    "scale_regularization_loss", "selu", "sigmoid", "sigmoid_cross_entropy_with_logits", "silu", "softmax",
    "softmax_cross_entropy_with_logits", "softplus", "softsign", "space_to_depth",
    "sparse_softmax_cross_entropy_with_logits", "swish", "tanh", "top_k",
    "weighted_cross_entropy_with_logits", "zero_fraction",
]  # fmt: skip


# Sizes of windows, or strides: one for all axes, or one for each, with or without batch and channels.
Windows: TypeAlias = int | Sequence[SupportsInt]
# "SAME", "VALID", or the amounts before and after each axis.
Padding: TypeAlias = str | Sequence[Sequence[SupportsInt]]


class TopK(NamedTuple):
    """Result of `top_k`."""

    values: Tensor
    indices: Tensor


elu, relu, relu6, selu = map(unary, (ops.elu, ops.relu, ops.relu6, ops.selu))
sigmoid, softplus, softsign, tanh = map(unary, (ops.sigmoid, ops.softplus, ops.softsign, ops.tanh))


def silu(features: TensorLike, beta: float = 1.0) -> Tensor:
    """Compute x sigmoid(beta x)."""
    x = as_tensor(features)
    return x * ops.sigmoid(x * beta) if beta != 1.0 else ops.silu(x)


swish = silu


def gelu(features: TensorLike, approximate: bool = False, name: str | None = None) -> Tensor:
    """Compute x Phi(x)."""
    return ops.gelu(features, approximate=approximate)


def leaky_relu(features: TensorLike, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """Compute x for x > 0, alpha x elsewhere."""
    return ops.leaky_relu(features, negative_slope=alpha)


def crelu(features: TensorLike, axis: int = -1, name: str | None = None) -> Tensor:
    """Concatenate relu(x) and relu(-x)."""
    return ops.concatenate([ops.relu(features), ops.relu(-as_tensor(features))], axis=axis)


def softmax(logits: TensorLike, axis: int | None = None, name: str | None = None) -> Tensor:
    """Compute the softmax along an axis, the last by default."""
    return ops.softmax(logits, axis=-1 if axis is None else axis)


def log_softmax(logits: TensorLike, axis: int | None = None, name: str | None = None) -> Tensor:
    """Compute the logarithm of the softmax along an axis, the last by default."""
    return ops.log_softmax(logits, axis=-1 if axis is None else axis)


def l2_normalize(
    x: TensorLike, axis: AxisLike = None, epsilon: float = 1e-12, name: str | None = None
) -> Tensor:
    """Compute x / sqrt(max(sum(x^2), epsilon))."""
    tensor = as_tensor(x)
    total = ops.sum(ops.square(tensor), axis=axes_of(axis), keepdims=True)
    return tensor * ops.rsqrt(ops.maximum(total, epsilon))


def l2_loss(t: TensorLike, name: str | None = None) -> Tensor:
    """Compute half the sum of squares."""
    return ops.sum(ops.square(t)) / 2


def moments(
    x: TensorLike, axes: AxisLike, shift: object = None, keepdims: bool = False, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """Compute mean and variance along axes."""
    return ops.moments(x, axes_of(axes), keepdims=keepdims)


def batch_normalization(
    x: TensorLike, mean: TensorLike, variance: TensorLike, offset: TensorLike, scale: TensorLike,
    variance_epsilon: float, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Compute (x - mean) / sqrt(variance + variance_epsilon) scale + offset."""
    normalized = (as_tensor(x) - mean) * ops.rsqrt(as_tensor(variance) + variance_epsilon)
    scaled = normalized if scale is None else normalized * scale
    return scaled if offset is None else scaled + offset


def local_response_normalization(
    input: TensorLike, depth_radius: int = 5, bias: float = 1.0, alpha: float = 1.0, beta: float = 0.5,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Compute x / (bias + alpha sum(x^2))^beta, with the sum over the neighbours of a channel."""
    x, borders = as_tensor(input), (depth_radius, depth_radius)
    squares = ops.pad(ops.square(x), [*[(0, 0)] * (x.ndim - 1), borders])
    total = sum(squares[..., i : i + x.shape[-1]] for i in range(2 * depth_radius + 1))
    return x / ops.power(bias + alpha * total, beta)


lrn = local_response_normalization


def dropout(
    x: TensorLike, rate: float, noise_shape: Sizes | None = None, seed: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Set elements to 0 with probability `rate`, and divide the others by 1 - rate."""
    return hb_random.dropout(x, rate, noise_shape=noise_shape, seed=seed)


def top_k(input: TensorLike, k: int = 1, sorted: bool = True, name: str | None = None) -> TopK:
    """Return the k largest elements of the last axis, and their indices."""
    return TopK(*ops.top_k(input, int(k), sorted=sorted))


def embedding_lookup(
    params: TensorLike, ids: TensorLike, max_norm: float | None = None, name: str | None = None
) -> Tensor:
    """Take rows of a table."""
    return ops.take(params, ids, axis=0)


def zero_fraction(value: TensorLike, name: str | None = None) -> Tensor:
    """Compute the fraction of zeros."""
    return ops.mean(ops.cast(ops.equal(value, 0), "float32"))


# -- losses --------------------------------------------------------------------------------------------------


def sigmoid_cross_entropy_with_logits(
    labels: TensorLike, logits: TensorLike, name: str | None = None
) -> Tensor:
    """Compute max(x, 0) - x z + log(1 + exp(-|x|)) elementwise, for logits x and labels z."""
    x, z = as_tensor(logits), ops.cast(labels, as_tensor(logits).dtype)
    return ops.relu(x) - x * z + ops.softplus(-ops.absolute(x))


def weighted_cross_entropy_with_logits(
    labels: TensorLike, logits: TensorLike, pos_weight: float | Tensor, name: str | None = None
) -> Tensor:
    """Compute the sigmoid cross-entropy, with positive labels weighted by `pos_weight`."""
    x, z = as_tensor(logits), ops.cast(labels, as_tensor(logits).dtype)
    return (1 - z) * x + (1 + (pos_weight - 1) * z) * (ops.softplus(-ops.absolute(x)) + ops.relu(-x))


def softmax_cross_entropy_with_logits(
    labels: TensorLike, logits: TensorLike, axis: int = -1, name: str | None = None
) -> Tensor:
    """Compute the cross-entropy of each row."""
    x = as_tensor(logits)
    return -ops.sum(ops.cast(labels, x.dtype) * ops.log_softmax(x, axis=axis), axis=axis)


def sparse_softmax_cross_entropy_with_logits(
    labels: TensorLike, logits: TensorLike, name: str | None = None
) -> Tensor:
    """Compute the cross-entropy of each row, for integer labels."""
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def ctc_loss(
    labels: TensorLike, logits: TensorLike, label_length: TensorLike, logit_length: TensorLike,
    logits_time_major: bool = True, unique: object = None, blank_index: int | None = None,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Compute the CTC loss of each padded sequence of labels. Class 0 is the blank by default."""
    frames = ops.transpose(logits, (1, 0, 2)) if logits_time_major else as_tensor(logits)
    blank = 0 if blank_index is None else blank_index % frames.shape[-1]
    return ops.ctc_loss(labels, frames, label_length, logit_length, mask_index=blank)


def compute_average_loss(
    per_example_loss: TensorLike,
    sample_weight: TensorLike | None = None,
    global_batch_size: int | None = None,
) -> Tensor:
    """Divide the sum of the losses of a batch by the batch size."""
    losses = as_tensor(per_example_loss)
    weighted = losses if sample_weight is None else losses * sample_weight
    return ops.sum(weighted) / (losses.shape[0] if global_batch_size is None else global_batch_size)


def scale_regularization_loss(regularization_loss: TensorLike) -> Tensor:
    """Compute the sum, undivided, since one replica exists."""
    return ops.sum(regularization_loss)


def in_top_k(targets: TensorLike, predictions: TensorLike, k: int, name: str | None = None) -> Tensor:
    """Return True for targets among the k largest predictions."""
    return ops.in_top_k(targets, predictions, k)


def log_poisson_loss(
    targets: TensorLike, log_input: TensorLike, compute_full_loss: bool = False, name: str | None = None
) -> Tensor:
    """Compute exp(c) - z c, for inputs c and targets z."""
    if compute_full_loss:
        raise NotImplementedError("tf.nn.log_poisson_loss(compute_full_loss=True) is not supported")
    return ops.exp(log_input) - as_tensor(targets) * log_input


# -- operations of layers ------------------------------------------------------------------------------------


def _spatial(value: Windows, rank: int = 2) -> int | tuple[int, ...]:
    """Return strides or window sizes of the spatial axes; TensorFlow's lists include batch and channels."""
    if isinstance(value, int):
        return value
    sizes = [int(v) for v in value]
    return tuple(sizes[1:-1]) if len(sizes) == rank + 2 else sizes[0] if len(sizes) == 1 else tuple(sizes)


def _layout(data_format: str | None) -> str:
    """Return channels_last. Raise NotImplementedError for channels first."""
    if data_format is not None and data_format.upper().startswith("NC"):
        raise NotImplementedError(
            f"data_format={data_format!r} is not supported: channels must be last under `hornbeam run`"
        )
    return "channels_last"


def _padding(padding: object) -> str:
    """Return "same" or "valid". Raise NotImplementedError for explicit amounts."""
    if not isinstance(padding, str) or padding.upper() not in ("SAME", "VALID"):
        raise NotImplementedError(
            f"padding={padding!r} is for convolutions. Use 'SAME' or 'VALID', after tf.pad for amounts."
        )
    return padding.lower()


def _padded(input: TensorLike, padding: Padding) -> tuple[Tensor, str]:
    """Return the input of a convolution and "same" or "valid", with explicit amounts of padding applied."""
    tensor = as_tensor(input)
    if isinstance(padding, str):
        return tensor, _padding(padding)
    amounts = [(int(before), int(after)) for before, after in padding]
    if len(amounts) != tensor.ndim:
        raise ValueError(f"padding={padding!r} must have a pair for each of {tensor.ndim} axes")
    return ops.pad(tensor, amounts), "valid"


def bias_add(
    value: TensorLike, bias: TensorLike, data_format: str | None = None, name: str | None = None
) -> Tensor:
    """Add a bias to each channel."""
    _layout(data_format)
    return as_tensor(value) + bias


def _convolve(
    operation: Callable[..., Tensor], axes: int, input: TensorLike, filters: TensorLike, strides: Windows,
    padding: Padding, data_format: str | None, dilations: Windows | None,
) -> Tensor:  # fmt: skip
    tensor, mode = _padded(input, padding)
    dilation_rate = _spatial(dilations or 1, axes)
    return operation(tensor, filters, _spatial(strides, axes), mode, _layout(data_format), dilation_rate)


def conv1d(
    input: TensorLike, filters: TensorLike, stride: Windows, padding: Padding, data_format: str = "NWC",
    dilations: Windows | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Convolve over one axis."""
    return _convolve(ops.conv, 1, input, filters, stride, padding, data_format, dilations)


def conv2d(
    input: TensorLike, filters: TensorLike, strides: Windows, padding: Padding, data_format: str = "NHWC",
    dilations: Windows | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Convolve over two axes."""
    return _convolve(ops.conv, 2, input, filters, strides, padding, data_format, dilations)


def conv3d(
    input: TensorLike, filters: TensorLike, strides: Windows, padding: Padding, data_format: str = "NDHWC",
    dilations: Windows | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Convolve over three axes."""
    return _convolve(ops.conv, 3, input, filters, strides, padding, data_format, dilations)


def depthwise_conv2d(
    input: TensorLike, filter: TensorLike, strides: Windows, padding: Padding, data_format: str | None = None,
    dilations: Windows | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Convolve each channel separately over two axes."""
    return _convolve(ops.depthwise_conv, 2, input, filter, strides, padding, data_format, dilations)


def conv2d_transpose(
    input: TensorLike, filters: TensorLike, output_shape: Sizes, strides: Windows, padding: str = "SAME",
    data_format: str = "NHWC", dilations: Windows | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Compute the transpose of a convolution over two axes."""
    outputs = ops.conv_transpose(
        input,
        filters,
        _spatial(strides),
        _padding(padding),
        None,
        _layout(data_format),
        _spatial(dilations or 1),
    )
    if tuple(int(n) for n in output_shape)[1:] != tuple(outputs.shape)[1:]:
        raise ValueError(
            f"conv2d_transpose: output_shape must be {tuple(outputs.shape)}, got {tuple(output_shape)}"
        )
    return outputs


def depth_to_space(
    input: TensorLike, block_size: int, data_format: str = "NHWC", name: str | None = None
) -> Tensor:
    """Rearrange channels to blocks of pixels."""
    return ops.depth_to_space(input, block_size, data_format=_layout(data_format))


def space_to_depth(
    input: TensorLike, block_size: int, data_format: str = "NHWC", name: str | None = None
) -> Tensor:
    """Rearrange blocks of pixels to channels."""
    return ops.space_to_depth(input, block_size, data_format=_layout(data_format))


def _pooling(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def pool(
        input: TensorLike, ksize: Windows, strides: Windows, padding: str, data_format: str | None = None,
        name: str | None = None,
    ) -> Tensor:  # fmt: skip
        """Reduce each window over one to three axes."""
        tensor = as_tensor(input)
        rank = tensor.ndim - 2
        layout, mode = _layout(data_format), _padding(padding)
        if not isinstance(ksize, int) and not isinstance(strides, int) and len(ksize) == rank + 2:
            windows, steps = ([int(n) for n in sizes] for sizes in (ksize, strides))
            if windows[0] != 1 or steps[0] != 1:
                raise NotImplementedError("pooling over samples is not supported by `hornbeam run`")
            if windows[-1] != 1 or steps[-1] != 1:  # over channels, by a layout in which they are an axis
                moved = ops.expand_dims(ops.moveaxis(tensor, -1, 1), -1)
                pooled = fn(moved, (windows[-1], *windows[1:-1]), (steps[-1], *steps[1:-1]), mode, layout)
                return ops.moveaxis(ops.squeeze(pooled, -1), 1, -1)
        return fn(tensor, _spatial(ksize, rank), _spatial(strides, rank), mode, layout)

    return pool


max_pool = max_pool2d = _pooling(ops.max_pool)
avg_pool = avg_pool2d = _pooling(ops.average_pool)
