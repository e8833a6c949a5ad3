"""Functions of `keras.backend` in Keras 1 and 2, by those of `keras.ops`. Arguments are as there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import Tensor, Variable, config, ops, random
from hornbeam.extensions.tensors import as_tensor
from hornbeam.ops import conv as _conv
from hornbeam_compat.legacy_api import backend_graph, backend_windows
from hornbeam_compat.legacy_api.arguments import DATA_FORMATS

# Earlier name -> the same function in keras.ops.
_OPS = {
    "abs": "abs", "all": "all", "any": "any", "arange": "arange", "argmax": "argmax", "argmin": "argmin",
    "cast": "cast", "clip": "clip", "cos": "cos", "cumprod": "cumprod", "cumsum": "cumsum", "elu": "elu",
    "equal": "equal", "exp": "exp", "expand_dims": "expand_dims", "eye": "eye", "greater": "greater",
    "greater_equal": "greater_equal", "hard_sigmoid": "hard_sigmoid", "less": "less",
    "less_equal": "less_equal", "log": "log", "logsumexp": "logsumexp", "max": "max", "maximum": "maximum",
    "mean": "mean", "min": "min", "minimum": "minimum", "not_equal": "not_equal", "ones_like": "ones_like",
    "pow": "power", "prod": "prod", "reshape": "reshape", "round": "round", "sigmoid": "sigmoid",
    "sign": "sign", "sin": "sin", "softplus": "softplus", "softsign": "softsign", "sqrt": "sqrt",
    "square": "square", "stack": "stack", "std": "std", "stop_gradient": "stop_gradient", "sum": "sum",
    "tanh": "tanh", "tile": "tile", "transpose": "transpose", "var": "var", "zeros_like": "zeros_like",
    "convert_to_tensor": "convert_to_tensor", "is_tensor": "is_tensor",
}  # fmt: skip

# Name -> its replacement.
REPLACEMENTS = {
    **{old: f"keras.ops.{new}" for old, new in _OPS.items()},
    "batch_dot": "keras.ops.einsum or keras.layers.Dot",
    "batch_flatten": "keras.ops.reshape(x, (len(x), -1))",
    "batch_get_value": "np.array(x) for each",
    "batch_set_value": "variable.assign()",
    "bias_add": "x + bias",
    "binary_crossentropy": "keras.ops.binary_crossentropy",
    "cast_to_floatx": "keras.ops.cast",
    "categorical_crossentropy": "keras.ops.categorical_crossentropy",
    "concatenate": "keras.ops.concatenate",
    "constant": "keras.ops.convert_to_tensor",
    "conv2d": "keras.ops.conv",
    "ctc_batch_cost": "keras.ops.ctc_loss",
    "ctc_decode": "keras.ops.ctc_decode",
    "dot": "keras.ops.matmul",
    "dropout": "keras.random.dropout",
    "dtype": "x.dtype",
    "eval": "np.array(x)",
    "flatten": "keras.ops.reshape(x, -1)",
    "gather": "keras.ops.take(x, indices, axis=0)",
    "get_value": "np.array(x)",
    "image_dim_ordering": "keras.config.image_data_format()",
    "in_train_phase": "the argument `training` of call()",
    "int_shape": "x.shape",
    "l2_normalize": "keras.ops.normalize",
    "learning_phase": "the argument `training` of call()",
    "ndim": "len(x.shape)",
    "one_hot": "keras.ops.one_hot",
    "ones": "keras.ops.ones",
    "permute_dimensions": "keras.ops.transpose",
    "placeholder": "keras.Input",
    "print_tensor": "print",
    "random_binomial": "keras.random.binomial",
    "random_normal": "keras.random.normal",
    "random_uniform": "keras.random.uniform",
    "relu": "keras.ops.relu",
    "repeat": "keras.layers.RepeatVector",
    "repeat_elements": "keras.ops.repeat",
    "reverse": "keras.ops.flip",
    "set_image_dim_ordering": "keras.config.set_image_data_format",
    "set_learning_phase": "the argument `training` of call()",
    "set_value": "variable.assign()",
    "shape": "keras.ops.shape",
    "softmax": "keras.ops.softmax",
    "sparse_categorical_crossentropy": "keras.ops.sparse_categorical_crossentropy",
    "squeeze": "keras.ops.squeeze",
    "switch": "keras.ops.where",
    "truncated_normal": "keras.random.truncated_normal",
    "update": "variable.assign()",
    "update_add": "variable.assign_add()",
    "update_sub": "variable.assign_sub()",
    "variable": "keras.Variable",
    "zeros": "keras.ops.zeros",
    **backend_graph.REPLACEMENTS,
    **backend_windows.REPLACEMENTS,
}


def __getattr__(name: str) -> Any:
    if name in _OPS:
        return getattr(ops, _OPS[name])
    for module in (backend_graph, backend_windows):
        if name in module.REPLACEMENTS:
            return getattr(module, name)
    raise AttributeError(name)


# -- values --------------------------------------------------------------------------------------------------


def variable(value: Any, dtype: Any = None, name: str | None = None, constraint: Any = None) -> Variable:
    """Create a Variable."""
    return Variable(np.asarray(value), dtype=dtype or config.floatx(), name=name)


def zeros(shape: Any, dtype: Any = None, name: str | None = None) -> Variable:
    """Create a Variable of zeros."""
    return Variable(np.zeros(shape), dtype=dtype or config.floatx(), name=name)


def ones(shape: Any, dtype: Any = None, name: str | None = None) -> Variable:
    """Create a Variable of ones."""
    return Variable(np.ones(shape), dtype=dtype or config.floatx(), name=name)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str | None = None) -> Tensor:
    """Create a tensor."""
    tensor = ops.convert_to_tensor(value, dtype)
    return tensor if shape is None else ops.broadcast_to(tensor, tuple(shape))


def placeholder(shape: Any = None, ndim: int | None = None, dtype: Any = None, **unused: Any) -> Any:
    """Create an Input whose first axis is the batch."""
    from hornbeam.layers import Input

    return Input(batch_shape=tuple(shape) if shape is not None else (None,) * (ndim or 0), dtype=dtype)


def eval(x: Any) -> Any:
    """Return the value as an array, or as a number for a scalar."""
    return np.array(as_tensor(x))[()]


get_value = eval


def batch_get_value(tensors: Sequence[Any]) -> list[Any]:
    """Return the values of several tensors."""
    return [eval(x) for x in tensors]


def set_value(x: Variable, value: Any) -> None:
    """Assign a value to a variable."""
    x.assign(value)


def batch_set_value(tuples: Sequence[tuple[Variable, Any]]) -> None:
    """Assign values to several variables."""
    for x, value in tuples:
        x.assign(value)


def update(x: Variable, new_x: Any) -> Tensor:
    """Assign a value to a variable."""
    return x.assign(new_x)


def update_add(x: Variable, increment: Any) -> Tensor:
    """Add to a variable."""
    return x.assign_add(increment)


def update_sub(x: Variable, decrement: Any) -> Tensor:
    """Subtract from a variable."""
    return x.assign_sub(decrement)


def print_tensor(x: Any, message: str = "", summarize: int = 3) -> Any:
    """Print a tensor and return it."""
    print(message, x)
    return x


# -- shapes --------------------------------------------------------------------------------------------------


def shape(x: Any) -> Any:
    """Return the shape."""
    return ops.shape(x)


def int_shape(x: Any) -> tuple[Any, ...]:
    """Return the shape, with None for unknown sizes."""
    return tuple(x.shape)


def ndim(x: Any) -> int:
    """Return the number of axes."""
    return len(x.shape)


def dtype(x: Any) -> str:
    """Return the dtype."""
    return x.dtype


def flatten(x: Any) -> Tensor:
    """Flatten to one axis."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: Any) -> Tensor:
    """Flatten all axes but the first."""
    return ops.reshape(x, (ops.shape(x)[0], -1))


def squeeze(x: Any, axis: int) -> Tensor:
    """Remove an axis of size 1."""
    return ops.squeeze(x, axis=axis)


def permute_dimensions(x: Any, pattern: Sequence[int]) -> Tensor:
    """Permute the axes."""
    return ops.transpose(x, axes=tuple(pattern))


def concatenate(tensors: Sequence[Any], axis: int = -1) -> Tensor:
    """Concatenate tensors along an axis, the last by default."""
    return ops.concatenate(list(tensors), axis=axis)


def repeat(x: Any, n: int) -> Tensor:
    """Repeat rows: shape (batch, size) to (batch, n, size)."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def repeat_elements(x: Any, rep: int, axis: int) -> Tensor:
    """Repeat each element along an axis."""
    return ops.repeat(x, rep, axis=axis)


def reverse(x: Any, axes: Any) -> Tensor:
    """Reverse the order of elements along axes."""
    return ops.flip(x, axis=tuple(axes) if hasattr(axes, "__iter__") else axes)


def gather(reference: Any, indices: Any) -> Tensor:
    """Take rows by their indices."""
    return ops.take(reference, indices, axis=0)


def one_hot(indices: Any, num_classes: int) -> Tensor:
    """Encode class indices as one-hot vectors."""
    return ops.one_hot(indices, num_classes)


def cast_to_floatx(x: Any) -> Any:
    """Cast to the default dtype."""
    return x.astype(config.floatx()) if isinstance(x, np.ndarray) else ops.cast(x, config.floatx())


# -- mathematics ---------------------------------------------------------------------------------------------


def dot(x: Any, y: Any) -> Tensor:
    """Multiply along the last axis of `x` and the second last of `y`."""
    return ops.matmul(x, y) if len(y.shape) <= 2 else ops.tensordot(x, y, axes=[[-1], [-2]])


def batch_dot(x: Any, y: Any, axes: Any = None) -> Tensor:
    """Compute the dot product of each pair of samples."""
    from hornbeam.layers import Dot

    if axes is None:
        axes = (len(x.shape) - 1, max(len(y.shape) - 2, 1))
    return Dot(axes=tuple(axes) if isinstance(axes, (list, tuple)) else axes)([x, y])


def bias_add(x: Any, bias: Any, data_format: str | None = None) -> Tensor:
    """Add a bias to each channel; channels are last."""
    return as_tensor(x) + bias


def l2_normalize(x: Any, axis: Any = None) -> Tensor:
    """Scale to L2 norm 1 along an axis."""
    total = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(total, config.epsilon()))


def switch(condition: Any, then_expression: Any, else_expression: Any) -> Any:
    """Select one of two values, or of the results of two functions."""
    then, other = (e() if callable(e) else e for e in (then_expression, else_expression))
    return ops.where(condition, then, other)


def relu(x: Any, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Compute max(x, 0), with a slope of negative values, an upper bound and a threshold."""
    from hornbeam.activations import relu

    return relu(x, negative_slope=alpha, max_value=max_value, threshold=threshold)


def softmax(x: Any, axis: int = -1) -> Tensor:
    """Compute the softmax along an axis."""
    return ops.softmax(x, axis=axis)


def dropout(x: Any, level: float, noise_shape: Any = None, seed: Any = None) -> Tensor:
    """Set random elements to 0, and scale the others."""
    return random.dropout(x, level, noise_shape=noise_shape, seed=seed)


def conv2d(
    x: Any,
    kernel: Any,
    strides: Any = (1, 1),
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Any = (1, 1),
) -> Tensor:
    """Convolve over two axes."""
    return _conv(x, kernel, strides, padding, data_format, dilation_rate)


# -- losses --------------------------------------------------------------------------------------------------


def binary_crossentropy(target: Any, output: Any, from_logits: bool = False) -> Tensor:
    """Compute the elementwise binary cross-entropy."""
    return ops.binary_crossentropy(target, output, from_logits=from_logits)


def categorical_crossentropy(target: Any, output: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """Compute the cross-entropy of each sample."""
    return ops.categorical_crossentropy(target, output, from_logits=from_logits, axis=axis)


def sparse_categorical_crossentropy(
    target: Any, output: Any, from_logits: bool = False, axis: int = -1
) -> Tensor:
    """Compute the cross-entropy of each sample, for integer labels."""
    return ops.sparse_categorical_crossentropy(target, output, from_logits=from_logits, axis=axis)


def ctc_batch_cost(y_true: Any, y_pred: Any, input_length: Any, label_length: Any) -> Tensor:
    """Compute the CTC loss of each sample. The last class is the blank; lengths have shape (batch, 1)."""
    logits = ops.log(as_tensor(y_pred) + config.epsilon())
    labels, steps = (ops.cast(ops.reshape(x, (-1,)), "int32") for x in (label_length, input_length))
    loss = ops.ctc_loss(ops.cast(y_true, "int32"), logits, labels, steps, mask_index=logits.shape[-1] - 1)
    return ops.expand_dims(loss, 1)


def ctc_decode(
    y_pred: Any, input_length: Any, greedy: bool = True, beam_width: int = 100, top_paths: int = 1
) -> tuple[list[Tensor], Tensor]:
    """Decode the most probable sequences, padded by -1, and their scores; the last class is the blank."""
    logits = ops.log(as_tensor(y_pred) + config.epsilon())
    lengths = ops.cast(ops.reshape(input_length, (-1,)), "int32")
    options = {"strategy": "greedy"} if greedy else {"strategy": "beam_search", "beam_width": beam_width}
    decoded, scores = ops.ctc_decode(
        logits, lengths, top_paths=top_paths, mask_index=logits.shape[-1] - 1, **options
    )
    return list(decoded), scores


# -- random numbers ------------------------------------------------------------------------------------------


def random_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Draw from the normal distribution."""
    return random.normal(tuple(shape), mean, stddev, dtype, seed)


def truncated_normal(
    shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Draw from the normal distribution, within two standard deviations of the mean."""
    return random.truncated_normal(tuple(shape), mean, stddev, dtype, seed)


def random_uniform(
    shape: Any, minval: float = 0.0, maxval: float = 1.0, dtype: Any = None, seed: Any = None
) -> Tensor:
    """Draw from the uniform distribution on [minval, maxval)."""
    return random.uniform(tuple(shape), minval, maxval, dtype, seed)


def random_binomial(shape: Any, p: float = 0.0, dtype: Any = None, seed: Any = None) -> Tensor:
    """Draw 1 with probability `p`, else 0."""
    successes = random.uniform(tuple(shape), seed=seed) < p
    return ops.cast(successes, dtype or config.floatx())


# -- models --------------------------------------------------------------------------------------------------


def learning_phase() -> int:
    """Return 0. Functions that depended on the learning phase have an argument `training` now."""
    return 0


def set_learning_phase(value: int) -> None:
    """Accept 0. Raise NotImplementedError for 1, which would change every later layer."""
    if value:
        raise NotImplementedError(
            "K.set_learning_phase(1) has no effect here. Call the model with training=True."
        )


def in_train_phase(x: Any, alt: Any, training: Any = None) -> Any:
    """Return `x` in training, else `alt`."""
    from hornbeam.extensions.layers import current_context

    if training is None:
        context = current_context()
        training = context.training if context is not None else False
    branch = x if training else alt
    return branch() if callable(branch) else branch


def image_dim_ordering() -> str:
    """Return "tf" for channels last, "th" for channels first."""
    return "tf" if config.image_data_format() == "channels_last" else "th"


def set_image_dim_ordering(dim_ordering: str) -> None:
    """Set the data format by "tf" (channels last) or "th" (channels first)."""
    if dim_ordering not in DATA_FORMATS:
        raise ValueError(f'dim_ordering must be "tf" or "th", got {dim_ordering!r}')
    config.set_image_data_format(DATA_FORMATS[dim_ordering])
