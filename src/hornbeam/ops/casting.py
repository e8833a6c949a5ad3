"""Conversion of values and dtypes: convert_to_tensor, shape, dtype, saturate_cast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.config import floatx
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.primitive import full
from hornbeam.ir.types import dtype_name, is_float, is_integer
from hornbeam.ops._common import node_of, value_tensor

if TYPE_CHECKING:
    from hornbeam._internal.typing import DTypeLike, TensorLike


def convert_to_tensor(
    x: TensorLike, dtype: DTypeLike | None = None, sparse: bool | None = None, ragged: bool | None = None
) -> Tensor:
    """Convert a number, nested lists, an array or a tensor to a tensor; see `array`.

    Args:
        x: Value to convert.
        dtype: Dtype of the result; None for the one of the value.
        sparse: Accepted for Keras's signature; sparse tensors are not supported.
        ragged: Accepted for Keras's signature; ragged tensors are not supported.

    Returns:
        Tensor.

    Raises:
        NotImplementedError: If `sparse` or `ragged` is set.

    Example:
        >>> hornbeam.ops.convert_to_tensor([1.0]).dtype
        'float32'
    """
    if sparse or ragged:
        raise NotImplementedError("sparse and ragged tensors are not supported: use dense tensors and masks")
    if isinstance(x, Tensor) and x.symbolic:
        return x if dtype is None else cast(x, dtype)
    return value_tensor(x, dtype)


def convert_to_numpy(x: TensorLike) -> np.ndarray:
    """Return the value as a NumPy array.

    Args:
        x: Tensor or anything that converts to one.

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
    """Test if an object is a tensor, a variable or a symbolic tensor.

    Args:
        x: Any object.

    Returns:
        Boolean.
    """
    return isinstance(x, Tensor)


def shape(x: TensorLike) -> tuple[Any, ...]:
    """Return the sizes of the axes; None if a size of a symbolic tensor is unknown.

    Args:
        x: Tensor or anything that converts to one.

    Returns:
        Tuple of integers and None.
    """
    return tuple(as_tensor(x).shape)


def dtype(x: TensorLike) -> str:
    """Return the canonical name of the dtype.

    Args:
        x: Tensor or anything that converts to one.

    Returns:
        String such as "float32".
    """
    return as_tensor(x).dtype


@operation
def saturate_cast(x: TensorLike, dtype: DTypeLike | None) -> Tensor:
    """Convert to a dtype; values out of its range become its nearest limit.

    Args:
        x: Tensor or anything that converts to one.
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
            from hornbeam.ops.elementwise import _limits, clip

            low, high = _limits(name)
            inside = max(low, _limits(node.dtype)[0]), min(high, _limits(node.dtype)[1])
            return cast(clip(Tensor(node), *inside), name)
        return Tensor(p.convert(node, name))
    target, source = np.iinfo(name), np.iinfo(node.dtype)
    low, high = max(target.min, source.min), min(target.max, source.max)
    node = p.minimum(p.maximum(node, full(low, node.type)), full(high, node.type))
    return Tensor(p.convert(node, name))
