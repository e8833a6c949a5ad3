"""Graphs as stable text: for people, for tests, and to compare bodies."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.sizes import SymbolicSize, text_of
from hornbeam.ir.types import ValueType, numpy_dtype

if TYPE_CHECKING:
    from hornbeam.ir.graph import Graph


def to_text(graph: Graph, *, exact: bool = False, indent: str = "") -> str:
    """Format a graph, one line per node: `%3 = add %1 %2 : float32[8,4]`.

    Args:
        graph: Graph to format.
        exact: Whether constants are written to the last bit.
        indent: Prefix of each line.
    """
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
    if isinstance(type, tuple):
        return f"({', '.join(map(_type, type))})"
    return f"{type.dtype}[{','.join(map(text_of, type.shape))}]"


def _params(node: Node, exact: bool, indent: str) -> str:
    entries = []
    for key, value in sorted(node.params.items()):
        if hasattr(value, "nodes"):  # a graph; its class cannot be imported here, as it prints itself
            entries.append(f"{key}={to_text(value, exact=exact, indent=indent + '    ').lstrip()}")
        elif isinstance(value, bytes):
            entries.append(f"{key}={_literal(value, node.params, exact)}")
        else:
            entries.append(f"{key}={_value(value)}")
    return f" [{', '.join(entries)}]" if entries else ""


def _value(value: Any) -> str:
    """Format a parameter; unknown sizes, which print as None elsewhere, by their symbols."""
    if isinstance(value, tuple):
        items = [_value(x) if isinstance(x, (tuple, SymbolicSize)) else repr(x) for x in value]
        return f"({', '.join(items)}{',' * (len(items) == 1)})"
    return text_of(value)


def _literal(data: bytes, params: dict[str, Any], exact: bool) -> str:
    if exact:
        return data.hex() if len(data) <= 64 else hashlib.blake2b(data, digest_size=16).hexdigest()
    array = np.frombuffer(data, numpy_dtype(params["dtype"]))
    return str(array[0]) if array.size == 1 else f"<{array.size} values>"
