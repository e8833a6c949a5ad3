"""Graphs: closed subgraphs, cut out of the nodes reachable from their outputs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from hornbeam.ir.node import InnerNode, Node, topological
from hornbeam.ir.printer import to_text
from hornbeam.ir.types import ValueType


class Graph:
    """A closed subgraph of the node DAG: everything that `outputs` need, cut at `inputs`.

    Inputs may be any nodes; their operands are outside. Buffers that the graph reaches are inputs too, so its
    text describes it completely.
    """

    __slots__ = ("__dict__", "__weakref__", "inputs", "outputs")

    # Set on the body of a "call": an inference plan that runs it faster than as part of a larger graph.
    plan: Any = None
    # Bytes that a run may take, None for any number; an engine computes values again to stay within them.
    memory_budget: int | None = None

    def __init__(self, inputs: Sequence[Node], outputs: Sequence[Node]) -> None:
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """Nodes inside, operands first, without the inputs."""
        nodes = topological(self.outputs, self.inputs)
        free = [n for n in nodes if n.primitive is None]
        if free:
            raise ValueError(
                f"the graph is not closed: it reaches {free[0]!r}, which is not among its inputs"
            )
        return tuple(nodes)

    def copy(self) -> Graph:
        """Copy the graph to nodes of its own, which lazy evaluation does not touch."""
        copies: dict[Node, Node] = {n: Node(None, (), {}, n.type, n.level) for n in self.inputs}
        for n in self.nodes:
            copies[n] = InnerNode(n.primitive, tuple(copies[x] for x in n.inputs), n.params, n.type, n.level)
            copies[n].scope = n.scope
        return Graph([copies[n] for n in self.inputs], [copies[n] for n in self.outputs])

    @property
    def in_types(self) -> tuple[ValueType, ...]:
        return tuple(n.type for n in self.inputs)

    @property
    def out_types(self) -> tuple[ValueType, ...]:
        return tuple(n.type for n in self.outputs)

    @cached_property
    def structure(self) -> tuple[Any, ...]:
        """Key that is equal for graphs of the same structure and constants; executables are cached by it.

        Types of inner nodes are left out: the types of inputs, primitives and parameters determine them.
        """
        structure = Structure()
        for node in self.inputs:
            structure.input(node)
        for node in self.nodes:
            structure.node(node)
        return structure.key(self.outputs)

    @cached_property
    def fingerprint(self) -> str:
        """Hash that is equal for graphs of the same structure and constants; bodies are compared by it."""
        return hashlib.blake2b(to_text(self, exact=True).encode(), digest_size=16).hexdigest()

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Graph) and self.fingerprint == other.fingerprint)

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __str__(self) -> str:
        return to_text(self)


class Structure:
    """Builder of a graph's structure as a tuple without nodes, written node by node, operands first.

    Inputs are numbered -1, -2, ...; inner nodes 0, 1, ... Every read of an eager value builds one, so it is
    flat: hashing a flat tuple of strings and numbers runs no Python code.
    """

    __slots__ = ("_inside", "_nodes", "_outside", "_types", "numbers")

    def __init__(self) -> None:
        self.numbers: dict[Node, int] = {}
        self._types: list[Any] = []
        self._nodes: list[Any] = []
        self._inside = 0
        self._outside = -1

    def input(self, node: Node) -> None:
        """Append an input."""
        type = node.type
        self._types += type if isinstance(type, tuple) else (type.shape, type.dtype)
        self.numbers.setdefault(node, self._outside)
        self._outside -= 1

    def node(self, node: Node) -> None:
        """Append an inner node, after its operands."""
        numbers, entries = self.numbers, self._nodes
        numbers[node] = self._inside
        self._inside += 1
        # An entry is the primitive, the numbers of its operands, then its parameters.
        entries.append(node.primitive)
        for operand in node.inputs:
            entries.append(numbers[operand])
        if node.params:
            entries.append(tuple(sorted(node.params.items())))

    def key(self, outputs: Iterable[Node]) -> tuple[Any, ...]:
        """Return the structure, closed by the outputs."""
        return (*self._types, *self._nodes, None, *[self.numbers[node] for node in outputs])
