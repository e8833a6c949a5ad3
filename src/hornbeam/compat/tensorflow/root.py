"""The names that stand in `tf` itself."""

from __future__ import annotations

import builtins
import contextlib
import logging as _logging
from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.compat.tensorflow import (
    arrays,
    control_flow,
    dtypes,
    linalg,
    math,
    runtime,
    tape,
    tensors,
)
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.initializers import Constant, Ones, RandomNormal, RandomUniform, Zeros

VERSION = runtime.VERSION
constant_initializer, ones_initializer, zeros_initializer = Constant, Ones, Zeros
random_normal_initializer, random_uniform_initializer = RandomNormal, RandomUniform
newaxis = None

_OWN = (
    "Tensor newaxis saturate_cast clip_by_value clip_by_norm global_norm clip_by_global_norm group "
    "no_op device name_scope "
    "control_dependencies get_static_value get_logger ensure_shape print constant_initializer "
    "ones_initializer zeros_initializer random_normal_initializer random_uniform_initializer"
)
# Namespace -> its names that stand in `tf` as well.
_TAKEN = {
    arrays: (
        "argsort boolean_mask broadcast_to concat expand_dims eye fill gather gather_nd linspace "
        "meshgrid one_hot ones ones_like pad range rank repeat reshape reverse roll scatter_nd searchsorted "
        "sequence_mask shape size slice sort split squeeze stack tensor_scatter_nd_add "
        "tensor_scatter_nd_update tile transpose unique unstack where zeros "
        "zeros_like"
    ),
    control_flow: (
        "TensorArray cond foldl function map_fn numpy_function py_function scan vectorized_map while_loop"
    ),
    dtypes: (
        "DType TensorShape TensorSpec as_dtype bfloat16 bool double float16 float32 float64 half int8 int16 "
        "int32 int64 string uint8 uint16 uint32 uint64"
    ),
    linalg: "einsum matmul norm tensordot",
    math: (
        "abs acos acosh add add_n argmax argmin asin asinh atan atan2 atanh cos cosh cumsum divide equal exp "
        "floor greater greater_equal less less_equal logical_and logical_not logical_or maximum minimum "
        "multiply negative not_equal pow reduce_all reduce_any reduce_logsumexp reduce_max reduce_mean "
        "reduce_min reduce_prod reduce_sum round sigmoid sign sin sinh sqrt square subtract tan tanh truediv"
    ),
    runtime: "Assert executing_eagerly",
    tape: "GradientTape custom_gradient recompute_grad",
    tensors: "Module Variable cast constant convert_to_tensor identity is_tensor stop_gradient",
}
_PLACES = {name: module for module, names in _TAKEN.items() for name in names.split()}
__all__ = [*_OWN.split(), *_PLACES]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(name)
    return getattr(_PLACES[name], name)


def clip_by_value(t: Any, clip_value_min: Any, clip_value_max: Any, name: str | None = None) -> Tensor:
    """Nothing below the one and nothing above the other."""
    return ops.minimum(ops.maximum(t, clip_value_min), clip_value_max)


def saturate_cast(value: Any, dtype: Any, name: str | None = None) -> Tensor:
    """Converted, with what the dtype cannot hold brought to its nearest end."""
    return ops.saturate_cast(value, str(dtype))


def clip_by_norm(t: Any, clip_norm: Any, axes: Any = None, name: str | None = None) -> Tensor:
    """Scaled down to at most this L2 norm."""
    given = as_tensor(t)
    length = linalg.norm(given, axis=axes, keepdims=True)
    return given * clip_norm / ops.maximum(length, clip_norm)


def global_norm(t_list: Any, name: str | None = None) -> Tensor:
    """L2 norm of all elements of all tensors together; None counts as nothing."""
    return ops.sqrt(math.add_n([ops.sum(ops.square(t)) for t in t_list if t is not None]))


def clip_by_global_norm(
    t_list: Any, clip_norm: Any, use_norm: Any = None, name: str | None = None
) -> tuple[list[Any], Tensor]:
    """All tensors scaled down by one factor, so that their norm together is at most this."""
    length = global_norm(t_list) if use_norm is None else use_norm
    factor = clip_norm / ops.maximum(length, clip_norm)
    return [None if t is None else as_tensor(t) * factor for t in t_list], length


def group(*inputs: Any, **kwargs: Any) -> None:
    """Accepted: what is called has been done."""


def no_op(name: str | None = None) -> None:
    """Nothing."""


@contextlib.contextmanager
def device(device_name: Any) -> Iterator[None]:
    """Accepted: the processor is all there is."""
    yield


@contextlib.contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Accepted: names come from layers."""
    yield name


@contextlib.contextmanager
def control_dependencies(control_inputs: Any) -> Iterator[None]:
    """Accepted: assignments happen in the order in which they are written."""
    yield


def get_static_value(tensor: Any, partial: Any = False) -> Any:
    """The value if it is known while tracing, else None."""
    made = as_tensor(tensor)
    return None if made.node.level else np.asarray(made)


def get_logger() -> _logging.Logger:
    """The logger `tensorflow`."""
    return _logging.getLogger("tensorflow")


def ensure_shape(x: Any, shape: Any, name: str | None = None) -> Any:
    """`x`, if it has this shape."""
    x.set_shape(shape)
    return x


def print(
    *inputs: Any,
    output_stream: Any = None,
    summarize: int = 3,
    sep: str = " ",
    end: str = "\n",
    name: str | None = None,
) -> None:
    """Print values; tensors that are being traced show their types."""
    shown = [x.numpy() if isinstance(x, Tensor) and not x.node.level else x for x in inputs]
    builtins.print(*shown, sep=sep, end=end)
