"""A graph as the rules of an ONNX file see it: which values are known, and what reads what.

A rule looks at one node, and at what that node was computed from. Where ONNX has an operator for all of it,
the rule returns a `Match`: the nodes that the operator reads, and the function that writes it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

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
class Match:
    """An operator of ONNX for a node.

    Attributes:
        inputs: The nodes that it reads.
        write: A function of their values.
        layer: Name of the layer that it stands for, None for that of the node.
    """

    inputs: tuple[Node, ...]
    write: Callable[..., Any]
    layer: str | None = None


Rule = Callable[["Site", Node], "Match | None"]


class Site:
    """The graph, and the arrays of those of its inputs that are part of the file.

    Args:
        graph: The graph.
        arrays: Known inputs.
        opset: Version of the operators.
    """

    def __init__(self, graph: Graph, arrays: Mapping[Node, np.ndarray], opset: int) -> None:
        self.graph, self.opset = graph, opset
        self._given, self._arrays = arrays, dict(arrays)
        self.known = set(arrays)
        for node in graph.nodes:
            if all(x in self.known for x in node.inputs) and not _has_unknown_size(node):
                self.known.add(node)

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
        if node not in self.known or node.primitive is None or node.name in _AS_THEY_ARE:
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
        """The elements of a known node, None for others."""
        if node not in self.known:
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
            self.known.add(node)
        return node


def _has_unknown_size(node: Node) -> bool:
    types = node.type if isinstance(node.type, tuple) else (node.type,)
    return node.name == "size" or any(is_unknown(n) for t in types for n in t.shape)


def first_match(site: Site, node: Node, rules: Sequence[Rule]) -> Match | None:
    """Return the match of the first rule that has one."""
    return next((match for rule in rules if (match := rule(site, node)) is not None), None)
