"""A graph as the writers of files see it: which values are known, what reads what, what a node stands for.

A pattern looks at one node, and at what that node was computed from. Where all of it is one operation that
formats may have an operator for, it returns an `Operator`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np

from hornbeam import primitives as p
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import numpy_dtype

# Values that are not computed when the file is written, since it holds what they are made of.
_AS_THEY_ARE = ("broadcast", "constant", "iota", "project")
# A known value of more bytes is computed only if it is not larger than what it is made of.
_SMALL = 1 << 16


@dataclass(frozen=True)
class Operator:
    """An operation that a node stands for.

    Attributes:
        name: Its name: that of the primitive or composite, or of the function of `hornbeam.ops`.
        inputs: The nodes that it reads.
        params: Its parameters.
        layer: Name of the layer that it stands for, None for that of the node.
    """

    name: str
    inputs: tuple[Node, ...]
    params: dict[str, Any] = field(default_factory=dict)
    layer: str | None = None


Pattern = Callable[["MatchContext", Node], "Operator | None"]


class Reads(Protocol):
    """A piece of a file in place of a node, which says the nodes that it reads."""

    @property
    def inputs(self) -> tuple[Node, ...]: ...


class MatchContext:
    """The graph, and those of its inputs that are part of the file.

    Args:
        graph: The graph.
        arrays: Inputs whose elements do not change.
        weights: Inputs that readers of the file may assign.
        opset: Version of ONNX's operators in the file, 0 for other formats.

    Attributes:
        known: Nodes that depend on nothing but arrays and weights.
    """

    def __init__(
        self, graph: Graph, arrays: Mapping[Node, np.ndarray], weights: Iterable[Node] = (), opset: int = 0
    ) -> None:
        self.graph, self.opset = graph, opset
        self._given, self._arrays = arrays, dict(arrays)
        self._assigned = set(weights)
        self.known = self._assigned | set(arrays)
        for node in graph.nodes:
            if all(x in self.known for x in node.inputs) and not _has_unknown_size(node):
                self._add(node)

    def _add(self, node: Node) -> None:
        self.known.add(node)
        if any(x in self._assigned for x in node.inputs):
            self._assigned.add(node)

    @cached_property
    def readers(self) -> dict[Node, list[Node]]:
        """The nodes that read each node; an output is read by itself, as it were."""
        readers: dict[Node, list[Node]] = {node: [node] for node in self.graph.outputs}
        for node in self.graph.nodes:
            for x in node.inputs:
                readers.setdefault(x, []).append(node)
        return readers

    def results_in_use(self, node: Node) -> set[int]:
        """Indices of the results of a node that are read."""
        return {x.params["index"] for x in self.readers.get(node, ()) if x is not node}

    def is_computed(self, node: Node) -> bool:
        """True for values that are computed when the file is written."""
        if node not in self.known or node in self._assigned:
            return False
        if node.primitive is None or node.name in _AS_THEY_ARE:
            return False
        if isinstance(node.type, tuple):
            return False
        return node.type.size <= max(_SMALL, *(x.type.size for x in self.sources(node)), 0)  # type: ignore[union-attr]

    def sources(self, node: Node) -> list[Node]:
        """The inputs of the graph that a known node is computed from."""
        seen: dict[Node, None] = {}
        stack = [node]
        while stack:
            x = stack.pop()
            if x not in seen:
                seen[x] = None
                stack.extend(() if x in self._given else reversed(x.inputs))
        return [x for x in seen if x.primitive is None]

    def array(self, node: Node) -> np.ndarray | None:
        """The elements of a known node, None for others, and for those that depend on weights."""
        if node not in self.known or node in self._assigned:
            return None
        if node not in self._arrays:
            sources = self.sources(node)
            arrays = [self._arrays[x] for x in sources]
            (result,) = reference(Graph(sources, [node]), arrays)
            self._arrays[node] = np.asarray(result, numpy_dtype(node.dtype))
        return self._arrays[node]

    def number(self, node: Node) -> float | None:
        """The number that all elements of a node are, None if that is unknown."""
        while node.name in ("broadcast", "reshape"):
            node = node.inputs[0]
        if node not in self.known or isinstance(node.type, tuple) or math.prod(node.shape) != 1:
            return None
        array = self.array(node)
        return None if array is None else float(array.reshape(-1)[0])

    def is_number(self, node: Node, number: float) -> bool:
        """True if all elements of a node are known to be `number`, but for rounding."""
        value = self.number(node)
        return value is not None and math.isclose(value, number, rel_tol=1e-6, abs_tol=1e-30)

    def with_number(self, node: Node) -> tuple[Node, float] | None:
        """The two operands of a commutative node of which one is a number."""
        for x, y in (node.inputs, node.inputs[::-1]):
            number = self.number(y)
            if number is not None and x not in self.known:
                return x, number
        return None

    def along(self, node: Node) -> tuple[Node, int] | None:
        """The known vector that is repeated to `node`, and the axis that it lies along."""
        small, dims = (
            (node.inputs[0], node.params["dims"]) if node.name == "broadcast" else (node, range(node.rank))
        )
        if small not in self.known or not node.rank:
            return None
        long = [axis for axis, size in zip(dims, small.shape, strict=True) if size != 1]
        if len(long) > 1:
            return None
        axis = long[0] if long else node.rank - 1
        count = node.shape[axis]
        return (p.reshape(small, (count,)), axis) if math.prod(small.shape) == count else None

    def learn(self, node: Node) -> Node:
        """A new node of known ones, as a known node."""
        if node not in self.known:
            for x in node.inputs:
                self.learn(x)
            self._add(node)
        return node


def _has_unknown_size(node: Node) -> bool:
    types = node.type if isinstance(node.type, tuple) else (node.type,)
    return node.name == "size" or any(is_unknown(n) for t in types for n in t.shape)


Replacement = TypeVar("Replacement", bound=Reads)


def first_found(
    context: MatchContext, node: Node, patterns: Sequence[Callable[[MatchContext, Node], Replacement | None]]
) -> Replacement | None:
    """Return what the first pattern finds that finds anything."""
    return next((operator for pattern in patterns if (operator := pattern(context, node)) is not None), None)


def planned(
    context: MatchContext, done: Iterable[Node], find: Callable[[Node], Replacement | None]
) -> list[tuple[Node, Replacement | None]]:
    """The nodes to write for the outputs of a graph, operands first, each with what is written in its place.

    Args:
        site: The graph.
        done: Nodes that are written.
        find: Returns what is written in place of a node, None for the node itself.
    """
    plan: list[tuple[Node, Replacement | None]] = []
    seen = set(done)
    stack: list[tuple[Node, Replacement | None, bool]] = [
        (x, None, False) for x in reversed(context.graph.outputs)
    ]
    while stack:
        node, operator, ready = stack.pop()
        if ready:
            plan.append((node, operator))
            continue
        if node in seen:
            continue
        seen.add(node)
        computed = context.is_computed(node)
        operator = None if computed or node in context.known else find(node)
        stack.append((node, operator, True))
        reads = () if computed else node.inputs if operator is None else operator.inputs
        stack.extend((x, None, False) for x in reversed(reads))
    return plan
