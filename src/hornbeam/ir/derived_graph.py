"""The forward and backward pass of a graph as two graphs, for host libraries that call them separately."""

from __future__ import annotations

from collections.abc import Sequence

from hornbeam.ir import autodiff
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.trace import is_constant
from hornbeam.ir.types import is_float


class DerivedGraph:
    """The forward and backward pass of a graph, as two graphs.

    Attributes:
        forward: From the graph's inputs to its outputs and the residuals of the backward pass.
        backward: From residuals and cotangents of the float outputs to cotangents of the float inputs.
        outputs: Indices of the float outputs.
        inputs: Indices of the float inputs.
    """

    def __init__(self, graph: Graph) -> None:
        self.outputs = [i for i, node in enumerate(graph.outputs) if is_float(node.dtype)]
        self.inputs = [i for i, node in enumerate(graph.inputs) if is_float(node.dtype)]
        wrt = [graph.inputs[i] for i in self.inputs]
        outs = [graph.outputs[i] for i in self.outputs]
        cotangents = [placeholder(n.tensor_type(), n.level) for n in outs]
        grads = autodiff.dense_cotangents(autodiff.gradients(outs, cotangents, wrt), wrt)
        residuals = _residuals(grads, cotangents)
        self.forward = Graph(graph.inputs, (*graph.outputs, *residuals))
        self.backward = Graph((*residuals, *cotangents), grads)


def _residuals(outputs: Sequence[Node], cotangents: Sequence[Node]) -> list[Node]:
    """Return the values that the backward pass needs from the forward pass, without constants."""
    graph = Graph(tuple(_leaves(outputs)), outputs)
    backward = set(cotangents)
    while True:
        for node in graph.nodes:
            if any(operand in backward for operand in node.inputs):
                backward.add(node)
        read = [operand for node in graph.nodes if node in backward for operand in node.inputs]
        residuals = dict.fromkeys(n for n in (*read, *outputs) if n not in backward and not is_constant(n))
        # A graph cannot return a value with several outputs: it is recomputed.
        several = [node for node in residuals if isinstance(node.type, tuple)]
        if not several:
            return list(residuals)
        backward.update(several)


def _leaves(outputs: Sequence[Node]) -> list[Node]:
    seen: dict[Node, None] = {}
    stack = list(outputs)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen[node] = None
            stack.extend(node.inputs)
    return [node for node in seen if node.primitive is None]
