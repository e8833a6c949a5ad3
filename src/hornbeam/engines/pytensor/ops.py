"""An Op around a NumPy function, for primitives without a PyTensor function, and the dtypes of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt
from pytensor.graph.basic import Apply
from pytensor.graph.op import Op

from hornbeam.ir.types import TensorType, ValueType, numpy_dtype

Variable = Any
Array = np.ndarray

# PyTensor has no bfloat16 and little support of float16: inside of a graph they are carried as float32, which
# every operation rounds to values of the dtype.
HALVES = ("float16", "bfloat16")


def compute_dtype(dtype: str) -> str:
    """The dtype that values of `dtype` have inside of a graph."""
    return "float32" if dtype in HALVES else dtype


def kind(type: ValueType) -> Any:
    """PyTensor's type of a value inside of a graph."""
    assert isinstance(type, TensorType)
    return pt.TensorType(compute_dtype(type.dtype), type.shape)


def types_of(type: ValueType) -> tuple[TensorType, ...]:
    """The types of all results of a node."""
    return (type,) if isinstance(type, TensorType) else tuple(type)


class NumPy(Op):
    """`fn(*arrays, **params)` as an Op whose results have the given types, a tuple of them if there are many.

    The function may not return a view of its operands.
    """

    def __init__(self, fn: Callable[..., Any], types: Sequence[TensorType], **params: Any) -> None:
        self._fn, self._params = fn, params
        self._kinds = [kind(type) for type in types]

    def make_node(self, *inputs: Variable) -> Apply:
        """See `Op.make_node`."""
        return Apply(self, list(inputs), [kind() for kind in self._kinds])

    def perform(self, node: Apply, inputs: Sequence[Array], output_storage: list[list[Any]]) -> None:
        """See `Op.perform`."""
        with np.errstate(all="ignore"):
            results = self._fn(*inputs, **self._params)
        values = results if isinstance(results, tuple) else (results,)
        for storage, value, type in zip(output_storage, values, self._kinds, strict=True):
            storage[0] = np.asarray(value, type.dtype)

    def __str__(self) -> str:
        return f"NumPy{{{self._fn.__name__}}}"


def by_numpy(fn: Callable[..., Any], type: ValueType) -> Callable[..., Any]:
    """A function for a table that applies `fn` as an Op."""

    def apply(*operands: Variable, **params: Any) -> Any:
        results = NumPy(fn, types_of(type), **params)(*operands, return_list=True)
        return results[0] if isinstance(type, TensorType) else tuple(results)

    return apply


def rounded(x: Variable, dtype: str) -> Variable:
    """x rounded to a 16-bit float dtype, carried as float32."""
    return NumPy(rounded_array, [TensorType(x.type.shape, dtype)], dtype=dtype)(x)


def rounded_array(x: Array, *, dtype: str) -> Array:
    """x rounded to a 16-bit float dtype, as float32."""
    wide = x if x.dtype.kind == "f" else x.astype(np.float32)
    return wide.astype(numpy_dtype(dtype)).astype(np.float32)
