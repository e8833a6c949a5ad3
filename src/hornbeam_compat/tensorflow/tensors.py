"""tf.Tensor, tf.Variable and tf.Module: Hornbeam's classes, with TensorFlow's methods."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import KerasTensor, Tensor, ops, tree
from hornbeam import Variable as BaseVariable
from hornbeam.data import Strings
from hornbeam.errors import ShapeError
from hornbeam.extensions.tensors import as_tensor
from hornbeam.initializers import Constant
from hornbeam_compat.patch import Patch
from hornbeam_compat.tensorflow import tape
from hornbeam_compat.tensorflow.dtypes import DType, TensorShape, as_dtype
from hornbeam_compat.tensorflow.sparse import IndexedSlices
from hornbeam_compat.tensorflow.strings import StringTensor, as_bytes, holds_text
from hornbeam_compat.tensorflow.typing import AxisLike, DTypeLike, ShapeLike, Sizes, TensorLike, TextOrTensor

if TYPE_CHECKING:
    from hornbeam.extensions.tracing import Node


class Variable(BaseVariable):
    """Tensor that can be assigned.

    Args:
        initial_value: Value, or a function that returns it.
        trainable: False to exclude the variable from training.
        validate_shape: Ignored.
        caching_device: Ignored.
        name: Name of the variable.
        variable_def: Ignored.
        dtype: Dtype. That of the value if None.
        import_scope: Ignored.
        constraint: Function that projects the value after an update, kept as an attribute.
        synchronization: Ignored.
        aggregation: Ignored.
        shape: Ignored.

    Raises:
        ValueError: If `initial_value` is None.
    """

    __slots__ = ()

    def __init__(
        self, initial_value: TensorLike | Callable[[], TensorLike] | None = None,
        trainable: bool | None = None, validate_shape: bool = True, caching_device: object = None,
        name: str | None = None, variable_def: object = None, dtype: DTypeLike | None = None,
        import_scope: object = None, constraint: Callable[[Tensor], Tensor] | None = None,
        synchronization: object = None, aggregation: object = None, shape: object = None,
    ) -> None:  # fmt: skip
        if initial_value is None:
            raise ValueError("tf.Variable needs initial_value=")
        value = initial_value() if callable(initial_value) else initial_value
        label = None if name is None else name.replace("/", "_").replace(":", "_")
        super().__init__(as_tensor(value), dtype=dtype, trainable=trainable is not False, name=label)
        self.constraint = constraint

    def assign(
        self, value: TensorLike, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Tensor:
        return super().assign(value)

    def assign_add(
        self, delta: TensorLike, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Tensor:
        return super().assign_add(delta)

    def assign_sub(
        self, delta: TensorLike, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Tensor:
        return super().assign_sub(delta)

    def __getitem__(self, key: Any) -> VariableSlice:
        return VariableSlice(self, key)

    def read_value(self) -> Tensor:
        """Return the present value as a tensor, which later assignments do not change."""
        return Tensor(self.node)

    def scatter_nd_update(self, indices: TensorLike, updates: TensorLike, name: str | None = None) -> Tensor:
        """Replace the elements at `indices` by `updates`."""
        return self.assign(ops.scatter_update(Tensor(self.node), indices, updates))

    def scatter_nd_add(self, indices: TensorLike, updates: TensorLike, name: str | None = None) -> Tensor:
        """Add `updates` to the elements at `indices`."""
        return self.assign(ops.scatter_update(Tensor(self.node), indices, updates, reduction="add"))

    def scatter_nd_sub(self, indices: TensorLike, updates: TensorLike, name: str | None = None) -> Tensor:
        """Subtract `updates` from the elements at `indices`."""
        return self.scatter_nd_add(indices, -as_tensor(updates))

    def scatter_update(
        self, sparse_delta: IndexedSlices, use_locking: bool = False, name: str | None = None
    ) -> Tensor:
        """Replace the rows that `IndexedSlices` name."""
        return self.scatter_nd_update(ops.expand_dims(sparse_delta.indices, -1), sparse_delta.values)

    def scatter_add(
        self, sparse_delta: IndexedSlices, use_locking: bool = False, name: str | None = None
    ) -> Tensor:
        """Add to the rows that `IndexedSlices` name."""
        return self.scatter_nd_add(ops.expand_dims(sparse_delta.indices, -1), sparse_delta.values)

    def scatter_sub(
        self, sparse_delta: IndexedSlices, use_locking: bool = False, name: str | None = None
    ) -> Tensor:
        """Subtract from the rows that `IndexedSlices` name."""
        return self.scatter_nd_sub(ops.expand_dims(sparse_delta.indices, -1), sparse_delta.values)


class Value(Tensor):
    """Value of a variable: `v.value` in Keras 3, `v.value()` in TensorFlow."""

    __slots__ = ()

    def __call__(self) -> Tensor:
        return self


class VariableSlice(Tensor):
    """Part of a variable: `v[0, 1].assign(3.0)` changes it.

    Args:
        owner: The variable.
        key: TensorLike | slice of the part.
    """

    __slots__ = ("_key", "_variable")

    def __init__(self, owner: Variable, key: Any) -> None:
        super().__init__(Tensor(owner.node)[key].node)
        self._variable, self._key = owner, key

    def assign(self, value: TensorLike, **unused: object) -> Tensor:
        """Assign to the elements of this part. Returns the value of the variable."""
        shape = tuple(self._variable.shape)
        places = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)[self._key]
        values = ops.broadcast_to(ops.cast(as_tensor(value), self._variable.dtype), places.shape)
        flat = ops.reshape(Tensor(self._variable.node), (-1,))
        changed = ops.scatter_update(flat, places.reshape(-1, 1), ops.reshape(values, (-1,)))
        return self._variable.assign(ops.reshape(changed, shape))

    def assign_add(self, delta: TensorLike, **unused: object) -> Tensor:
        """Add to the elements of this part. Returns the value of the variable."""
        return self.assign(self + delta)

    def assign_sub(self, delta: TensorLike, **unused: object) -> Tensor:
        """Subtract from the elements of this part. Returns the value of the variable."""
        return self.assign(self - delta)


class Reference:
    """Result of `ref()`: a hashable reference to a tensor, for dicts and sets."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def deref(self) -> Tensor:
        return self._tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and other._tensor is self._tensor

    def __hash__(self) -> int:
        return id(self._tensor)


class _AnyTensorType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, (Tensor, Strings))

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, (Tensor, Strings))


class AnyTensor(Tensor, metaclass=_AnyTensorType):
    """`tf.Tensor` of `isinstance`: tensors, and tensors of strings, which hold no numbers here."""

    __slots__ = ()


def set_shape(tensor: Tensor, shape: Sizes) -> None:
    """Raise ShapeError unless the tensor has this shape; None matches any size."""
    sizes = tuple(tensor.shape)
    fits = len(shape) == len(sizes) and all(a is None or a == b for a, b in zip(shape, sizes, strict=True))
    if not fits:
        raise ShapeError(f"a tensor of shape {sizes} does not have the shape {tuple(shape)}")


def reshaping(call: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Let constants fill a weight of another shape with as many elements."""

    @functools.wraps(call)
    def wrapper(self: Constant, shape: Sizes, dtype: DTypeLike | None = None) -> Tensor:
        values = np.asarray(self.value)
        fits = values.ndim > 0 and values.size == np.prod(shape)
        return call(Constant(values.reshape(tuple(shape))) if fits else self, shape, dtype)

    return wrapper


def patches() -> list[Patch]:
    """List the patches that give tensors, variables and strings the methods of TensorFlow."""

    stored_numpy = Tensor.numpy

    def numpy(self: Tensor) -> np.ndarray:
        """Return a writable copy, or a number for a scalar."""
        return np.array(stored_numpy(self))[()]

    stored_dtype: Any = vars(BaseVariable)["dtype"].fget
    stored_node: Any = vars(BaseVariable)["node"].fget
    symbolic_shape: Callable[..., Sizes] = vars(KerasTensor)["shape"].fget

    def node(self: BaseVariable) -> Node:
        if tape.is_recording():
            tape.accessed(self)
        return stored_node(self)

    return [
        Patch(Tensor, "shape", property(lambda self: TensorShape(self.node.shape))),
        Patch(Tensor, "dtype", property(lambda self: DType(self.node.dtype))),
        Patch(Tensor, "get_shape", lambda self: self.shape),
        Patch(Tensor, "set_shape", set_shape),
        Patch(Tensor, "numpy", numpy),
        Patch(Tensor, "ref", lambda self: Reference(self)),
        Patch(Tensor, "T", property(lambda self: ops.transpose(self))),
        Patch(Tensor, "device", "/job:localhost/replica:0/task:0/device:CPU:0"),
        Patch(Strings, "numpy", as_bytes),
        Patch(BaseVariable, "shape", property(lambda self: TensorShape(self._type.shape))),
        Patch(BaseVariable, "dtype", property(lambda self: DType(stored_dtype(self)))),
        Patch(BaseVariable, "value", property(lambda self: Value(self.node))),
        Patch(KerasTensor, "shape", property(lambda self: TensorShape(symbolic_shape(self)))),
        Patch(KerasTensor, "get_shape", lambda self: self.shape),
        Patch(Constant, "__call__", reshaping(Constant.__call__)),
        Patch(BaseVariable, "__getitem__", Variable.__getitem__),
        Patch(BaseVariable, "node", property(node)),
        Patch(BaseVariable, "numpy", numpy),
        Patch(BaseVariable, "read_value", Variable.read_value),
    ]


# -- conversion ----------------------------------------------------------------------------------------------


def convert_to_tensor(
    value: TensorLike, dtype: DTypeLike | None = None, dtype_hint: object = None, name: str | None = None
) -> TextOrTensor:
    """Convert a value to a tensor; text to a tensor of strings."""
    if holds_text(value):
        return StringTensor(value)
    return ops.convert_to_tensor(value, dtype)


def constant(
    value: TensorLike, dtype: DTypeLike | None = None, shape: Sizes | None = None, name: str = "Const"
) -> TextOrTensor:
    """Create a tensor. A scalar is broadcast to `shape`."""
    tensor = convert_to_tensor(value, dtype)
    if shape is None:
        return tensor
    return ops.broadcast_to(tensor, tuple(shape)) if tensor.shape == () else ops.reshape(tensor, tuple(shape))


def cast(x: TensorLike, dtype: DTypeLike, name: str | None = None) -> Tensor:
    """Cast to a dtype."""
    return ops.cast(ops.convert_to_tensor(x), dtype)


def is_tensor(x: TensorLike) -> bool:
    """Return True for a tensor or a variable."""
    return isinstance(x, (Tensor, Strings))


def identity(input: TensorLike, name: str | None = None) -> Tensor:
    """Return the value of `input`, which later assignments do not change."""
    tensor = as_tensor(input)
    return tensor if tensor.symbolic else Tensor(tensor.node)


def stop_gradient(input: TensorLike, name: str | None = None) -> Tensor:
    """Return `input`, with a gradient of zero."""
    return ops.stop_gradient(input)


def dtype_of(x: TensorLike) -> DType:
    """Return the DType of a tensor, an array or a number."""
    return as_dtype(ops.convert_to_tensor(x).dtype)


# -- tf.Module -----------------------------------------------------------------------------------------------


class Module:
    """Object whose variables can be listed, those in lists, dicts, modules and layers included.

    Args:
        name: Name of the module. The name of its class in lower case if None.
    """

    def __init__(self, name: str | None = None) -> None:
        self._name = name or type(self).__name__.lower()

    @property
    def name(self) -> str:
        return self._name

    @property
    def variables(self) -> tuple[BaseVariable, ...]:
        """All variables, each once, by the alphabetical order of attributes."""
        return tuple(dict.fromkeys(self._all_variables()))

    @property
    def trainable_variables(self) -> tuple[BaseVariable, ...]:
        """All trainable variables."""
        return tuple(v for v in self.variables if v.trainable)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """Modules and layers among the attributes."""
        return tuple(part for part in self._attributes() if hasattr(part, "variables"))

    def _attributes(self) -> Iterator[Any]:
        for name in sorted(vars(self)):
            yield from tree.flatten(vars(self)[name])

    def _all_variables(self) -> Iterator[BaseVariable]:
        for part in self._attributes():
            if isinstance(part, BaseVariable):
                yield part
            elif hasattr(part, "variables"):
                yield from part.variables


# -- signatures ----------------------------------------------------------------------------------------------


def unary(fn: Callable[[TensorLike], Tensor]) -> Callable[..., Tensor]:
    """Convert fn(x) to `f(x, name=None)`."""

    @functools.wraps(fn)
    def call(x: TensorLike, name: str | None = None) -> Tensor:
        return fn(x)

    return call


def binary(fn: Callable[[TensorLike, TensorLike], Tensor]) -> Callable[..., Tensor]:
    """Convert fn(x, y) to `f(x, y, name=None)`."""

    @functools.wraps(fn)
    def call(x: TensorLike, y: TensorLike, name: str | None = None) -> Tensor:
        return fn(x, y)

    return call


def reduction(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Convert fn(x, axis, keepdims) to `reduce_f(input_tensor, axis=None, keepdims=False, name=None)`."""

    @functools.wraps(fn)
    def call(
        input_tensor: TensorLike, axis: AxisLike = None, keepdims: bool = False, name: str | None = None
    ) -> Tensor:
        return fn(input_tensor, axis=axes_of(axis), keepdims=keepdims)

    return call


def axes_of(axis: AxisLike) -> int | tuple[int, ...] | None:
    """Convert an axis or axes to int or tuple: TensorFlow accepts lists and tensors."""
    return axis if axis is None or isinstance(axis, int) else integers_of(axis)


def sizes_of(shape: ShapeLike) -> tuple[Any, ...]:
    """Convert sizes, of which TensorFlow accepts tensors, to a tuple; unknown ones stay as they are."""
    if isinstance(shape, (Tensor, np.ndarray)):
        return tuple(np.asarray(shape).reshape(-1).tolist())
    sizes = shape if hasattr(shape, "__iter__") else (shape,)
    return tuple(int(size) if isinstance(size, Tensor) else size for size in sizes)


def integers_of(values: TensorLike) -> int | tuple[int, ...]:
    """Convert integers, of which TensorFlow accepts lists and tensors, to int or tuple."""
    array = np.asarray(values)
    return int(array) if array.ndim == 0 else tuple(int(n) for n in array.reshape(-1))
