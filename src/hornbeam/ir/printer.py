"""Graphs as stable text: for people, for tests, and to compare bodies by."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from hornbeam.ir.graph import Graph, Node
from hornbeam.ir.types import ValueType, numpy_dtype


def to_text(graph: Graph, *, exact: bool = False, indent: str = "") -> str:
    """One line a node: `%3 = add %1 %2 : float32[8,4]`. `exact` writes constants to the last bit."""
    names: dict[Node, str] = {}
    for index, node in enumerate(graph.inputs):
        names.setdefault(node, f"%{index}")
    lines = [f"{indent}({', '.join(f'%{i}: {_type(n.type)}' for i, n in enumerate(graph.inputs))}) {{"]
    for number, node in enumerate(graph.nodes, start=len(graph.inputs)):
        names[node] = f"%{number}"
        operands = " ".join(names[n] for n in node.inputs)
        lines.append(
            f"{indent}  %{number} = {node.name} {operands}{_params(node, exact, indent)} : {_type(node.type)}"
        )
    lines.append(f"{indent}  return {', '.join(names[n] for n in graph.outputs)}")
    lines.append(f"{indent}}}")
    return "\n".join(lines)


def _type(type: ValueType) -> str:
    return f"({', '.join(map(str, type))})" if isinstance(type, tuple) else str(type)


def _params(node: Node, exact: bool, indent: str) -> str:
    parts = []
    for key, value in sorted(node.params.items()):
        if isinstance(value, Graph):
            parts.append(f"{key}={to_text(value, exact=exact, indent=indent + '    ').lstrip()}")
        elif isinstance(value, bytes):
            parts.append(f"{key}={_literal(value, node.params, exact)}")
        else:
            parts.append(f"{key}={value}")
    return f" [{', '.join(parts)}]" if parts else ""


def _literal(data: bytes, params: dict[str, Any], exact: bool) -> str:
    if exact:
        return data.hex() if len(data) <= 64 else hashlib.blake2b(data, digest_size=16).hexdigest()
    array = np.frombuffer(data, numpy_dtype(params["dtype"]))
    return str(array[0]) if array.size == 1 else f"<{array.size} values>"
