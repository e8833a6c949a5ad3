"""tf.Tensor, tf.Variable and tf.Module: Hornbeam's, with the methods that scripts call on TensorFlow's."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from hornbeam import ops, tree
from hornbeam.compat.tensorflow.dtypes import DType, TensorShape, as_dtype
from hornbeam.compat.tensorflow.strings import StringTensor, as_bytes, holds_text
from hornbeam.core import variable
from hornbeam.core.convert import as_tensor
from hornbeam.core.lazy import value_of
from hornbeam.core.tensor import Tensor
from hornbeam.data import Strings
from hornbeam.ir.types import ShapeError


class Variable(variable.Variable):
    """tf.Variable(initial_value): a value that can be assigned."""

    __slots__ = ("__dict__",)

    def __init__(
        self,
        initial_value: Any = None,
        trainable: bool | None = None,
        validate_shape: bool = True,
        caching_device: Any = None,
        name: str | None = None,
        variable_def: Any = None,
        dtype: Any = None,
        import_scope: Any = None,
        constraint: Any = None,
        synchronization: Any = None,
        aggregation: Any = None,
        shape: Any = None,
    ) -> None:
        if initial_value is None:
            raise ValueError("tf.Variable needs an initial_value")
        value = initial_value() if callable(initial_value) else initial_value
        label = None if name is None else name.replace("/", "_").replace(":", "_")
        super().__init__(as_tensor(value), dtype=dtype, trainable=trainable is not False, name=label)
        self.constraint = constraint

    def assign(
        self, value: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Tensor:
        return super().assign(value)

    def assign_add(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Tensor:
        return super().assign_add(delta)

    def assign_sub(
        self, delta: Any, use_locking: bool = False, name: str | None = None, read_value: bool = True
    ) -> Tensor:
        return super().assign_sub(delta)

    def read_value(self) -> Tensor:
        """The present value, which later assignments do not change."""
        return Tensor(self.node)

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Tensor:
        """Replace the parts at `indices`."""
        return self.assign(ops.scatter_update(Tensor(self.node), indices, updates))


class Reference:
    """What `ref()` gives: a key of dicts and sets that stands for one tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def deref(self) -> Tensor:
        return self._tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and other._tensor is self._tensor

    def __hash__(self) -> int:
        return id(self._tensor)


def _set_shape(tensor: Tensor, shape: Any) -> None:
    """Checked: sizes are known here anyway."""
    sizes = tuple(tensor.shape)
    fits = len(shape) == len(sizes) and all(a is None or a == b for a, b in zip(shape, sizes, strict=True))
    if not fits:
        raise ShapeError(f"a tensor of shape {sizes} does not have the shape {tuple(shape)}")


def install() -> None:
    """Give tensors the methods of TensorFlow's. Called when a script imports tensorflow."""
    own: Any = Tensor
    own.shape = property(lambda self: TensorShape(self.node.shape))
    own.get_shape = lambda self: self.shape
    own.set_shape = _set_shape
    # A copy that may be written to, and for a scalar a number.
    own.numpy = lambda self: np.array(value_of(self.node))[()]
    own.ref = lambda self: Reference(self)
    own.device = "/job:localhost/replica:0/task:0/device:CPU:0"
    strings: Any = Strings
    strings.numpy = as_bytes
    plain: Any = variable.Variable
    plain.shape = property(lambda self: TensorShape(self._type.shape))
    plain.numpy = own.numpy
    plain.read_value = Variable.read_value


# -- making and converting -----------------------------------------------------------------------------------


def convert_to_tensor(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """`value` as a tensor; text as a tensor of strings."""
    if holds_text(value):
        return StringTensor(value)
    return ops.convert_to_tensor(value, dtype)


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const") -> Any:
    """A tensor of `value`; a single number fills `shape`."""
    made = convert_to_tensor(value, dtype)
    if shape is None:
        return made
    return ops.broadcast_to(made, tuple(shape)) if made.shape == () else ops.reshape(made, tuple(shape))


def cast(x: Any, dtype: Any, name: str | None = None) -> Tensor:
    """`x` converted to `dtype`."""
    return ops.cast(ops.convert_to_tensor(x), dtype)


def is_tensor(x: Any) -> bool:
    """Whether `x` is a tensor or a variable."""
    return isinstance(x, (Tensor, Strings))


def identity(input: Any, name: str | None = None) -> Tensor:
    """The value of `input`, which later assignments do not change."""
    made = as_tensor(input)
    return made if made.symbolic else Tensor(made.node)


def stop_gradient(input: Any, name: str | None = None) -> Tensor:
    """`input`, through which no derivative flows."""
    return ops.stop_gradient(input)


def dtype_of(x: Any) -> DType:
    """The DType of a tensor, an array or a number."""
    return as_dtype(ops.convert_to_tensor(x).dtype)


# -- modules -------------------------------------------------------------------------------------------------


class Module:
    """Finds the variables in its attributes, in lists and dicts among them, and in modules and layers."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name or type(self).__name__.lower()

    @property
    def name(self) -> str:
        return self._name

    @property
    def variables(self) -> tuple[variable.Variable, ...]:
        """All variables, each once, attributes in alphabetical order."""
        return tuple(dict.fromkeys(self._found()))

    @property
    def trainable_variables(self) -> tuple[variable.Variable, ...]:
        """Those that are trained."""
        return tuple(v for v in self.variables if v.trainable)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """Modules and layers among the attributes."""
        return tuple(part for part in self._parts() if hasattr(part, "variables"))

    def _parts(self) -> Iterator[Any]:
        for name in sorted(vars(self)):
            yield from tree.flatten(vars(self)[name])

    def _found(self) -> Iterator[variable.Variable]:
        for part in self._parts():
            if isinstance(part, variable.Variable):
                yield part
            elif hasattr(part, "variables"):
                yield from part.variables


# -- arguments -----------------------------------------------------------------------------------------------


def unary(fn: Callable[[Any], Any]) -> Callable[..., Any]:
    """fn(x) as `f(x, name=None)`."""

    @functools.wraps(fn)
    def call(x: Any, name: str | None = None) -> Any:
        return fn(x)

    return call


def binary(fn: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """fn(x, y) as `f(x, y, name=None)`."""

    @functools.wraps(fn)
    def call(x: Any, y: Any, name: str | None = None) -> Any:
        return fn(x, y)

    return call


def reduction(fn: Callable[..., Any]) -> Callable[..., Any]:
    """fn(x, axis, keepdims) as `reduce_f(input_tensor, axis=None, keepdims=False, name=None)`."""

    @functools.wraps(fn)
    def call(input_tensor: Any, axis: Any = None, keepdims: bool = False, name: str | None = None) -> Any:
        return fn(input_tensor, axis=axes_of(axis), keepdims=keepdims)

    return call


def axes_of(axis: Any) -> Any:
    """An axis or axes as ints: TensorFlow takes lists and tensors."""
    if axis is None or isinstance(axis, int):
        return axis
    if hasattr(axis, "numpy"):
        axis = axis.numpy()
    return tuple(int(a) for a in axis) if hasattr(axis, "__iter__") else int(axis)
