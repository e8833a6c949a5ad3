"""Functions of `keras.backend` in Keras 1 and 2, by those of `keras.ops`. Arguments are as there."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from hornbeam import KerasTensor, Tensor, Variable, activations, config, layers, ops, random
from hornbeam.extensions.tensors import as_tensor
from hornbeam.extensions.tracing import Running
from hornbeam_compat.legacy_api import backend_graph, backend_windows
from hornbeam_compat.legacy_api.arguments import DATA_FORMATS, with_earlier_names

if TYPE_CHECKING:
    from hornbeam_compat.tensorflow.typing import TensorLike

T = TypeVar("T")

# Functions of keras.ops with the name that they had.
_SAME = (
    "abs all any arange argmax argmin binary_crossentropy cast categorical_crossentropy clip concatenate "
    "convert_to_tensor cos ctc_decode cumprod cumsum elu equal exp expand_dims eye greater greater_equal "
    "hard_sigmoid is_tensor less less_equal log logsumexp max maximum mean min minimum not_equal one_hot "
    "ones ones_like prod relu reshape round shape sigmoid sign sin softmax softplus softsign "
    "sparse_categorical_crossentropy sqrt square squeeze stack std stop_gradient sum tanh tile transpose "
    "var zeros zeros_like"
)
# Earlier name -> name in keras.ops.
_OPS = {**{name: name for name in _SAME.split()}, "pow": "power"}

# Name -> its replacement.
REPLACEMENTS = {
    **{old: f"keras.ops.{new}" for old, new in _OPS.items()},
    **dict.fromkeys(("batch_set_value", "set_value", "update"), "variable.assign()"),
    **dict.fromkeys(("eval", "get_value"), "np.array(x)"),
    **dict.fromkeys(("in_train_phase", "learning_phase", "set_learning_phase"), "`training` of call()"),
    "batch_dot": "keras.ops.einsum or keras.layers.Dot",
    "batch_flatten": "keras.ops.reshape(x, (len(x), -1))",
    "batch_get_value": "np.array(x) for each",
    "bias_add": "x + bias",
    "cast_to_floatx": "keras.ops.cast",
    "constant": "keras.ops.convert_to_tensor",
    "conv2d": "keras.ops.conv",
    "ctc_batch_cost": "keras.ops.ctc_loss",
    "dot": "keras.ops.matmul",
    "dropout": "keras.random.dropout",
    "dtype": "x.dtype",
    "flatten": "keras.ops.reshape(x, -1)",
    "gather": "keras.ops.take(x, indices, axis=0)",
    "image_dim_ordering": "keras.config.image_data_format()",
    "int_shape": "x.shape",
    "is_sparse": "x.sparse",
    "l2_normalize": "keras.ops.normalize",
    "ndim": "len(x.shape)",
    "permute_dimensions": "keras.ops.transpose",
    "placeholder": "keras.Input",
    "print_tensor": "print",
    "random_binomial": "keras.random.binomial",
    "random_normal": "keras.random.normal",
    "random_uniform": "keras.random.uniform",
    "repeat": "keras.layers.RepeatVector",
    "repeat_elements": "keras.ops.repeat",
    "reverse": "keras.ops.flip",
    "set_image_dim_ordering": "keras.config.set_image_data_format",
    "switch": "keras.ops.where",
    "truncated_normal": "keras.random.truncated_normal",
    "update_add": "variable.assign_add()",
    "update_sub": "variable.assign_sub()",
    "variable": "keras.Variable",
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


def variable(
    value: TensorLike, dtype: str | None = None, name: str | None = None, constraint: object = None
) -> Variable:
    """Create a Variable."""
    return Variable(np.asarray(value), dtype=dtype or config.floatx(), name=name)


def zeros(shape: int | Sequence[int], dtype: str | None = None, name: str | None = None) -> Variable:
    """Create a Variable of zeros."""
    return variable(np.zeros(shape), dtype, name)


def ones(shape: int | Sequence[int], dtype: str | None = None, name: str | None = None) -> Variable:
    """Create a Variable of ones."""
    return variable(np.ones(shape), dtype, name)


def constant(
    value: TensorLike, dtype: str | None = None, shape: Iterable[int] | None = None, name: str | None = None
) -> Tensor:
    """Create a tensor."""
    tensor = ops.convert_to_tensor(value, dtype or config.floatx())
    return tensor if shape is None else ops.broadcast_to(tensor, tuple(shape))


def placeholder(
    shape: Iterable[int | None] | None = None,
    ndim: int | None = None,
    dtype: str | None = None,
    **unused: object,
) -> KerasTensor:
    """Create an Input whose first axis is the batch."""
    sizes = (None,) * (ndim or 0) if shape is None else tuple(shape)
    return layers.Input(batch_shape=sizes, dtype=dtype)


def eval(x: TensorLike) -> Any:
    """Return the value as an array, or as a number for a scalar."""
    return np.array(as_tensor(x))[()]


get_value = eval


def batch_get_value(tensors: Iterable[TensorLike]) -> list[Any]:
    """Return the values of several tensors."""
    return [eval(x) for x in tensors]


update = with_earlier_names(Variable.assign, x="self", new_x="value")
update_add = with_earlier_names(Variable.assign_add, x="self", increment="value")
update_sub = with_earlier_names(Variable.assign_sub, x="self", decrement="value")


def set_value(x: Variable, value: TensorLike) -> None:
    """Assign a value to a variable."""
    x.assign(value)


def batch_set_value(tuples: Iterable[tuple[Variable, TensorLike]]) -> None:
    """Assign values to several variables."""
    for x, value in tuples:
        x.assign(value)


def print_tensor(x: T, message: str = "", summarize: int = 3) -> T:
    """Print a tensor and return it."""
    print(message, x)
    return x


# -- shapes --------------------------------------------------------------------------------------------------


def int_shape(x: Tensor) -> tuple[int | None, ...]:
    """Return the shape, with None for unknown sizes."""
    return tuple(x.shape)


def ndim(x: Tensor) -> int:
    """Return the number of axes."""
    return len(x.shape)


def dtype(x: Tensor) -> str:
    """Return the dtype."""
    return x.dtype


def is_sparse(x: Tensor) -> bool:
    """Return True for sparse tensors."""
    return bool(getattr(x, "sparse", False))


def flatten(x: TensorLike) -> Tensor:
    """Flatten to one axis."""
    return ops.reshape(x, (-1,))


def batch_flatten(x: TensorLike) -> Tensor:
    """Flatten all axes but the first."""
    return ops.reshape(x, (ops.shape(x)[0], -1))


def concatenate(tensors: Iterable[TensorLike], axis: int = -1) -> Tensor:
    """Concatenate tensors along an axis, the last by default."""
    return ops.concatenate(list(tensors), axis=axis)


def repeat(x: TensorLike, n: int) -> Tensor:
    """Repeat rows: shape (batch, size) to (batch, n, size)."""
    return ops.repeat(ops.expand_dims(x, 1), n, axis=1)


def _along(function: Callable[..., Tensor], default: int) -> Callable[..., Tensor]:
    """Return a function along an axis with the default that Keras 2 had."""

    @functools.wraps(function)
    def call(x: TensorLike, axis: int = default) -> Tensor:
        return function(x, axis=axis)

    return call


argmax, argmin, expand_dims = (_along(function, -1) for function in (ops.argmax, ops.argmin, ops.expand_dims))
cumprod, cumsum = _along(ops.cumprod, 0), _along(ops.cumsum, 0)
reshape = with_earlier_names(ops.reshape, shape="newshape")
tile = with_earlier_names(ops.tile, n="repeats")
permute_dimensions = with_earlier_names(ops.transpose, pattern="axes")
repeat_elements = with_earlier_names(ops.repeat, rep="repeats")
reverse = with_earlier_names(ops.flip, axes="axis")
gather = with_earlier_names(functools.partial(ops.take, axis=0), reference="x")
one_hot = with_earlier_names(ops.one_hot, indices="x")


def cast_to_floatx(x: TensorLike) -> Tensor | np.ndarray:
    """Cast to the default dtype."""
    return x.astype(config.floatx()) if isinstance(x, np.ndarray) else ops.cast(x, config.floatx())


# -- mathematics ---------------------------------------------------------------------------------------------


def dot(x: Tensor, y: Tensor) -> Tensor:
    """Multiply along the last axis of `x` and the second last of `y`."""
    return ops.matmul(x, y) if len(y.shape) <= 2 else ops.tensordot(x, y, axes=[[-1], [-2]])


def batch_dot(x: Tensor, y: Tensor, axes: int | Sequence[int] | None = None) -> Tensor:
    """Compute the dot product of each pair of samples."""
    if axes is None:
        axes = (len(x.shape) - 1, max(len(y.shape) - 2, 1))
    return layers.Dot(axes=axes if isinstance(axes, int) else tuple(axes))([x, y])


def bias_add(x: TensorLike, bias: TensorLike, data_format: str | None = None) -> Tensor:
    """Add a bias to each channel; channels are last."""
    return as_tensor(x) + bias


def l2_normalize(x: TensorLike, axis: int | Sequence[int] | None = None) -> Tensor:
    """Scale to L2 norm 1 along an axis."""
    total = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return as_tensor(x) * ops.rsqrt(ops.maximum(total, config.epsilon()))


def switch(
    condition: TensorLike,
    then_expression: TensorLike | Callable[[], TensorLike],
    else_expression: TensorLike | Callable[[], TensorLike],
) -> Tensor:
    """Select one of two values, or of the results of two functions."""
    then, other = (e() if callable(e) else e for e in (then_expression, else_expression))
    return ops.where(condition, then, other)


def relu(x: TensorLike, alpha: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """Compute max(x, 0), with a slope of negative values, an upper bound and a threshold."""
    return activations.relu(x, negative_slope=alpha, max_value=max_value, threshold=threshold)


def hard_sigmoid(x: TensorLike) -> Tensor:
    """Compute 0.2 x + 0.5 between 0 and 1; Keras 3 computes x / 6 + 0.5."""
    return ops.clip(0.2 * as_tensor(x) + 0.5, 0, 1)


clip = with_earlier_names(ops.clip, min_value="x_min", max_value="x_max")
pow = with_earlier_names(ops.power, x="x1", a="x2")
conv2d = with_earlier_names(ops.conv, x="inputs")
dropout = with_earlier_names(random.dropout, x="inputs", level="rate")


# -- connectionist temporal classification -------------------------------------------------------------------


def ctc_batch_cost(
    y_true: TensorLike, y_pred: TensorLike, input_length: TensorLike, label_length: TensorLike
) -> Tensor:
    """Compute the CTC loss of each sample. The last class is the blank; lengths have shape (batch, 1)."""
    logits = ops.log(as_tensor(y_pred) + config.epsilon())
    labels, steps = (ops.cast(ops.reshape(x, (-1,)), "int32") for x in (label_length, input_length))
    loss = ops.ctc_loss(ops.cast(y_true, "int32"), logits, labels, steps, mask_index=logits.shape[-1] - 1)
    return ops.expand_dims(loss, 1)


def ctc_decode(
    y_pred: TensorLike, input_length: TensorLike, greedy: bool = True, beam_width: int = 100,
    top_paths: int = 1,
) -> tuple[list[Tensor], Tensor]:  # fmt: skip
    """Decode the most probable sequences, padded by -1, and their scores; the last class is the blank."""
    logits = ops.log(as_tensor(y_pred) + config.epsilon())
    lengths = ops.cast(ops.reshape(input_length, (-1,)), "int32")
    strategy = "greedy" if greedy else "beam_search"
    decoded, scores = ops.ctc_decode(
        logits, lengths, strategy, beam_width, top_paths, mask_index=logits.shape[-1] - 1
    )
    return list(decoded), scores


# -- random numbers ------------------------------------------------------------------------------------------


random_normal, random_uniform = random.normal, random.uniform
truncated_normal = random.truncated_normal
random_binomial = backend_windows.random_bernoulli


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


def in_train_phase(x: T | Callable[[], T], alt: T | Callable[[], T], training: bool | None = None) -> T:
    """Return `x` in training, else `alt`."""
    if training is None:
        context = Running.layer_call()
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
