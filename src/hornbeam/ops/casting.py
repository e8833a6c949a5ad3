"""Conversion of values and dtypes: convert_to_tensor, shape, dtype, saturate_cast."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.primitive import full
from hornbeam.ir.types import dtype_name, is_float, is_integer
from hornbeam.ops._common import node_of, value_tensor


def convert_to_tensor(x: Any, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> Tensor:
    """`x` (number, nested lists, array, tensor) as a tensor of `dtype`; see `array`.

    >>> hornbeam.ops.convert_to_tensor([1.0]).dtype
    'float32'
    """
    if sparse or ragged:
        raise NotImplementedError("sparse and ragged tensors are not there: use dense tensors and masks")
    if isinstance(x, Tensor) and x.symbolic:
        return x if dtype is None else cast(x, dtype)
    return value_tensor(x, dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """The value of `x` as a NumPy array. Raises ConcretizationError inside a compiled function."""
    return np.asarray(x)


def is_tensor(x: Any) -> bool:
    """True for tensors, variables and symbolic tensors."""
    return isinstance(x, Tensor)


def shape(x: Any) -> tuple[Any, ...]:
    """The sizes of the axes, as ints (None where a symbolic tensor's size is not known)."""
    return tuple(as_tensor(x).shape)


def dtype(x: Any) -> str:
    """Canonical name of the dtype of `x`."""
    return as_tensor(x).dtype


@operation
def saturate_cast(x: Any, dtype: Any) -> Tensor:
    """`x` converted to `dtype`, values out of its range becoming its nearest limit.

    >>> int(hornbeam.ops.saturate_cast(300, "uint8"))
    255
    """
    node, name = node_of(x), dtype_name(dtype)
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
