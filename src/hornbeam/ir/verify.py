"""Verifier of graphs: every type follows from its rule, and every operand is computed before it is read."""

from __future__ import annotations

from hornbeam.errors import VerifyError
from hornbeam.ir.graph import Graph
from hornbeam.ir.primitive import check_dtypes, graph_param


def verify(graph: Graph) -> Graph:
    """Re-run all type rules and check scoping, nested graphs included. Returns the graph."""
    known = set(graph.inputs)
    for node in graph.nodes:
        if node.primitive is None:
            raise VerifyError(f"{node!r} is read, but is neither an input nor computed")
        for operand in node.inputs:
            if operand not in known:
                raise VerifyError(f"{node!r} reads {operand!r} before it is computed")
        types = [n.type for n in node.inputs]
        check_dtypes(node.primitive, types)
        expected = node.primitive.type_rule(*types, **node.params)
        if expected != node.type:
            raise VerifyError(f"{node!r} has type {node.type}, its rule says {expected}")
        for inner in graph_param(node.params):
            verify(inner)
        known.add(node)
    for output in graph.outputs:
        if output not in known:
            raise VerifyError(f"the graph returns {output!r}, which it does not compute")
    return graph
