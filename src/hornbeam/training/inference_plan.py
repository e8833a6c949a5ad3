"""The inference plan: scales after a convolution or product go into its weights, and whatever depends on the
weights alone is computed once, until a weight changes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hornbeam import primitives as p
from hornbeam.core.lazy import buffer_of
from hornbeam.engines.base import Bound, Engine, Executable
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import bind

# Values prepared by an executable, and the nodes of the weights that they were prepared of.
WeightCache = dict[Executable, tuple[list[Node], list[Any]]]


class InferencePlan:
    """A graph whose first inputs are weights, which seldom change, ready to run. Safe to use from threads.

    store: shared by plans for the same weights, such as those for other batch sizes, so that what they
    prepare alike is there once.
    """

    def __init__(self, graph: Graph, weights: int, engine: Engine, store: WeightCache) -> None:
        self.engine = engine
        self.weights = weights
        self._store = store
        first, self.graph, self._direct = cut(fold(graph, weights), weights)
        self._prepare = engine.executable(first) if first.outputs else None
        self._executable = engine.executable(self.graph)
        # The nodes that weights were prepared of, and the second graph with its first inputs.
        self._held: tuple[list[Node], Bound] | None = None

    def run(self, weights: list[Node], arguments: list[Any]) -> list[Any]:
        """The outputs for nodes of the weights, and buffers of the arguments."""
        held = self._held
        # An assignment gives a variable a new node.
        if held is None or held[0] != weights:
            held = self._held = weights, self._executable.bind(self._prepared(weights))
        return held[1](arguments)

    @property
    def holds_weights(self) -> bool:
        """Whether prepared weights are kept for the next call."""
        return self._held is not None

    def release(self) -> None:
        """Let go of the weights: they are about to change, and may then be changed in place."""
        self._held = None

    def _prepared(self, weights: list[Node]) -> list[Any]:
        buffers = [buffer_of(node, self.engine) for node in weights]
        direct = [buffers[i] for i in self._direct]
        if self._prepare is None:
            return direct
        known = self._store.get(self._prepare)
        if known is None or known[0] != weights:
            known = self._store[self._prepare] = weights, self._prepare.run(buffers)
        return direct + known[1]


def fold(graph: Graph, weights: int) -> Graph:
    """The graph with multiplications by weights moved into the weights of the convolution or product before
    them.

    weights: how many of the first inputs are weights. A batch normalization that follows a convolution, a
    dense layer or their bias is a multiplication and an addition along the last axis: `(x * w + b) * s + t`
    becomes `x * (w * s) + (b * s + t)`.
    """
    folding = _Folding(graph, weights)
    return Graph(graph.inputs, [folding.made[n] for n in graph.outputs])


class _Folding:
    """One walk over a graph: `made` maps its nodes to those of the new graph."""

    def __init__(self, graph: Graph, weights: int) -> None:
        self.made: dict[Node, Node] = {n: n for n in graph.inputs}
        self.fixed = set(graph.inputs[:weights])
        self.varying = set(graph.inputs[weights:])
        # A value that is used twice would have to be computed twice, with and without the scale.
        self.uses = Counter(n for node in graph.nodes for n in node.inputs)
        self.uses.update(graph.outputs)
        self.shared: set[Node] = set()
        for node in graph.nodes:
            made = self.rewritten(node, [self.made[n] for n in node.inputs])
            self.note(made)
            self.made[node] = made
            if self.uses[node] > 1:
                self.shared.add(made)

    def note(self, node: Node) -> None:
        """Sort a node, and those under it that are new, into what depends on weights alone and the rest."""
        stack = [node]
        while stack:
            top = stack[-1]
            if top in self.fixed or top in self.varying:
                stack.pop()
                continue
            unknown = [n for n in top.inputs if n not in self.fixed and n not in self.varying]
            if unknown:
                stack.extend(unknown)
                continue
            stack.pop()
            (self.varying if any(n in self.varying for n in top.inputs) else self.fixed).add(top)

    def rewritten(self, node: Node, inputs: list[Node]) -> Node:
        assert node.primitive is not None
        if node.name in ("mul", "add"):
            for x, y in (inputs, inputs[::-1]):
                vector = self.along_last(y) if x in self.varying and x not in self.shared else None
                if vector is not None:
                    found = self.scaled(x, vector) if node.name == "mul" else self.shifted(x, vector)
                    if found is not None:
                        return found
        return node if inputs == list(node.inputs) else bind(node.primitive, *inputs, **node.params)

    def along_last(self, node: Node) -> Node | None:
        """What is broadcast to `node`, as a vector along its last axis, if it is made of weights."""
        small = node.inputs[0] if node.name == "broadcast" else node
        if small not in self.fixed or not small.rank:
            return None
        count = node.shape[-1]
        last = small is node or node.params["dims"][-1] == node.rank - 1
        return p.reshape(small, (count,)) if last and small.shape[-1] == count == _size(small) else None

    def scaled(self, x: Node, vector: Node) -> Node | None:
        """`x * vector` with the product inside, or None where it cannot go there."""
        if x in self.shared or x.dtype not in ("float32", "float64"):
            return None
        if x.name == "add":
            for inner, other in (x.inputs, x.inputs[::-1]):
                bias = self.along_last(other)
                if bias is not None and inner in self.varying:
                    product = self.scaled(inner, vector)
                    return None if product is None else _plus(product, p.mul(bias, vector))
        axis = _output_axis(x)
        if axis is None or x.inputs[1] not in self.fixed:
            return None
        assert x.primitive is not None
        image, weights = x.inputs
        return bind(
            x.primitive, image, p.mul(weights, p.broadcast(vector, weights.shape, (axis,))), **x.params
        )

    def shifted(self, x: Node, vector: Node) -> Node | None:
        """`x + vector` with the additions of weights joined, or None if `x` is not such an addition."""
        if x.name != "add" or x in self.shared:
            return None
        for inner, other in (x.inputs, x.inputs[::-1]):
            bias = self.along_last(other)
            if bias is not None and inner in self.varying:
                return _plus(inner, p.add(bias, vector))
        return None


def _output_axis(x: Node) -> int | None:
    """Which axis of the second operand becomes the last axis of the product `x`, None if none does."""
    if x.name == "conv":
        return x.inputs[1].rank - 1
    if x.name == "conv_input_grad" and x.params["groups"] == 1:  # a transposed convolution
        return x.inputs[1].rank - 2
    if x.name == "dot_general" and not x.params["batch"][1]:
        last = x.inputs[1].rank - 1
        return last if last >= 0 and last not in x.params["contract"][1] else None
    return None


def _size(node: Node) -> int:
    return node._single().size


def _plus(x: Node, vector: Node) -> Node:
    return p.add(x, p.broadcast(vector, x.shape, (x.rank - 1,)))


def cut(graph: Graph, weights: int) -> tuple[Graph, Graph, list[int]]:
    """The graph in two: what depends on weights alone, and the rest.

    Returns the first graph (from all weights to values that the second one takes), the second (its inputs are
    weights that it reads as they are, then those values, then the graph's other inputs), and the numbers of
    the weights that the second one reads. Broadcasts stay in the second graph: made once they would be read
    from memory again and again, where an engine reads the small value.
    """
    known = set(graph.inputs[:weights])
    constant: set[Node] = set()
    for node in graph.nodes:
        if all(n in constant for n in node.inputs):
            constant.add(node)
        elif all(n in known or n in constant for n in node.inputs):
            known.add(node)
    border: dict[Node, None] = {}
    seen: set[Node] = set()
    stack = list(graph.outputs)
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node in known and node.name not in ("broadcast", "project"):
            border[node] = None
        else:
            stack.extend(node.inputs)
    direct = [i for i, n in enumerate(graph.inputs[:weights]) if n in border]
    prepared = [n for n in graph.nodes if n in border]
    first = Graph(graph.inputs[:weights], prepared)
    rest = (*(graph.inputs[i] for i in direct), *prepared, *graph.inputs[weights:])
    return first, Graph(rest, graph.outputs), direct
