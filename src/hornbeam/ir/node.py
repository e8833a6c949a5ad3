"""Nodes: interned values, each a primitive applied to other nodes.

Equal nodes are the same object, so common subexpressions cost nothing.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.ir.scope import current_scope
from hornbeam.ir.types import TensorType, ValueType, dtype_name

if TYPE_CHECKING:
    from hornbeam.ir.primitive import Primitive

_serial = itertools.count()
# In effect a WeakValueDictionary at half the cost: nodes remove themselves.
_interned: dict[tuple[Any, ...], weakref.ref[Node]] = {}


class Node:
    """One value of a graph: a leaf, or an `InnerNode`, the result of a primitive.

    Attributes:
        primitive: None for leaves: placeholders (inputs of a trace) and buffers (`value` is set).
        level: Depth of the trace that the value belongs to. A body may use values of lower levels, which
            become its captured inputs.
        handles: Number of live Tensors that show this value to the user.
        uses: Number of times the value is an operand of another node.
        depth: Length of the longest chain of operations still to be computed for it. Lazy evaluation reads
            `handles`, `uses` and `depth`.
    """

    __slots__ = (
        "__weakref__",
        "depth",
        "handles",
        "inputs",
        "key",
        "level",
        "params",
        "primitive",
        "scope",
        "type",
        "uid",
        "uses",
        "value",
    )  # fmt: skip

    primitive: Primitive | None
    inputs: tuple[Node, ...]
    params: dict[str, Any]
    value: Any
    depth: int

    def __init__(
        self,
        primitive: Primitive | None,
        inputs: tuple[Node, ...],
        params: dict[str, Any],
        type: ValueType,
        level: int,
        value: Any = None,
    ) -> None:
        self.primitive = primitive
        self.inputs = inputs
        self.params = params
        self.type = type
        self.level = level
        self.value = value
        self.scope = current_scope()
        self.uid = next(_serial)
        self.handles = 0
        self.key: tuple[Any, ...] | None = None
        self.uses = 0
        depth = -1
        for node in inputs:
            node.uses += 1
            if node.depth > depth:
                depth = node.depth
        self.depth = depth + 1

    @property
    def name(self) -> str:
        """Name of the primitive, or "leaf"."""
        return self.primitive.name if self.primitive is not None else "leaf"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.tensor_type().shape

    @property
    def dtype(self) -> str:
        return self.tensor_type().dtype

    @property
    def rank(self) -> int:
        return len(self.tensor_type().shape)

    def tensor_type(self) -> TensorType:
        """Return the type of the result, of which there is one."""
        if isinstance(self.type, tuple):
            raise TypeError(f"{self.name} has {len(self.type)} outputs; project one of them first")
        return self.type

    def __repr__(self) -> str:
        return f"<{self.name} {self.type}>"

    # Strict arithmetic for derivative rules and composite bodies: operands of one type; Python scalars become
    # constants.
    def __add__(self, other: Node | float) -> Node:
        return _apply("add", self, other)

    def __radd__(self, other: float) -> Node:
        return _apply("add", other, self)

    def __sub__(self, other: Node | float) -> Node:
        return _apply("sub", self, other)

    def __rsub__(self, other: float) -> Node:
        return _apply("sub", other, self)

    def __mul__(self, other: Node | float) -> Node:
        return _apply("mul", self, other)

    def __rmul__(self, other: float) -> Node:
        return _apply("mul", other, self)

    def __truediv__(self, other: Node | float) -> Node:
        return _apply("div", self, other)

    def __rtruediv__(self, other: float) -> Node:
        return _apply("div", other, self)

    def __neg__(self) -> Node:
        return _apply("neg", self)


class InnerNode(Node):
    """A node with operands.

    A class of its own: a leaf needs no `__del__`, whose call takes as long as to create the leaf.
    """

    __slots__ = ()

    def __del__(self, pop: Any = _interned.pop) -> None:
        for node in self.inputs:
            node.uses -= 1
        if self.key is not None:
            # If an equal node was interned meanwhile, it is merely created once more. `pop` is an argument
            # because module globals are gone when the last nodes are collected.
            pop(self.key, None)


def _apply(name: str, *args: Node | float) -> Node:
    return operator_hook(name, *args)


def operator_hook(name: str, *args: Node | float) -> Node:
    """Apply the primitive `name`. Replaced by `hornbeam.ir.primitive`, which has the table of primitives."""
    raise NotImplementedError("import hornbeam.ir.primitive before doing arithmetic on nodes")


def set_operator_hook(hook: Callable[..., Node]) -> None:
    global operator_hook
    operator_hook = hook


def serial() -> int:
    """Return a number above the `uid` of all nodes so far and below that of all later ones."""
    return next(_serial)


def placeholder(type: TensorType, level: int) -> Node:
    """Create an input of a graph that is being traced."""
    return Node(None, (), {}, type, level)


_NO_PARAMS: dict[str, Any] = {}
_new = object.__new__


def leaf(value: Any, type: TensorType) -> Node:
    """Create a node that holds a buffer: a NumPy array, or an engine's own kind."""
    # As `Node.__init__` does, in half the time: every call of a compiled function creates leaves.
    node = _new(Node)
    node.primitive = node.key = None
    node.inputs = ()
    node.params = _NO_PARAMS
    node.type = type
    node.level = node.handles = node.uses = node.depth = 0
    node.value = value
    node.scope = current_scope()
    node.uid = next(_serial)
    return node


def leaf_array(array: np.ndarray) -> Node:
    return leaf(array, TensorType(array.shape, dtype_name(array.dtype)))


def interned(key: tuple[Any, ...]) -> Node | None:
    """Return the live node interned under `key`."""
    reference = _interned.get(key)
    return None if reference is None else reference()


def intern(key: tuple[Any, ...], node: Node) -> Node:
    """Intern a node under `key` for as long as it lives."""
    node.key = key
    _interned[key] = weakref.ref(node)
    if node_hooks:
        for hook in node_hooks:
            hook(node)
    return node


# Called with every new node, in its thread; see `hornbeam.ir.source_lines`.
node_hooks: list[Callable[[Node], None]] = []


def topological(outputs: Iterable[Node], stop: Iterable[Node] = ()) -> list[Node]:
    """Return the nodes that `outputs` depend on, operands first, cut at `stop`.

    Iterative, since a long eager loop builds chains deeper than Python's recursion limit.
    """
    seen = set(stop)
    order: list[Node] = []
    stack: list[tuple[Node, bool]] = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
            continue
        if node in seen:
            continue
        seen.add(node)
        stack.append((node, True))
        stack.extend((operand, False) for operand in reversed(node.inputs) if operand not in seen)
    return order
