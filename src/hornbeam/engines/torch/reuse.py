"""Arithmetic that is written over an operand that nobody reads any more.

Large results cost more for their memory, which the C library takes from the system and gives back, than for
their numbers: an optimizer's update of an embedding is a dozen of them.
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

# What always makes new memory for its result, and never shows that of an operand.
_ARITHMETIC: dict[str, Callable[..., Tensor]] = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "neg": torch.neg,
    "sqrt": torch.sqrt,
}  # fmt: skip
_LARGE = 1 << 16


def overwriting(graph: Graph) -> dict[Node, Callable[..., Tensor]]:
    """Functions for the nodes that may write over an operand: one made by arithmetic inside of the graph,
    read by arithmetic alone (so that there are no views of it), here for the last time, and no output."""
    readers: dict[Node, list[Node]] = {}
    for node in graph.nodes:
        for operand in node.inputs:
            readers.setdefault(operand, []).append(node)
    kept = set(graph.outputs)
    found = {}
    for node in filter(_is_large, graph.nodes):
        for at, operand in enumerate(node.inputs):
            mine = _is_large(operand) and operand.type == node.type and operand not in kept
            if mine and readers[operand][-1] is node and all(r.name in _ARITHMETIC for r in readers[operand]):
                found[node] = _over(_ARITHMETIC[node.name], at)
                break
    return found


def _is_large(node: Node) -> bool:
    if node.name not in _ARITHMETIC or not isinstance(node.type, TensorType):
        return False
    return node.type.dtype in ("float32", "float64") and math.prod(node.type.shape) >= _LARGE


def _over(fn: Callable[..., Tensor], at: int) -> Callable[..., Tensor]:
    def over(*operands: Tensor, **params: Any) -> Tensor:
        return fn(*operands, out=operands[at], **params)

    return over
