"""Conversion of values and dtypes: convert_to_tensor, shape, dtype, saturate_cast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.typing import DTypeLike
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.dispatch import host_tracing, operation
from hornbeam.core.sparse import SparseTensor, as_sparse, is_scipy_sparse
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.primitive import full
from hornbeam.ir.types import dtype_name, is_float, is_integer
from hornbeam.ops._common import node_of, value_tensor


def convert_to_tensor(
    x: TensorLike, dtype: DTypeLike | None = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """Convert a number, nested lists, an array or a tensor to a tensor; see `array`.

    Args:
        x: Value of any shape to convert.
        dtype: Dtype of the result; None for the one of the value.
        sparse: True for a sparse tensor of the elements that differ from 0, False for a dense one; None keeps
            sparse tensors and matrices of SciPy sparse. Inside compiled functions tensors are dense.
        ragged: True for rows of different lengths, which are filled with zeros and get a mask of what was
            there, as layers with masks read it.

    Returns:
        Tensor.

    Example:
        >>> hornbeam.ops.convert_to_tensor([1.0]).dtype
        'float32'
    """
    if sparse is not False and (isinstance(x, SparseTensor) or is_scipy_sparse(x)):
        kept = SparseTensor.of(x)
        return kept if dtype is None else cast(kept, dtype)
    if isinstance(x, SparseTensor):
        return value_tensor(Tensor(x.node), dtype)
    if sparse and not getattr(x, "symbolic", False):
        return as_sparse(value_tensor(x, dtype))
    if ragged and isinstance(x, Sequence) and not isinstance(x, str):
        return padded_rows(x, dtype)
    if isinstance(x, Tensor) and x.symbolic:
        return x if dtype is None else cast(x, dtype)
    return value_tensor(x, dtype)


def padded_rows(rows: Sequence[Any], dtype: DTypeLike | None = None) -> Tensor:
    """Stack rows of different lengths, filled with zeros, with a mask of what was there.

    Args:
        rows: Sequence of arrays or nested lists, whose other axes are equal.
        dtype: Dtype of the result; None for the one of the values.

    Returns:
        Tensor (rows, length of the longest, ...).
    """
    tensors = [as_tensor(row, dtype) for row in rows]
    longest = max((t.shape[0] for t in tensors), default=0)
    lengths = np.array([t.shape[0] for t in tensors])
    zeros = [(0,) * (t.ndim - 1) for t in tensors]
    filled = [
        Tensor(p.pad(t.node, 0, (0, *z), (longest - t.shape[0], *z)))
        for t, z in zip(tensors, zeros, strict=True)
    ]
    result = as_tensor(filled)
    result._keras_mask = as_tensor(np.arange(longest) < lengths[:, None])
    return result


def convert_to_numpy(x: TensorLike) -> np.ndarray:
    """Return the value as a NumPy array.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        NumPy array.

    Raises:
        ConcretizationError: If it is called inside a compiled function.
        ValueError: If `x` is symbolic.
    """
    if isinstance(x, Tensor) and x.symbolic:
        raise ValueError(f"convert_to_numpy: {x!r} is symbolic, it has no value yet")
    return np.asarray(x)


def is_tensor(x: object) -> bool:
    """Test if an object is a tensor, a variable or a symbolic tensor; with `register_jax` an array of JAX.

    Args:
        x: Any object.

    Returns:
        Boolean.
    """
    return isinstance(x, (Tensor, *host_tracing().arrays))


def shape(x: TensorLike) -> tuple[Any, ...]:
    """Return the sizes of the axes; None if a size of a symbolic tensor is unknown.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        Tuple of integers and None.
    """
    return tuple(as_tensor(x).shape)


def dtype(x: TensorLike) -> str:
    """Return the canonical name of the dtype.

    Args:
        x: Tensor of any shape, or anything that converts to one.

    Returns:
        String such as "float32".
    """
    return as_tensor(x).dtype


@operation
def saturate_cast(x: TensorLike, dtype: DTypeLike | None) -> Tensor:
    """Convert to a dtype; values out of its range become its nearest limit.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        dtype: Dtype by name or as a NumPy dtype; None for `hornbeam.config.floatx()`.

    Returns:
        Tensor of the shape of `x`.

    Example:
        >>> int(hornbeam.ops.saturate_cast(300, "uint8"))
        255
    """
    node, name = node_of(x), floatx() if dtype is None else dtype_name(dtype)
    if name == "bool" or node.dtype == "bool" or not (is_integer(name) and is_integer(node.dtype)):
        if is_float(name) and is_float(node.dtype):
            from hornbeam.ops.elementwise import clip
            from hornbeam.ops.finiteness import float_limits

            low, high = float_limits(name)
            inside = max(low, float_limits(node.dtype)[0]), min(high, float_limits(node.dtype)[1])
            return cast(clip(Tensor(node), *inside), name)
        return Tensor(p.convert(node, name))
    target, source = np.iinfo(name), np.iinfo(node.dtype)
    low, high = max(target.min, source.min), min(target.max, source.max)
    node = p.minimum(p.maximum(node, full(low, node.type)), full(high, node.type))
    return Tensor(p.convert(node, name))
