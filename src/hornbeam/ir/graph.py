"""The graph: interned nodes and closed sub-graphs cut out of them.

A `Node` is a value: a primitive applied to other nodes. Equal nodes are the same node, so common
subexpressions cost nothing and a graph is simply whatever is reachable from its outputs, cut off at its
inputs.
"""

from __future__ import annotations

import hashlib
import itertools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.ir.types import TensorType, ValueType, dtype_name

if TYPE_CHECKING:
    from hornbeam.ir.primitive import Primitive

_serial = itertools.count()
# A WeakValueDictionary in effect, at half the cost: nodes take themselves out.
_interned: dict[tuple, weakref.ref[Node]] = {}
_local = threading.local()


class Node:
    """One value of a graph.

    `primitive` is None for leaves: placeholders (inputs of a graph being traced) and buffers (`value` is
    set). `level` is the depth of the trace that the value belongs to: a body may use values of lower levels,
    and those become its captured inputs. `handles` counts the live Tensors that show this value to the user,
    `uses` how often it is an operand of a node, and `depth` is the longest chain of work that is still to be
    done for it; eager evaluation uses them.
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
        self.scope = getattr(_local, "scope", "")
        self.uid = next(_serial)
        self.handles = 0
        self.key: tuple | None = None
        self.uses = 0
        depth = -1
        for node in inputs:
            node.uses += 1
            if node.depth > depth:
                depth = node.depth
        self.depth = depth + 1

    def __del__(self, pop: Any = _interned.pop) -> None:
        for node in self.inputs:
            node.uses -= 1
        if self.key is not None:
            # A node that took this one's place between its end and now is merely made once more. `pop` is an
            # argument because modules have lost their names by the time that the last nodes end.
            pop(self.key, None)

    @property
    def name(self) -> str:
        """Name of the primitive, or "leaf"."""
        return self.primitive.name if self.primitive is not None else "leaf"

    @property
    def shape(self) -> tuple[int, ...]:
        return self._single().shape

    @property
    def dtype(self) -> str:
        return self._single().dtype

    @property
    def rank(self) -> int:
        return len(self._single().shape)

    def _single(self) -> TensorType:
        if isinstance(self.type, tuple):
            raise TypeError(f"{self.name} has {len(self.type)} outputs; project one of them first")
        return self.type

    def __repr__(self) -> str:
        return f"<{self.name} {self.type}>"

    # Strict arithmetic for derivative rules and composite bodies: equal types, Python scalars are lifted.
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


def _apply(name: str, *args: Any) -> Node:
    from hornbeam.ir.primitive import PRIMITIVES, bind

    return bind(PRIMITIVES[name], *args)


def serial() -> int:
    """A number above those of all nodes made so far, and below those of all that follow."""
    return next(_serial)


def placeholder(type: TensorType, level: int) -> Node:
    """A fresh input of a graph that is being traced."""
    return Node(None, (), {}, type, level)


def leaf(value: Any, type: TensorType) -> Node:
    """A node that holds a buffer: a NumPy array, or whatever an engine uses."""
    return Node(None, (), {}, type, 0, value)


def leaf_array(array: np.ndarray) -> Node:
    return leaf(array, TensorType(array.shape, dtype_name(array.dtype)))


def interned(key: tuple) -> Node | None:
    """The node already known under `key`."""
    known = _interned.get(key)
    return None if known is None else known()


def intern(key: tuple, node: Node) -> Node:
    """Make a node known under `key`, for as long as it lives."""
    node.key = key
    _interned[key] = weakref.ref(node)
    if watchers:
        for watch in watchers:
            watch(node)
    return node


# Told of every new node, in whatever thread; see `hornbeam.ir.source_lines`.
watchers: list[Callable[[Node], None]] = []


class WorkLimitError(RuntimeError):
    """More operations are applied than whoever set a limit expected."""


# How many limits are open in all threads: without one, counting costs a look at an empty list.
limits: list[None] = []


@contextmanager
def work_limit(steps: int) -> Iterator[None]:
    """Inside, and in this thread, at most `steps` operations may be applied; a layer's call counts as five.

    A small file can describe a model that takes for ever to build: loops that are unrolled, models inside
    models.
    """
    outer = getattr(_local, "steps", None)
    _local.steps = steps
    limits.append(None)
    try:
        yield
    finally:
        limits.pop()
        _local.steps = outer


def count_steps(number: int) -> None:
    """So many operations are applied."""
    steps = getattr(_local, "steps", None)
    if steps is not None:
        if steps < number:
            raise WorkLimitError("the model takes more operations to build than its size accounts for")
        _local.steps = steps - number


def count_elements(number: int) -> None:
    """An array or list of so many elements is made outside of the graph, because a parameter says so.

    Call it first: a file may ask for a billion pixels, parts or thresholds.
    """
    if limits:
        count_steps(number // 200)


@contextmanager
def scope(name: str) -> Iterator[None]:
    """Nodes made inside carry `name` (a layer path), for errors and profiles."""
    if limits:
        count_steps(5)
    previous = current_scope()
    _local.scope = name
    try:
        yield
    finally:
        _local.scope = previous


# Ends the scope of nodes that belong to the derivative of a layer.
BACKWARD = " (backward)"


def backward_scope(name: str) -> str:
    """The scope of what differentiates nodes of the scope `name`."""
    if not name or name.endswith(BACKWARD):
        return name
    return Located(name + BACKWARD, name.place) if isinstance(name, Located) else name + BACKWARD


# A file's name and a line number.
Place = tuple[str, int]


class Located(str):
    """A scope that knows which line of the user's it comes from: of the layer's making, or of the node's."""

    __slots__ = ("place",)
    place: Place

    def __new__(cls, name: str, place: Place) -> Located:
        made = super().__new__(cls, name)
        made.place = place
        return made

    def __getnewargs__(self) -> tuple[str, Place]:  # type: ignore[override]
        return str(self), self.place


def current_scope() -> str:
    return getattr(_local, "scope", "")


class Graph:
    """A closed piece of the node DAG: everything that `outputs` need, cut at `inputs`.

    Inputs may be any nodes: what they are computed from lies outside. Buffers that the graph reaches are
    inputs too, so a graph's text says all of it.
    """

    __slots__ = ("__dict__", "__weakref__", "inputs", "outputs")

    # Set on the body of a "call": how to run it better than as part of a bigger graph.
    plan: Any = None

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The nodes inside, operands first; without the inputs."""
        nodes = topological(self.outputs, self.inputs)
        free = [n for n in nodes if n.primitive is None]
        if free:
            raise ValueError(
                f"the graph is not closed: it reaches {free[0]!r}, which is not among its inputs"
            )
        return tuple(nodes)

    def frozen(self) -> Graph:
        """The same graph made of nodes of its own, which eager evaluation does not touch."""
        copies: dict[Node, Node] = {n: Node(None, (), {}, n.type, n.level) for n in self.inputs}
        for n in self.nodes:
            copies[n] = Node(n.primitive, tuple(copies[x] for x in n.inputs), n.params, n.type, n.level)
            copies[n].scope = n.scope
        return Graph([copies[n] for n in self.inputs], [copies[n] for n in self.outputs])

    @property
    def in_types(self) -> tuple[ValueType, ...]:
        return tuple(n.type for n in self.inputs)

    @property
    def out_types(self) -> tuple[ValueType, ...]:
        return tuple(n.type for n in self.outputs)

    @cached_property
    def structure(self) -> tuple:
        """Equal for graphs of the same structure and constants; what executables are cached by.

        Types of nodes inside are left out: types of inputs, primitives and parameters decide them.
        """
        made = Structure()
        for node in self.inputs:
            made.input(node)
        for node in self.nodes:
            made.node(node)
        return made.key(self.outputs)

    @cached_property
    def fingerprint(self) -> str:
        """Equal for graphs of the same structure and constants: by it bodies are compared."""
        from hornbeam.ir.printer import to_text

        return hashlib.blake2b(to_text(self, exact=True).encode(), digest_size=16).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and self.fingerprint == other.fingerprint)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __str__(self) -> str:
        from hornbeam.ir.printer import to_text

        return to_text(self)


class Structure:
    """What a graph computes, as a tuple that holds no nodes: written node by node, operands first.

    Inputs are numbered -1, -2, ...; nodes inside 0, 1, ... Used for every read of eager code, so it is flat.
    """

    __slots__ = ("_inside", "_nodes", "_outside", "_types", "numbers")

    def __init__(self) -> None:
        self.numbers: dict[Node, int] = {}
        self._types: list[Any] = []
        self._nodes: list[Any] = []
        self._inside = 0
        self._outside = -1

    def input(self, node: Node) -> None:
        """The next input."""
        type = node.type
        # Flat once more: hashing a tuple of strings and numbers takes no Python.
        self._types += type if isinstance(type, tuple) else (type.shape, type.dtype)
        self.numbers.setdefault(node, self._outside)
        self._outside -= 1

    def node(self, node: Node) -> None:
        """The next node inside, whose operands have been written."""
        numbers, part = self.numbers, self._nodes
        numbers[node] = self._inside
        self._inside += 1
        # A primitive begins a node's part; numbers follow, then parameters.
        part.append(node.primitive)
        for operand in node.inputs:
            part.append(numbers[operand])
        if node.params:
            part.append(tuple(sorted(node.params.items())))

    def key(self, outputs: Iterable[Node]) -> tuple:
        """The whole, closed by the outputs."""
        return (*self._types, *self._nodes, None, *[self.numbers[node] for node in outputs])


def topological(outputs: Iterable[Node], stop: Iterable[Node] = ()) -> list[Node]:
    """Nodes that `outputs` depend on, operands first, without `stop` and what lies only behind them.

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
