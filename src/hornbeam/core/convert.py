"""Conversion to tensors: Python numbers, arrays and lists; dtype promotion and broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np

from hornbeam import primitives as p
from hornbeam._internal.typing import DTypeLike
from hornbeam.config import floatx
from hornbeam.core.dispatch import host_tracing, operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node, leaf
from hornbeam.ir.primitive import constant, full, size_node
from hornbeam.ir.sizes import SymbolicSize, is_one, merged_size, same_shape, same_size, set_to_tensor
from hornbeam.ir.types import (
    HornbeamTypeError,
    ShapeError,
    TensorType,
    dtype_name,
    is_complex,
    is_float,
    numpy_dtype,
    promote_types,
)


def as_tensor(x: TensorLike, dtype: DTypeLike | None = None) -> Tensor:
    """Convert to a Tensor: arrays are copied, Python floats become `floatx`, Python ints int32 or int64.

    An object of another library may have a method `__hornbeam_tensor__`, which returns a Tensor.
    """
    if isinstance(x, Tensor):
        return x if dtype is None or x.dtype == dtype_name(dtype) else cast(x, dtype)
    if isinstance(x, (bool, int, float, complex)):
        return Tensor(constant(x, dtype_name(dtype) if dtype is not None else _number_dtype(x)))
    if isinstance(x, SymbolicSize):
        return Tensor(cast_node(x, dtype_name(dtype) if dtype is not None else "int32"))
    if isinstance(x, host_tracing().types):
        return as_tensor(host_tracing().to_tensor(x), dtype)
    if hasattr(type(x), "__hornbeam_tensor__"):
        other: Any = x
        return as_tensor(other.__hornbeam_tensor__(), dtype)
    if _holds_tensors(x):
        return _stacked(x, dtype)
    return Tensor(leaf_of(_to_array(x, dtype)))


def is_array(x: object) -> TypeGuard[Tensor | np.ndarray | np.generic]:
    """Return True for tensors, NumPy arrays and NumPy scalars."""
    return isinstance(x, (Tensor, np.ndarray, np.generic))


def _number_dtype(x: bool | int | float | complex) -> str:
    wide = isinstance(x, int) and not -(2**31) <= x < 2**31
    return "int64" if wide else promote_types([_kind(x)], floatx())


def _holds_tensors(x: object) -> TypeGuard[Sequence[Any]]:
    if not isinstance(x, (list, tuple)):
        return False
    kinds = (Tensor, SymbolicSize, *host_tracing().types)
    return any(
        isinstance(part, kinds) or hasattr(type(part), "__hornbeam_tensor__") or _holds_tensors(part)
        for part in x
    )


def _stacked(parts: Sequence[Any], dtype: DTypeLike | None) -> Tensor:
    """Stack a list that contains tensors along a new first axis."""
    items = [
        part if isinstance(part, (bool, int, float, complex, SymbolicSize)) else as_tensor(part)
        for part in parts
    ]
    shapes = [item.shape if isinstance(item, Tensor) else () for item in items]
    if not all(same_shape(shape, shapes[0]) for shape in shapes):
        names = ", ".join(map(str, sorted(set(shapes))))
        raise ShapeError(f"cannot make one tensor of items of shapes {names}")
    nodes = [
        cast_node(item, dtype_name(dtype) if dtype is not None else result_dtype(*items)) for item in items
    ]
    return Tensor(p.concatenate(*(p.reshape(n, (1, *n.shape)) for n in nodes), axis=0))


def leaf_of(array: np.ndarray) -> Node:
    """Make a node of an array without other writers; a scalar becomes a literal of the graph."""
    if array.ndim == 0:
        return constant(array, dtype_name(array.dtype))
    array.flags.writeable = False
    return leaf((None, array), TensorType(array.shape, dtype_name(array.dtype)))


def from_torch(x: Any) -> np.ndarray:
    """Return the values of a torch tensor; bfloat16, which NumPy does not have, as float32."""
    x = x.detach().cpu()
    return (x.float() if str(x.dtype) == "torch.bfloat16" else x).numpy()


def _to_array(x: TensorLike, dtype: DTypeLike | None) -> np.ndarray:
    """Copy `x` to an array of a supported dtype."""
    if hasattr(x, "tocoo") and hasattr(x, "toarray"):  # a sparse matrix of SciPy
        x = x.toarray()
    if hasattr(x, "detach"):  # a torch tensor, possibly on a device or with gradients
        x = from_torch(x)
    try:
        array = np.asarray(x)
        if (
            isinstance(x, np.ndarray) or array.flags.writeable
        ):  # a library that exports read-only memory never writes to it
            array = np.array(array)
    except TypeError as error:
        if "traced array" not in str(error):  # the message of JAX
            raise
        raise HornbeamTypeError(
            "a value that JAX is tracing cannot be a tensor here: hornbeam.grad, value_and_grad and jit take "
            "Hornbeam's functions. For JAX's own call hornbeam.config.set_engine('jax') and "
            "hornbeam.interop.register_jax(), or take hornbeam.interop.jax_function(model)"
        ) from error
    except ValueError as error:
        raise ShapeError(f"cannot convert {type(x).__name__} to a tensor: {error}") from None
    if array.dtype.kind in "US":
        raise HornbeamTypeError(
            f"tensors hold numbers, got strings (such as {str(array.reshape(-1)[:1])[1:-1]}): turn them into "
            "numbers with layers.StringLookup, TextVectorization or Hashing"
        )
    if array.dtype == object:
        hint = ". A function without `return` gives None" if x is None else ""
        raise HornbeamTypeError(
            f"cannot convert {type(x).__name__} to a tensor: it does not hold numbers{hint}"
        )
    if dtype is not None:
        name = dtype_name(dtype)
        array = array.real if array.dtype.kind == "c" and not is_complex(name) else array
        return array.astype(numpy_dtype(name), copy=False)
    name = dtype_name(array.dtype)
    if isinstance(x, (list, tuple)):  # Python numbers, whose 64 bits are not a choice
        fits = array.dtype.kind == "i" and array.size and array.min() >= -(2**31) and array.max() < 2**31
        weak = "float" if is_float(name) else "complex" if is_complex(name) else "int" if fits else name
        name = promote_types([weak], floatx())
    return array.astype(numpy_dtype(name), copy=False)


def _kind(x: TensorLike) -> str:
    """Return the dtype name, or "int", "float", "complex" or "bool" for Python numbers, which are weak."""
    if isinstance(x, Tensor):
        return x.dtype
    if isinstance(x, bool):
        return "bool"
    if isinstance(x, (int, SymbolicSize)):
        return "int"
    if isinstance(x, float):
        return "float"
    if isinstance(x, complex):
        return "complex"
    return dtype_name(x.dtype) if hasattr(x, "dtype") else as_tensor(x).dtype


def result_dtype(*xs: TensorLike) -> str:
    """Return the dtype of an operation on `xs` (tensors, arrays, Python numbers)."""
    return promote_types([_kind(x) for x in xs], floatx())


def cast_node(x: TensorLike, dtype: str) -> Node:
    """Convert to a node of `dtype`; Python numbers become literals."""
    if isinstance(x, (bool, int, float, complex)):
        return constant(x, dtype)
    if isinstance(x, SymbolicSize):
        return p.convert(size_node(x), dtype)
    return p.convert(as_tensor(x).node, dtype)


def broadcast_shapes(*shapes: tuple[int, ...]) -> tuple[int, ...]:
    """Broadcast shapes by NumPy's rule. Raises ShapeError with the shapes."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(s)) + tuple(s) for s in shapes]
    result = []
    for sizes in zip(*padded, strict=True):
        others = list(dict.fromkeys(size for size in sizes if not is_one(size)))
        if len(others) > 1:
            size = merged_size(*others)
            if not all(same_size(size, other) for other in others):
                raise ShapeError(f"shapes {', '.join(map(str, shapes))} do not broadcast against each other")
            others = [size]
        result.append(others[0] if others else 1)
    return tuple(result)


def broadcast_node(node: Node, shape: tuple[int, ...]) -> Node:
    """Broadcast by NumPy's rule: missing axes are leading ones."""
    offset = len(shape) - node.rank
    return p.broadcast(node, shape, tuple(range(offset, len(shape))))


def _unify_fast(x: TensorLike, y: TensorLike) -> list[Node] | None:
    """Unify the usual operands of loops fast: tensors of one type, or a float tensor and a Python number."""
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


def unify(*xs: TensorLike, dtype: str | None = None) -> list[Node]:
    """Convert operands to nodes of one shape and one dtype, by default the promoted one."""
    if dtype is None:
        if len(xs) == 2:
            pair = _unify_fast(*xs)
            if pair is not None:
                return pair
        dtype = result_dtype(*xs)
    nodes = [cast_node(x, dtype) for x in xs]
    shape = broadcast_shapes(*(n.shape for n in nodes))
    return [broadcast_node(n, shape) for n in nodes]


@operation
def cast(x: TensorLike, dtype: DTypeLike | None) -> Tensor:
    """Convert to a dtype; floats are truncated toward zero on conversion to integers.

    A complex number becomes its real part in a real dtype.

    Args:
        x: Tensor of any shape, or anything that converts to one.
        dtype: Dtype by name or as a NumPy dtype; None for `hornbeam.config.floatx()`.

    Returns:
        Tensor of the shape of `x`.
    """
    name = floatx() if dtype is None else dtype_name(dtype)
    return Tensor(cast_node(x, name))


set_to_tensor(as_tensor)
