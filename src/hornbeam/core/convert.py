"""Conversion to tensors: Python numbers, arrays and lists; dtype promotion and broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.config import floatx
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node, leaf
from hornbeam.ir.primitive import constant, full
from hornbeam.ir.types import (
    HornbeamTypeError,
    ShapeError,
    TensorType,
    dtype_name,
    is_float,
    numpy_dtype,
    promote_types,
)

if TYPE_CHECKING:
    from hornbeam._internal.typing import DTypeLike, TensorLike


def as_tensor(x: Any, dtype: Any = None) -> Tensor:
    """`x` as a Tensor: arrays are copied, Python floats become `floatx`, Python ints int32 (int64 if they
    need it).
    """
    if isinstance(x, Tensor):
        return x if dtype is None or x.dtype == dtype_name(dtype) else cast(x, dtype)
    if isinstance(x, (bool, int, float)):
        return Tensor(constant(x, dtype_name(dtype) if dtype is not None else _number_dtype(x)))
    if _holds_tensors(x):
        return _stacked(x, dtype)
    return Tensor(leaf_of(_to_array(x, dtype)))


def is_array(x: Any) -> bool:
    """Return True for tensors, NumPy arrays and NumPy scalars."""
    return isinstance(x, (Tensor, np.ndarray, np.generic))


def _number_dtype(x: bool | int | float) -> str:
    wide = isinstance(x, int) and not -(2**31) <= x < 2**31
    return "int64" if wide else promote_types([_kind(x)], floatx())


def _holds_tensors(x: Any) -> bool:
    return isinstance(x, (list, tuple)) and any(
        isinstance(part, Tensor) or _holds_tensors(part) for part in x
    )


def _stacked(parts: Sequence[Any], dtype: Any) -> Tensor:
    """A list in which tensors stand, as one tensor with the list's items along a new first axis."""
    items = [part if isinstance(part, (bool, int, float)) else as_tensor(part) for part in parts]
    shapes = {item.shape if isinstance(item, Tensor) else () for item in items}
    if len(shapes) > 1:
        raise ShapeError(f"cannot make one tensor of items of shapes {', '.join(map(str, sorted(shapes)))}")
    nodes = [
        cast_node(item, dtype_name(dtype) if dtype is not None else result_dtype(*items)) for item in items
    ]
    return Tensor(p.concatenate(*(p.reshape(n, (1, *n.shape)) for n in nodes), axis=0))


def leaf_of(array: np.ndarray) -> Node:
    """A node for an array that nobody else writes to; a scalar becomes a literal of the graph."""
    if array.ndim == 0:
        return constant(array, dtype_name(array.dtype))
    array.flags.writeable = False
    return leaf((None, array), TensorType(array.shape, dtype_name(array.dtype)))


def from_torch(x: Any) -> np.ndarray:
    """The values of a torch tensor; bfloat16, which torch does not hand to NumPy, as float32."""
    x = x.detach().cpu()
    return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()


def _to_array(x: Any, dtype: Any) -> np.ndarray:
    """`x` as a new array of one of our dtypes."""
    if hasattr(x, "detach"):  # a torch tensor, possibly on a device or with gradients
        x = from_torch(x)
    try:
        array = np.asarray(x)
        if (
            isinstance(x, np.ndarray) or array.flags.writeable
        ):  # who gives read-only memory never writes to it
            array = np.array(array)
    except TypeError as error:
        if "traced array" not in str(error):  # what JAX says of its own
            raise
        raise HornbeamTypeError(
            "a value that JAX is tracing cannot be a tensor here: hornbeam.grad, value_and_grad and jit take "
            "Hornbeam's functions, and hornbeam.interop.jax_function(model) makes a model one of JAX's"
        ) from error
    except ValueError as error:
        raise ShapeError(f"cannot make a tensor of {type(x).__name__}: {error}") from None
    if array.dtype.kind in "US":
        raise HornbeamTypeError(
            f"tensors hold numbers, got strings (such as {str(array.reshape(-1)[:1])[1:-1]}): turn them into "
            "numbers with layers.StringLookup, TextVectorization or Hashing"
        )
    if array.dtype == object:
        raise HornbeamTypeError(f"cannot make a tensor of {type(x).__name__}: it does not hold numbers")
    if dtype is not None:
        return array.astype(numpy_dtype(dtype_name(dtype)), copy=False)
    name = dtype_name(array.dtype)
    if isinstance(x, (list, tuple)):  # Python numbers, whose 64 bits are nobody's choice
        fits = array.dtype.kind == "i" and array.size and array.min() >= -(2**31) and array.max() < 2**31
        name = floatx() if is_float(name) else "int32" if fits else name
    return array.astype(numpy_dtype(name), copy=False)


def _kind(x: Any) -> str:
    """Dtype name, or "int"/"float"/"bool" for Python numbers, which are weak."""
    if isinstance(x, Tensor):
        return x.dtype
    if isinstance(x, bool):
        return "bool"
    if isinstance(x, int):
        return "int"
    if isinstance(x, float):
        return "float"
    return dtype_name(x.dtype) if hasattr(x, "dtype") else as_tensor(x).dtype


def result_dtype(*xs: Any) -> str:
    """The dtype that an operation on `xs` (tensors, arrays, Python numbers) gives."""
    return promote_types([_kind(x) for x in xs], floatx())


def cast_node(x: Any, dtype: str) -> Node:
    """`x` as a node of `dtype`; Python numbers become literals."""
    if isinstance(x, (bool, int, float)):
        return constant(x, dtype)
    return p.convert(as_tensor(x).node, dtype)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """NumPy's rule. Raises ShapeError that shows the shapes."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        others = {size for size in sizes if size != 1}
        if len(others) > 1:
            raise ShapeError(f"shapes {', '.join(map(str, shapes))} do not broadcast against each other")
        result.append(others.pop() if others else 1)
    return tuple(result)


def broadcast_node(node: Node, shape: tuple[int, ...]) -> Node:
    """Broadcast by NumPy's rule: missing axes stand in front."""
    offset = len(shape) - node.rank
    return p.broadcast(node, shape, tuple(range(offset, len(shape))))


def _alike(x: Any, y: Any) -> list[Node] | None:
    """The short way for what loops are made of: tensors of one type, and a float tensor beside a Python
    number.
    """
    if isinstance(x, Tensor):
        node = x.node
        if isinstance(y, Tensor):
            other = y.node
            return [node, other] if node.type == other.type else None
        if (type(y) is float or type(y) is int) and is_float(node.type.dtype):  # type: ignore[union-attr]
            return [node, full(y, node.type)]
    elif (type(x) is float or type(x) is int) and isinstance(y, Tensor):
        node = y.node
        if is_float(node.type.dtype):  # type: ignore[union-attr]
            return [full(x, node.type), node]
    return None


def unify(*xs: Any, dtype: str | None = None) -> list[Node]:
    """Operands as nodes of one dtype (the promoted one unless given) and one shape."""
    if dtype is None:
        if len(xs) == 2:
            pair = _alike(*xs)
            if pair is not None:
                return pair
        dtype = result_dtype(*xs)
    nodes = [cast_node(x, dtype) for x in xs]
    shape = broadcast_shapes(*(n.shape for n in nodes))
    return [broadcast_node(n, shape) for n in nodes]


@operation
def cast(x: TensorLike, dtype: DTypeLike) -> Tensor:
    """Convert to a dtype; floats are truncated toward zero on conversion to integers.

    Args:
        x: Tensor or anything that converts to one.
        dtype: Dtype by name or as a NumPy dtype.

    Returns:
        Tensor of the shape of `x`.
    """
    name = dtype_name(dtype)
    return Tensor(cast_node(x, name))
