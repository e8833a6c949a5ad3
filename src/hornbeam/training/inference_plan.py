"""Inference plan: scales are folded into weights, and values of weights alone are computed once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set as AbstractSet
from typing import Any

from hornbeam import primitives as p
from hornbeam.core.lazy import buffer_of
from hornbeam.engines.base import Bound, Engine, Executable
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import bind
from hornbeam.ir.scope import scope
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.trace import expanded, is_converted_int8

# Executable -> nodes of the weights that it read, and its results.
WeightCache = dict[Executable, tuple[list[Node], list[Any]]]


class InferencePlan:
    """A graph whose first inputs are weights, which seldom change, ready to run. Thread-safe.

    cache: shared by plans for the same weights, such as those for other batch sizes.
    """

    def __init__(self, graph: Graph, weights: int, engine: Engine, cache: WeightCache) -> None:
        self.engine = engine
        self.weights = weights
        self._cache = cache
        constant_part, self.graph, self._direct = plan_inference(graph, weights, engine)
        self._constants = engine.executable(constant_part) if constant_part.outputs else None
        self._executable = engine.executable(self.graph)
        # Nodes of the weights, and the second graph bound to the values computed from them.
        self._bound: tuple[list[Node], Bound] | None = None

    def run(self, weights: list[Node], arguments: list[Any]) -> list[Any]:
        """Compute the outputs for nodes of the weights, and buffers of the arguments."""
        bound = self._bound
        # An assignment gives a variable a new node.
        if bound is None or bound[0] != weights:
            bound = self._bound = weights, self._executable.bind(self._constant_inputs(weights))
        return bound[1](arguments)

    @property
    def holds_weights(self) -> bool:
        """True if values of weights are kept for the next call."""
        return self._bound is not None

    def release(self) -> None:
        """Drop the weights: they are about to change, and may then be changed in place."""
        self._bound = None

    def _constant_inputs(self, weights: list[Node]) -> list[Any]:
        buffers = [buffer_of(node, self.engine) for node in weights]
        direct = [buffers[i] for i in self._direct]
        if self._constants is None:
            return direct
        cached = self._cache.get(self._constants)
        if cached is None or cached[0] != weights:
            cached = self._cache[self._constants] = weights, self._constants.run(buffers)
        return direct + cached[1]


def plan_inference(graph: Graph, weights: int, engine: Engine) -> tuple[Graph, Graph, list[int]]:
    """Fold scales into weights, and split the graph for an engine; see `split_constants`."""
    # A prediction needs no gradient, and a nested body would hide weights from the steps below.
    graph = expanded(graph, lambda node: node.name == "custom_gradient")
    folded = fold_scales(graph, weights)
    return split_constants(folded, weights, int8_operands(folded) if engine.multiplies_int8 else frozenset())


def fold_scales(graph: Graph, weights: int) -> Graph:
    """Move multiplications by weights into the weights of the convolution or product before them.

    weights: number of the first inputs that are weights. A batch normalization that follows a convolution, a
    dense layer or their bias is a multiplication and an addition along the last axis: `(x * w + b) * s + t`
    becomes `x * (w * s) + (b * s + t)`.
    """
    folding = _Folding(graph, weights)
    return Graph(graph.inputs, [folding.rewritten[n] for n in graph.outputs])


class _Folding:
    """One pass over a graph: `rewritten` maps its nodes to those of the new graph."""

    def __init__(self, graph: Graph, weights: int) -> None:
        self.rewritten: dict[Node, Node] = {n: n for n in graph.inputs}
        self.fixed = set(graph.inputs[:weights])
        self.varying = set(graph.inputs[weights:])
        # A value that is used twice would have to be computed twice, with and without the scale.
        self.uses = Counter(n for node in graph.nodes for n in node.inputs)
        self.uses.update(graph.outputs)
        self.shared: set[Node] = set()
        for node in graph.nodes:
            with scope(node.scope):
                new = self.rewrite(node, [self.rewritten[n] for n in node.inputs])
            self.classify(new)
            self.rewritten[node] = new
            if self.uses[node] > 1:
                self.shared.add(new)

    def classify(self, node: Node) -> None:
        """Add a node, and new ones under it, to `fixed` (functions of weights alone) or `varying`."""
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

    def rewrite(self, node: Node, inputs: list[Node]) -> Node:
        """Return the node for new inputs, with its scale or shift folded in if possible."""
        assert node.primitive is not None
        if node.name in ("mul", "add"):
            for x, y in (inputs, inputs[::-1]):
                vector = self.along_last(y) if x in self.varying and x not in self.shared else None
                if vector is not None:
                    folded = self.scaled(x, vector) if node.name == "mul" else self.shifted(x, vector)
                    if folded is not None:
                        return folded
        return node if inputs == list(node.inputs) else bind(node.primitive, *inputs, **node.params)

    def along_last(self, node: Node) -> Node | None:
        """Return the vector of weights that `node` repeats along its last axis, None if there is none."""
        small = node.inputs[0] if node.name == "broadcast" else node
        if small not in self.fixed or not node.rank or is_unknown(node.shape[-1]):
            return None
        count = node.shape[-1]
        if _size(small) == 1:
            return p.broadcast(p.reshape(small, ()), (count,), ())
        last = small is node or node.params["dims"][-1] == node.rank - 1
        return p.reshape(small, (count,)) if last and small.shape[-1] == count == _size(small) else None

    def scaled(self, x: Node, vector: Node) -> Node | None:
        """Return `x * vector` with the product folded in, None if that is impossible."""
        if x in self.shared or x.dtype not in ("float32", "float64"):
            return None
        if x.name == "add":
            for inner, other in (x.inputs, x.inputs[::-1]):
                bias = self.along_last(other)
                if bias is not None and inner in self.varying:
                    product = self.scaled(inner, vector)
                    return None if product is None else _plus(product, p.mul(bias, vector))
        axis = _output_axis(x)
        # Integers stay integers.
        if axis is None or x.inputs[1] not in self.fixed or is_converted_int8(x.inputs[1]):
            return None
        assert x.primitive is not None
        image, weights = x.inputs
        weights = p.mul(weights, p.broadcast(vector, weights.shape, (axis,)))
        with scope(x.scope):
            return bind(x.primitive, image, weights, **x.params)

    def shifted(self, x: Node, vector: Node) -> Node | None:
        """Return `x + vector` with the additions of weights merged, None if `x` is not such an addition."""
        if x.name != "add" or x in self.shared:
            return None
        for inner, other in (x.inputs, x.inputs[::-1]):
            bias = self.along_last(other)
            if bias is not None and inner in self.varying:
                return _plus(inner, p.add(bias, vector))
        return None


def _output_axis(x: Node) -> int | None:
    """Return the axis of the second operand that becomes the last axis of the product `x`, if any."""
    if x.name == "conv":
        return x.inputs[1].rank - 1
    if x.name == "conv_input_grad" and x.params["groups"] == 1:  # a transposed convolution
        return x.inputs[1].rank - 2
    if x.name == "dot_general" and not x.params["batch"][1]:
        last = x.inputs[1].rank - 1
        return last if last >= 0 and last not in x.params["contract"][1] else None
    return None


def _size(node: Node) -> int:
    return node.tensor_type().size


def _plus(x: Node, vector: Node) -> Node:
    return p.add(x, p.broadcast(vector, x.shape, (x.rank - 1,)))


def int8_operands(graph: Graph) -> set[Node]:
    """Return the conversions of int8 for products and convolutions of two, and moves of their results."""
    operands: set[Node] = set()
    for node in graph.nodes:
        is_product = node.name == "conv" or (node.name == "dot_general" and not node.params["batch"][0])
        if is_product and node.dtype in ("float32", "float64") and all(map(is_converted_int8, node.inputs)):
            for operand in node.inputs:
                operands.add(operand)
                while operand.name != "convert":
                    operand = operand.inputs[0]
                    operands.add(operand)
    return operands


def _depends_on_sizes(node: Node) -> bool:
    """Return whether a node, apart from its inputs, depends on sizes that are not known."""
    types = node.type if isinstance(node.type, tuple) else (node.type,)
    return any(is_unknown(size) for t in types for size in t.shape) or any(
        map(_has_size, node.params.values())
    )


def _has_size(param: Any) -> bool:
    return any(map(_has_size, param)) if isinstance(param, tuple) else is_unknown(param)


def split_constants(
    graph: Graph, weights: int, kept: AbstractSet[Node] = frozenset()
) -> tuple[Graph, Graph, list[int]]:
    """Split the graph in two: the part that depends on weights alone, and the rest.

    Returns the first graph (from all weights to values that the second one reads), the second (its inputs are
    weights that it reads unchanged, then those values, then the graph's other inputs), and the indices of the
    weights that the second one reads. Broadcasts stay in the second graph: computed once, their large results
    would be read from memory again and again, where an engine reads the small value. So do nodes in `kept`,
    and those that depend on sizes that are not known.
    """
    known = set(graph.inputs[:weights])
    constant: set[Node] = set()
    for node in graph.nodes:
        if _depends_on_sizes(node):
            continue
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
        if node in known and node not in kept and node.name not in ("broadcast", "project"):
            border[node] = None
        else:
            stack.extend(node.inputs)
    direct = [i for i, n in enumerate(graph.inputs[:weights]) if n in border]
    values = [n for n in graph.nodes if n in border]
    first = Graph(graph.inputs[:weights], values)
    rest = (*(graph.inputs[i] for i in direct), *values, *graph.inputs[weights:])
    return first, Graph(rest, graph.outputs), direct
