"""In-place arithmetic on operands that are not read again.

Memory of large results, which the C library requests from the system and returns, costs more than computing
them: an optimizer's update of an embedding has a dozen.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from hornbeam.engines.torch.elementwise import Tensor
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.types import TensorType

# Operations whose results never share memory with an operand.
_ARITHMETIC: dict[str, Callable[..., Tensor]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "neg": torch.neg,
    "sqrt": torch.sqrt,
}  # fmt: skip
_LARGE = 1 << 16


def in_place_functions(graph: Graph) -> dict[Node, Callable[..., Tensor]]:
    """Return functions for the nodes that may overwrite an operand.

    The operand is computed by arithmetic inside the graph, read by arithmetic alone (so that it has no
    views), here for the last time, and is not an output.
    """
    readers: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for operand in node.inputs:
            readers.setdefault(operand, []).append(node)
    outputs = set(graph.outputs)
    functions = {}
    for node in filter(_is_large, graph.nodes):
        for at, operand in enumerate(node.inputs):
            reusable = _is_large(operand) and operand.type == node.type and operand not in outputs
            if (
                reusable
                and readers[operand][-1] is node
                and all(r.name in _ARITHMETIC for r in readers[operand])
            ):
                functions[node] = _in_place(_ARITHMETIC[node.name], at)
                break
    return functions


def _is_large(node: Node) -> bool:
    if node.name not in _ARITHMETIC or not isinstance(node.type, TensorType):
        return False
    return node.type.dtype in ("float32", "float64") and math.prod(node.type.shape) >= _LARGE


def _in_place(fn: Callable[..., Tensor], at: int) -> Callable[..., Tensor]:
    def in_place(*operands: Tensor, **params: Any) -> Tensor:
        return fn(*operands, out=operands[at], **params)

    return in_place
