"""Helpers of all operations: axes, float dtypes, the axes of reductions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, SupportsIndex

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.formatting import brief
from hornbeam._internal.typing import Axis, DTypeLike
from hornbeam.config import floatx, standard_data_format
from hornbeam.core.convert import as_tensor, cast_node, result_dtype, unify
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node, leaf
from hornbeam.ir.primitive import CONSTANT
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import (
    HornbeamTypeError,
    ShapeError,
    TensorType,
    is_complex,
    is_float,
    is_inexact,
    is_integer,
    numpy_dtype,
)

# Results of sums are held in at least 32 bits, as in Keras.
_WIDER = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}
HALF = ("float16", "bfloat16")


def array_functions(*sizes: Any) -> ModuleType:
    """Return NumPy for known sizes: its results are constants. Unknown sizes are computed with as tensors."""
    return _tensor_functions if any(map(is_unknown, sizes)) else np


_tensor_functions: ModuleType = np


def set_tensor_functions(module: ModuleType) -> None:
    """Set the module with NumPy's functions for tensors, `hornbeam.ops.numpy`, which is built on this one."""
    global _tensor_functions
    _tensor_functions = module


def size_constant(values: Any, dtype: str) -> Node:
    """Make a node of what `array_functions` computed: a constant, unless it depends on unknown sizes."""
    if isinstance(values, np.ndarray):
        return p.constant(values.astype(numpy_dtype(dtype)), dtype)
    return cast_node(values, dtype)


def node_of(x: TensorLike) -> Node:
    return as_tensor(x).node


def value_tensor(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Convert to a tensor whose value does not change: of a variable, its current value."""
    tensor = as_tensor(x, dtype)
    node = tensor.node
    if node.primitive is CONSTANT and not current_level():
        # Not the literal, which all equal numbers share: it may be a source of gradients.
        array = np.frombuffer(node.params["data"], numpy_dtype(node.dtype)).reshape(node.shape)
        return Tensor(leaf((None, array), TensorType(tuple(node.shape), node.dtype)))
    return tensor if tensor.symbolic or type(tensor) is Tensor else Tensor(node)


def float_dtype(*xs: TensorLike) -> str:
    """Return the promoted dtype of `xs` if it is a float or complex, else `floatx`."""
    dtype = result_dtype(*xs)
    return dtype if is_inexact(dtype) else floatx()


def float_node(x: TensorLike) -> Node:
    """Convert to a node of a float dtype."""
    return cast_node(x, float_dtype(x))


def check_ordered(node: Node, name: str) -> Node:
    """Return `node`. Raises HornbeamTypeError for complex numbers, which have no order on a line."""
    if is_complex(node.dtype):
        raise HornbeamTypeError(
            f"{name} does not take {node.dtype}, whose numbers lie in a plane. Pass ops.real(x), ops.imag(x) "
            "or ops.abs(x)"
        )
    return node


def wide_dtype(dtype: str) -> str:
    """Return the dtype of sums of `dtype`."""
    return _WIDER.get(dtype, dtype)


def one_axis(axis: SupportsIndex, rank: int, name: str) -> int:
    """Return `axis` counted from the front. Raises ShapeError if it is out of range."""
    try:
        index = operator.index(axis)
    except TypeError:
        several = isinstance(getattr(axis, "shape", None), tuple) and name in (
            "concatenate",
            "stack",
            "append",
        )
        hint = f": the tensors go into one list, {name}([a, b])" if several else ""
        raise HornbeamTypeError(f"{name}: an axis must be an integer, got {brief(axis)}{hint}") from None
    if not -rank <= index < rank:
        raise ShapeError(f"{name}: axis {axis} is out of range for a tensor with {rank} axes")
    return index % rank


def many_axes(axis: Axis, rank: int, name: str) -> tuple[int, ...]:
    """Return `axis` (int, ints, or None for all) as increasing axes counted from the front."""
    if axis is None:
        return tuple(range(rank))
    axis_list: list[Any] = list(axis) if isinstance(axis, (tuple, list)) else [axis]
    axes = sorted(one_axis(a, rank, name) for a in axis_list)
    if len(set(axes)) != len(axes):
        raise ShapeError(f"{name}: an axis occurs twice in {axis}")
    return tuple(axes)


def with_ones(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """Replace the sizes along `axes` by 1, as keepdims does."""
    return tuple(1 if i in axes else size for i, size in enumerate(shape))


def size_along(node: Node, axes: Sequence[int]) -> int:
    return math.prod(node.shape[axis] for axis in axes)


def to_last(node: Node, axes: tuple[int, ...]) -> Node:
    """Move `axes` to the end and merge them."""
    rest = tuple(i for i in range(node.rank) if i not in axes)
    shape = (*(node.shape[i] for i in rest), size_along(node, axes))
    return p.reshape(p.transpose(node, (*rest, *axes)), shape)


def from_last(node: Node, shape: tuple[int, ...], axes: tuple[int, ...]) -> Node:
    """Invert `to_last` for a tensor that had `shape`."""
    rest = tuple(i for i in range(len(shape)) if i not in axes)
    perm = (*rest, *axes)
    reshaped = p.reshape(node, tuple(shape[i] for i in perm))
    return p.transpose(reshaped, tuple(perm.index(i) for i in range(len(shape))))


def over_last(fn: Callable[[Node], Node], node: Node, axes: tuple[int, ...]) -> Node:
    """Apply `fn`, which works along the last axis and keeps shapes, along `axes` as one axis."""
    if axes == (node.rank - 1,):
        return fn(node)
    return from_last(fn(to_last(node, axes)), node.shape, axes)


def static_int(x: object, name: str) -> int:
    """Return an int from an int, a NumPy integer or a tensor with a known value; unknown sizes stay."""
    if isinstance(x, Tensor):
        if is_float(x.dtype):
            raise TypeError(f"{name} must be an integer, got a tensor of {x.dtype}")
        return int(x)
    if is_unknown(x):
        return x  # type: ignore[return-value]
    try:
        return operator.index(x)  # type: ignore[arg-type]
    except TypeError:
        unknown = ": write -1 for one size that is unknown" if x is None and name == "a size" else ""
        raise TypeError(f"{name} must be an integer, got {brief(x)}{unknown}") from None


def shape_of(shape: Sequence[SupportsIndex] | Tensor | SupportsIndex) -> tuple[int, ...]:
    """Return a shape as a tuple, from an int or a sequence of ints."""
    if isinstance(shape, Tensor):
        return tuple(int(size) for size in shape.numpy().reshape(-1))
    if hasattr(shape, "__iter__"):
        return tuple(static_int(size, "a size") for size in shape)
    return (static_int(shape, "a size"),)


def image_batch(
    images: TensorLike, data_format: str | None, name: str
) -> tuple[Node, Callable[[Node], Tensor]]:
    """Return images as (n, h, w, c), and a function that restores the original form."""
    node = node_of(images)
    if node.rank not in (3, 4):
        raise ShapeError(
            f"{name}: Invalid images rank: expected rank 3 (an image) or 4 (a batch), got shape {node.shape}"
        )
    first = standard_data_format(data_format) == "channels_first"
    single = node.rank == 3
    batch = p.reshape(node, (1, *node.shape)) if single else node
    batch = p.transpose(batch, (0, 2, 3, 1)) if first else batch

    def restore(result: Node) -> Tensor:
        result = p.transpose(result, (0, 3, 1, 2)) if first else result
        return Tensor(p.reshape(result, result.shape[1:]) if single else result)

    return batch, restore


def cut(node: Node, axis: int, low: int, high: int) -> Node:
    """Return the slices from `low` to `high` along an axis."""
    start, stop = [0] * node.rank, list(node.shape)
    start[axis], stop[axis] = low, high
    return p.slice_(node, tuple(start), tuple(stop))


def index_node(indices: TensorLike, name: str) -> Node:
    """Return the node of integer indices. Raises HornbeamTypeError for other dtypes."""
    node = node_of(indices)
    if node.dtype == "bool" or not is_integer(node.dtype):
        raise HornbeamTypeError(f"{name} needs integer indices, got {node.dtype}")
    return node


def float_pair(x1: TensorLike, x2: TensorLike) -> list[Node]:
    """Return two operands as nodes of their common float dtype, broadcast."""
    return unify(x1, x2, dtype=float_dtype(x1, x2))
