"""Names of `tf` itself. Arguments are TensorFlow's."""

from __future__ import annotations

import builtins
import contextlib
import logging as _logging
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import numpy as np

import hornbeam
from hornbeam import ops
from hornbeam.extensions.tensors import as_tensor, complex_
from hornbeam.initializers import Constant, Ones, RandomNormal, RandomUniform, Zeros
from hornbeam_compat.tensorflow import (
    arrays,
    control_flow,
    dtypes,
    functions,
    linalg,
    math,
    runtime,
    tape,
    tensors,
)
from hornbeam_compat.tensorflow.dtypes import TypeSpec as TypeSpec
from hornbeam_compat.tensorflow.extension_types import type_spec_from_value as type_spec_from_value
from hornbeam_compat.tensorflow.ragged import RaggedTensor as RaggedTensor
from hornbeam_compat.tensorflow.ragged_rows import RaggedTensorSpec as RaggedTensorSpec
from hornbeam_compat.tensorflow.sparse import IndexedSlices as IndexedSlices
from hornbeam_compat.tensorflow.sparse import SparseTensor as SparseTensor
from hornbeam_compat.tensorflow.sparse import SparseTensorSpec as SparseTensorSpec
from hornbeam_compat.tensorflow.tensors import AnyTensor
from hornbeam_compat.tensorflow.typing import AxisLike, DTypeLike, Sizes, TensorLike

T = TypeVar("T")
VERSION = runtime.VERSION
constant_initializer, ones_initializer, zeros_initializer = Constant, Ones, Zeros
random_normal_initializer, random_uniform_initializer = RandomNormal, RandomUniform
newaxis = None
Tensor = AnyTensor

_OWN = (
    "IndexedSlices RaggedTensor RaggedTensorSpec SparseTensor SparseTensorSpec Tensor TypeSpec "
    "UnconnectedGradients clip_by_global_norm clip_by_norm clip_by_value constant_initializer "
    "control_dependencies device complex ensure_shape get_logger get_static_value global_norm group "
    "init_scope name_scope newaxis no_op ones_initializer print random_normal_initializer "
    "random_uniform_initializer saturate_cast timestamp type_spec_from_value zeros_initializer"
)
# Module -> its names that are in `tf` as well.
_SHARED = {
    arrays: (
        "argsort boolean_mask broadcast_to concat dynamic_partition dynamic_stitch expand_dims eye fill "
        "gather gather_nd linspace meshgrid one_hot ones ones_like pad range rank repeat reshape "
        "reverse reverse_sequence roll scatter_nd searchsorted sequence_mask shape size slice sort "
        "split squeeze stack tensor_scatter_nd_add tensor_scatter_nd_max tensor_scatter_nd_min "
        "tensor_scatter_nd_sub tensor_scatter_nd_update tile transpose unique unique_with_counts "
        "unstack where zeros zeros_like"
    ),
    control_flow: (
        "TensorArray case cond foldl foldr map_fn numpy_function py_function scan switch_case "
        "vectorized_map while_loop"
    ),
    dtypes: (
        "DType TensorShape TensorSpec as_dtype bfloat16 bool complex128 complex64 double float16 "
        "float32 float64 half int8 int16 int32 int64 string uint8 uint16 uint32 uint64"
    ),
    functions: "function",
    linalg: "einsum matmul norm tensordot",
    math: (
        "abs acos acosh add add_n argmax argmin asin asinh atan atan2 atanh cos cosh cumsum divide "
        "equal exp floor greater greater_equal less less_equal logical_and logical_not logical_or "
        "maximum minimum multiply negative not_equal pow reduce_all reduce_any reduce_logsumexp "
        "reduce_max reduce_mean reduce_min reduce_prod reduce_sum round sigmoid sign sin sinh sqrt "
        "square subtract tan tanh truediv"
    ),
    runtime: "Assert executing_eagerly",
    tape: "GradientTape custom_gradient recompute_grad",
    tensors: "Module Variable cast constant convert_to_tensor identity is_tensor stop_gradient",
}
_SOURCES = {name: module for module, names in _SHARED.items() for name in names.split()}
__all__ = [*_OWN.split(), *_SOURCES]


def __getattr__(name: str) -> Any:
    if name not in _SOURCES:
        raise AttributeError(name)
    return getattr(_SOURCES[name], name)


def timestamp(name: str | None = None) -> hornbeam.Tensor:
    """Return the time in seconds since 1970."""
    return ops.convert_to_tensor(time.time(), "float64")


def clip_by_value(
    t: TensorLike, clip_value_min: TensorLike, clip_value_max: TensorLike, name: str | None = None
) -> hornbeam.Tensor:
    """Clip values to an interval."""
    return ops.minimum(ops.maximum(t, clip_value_min), clip_value_max)


def saturate_cast(value: TensorLike, dtype: DTypeLike, name: str | None = None) -> hornbeam.Tensor:
    """Cast, with values clipped to the range of the dtype."""
    return ops.saturate_cast(value, str(dtype))


def clip_by_norm(
    t: TensorLike, clip_norm: TensorLike, axes: AxisLike = None, name: str | None = None
) -> hornbeam.Tensor:
    """Scale down to at most this L2 norm."""
    tensor = as_tensor(t)
    norm = linalg.norm(tensor, axis=axes, keepdims=True)
    return tensor * clip_norm / ops.maximum(norm, clip_norm)


def global_norm(t_list: Iterable[TensorLike | None], name: str | None = None) -> hornbeam.Tensor:
    """Compute the L2 norm of all elements of all tensors; None is skipped."""
    return ops.sqrt(math.add_n([ops.sum(ops.square(t)) for t in t_list if t is not None]))


def clip_by_global_norm(
    t_list: Iterable[TensorLike | None], clip_norm: TensorLike, use_norm: TensorLike | None = None,
    name: str | None = None,
) -> tuple[list[Any], hornbeam.Tensor]:  # fmt: skip
    """Scale all tensors by one factor to at most this global norm."""
    norm = global_norm(t_list) if use_norm is None else as_tensor(use_norm)
    factor = clip_norm / ops.maximum(norm, clip_norm)
    return [None if t is None else as_tensor(t) * factor for t in t_list], norm


def group(*inputs: object, **kwargs: object) -> None:
    """Do nothing: operations are executed when they are called."""


def no_op(name: str | None = None) -> None:
    """Do nothing."""


class UnconnectedGradients:
    """Gradients of sources on which a target does not depend."""

    NONE, ZERO = "none", "zero"


def complex(real: TensorLike, imag: TensorLike, name: str | None = None) -> hornbeam.Tensor:
    """Return real + i imag: complex128 for float64, else complex64."""
    dtype = "float64" if "float64" in (as_tensor(real).dtype, as_tensor(imag).dtype) else "float32"
    parts = [ops.cast(part, dtype) for part in (real, imag)]
    if parts[0].shape != parts[1].shape:
        shape = ops.add(*parts).shape  # by broadcasting; the sum itself is never computed
        parts = [ops.broadcast_to(part, shape) for part in parts]
    return hornbeam.Tensor(complex_(*(part.node for part in parts)))


@contextlib.contextmanager
def init_scope() -> Iterator[None]:
    """Do nothing: variables may be created anywhere."""
    yield


@contextlib.contextmanager
def device(device_name: object) -> Iterator[None]:
    """Do nothing: the CPU is the only device."""
    yield


@contextlib.contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Do nothing: layers determine the names."""
    yield name


@contextlib.contextmanager
def control_dependencies(control_inputs: object) -> Iterator[None]:
    """Do nothing: assignments happen in program order."""
    yield


def get_static_value(tensor: TensorLike, partial: object = False) -> np.ndarray | None:
    """Return the value if it is known during tracing, else None."""
    converted = as_tensor(tensor)
    return None if converted.node.level else np.asarray(converted)


def get_logger() -> _logging.Logger:
    """Return the logger `tensorflow`."""
    return _logging.getLogger("tensorflow")


def ensure_shape(x: hornbeam.Tensor, shape: Sizes, name: str | None = None) -> hornbeam.Tensor:
    """Return `x`, or raise ShapeError if it does not have this shape."""
    tensors.set_shape(x, shape)
    return x


def print(
    *inputs: object, output_stream: object = None, summarize: int = 3, sep: str = " ", end: str = "\n",
    name: str | None = None,
) -> None:  # fmt: skip
    """Print values; traced tensors print their types."""
    values = [x.numpy() if isinstance(x, hornbeam.Tensor) and not x.node.level else x for x in inputs]
    builtins.print(*values, sep=sep, end=end)
