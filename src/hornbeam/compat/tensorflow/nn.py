"""tf.nn: activations, losses and the operations of layers."""

from __future__ import annotations

from typing import Any, NamedTuple

from hornbeam import ops
from hornbeam import random as hb_random
from hornbeam.compat.tensorflow.tensors import axes_of, unary
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor

__all__ = [
    "avg_pool",
    "avg_pool2d",
    "batch_normalization",
    "bias_add",
    "compute_average_loss",
    "conv1d",
    "conv2d",
    "conv2d_transpose",
    "conv3d",
    "crelu",
    "ctc_loss",
    "depth_to_space",
    "depthwise_conv2d",
    "dropout",
    "elu",
    "embedding_lookup",
    "gelu",
    "in_top_k",
    "l2_loss",
    "l2_normalize",
    "leaky_relu",
    "log_poisson_loss",
    "log_softmax",
    "max_pool",
    "max_pool2d",
    "moments",
    "relu",
    "relu6",
    "scale_regularization_loss",
    "selu",
    "sigmoid",
    "sigmoid_cross_entropy_with_logits",
    "silu",
    "softmax",
    "softmax_cross_entropy_with_logits",
    "softplus",
    "softsign",
    "space_to_depth",
    "sparse_softmax_cross_entropy_with_logits",
    "swish",
    "tanh",
    "top_k",
    "weighted_cross_entropy_with_logits",
    "zero_fraction",
]  # fmt: skip


class TopK(NamedTuple):
    """What `top_k` gives."""

    values: Tensor
    indices: Tensor


elu, relu, relu6, selu = map(unary, (ops.elu, ops.relu, ops.relu6, ops.selu))
sigmoid, softplus, softsign, tanh = map(unary, (ops.sigmoid, ops.softplus, ops.softsign, ops.tanh))


def silu(features: Any, beta: float = 1.0) -> Tensor:
    """x sigmoid(beta x)."""
    given = as_tensor(features)
    return given * ops.sigmoid(given * beta) if beta != 1.0 else ops.silu(given)


swish = silu


def gelu(features: Any, approximate: bool = False, name: str | None = None) -> Tensor:
    """x Phi(x)."""
    return ops.gelu(features, approximate=approximate)


def leaky_relu(features: Any, alpha: float = 0.2, name: str | None = None) -> Tensor:
    """x above 0, alpha x below."""
    return ops.leaky_relu(features, negative_slope=alpha)


def crelu(features: Any, axis: int = -1, name: str | None = None) -> Tensor:
    """relu(x) and relu(-x) side by side."""
    return ops.concatenate([ops.relu(features), ops.relu(-as_tensor(features))], axis=axis)


def softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Tensor:
    """Probabilities along an axis, the last unless given."""
    return ops.softmax(logits, axis=-1 if axis is None else axis)


def log_softmax(logits: Any, axis: int | None = None, name: str | None = None) -> Tensor:
    """Logarithms of probabilities along an axis."""
    return ops.log_softmax(logits, axis=-1 if axis is None else axis)


def l2_normalize(x: Any, axis: Any = None, epsilon: float = 1e-12, name: str | None = None) -> Tensor:
    """x / sqrt(max(sum of x squared, epsilon))."""
    given = as_tensor(x)
    total = ops.sum(ops.square(given), axis=axes_of(axis), keepdims=True)
    return given * ops.rsqrt(ops.maximum(total, epsilon))


def l2_loss(t: Any, name: str | None = None) -> Tensor:
    """Half the sum of squares."""
    return ops.sum(ops.square(t)) / 2


def moments(
    x: Any, axes: Any, shift: Any = None, keepdims: bool = False, name: str | None = None
) -> tuple[Tensor, Tensor]:
    """Mean and variance."""
    return ops.moments(x, axes_of(axes), keepdims=keepdims)


def batch_normalization(
    x: Any,
    mean: Any,
    variance: Any,
    offset: Any,
    scale: Any,
    variance_epsilon: float,
    name: str | None = None,
) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon) scale + offset."""
    made = (as_tensor(x) - mean) * ops.rsqrt(as_tensor(variance) + variance_epsilon)
    made = made if scale is None else made * scale
    return made if offset is None else made + offset


def dropout(
    x: Any, rate: float, noise_shape: Any = None, seed: int | None = None, name: str | None = None
) -> Tensor:
    """Each element 0 with probability `rate`, the others divided by 1 - rate."""
    return hb_random.dropout(x, rate, noise_shape=noise_shape, seed=seed)


def top_k(input: Any, k: int = 1, sorted: bool = True, name: str | None = None) -> Any:
    """The k largest elements of the last axis and their indices."""
    return TopK(*ops.top_k(input, int(k), sorted=sorted))


def embedding_lookup(params: Any, ids: Any, max_norm: float | None = None, name: str | None = None) -> Tensor:
    """Rows of a table."""
    return ops.take(params, ids, axis=0)


def zero_fraction(value: Any, name: str | None = None) -> Tensor:
    """The share of zeros."""
    return ops.mean(ops.cast(ops.equal(value, 0), "float32"))


# -- losses --------------------------------------------------------------------------------------------------


def sigmoid_cross_entropy_with_logits(
    labels: Any = None, logits: Any = None, name: str | None = None
) -> Tensor:
    """max(x, 0) - x z + log(1 + exp(-|x|)), elementwise."""
    x, z = as_tensor(logits), ops.cast(labels, as_tensor(logits).dtype)
    return ops.relu(x) - x * z + ops.softplus(-ops.absolute(x))


def weighted_cross_entropy_with_logits(
    labels: Any, logits: Any, pos_weight: Any, name: str | None = None
) -> Tensor:
    """As the sigmoid cross-entropy, positive labels counted `pos_weight` times."""
    x, z = as_tensor(logits), ops.cast(labels, as_tensor(logits).dtype)
    return (1 - z) * x + (1 + (pos_weight - 1) * z) * (ops.softplus(-ops.absolute(x)) + ops.relu(-x))


def softmax_cross_entropy_with_logits(
    labels: Any, logits: Any, axis: int = -1, name: str | None = None
) -> Tensor:
    """Cross-entropy of each row."""
    x = as_tensor(logits)
    return -ops.sum(ops.cast(labels, x.dtype) * ops.log_softmax(x, axis=axis), axis=axis)


def sparse_softmax_cross_entropy_with_logits(labels: Any, logits: Any, name: str | None = None) -> Tensor:
    """Cross-entropy of each row for whole-number labels."""
    return ops.sparse_categorical_crossentropy(labels, logits, from_logits=True)


def ctc_loss(
    labels: Any,
    logits: Any,
    label_length: Any,
    logit_length: Any,
    logits_time_major: bool = True,
    unique: Any = None,
    blank_index: int | None = None,
    name: str | None = None,
) -> Tensor:
    """The loss of each sequence of labels, padded to one length; class 0 is the blank unless given."""
    frames = ops.transpose(logits, (1, 0, 2)) if logits_time_major else as_tensor(logits)
    blank = 0 if blank_index is None else blank_index % frames.shape[-1]
    return ops.ctc_loss(labels, frames, label_length, logit_length, mask_index=blank)


def compute_average_loss(
    per_example_loss: Any, sample_weight: Any = None, global_batch_size: int | None = None
) -> Tensor:
    """The sum of the losses of a batch, divided by the size of the batch."""
    losses = as_tensor(per_example_loss)
    weighted = losses if sample_weight is None else losses * sample_weight
    return ops.sum(weighted) / (losses.shape[0] if global_batch_size is None else global_batch_size)


def scale_regularization_loss(regularization_loss: Any) -> Tensor:
    """The sum: there is one replica to share it."""
    return ops.sum(regularization_loss)


def in_top_k(targets: Any, predictions: Any, k: int, name: str | None = None) -> Tensor:
    """Whether each target is among the k largest predictions."""
    return ops.in_top_k(targets, predictions, k)


def log_poisson_loss(
    targets: Any, log_input: Any, compute_full_loss: bool = False, name: str | None = None
) -> Tensor:
    """exp(c) - z c."""
    if compute_full_loss:
        raise NotImplementedError("tf.nn.log_poisson_loss(compute_full_loss=True) is not in `hornbeam run`")
    return ops.exp(log_input) - as_tensor(targets) * log_input


# -- layers' operations --------------------------------------------------------------------------------------


def _spatial(value: Any, rank: int = 2) -> Any:
    """Strides and windows for the spatial axes alone, out of TensorFlow's lists of four."""
    if isinstance(value, int):
        return value
    sizes = [int(v) for v in value]
    return tuple(sizes[1:-1]) if len(sizes) == rank + 2 else sizes[0] if len(sizes) == 1 else tuple(sizes)


def _layout(data_format: str | None) -> str:
    """Channels last, the one layout here. Raises NotImplementedError for NCHW and the like."""
    if data_format is not None and data_format.upper().startswith("NC"):
        raise NotImplementedError(
            f"data_format={data_format!r} is not there: channels come last under hornbeam run"
        )
    return "channels_last"


def _padding(padding: Any) -> str:
    """SAME or VALID. Raises NotImplementedError for amounts."""
    if not isinstance(padding, str) or padding.upper() not in ("SAME", "VALID"):
        raise NotImplementedError(
            f"padding={padding!r} is not there: write 'SAME' or 'VALID', and tf.pad in front for amounts"
        )
    return padding.lower()


def bias_add(value: Any, bias: Any, data_format: str | None = None, name: str | None = None) -> Tensor:
    """A number added to each channel."""
    _layout(data_format)
    return as_tensor(value) + bias


def conv1d(
    input: Any,
    filters: Any,
    stride: Any,
    padding: str,
    data_format: str = "NWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Convolution over one axis, channels last."""
    return ops.conv(
        input,
        filters,
        _spatial(stride, 1),
        _padding(padding),
        _layout(data_format),
        _spatial(dilations or 1, 1),
    )


def conv2d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: Any,
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Convolution over two axes, channels last."""
    return ops.conv(
        input, filters, _spatial(strides), _padding(padding), _layout(data_format), _spatial(dilations or 1)
    )


def conv3d(
    input: Any,
    filters: Any,
    strides: Any,
    padding: str,
    data_format: str = "NDHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """Convolution over three axes, channels last."""
    return ops.conv(
        input,
        filters,
        _spatial(strides, 3),
        _padding(padding),
        _layout(data_format),
        _spatial(dilations or 1, 3),
    )


def depthwise_conv2d(
    input: Any,
    filter: Any,
    strides: Any,
    padding: str,
    data_format: str | None = None,
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """A convolution of each channel alone, over two axes, channels last."""
    return ops.depthwise_conv(
        input, filter, _spatial(strides), _padding(padding), _layout(data_format), _spatial(dilations or 1)
    )


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    strides: Any,
    padding: str = "SAME",
    data_format: str = "NHWC",
    dilations: Any = None,
    name: str | None = None,
) -> Tensor:
    """The transpose of a convolution over two axes, channels last."""
    made = ops.conv_transpose(
        input,
        filters,
        _spatial(strides),
        _padding(padding),
        None,
        _layout(data_format),
        _spatial(dilations or 1),
    )
    if tuple(int(n) for n in output_shape)[1:] != tuple(made.shape)[1:]:
        raise ValueError(f"conv2d_transpose gives {tuple(made.shape)}, output_shape={tuple(output_shape)}")
    return made


def depth_to_space(input: Any, block_size: int, data_format: str = "NHWC", name: str | None = None) -> Tensor:
    """Channels laid out as blocks of pixels."""
    return ops.depth_to_space(input, block_size, data_format=_layout(data_format))


def space_to_depth(input: Any, block_size: int, data_format: str = "NHWC", name: str | None = None) -> Tensor:
    """Blocks of pixels stacked into channels."""
    return ops.space_to_depth(input, block_size, data_format=_layout(data_format))


def max_pool2d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", name: str | None = None
) -> Tensor:
    """The largest of each window."""
    return ops.max_pool(input, _spatial(ksize), _spatial(strides), _padding(padding), _layout(data_format))


def avg_pool2d(
    input: Any, ksize: Any, strides: Any, padding: str, data_format: str = "NHWC", name: str | None = None
) -> Tensor:
    """The mean of each window."""
    return ops.average_pool(
        input, _spatial(ksize), _spatial(strides), _padding(padding), _layout(data_format)
    )


def _pooled(fn: Any, input: Any, ksize: Any, strides: Any, padding: str, data_format: str | None) -> Tensor:
    given = as_tensor(input)
    rank = given.ndim - 2
    return fn(given, _spatial(ksize, rank), _spatial(strides, rank), _padding(padding), _layout(data_format))


def max_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: str,
    data_format: str | None = None,
    name: str | None = None,
) -> Tensor:
    """The largest of each window, over one to three axes, channels last."""
    return _pooled(ops.max_pool, input, ksize, strides, padding, data_format)


def avg_pool(
    input: Any,
    ksize: Any,
    strides: Any,
    padding: str,
    data_format: str | None = None,
    name: str | None = None,
) -> Tensor:
    """The mean of each window, over one to three axes, channels last."""
    return _pooled(ops.average_pool, input, ksize, strides, padding, data_format)
