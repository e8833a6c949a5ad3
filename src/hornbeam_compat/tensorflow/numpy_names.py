"""tf.experimental.numpy: NumPy's names, by the functions of `keras.ops`."""

from __future__ import annotations

from typing import Any, SupportsInt

import numpy as np

from hornbeam import Tensor, ops
from hornbeam import random as hb_random
from hornbeam.backend import result_type as result_type_of
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.random import set_seed
from hornbeam_compat.tensorflow.typing import DTypeLike, Sizes, TensorLike

# Namespace -> its names.
NAMESPACES = {"experimental": "", "random": "rand randint randn seed standard_normal uniform"}

_DTYPES = (
    "bool_ complex128 complex64 float16 float32 float64 inexact int16 int32 int64 int8 uint16 uint32 uint64 "
    "uint8"
)
_CONSTANTS = "e inf nan newaxis pi"
_OWN = (
    "array asarray copy experimental_enable_numpy_behavior finfo iinfo ndarray ndim promote_types "
    "result_type shape size"
)
__all__ = sorted(
    {*_DTYPES.split(), *_CONSTANTS.split(), *_OWN.split()}
    | {name for name in ops.__all__ if hasattr(np, name) and name not in ("array", "ndim", "shape", "size")}
)

ndarray = Tensor
iinfo, finfo, promote_types = np.iinfo, np.finfo, np.promote_types


def __getattr__(name: str) -> Any:
    if name in _DTYPES.split() or name in _CONSTANTS.split():
        return getattr(np, name)
    return getattr(ops, name)


def experimental_enable_numpy_behavior(
    prefer_float32: bool = False, dtype_conversion_mode: str = "legacy"
) -> None:
    """Do nothing: tensors have NumPy's methods and its promotion of dtypes."""


def array(val: TensorLike, dtype: DTypeLike | None = None, copy: bool = True, ndmin: int = 0) -> Tensor:
    """Create a tensor."""
    tensor = ops.convert_to_tensor(val, None if dtype is None else np.dtype(dtype).name)
    missing = ndmin - len(tensor.shape)
    return ops.reshape(tensor, (*(1 for _ in range(missing)), *tensor.shape)) if missing > 0 else tensor


def asarray(a: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Create a tensor."""
    return array(a, dtype)


def copy(a: TensorLike) -> Tensor:
    """Return the same values."""
    return as_tensor(a)


def ndim(a: TensorLike) -> int:
    """Return the number of axes."""
    return len(as_tensor(a).shape)


def shape(a: TensorLike) -> tuple[int, ...]:
    """Return the sizes."""
    return tuple(as_tensor(a).shape)


def size(x: TensorLike, axis: int | None = None) -> int:
    """Return the number of elements, or the size of an axis."""
    sizes = shape(x)
    return int(np.prod(sizes)) if axis is None else sizes[axis]


def result_type(*arrays_and_dtypes: TensorLike | DTypeLike) -> np.dtype:
    """Return the dtype of a result."""
    return np.dtype(
        result_type_of(*(np.dtype(x).name if isinstance(x, type) else x for x in arrays_and_dtypes))
    )


# -- tf.experimental.numpy.random ----------------------------------------------------------------------------


def seed(s: SupportsInt) -> None:
    """Set the seed."""
    set_seed(int(s))


def randn(*args: int) -> Tensor:
    """Draw from the standard normal distribution."""
    return hb_random.normal(args)


def standard_normal(size: Sizes | int | None = None) -> Tensor:
    """Draw from the standard normal distribution."""
    return hb_random.normal(_shape(size))


def rand(*size: int) -> Tensor:
    """Draw from the uniform distribution on [0, 1)."""
    return hb_random.uniform(size)


def uniform(low: float = 0.0, high: float = 1.0, size: Sizes | int | None = None) -> Tensor:
    """Draw from a uniform distribution."""
    return hb_random.uniform(_shape(size), low, high)


def randint(
    low: int, high: int | None = None, size: Sizes | int | None = None, dtype: DTypeLike = "int64"
) -> Tensor:
    """Draw integers below `high`."""
    first, last = (0, low) if high is None else (low, high)
    return ops.cast(hb_random.randint(_shape(size), first, last), np.dtype(dtype).name)


def _shape(size: Sizes | int | None) -> tuple[int, ...]:
    return () if size is None else (int(size),) if isinstance(size, (int, np.integer)) else tuple(size)
