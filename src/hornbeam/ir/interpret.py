"""The one evaluator, used by every table engine: walks a graph and calls a function per node."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.scope import Located

Lower = Callable[[Node], Callable[..., Any] | None]


def run(graph: Graph, args: Sequence[Any], lower: Lower) -> list[Any]:
    """Evaluate `graph` on `args`. Values are dropped after their last use.

    Args:
        graph: Graph to evaluate.
        args: One value for each input.
        lower: `lower(node)` returns the function for a node, called as `fn(*inputs, **params)`, or None for a
            composite whose body is to be evaluated instead.
    """
    if len(args) != len(graph.inputs):
        raise ValueError(f"graph takes {len(graph.inputs)} inputs, got {len(args)}")
    values: dict[Node, Any] = dict(zip(graph.inputs, args, strict=True))
    uses = use_counts(graph)
    for node in graph.nodes:
        operands = [values[n] for n in node.inputs]
        fn = lower(node)
        if fn is not None:
            values[node] = fn(*operands, **node.params)
        elif node.primitive is not None and node.primitive.composite:
            outputs = run(node.params["body"], operands, lower)
            values[node] = tuple(outputs) if isinstance(node.type, tuple) else outputs[0]
        else:
            raise NotImplementedError(f"this engine has no {node.name!r}{where(node)}")
        for operand in node.inputs:
            uses[operand] -= 1
            if not uses[operand]:
                del values[operand]
    return [values[n] for n in graph.outputs]


def use_counts(graph: Graph) -> dict[Node, int]:
    """Count how often each value is read, outputs included."""
    counts: dict[Node, int] = {}
    for node in graph.nodes:
        for operand in node.inputs:
            counts[operand] = counts.get(operand, 0) + 1
    for node in graph.outputs:
        counts[node] = counts.get(node, 0) + 1
    return counts


def reference(graph: Graph, args: Sequence[Any]) -> list[Any]:
    """Evaluate with the primitives' NumPy references: the specification of every graph."""
    return run(graph, args, lambda node: node.primitive.reference if node.primitive else None)


def where(node: Node) -> str:
    """Format the origin of a node, as far as it is known: its layer, and a line of the user's code."""
    origin = [f"in {node.scope}"] if node.scope else []
    if isinstance(node.scope, Located):
        file, number = node.scope.line
        origin.append(f"{os.path.relpath(file) if os.path.isabs(file) else file}:{number}")
    return f" ({', '.join(origin)})" if origin else ""
