"""Variables: named values that are assigned. A compiled function has those it reads as inputs, and those it
assigns as outputs.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.context import ThreadSetting, context_variable, override
from hornbeam._internal.naming import current_path
from hornbeam._internal.typing import DTypeLike, ShapeLike
from hornbeam.config import floatx
from hornbeam.core import registry
from hornbeam.core.convert import as_tensor, cast, cast_node
from hornbeam.core.lazy import buffer_of, evaluate, value_of
from hornbeam.core.tensor import Tensor, node_of
from hornbeam.core.typing import InitializerLike, LayoutLike, TensorLike
from hornbeam.engines import Engine, MeshEngine, current_engine
from hornbeam.engines.mesh import Layout
from hornbeam.errors import AllocationError
from hornbeam.ir.complex_pairs import pack_array
from hornbeam.ir.node import Node, leaf, placeholder
from hornbeam.ir.primitive import CONSTANT
from hornbeam.ir.trace import no_level
from hornbeam.ir.types import ShapeError, TensorType, dtype_name, is_float, is_inexact, numpy_dtype
from hornbeam.primitives import stop_gradient

if TYPE_CHECKING:
    from hornbeam.engines.base import Buffer

_tracer: ContextVar[VariableTracer | None] = context_variable("variable tracer", None)
# Dtype as which floating-point variables are read, None for the stored one.
_autocast: ContextVar[str | None] = context_variable("autocast dtype", None)
# Bytes and elements that new variables may still have, None for any number.
_allowed: ContextVar[tuple[int, int] | None] = context_variable("allocation budget", None)
# New variables are appended to it, if it is a list.
_created: ContextVar[list[Variable] | None] = context_variable("created variables", None)
_observer: ThreadSetting[Callable[[Variable, Node], None] | None] = ThreadSetting("assignment observer", None)
_layout_rule: ThreadSetting[Callable[[Variable], Layout] | None] = ThreadSetting("layout rule", None)
_names = itertools.count(1)


class VariableTracer:
    """Record of the variables that a traced function reads and assigns; nested tracers read outer ones."""

    def __init__(self, level: int) -> None:
        self.level = level
        self.inputs: dict[Variable, Node] = {}
        self.values: dict[Variable, Node] = {}
        self.assigned: dict[Variable, None] = {}

    def __enter__(self) -> VariableTracer:
        self._outer = current_variable_tracer()
        _tracer.set(self)
        return self

    def __exit__(self, *exc: object) -> None:
        _tracer.set(self._outer)

    def read(self, variable: Variable) -> Node:
        node = self.values.get(variable)
        if node is None:
            node = placeholder(variable.type, self.level)
            self.inputs[variable] = self.values[variable] = node
        elif variable in self.assigned and is_inexact(node.dtype):
            # Gradients do not flow through assignments, traced or eager.
            node = stop_gradient(node)
        return node

    def read_outside(self, variable: Variable) -> Node:
        """Return the value that a variable has outside of this tracer."""
        return variable._node if self._outer is None else self._outer.read(variable)

    def assign(self, variable: Variable, node: Node) -> None:
        if node.level > self.level:
            raise RuntimeError(
                f"variable {variable.path!r} is assigned inside a function of custom_gradient: return the "
                "new value from it and assign it outside"
            )
        before = self.read(variable)
        _observe(variable, before)
        self.values[variable] = node
        self.assigned[variable] = None


# Tracer of the function that is traced; None in eager code. Not wrapped: every call reads it.
current_variable_tracer = _tracer.get


def set_assignment_observer(observer: Callable[[Variable, Node], None] | None) -> None:
    """Call `observer(variable, node)`, in this thread, for every value that an assignment replaces."""
    _observer.set(observer)


def set_layout_rule(rule: Callable[[Variable], Layout] | None) -> None:
    """Let `rule(variable)` determine, in this thread, the layout of each variable."""
    _layout_rule.set(rule)


def layout_rule_scope(rule: Callable[[Variable], Layout]) -> AbstractContextManager[Any]:
    """Let `rule(variable)` determine the layout of each variable inside a `with` block."""
    return _layout_rule.scope(rule)


def _observe(variable: Variable, before: Node) -> None:
    observer = _observer.get()
    if observer is not None:
        observer(variable, before)


@contextmanager
def eager_scope() -> Iterator[None]:
    """Run code eagerly even while a function is traced; layers create their variables in it."""
    with override(_tracer, None), no_level():
        yield


def autocast(dtype: str | None) -> override[str | None]:
    """Let floating-point variables read as `dtype`; None for the stored dtype."""
    return override(_autocast, dtype)


def collect_variables(created: list[Variable]) -> override[list[Variable] | None]:
    """Append the variables that are created inside to a list."""
    return override(_created, created)


def allocation_budget(nbytes: int, size: int) -> override[tuple[int, int] | None]:
    """Limit the variables that are created inside to `nbytes` bytes and `size` elements in total.

    The config of a file may allocate no more than the weights of the file.
    """
    return override(_allowed, (nbytes, size))


def _charge(shape: Sequence[int], dtype: DTypeLike | None) -> None:
    """Subtract the size of a variable from the budget before it is allocated."""
    budget = _allowed.get()
    if budget is None:
        return
    needed = TensorType(tuple(shape), dtype_name(dtype or floatx()))
    if needed.nbytes > budget[0]:
        raise AllocationError(
            f"a variable of shape {tuple(shape)} needs {needed.nbytes} bytes, more than the weights of the "
            "file allow"
        )
    if needed.size > budget[1]:
        raise AllocationError(f"with a variable of shape {tuple(shape)} the model has too many parameters")
    _allowed.set((budget[0] - needed.nbytes, budget[1] - needed.size))


class Variable(Tensor):
    """Tensor that can be assigned: weights, optimizer slots, metric totals, random states.

    Args:
        initializer: Array, number, callable `(shape, dtype) -> tensor`, or name of an initializer; a callable
            is called at once.
        shape: Sequence of integers; None for the shape of the array.
        dtype: Dtype; None for that of an array, int32 for Python ints, `floatx` for floats.
        trainable: Whether optimizers update it.
        autocast: Whether layers read it in their compute dtype.
        aggregation: Accepted for Keras's signature; only the default has a meaning.
        synchronization: Accepted for Keras's signature; only the default has a meaning.
        name: Name without a slash; None for a generated one.
        layout: `TensorLayout` (see `hornbeam.distribution`), another variable whose layout is shared, or None
            for that of the distribution.

    Raises:
        ShapeError: If the initial value does not have `shape`.

    Example:
        >>> v = hornbeam.Variable([1.0, 2.0])
        >>> v.assign_add([1.0, 1.0]).tolist()
        [2.0, 3.0]
    """

    __slots__ = (
        "_layout", "_type", "aggregation", "autocast", "constraint", "name", "overwrite_with_gradient",
        "path", "regularizer", "synchronization", "trainable",
    )  # fmt: skip

    def __init__(
        self,
        initializer: InitializerLike | float | Sequence[Any],
        shape: ShapeLike | None = None,
        dtype: DTypeLike | None = None,
        trainable: bool = True,
        autocast: bool = True,
        aggregation: str = "none",
        synchronization: str = "auto",
        name: str | None = None,
        layout: LayoutLike | Variable | None = None,
    ) -> None:
        if layout is not None and not isinstance(layout, Variable) and not hasattr(layout, "axes"):
            raise TypeError(f"layout must be a hornbeam.distribution.TensorLayout, got {layout!r}")
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(f"a variable's name must be a string without '/', got {name!r}")
        if isinstance(shape, (int, str)):
            raise TypeError(f"a variable's shape must be a tuple of sizes such as (3,), got {shape!r}")
        value = as_tensor(_initial_value(initializer, shape, dtype), dtype)
        if shape is not None and tuple(shape) != value.shape:
            raise ShapeError(
                f"variable {name or ''} should have shape {tuple(shape)}, its initial value has {value.shape}"
            )
        self._type = TensorType(value.shape, value.dtype)
        self._keras_mask = None
        self._node = _leaf_of(value.node, self._type)
        self.name = name or f"variable_{next(_names)}"
        self.path = f"{current_path()}/{self.name}" if current_path() else self.name
        self.trainable = bool(trainable)
        self.autocast = autocast
        self.aggregation = aggregation
        self.synchronization = synchronization
        self._layout = layout
        # True where the gradient is the new value, such as the scales of layers that train in float8.
        self.overwrite_with_gradient = False
        self.constraint: Callable[[Tensor], Tensor] | None = None
        self.regularizer: Callable[[Tensor], Tensor] | None = None
        if self.placement:
            self.place(current_engine())
        created = _created.get()
        if created is not None:
            created.append(self)

    @property
    def type(self) -> TensorType:
        return self._type

    @property
    def node(self) -> Node:
        tracer = current_variable_tracer()
        node = self._node if tracer is None else tracer.read(self)
        return node if self.dtype == node.dtype else cast_node(Tensor(node), self.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        return self._type.shape

    @property
    def dtype(self) -> str:
        stored = self._type.dtype
        target = _autocast.get()
        return target if target is not None and self.autocast and is_float(stored) else stored

    @property
    def value(self) -> Tensor:
        """Current value as a tensor that later assignments do not change."""
        return Tensor(self.node)

    def assign(self, value: TensorLike) -> Tensor:
        """Replace the value; the dtype is converted.

        Args:
            value: Tensor of the shape of the variable.

        Returns:
            Tensor, the new value.

        Raises:
            ShapeError: If the shape differs.
        """
        stored = self._type.dtype
        new = value if isinstance(value, Tensor) and value.dtype == stored else cast(as_tensor(value), stored)
        if new.shape != self.shape:
            raise ShapeError(
                f"variable {self.path!r} has shape {self.shape}, it cannot take a value of shape {new.shape}"
            )
        tracer = current_variable_tracer()
        if tracer is not None:
            tracer.assign(self, new.node)
        else:
            _observe(self, self._node)
            self._node = _leaf_of(new.node, self._type)
        return new

    def assign_add(self, value: TensorLike) -> Tensor:
        """Add to the value in place, in the stored dtype.

        Args:
            value: Tensor that broadcasts to the shape of the variable.

        Returns:
            Tensor, the new value.
        """
        with autocast(None):
            return self.assign(self + value)

    def assign_sub(self, value: TensorLike) -> Tensor:
        """Subtract from the value in place, in the stored dtype.

        Args:
            value: Tensor that broadcasts to the shape of the variable.

        Returns:
            Tensor, the new value.
        """
        with autocast(None):
            return self.assign(self - value)

    def numpy(self) -> np.ndarray:
        return value_of(self.node)

    @property
    def placement(self) -> Layout:
        """Mesh axis that shards each dimension; () for a full copy on every device."""
        rule = _layout_rule.get()
        return () if rule is None else rule(self)

    def place(self, engine: Engine) -> None:
        """Move the buffer to an engine, in the layout of the distribution.

        Args:
            engine: Engine.
        """
        if not isinstance(engine, MeshEngine):
            buffer_of(self._node, engine)
            return
        owner, buffer = self._node.value
        if owner is engine:
            placed = engine.redistribute(buffer, self.placement)
        else:
            placed = engine.put(pack_array(buffer) if owner is None else owner.get(buffer), self.placement)
        if placed is not buffer:
            self._node.value = (engine, placed)

    def __repr__(self) -> str:
        between = "\n" if self.shape else " "
        value = f"{between}{value_of(self._node)}" if current_variable_tracer() is None else " (being traced)"
        return f"<Variable {self.path} shape={self.shape} dtype={self._type.dtype}{value}>"

    def _repr_html_(self) -> str | None:
        if current_variable_tracer() is not None:
            return None
        from hornbeam.core.array_html import array_html

        return array_html(f"Variable {self.path}", np.asarray(Tensor(self._node)), self._node.value[0])

    __str__ = __repr__
    __hash__ = object.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy by value, with the name and the flags."""
        state = {name: getattr(self, name) for name in _PICKLED}
        return _rebuild, (np.asarray(Tensor(self._node)), state)


def _initial_value(initializer: Any, shape: Any, dtype: Any) -> Any:
    if isinstance(initializer, str):
        initializer = registry.get("initializers", initializer)
    if isinstance(initializer, type):
        raise ValueError(f"initializer={initializer.__name__} is the class: write {initializer.__name__}()")
    if isinstance(initializer, Tensor) or not callable(initializer):
        value = as_tensor(initializer, dtype)
        _charge(value.shape, value.dtype)
        return value
    if shape is None:
        raise ValueError("a Variable with an initializer function needs `shape`")
    _charge(shape, dtype)
    return initializer(tuple(shape), dtype=dtype_name(dtype or floatx()))


_PICKLED = (
    "name", "path", "trainable", "autocast", "aggregation", "synchronization", "constraint", "regularizer",
    "overwrite_with_gradient",
)  # fmt: skip


def _rebuild(value: np.ndarray, state: dict[str, Any]) -> Variable:
    variable = Variable(value)
    for name, part in state.items():
        setattr(variable, name, part)
    return variable


def _leaf_of(node: Node, type: TensorType) -> Node:
    """Return a new leaf with the value of a node, which is computed now: variables hold no lazy values."""
    if node.value is None and node.primitive is CONSTANT:  # metrics start at 0 in every epoch
        data = np.frombuffer(node.params["data"], numpy_dtype(type.dtype))
        return leaf((None, data.reshape(type.shape)), type)
    if node.value is None:
        evaluate([node])
    owner, buffer = node.value
    return leaf((owner, buffer), type)


def borrow_buffers(variables: Sequence[Variable], engine: Engine) -> tuple[list[Any], list[bool]]:
    """Return the buffers of variables, and which of them have no other user, so that they can be donated.

    Args:
        variables: Variables.
        engine: Engine, to which the buffers are moved.

    Returns:
        Pair of lists of buffers and booleans.
    """
    if engine.mesh is not None:
        for variable in variables:
            variable.place(engine)
    buffers, counts = _buffers_and_refcounts(variables, engine)
    return buffers, [count <= _UNSHARED_COUNT for count in counts]


def set_buffers(variables: Sequence[Variable], engine: Engine, buffers: Sequence[Buffer]) -> None:
    """Let variables have the buffers that a compiled function computed as their new values.

    Args:
        variables: Variables.
        engine: Engine of the buffers.
        buffers: A buffer for each variable, of its shape and dtype; more are ignored.
    """
    observer = _observer.get()
    for number, variable in enumerate(variables):
        node = node_of(variable)
        if observer is not None:
            observer(variable, node)
        variable._node = leaf((engine, buffers[number]), node.type)  # type: ignore[arg-type]


def _buffers_and_refcounts(
    variables: Sequence[Variable], engine: Engine | None
) -> tuple[list[Any], list[int]]:
    """Return the buffers of variables on an engine, and the references to each node and buffer together."""
    buffers: list[Any] = []
    counts: list[int] = []
    for variable in variables:
        node = node_of(variable)
        if node.value[0] is not engine:
            variable.place(engine)  # type: ignore[arg-type]
        buffer = node.value[1]
        counts.append(sys.getrefcount(node) + sys.getrefcount(buffer))
        buffers.append(buffer)
    return buffers, counts


def _unshared() -> Variable:
    """Return a stand-in for a variable without other references to its node and its buffer."""
    variable = object.__new__(Variable)
    variable._node = leaf((None, object()), TensorType((), "bool"))
    return variable


# The references without other users; they differ between Python versions.
_UNSHARED_COUNT = _buffers_and_refcounts([_unshared()], None)[1][0]
