"""Functions and families of the primitives, beside their samples (`hornbeam/engines/samples.py`)."""

from __future__ import annotations

import numpy as np

from hornbeam import primitives as p
from hornbeam.engines.samples import CASES as CASES
from hornbeam.engines.samples import NAMES as NAMES
from hornbeam.engines.samples import differentiable_cases as differentiable_cases
from hornbeam.engines.samples import dtypes_of as dtypes_of
from hornbeam.engines.samples import operands as operands
from hornbeam.engines.samples import random_array as random_array
from hornbeam.engines.samples import types_of as types_of
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Primitive
from hornbeam.ir.types import FLOATS

# Names that would shadow Python's own.
FUNCTIONS = {
    "abs": "absolute",
    "max": "maximum",
    "min": "minimum",
    "pow": "power",
    "round": "round_even",
    "slice": "slice_",
    "and": "bit_and",
    "or": "bit_or",
    "xor": "bit_xor",
}
FAMILIES = (p.elementwise, p.reduce, p.shape, p.index, p.contract, p.window, p.linalg, p.random)


def floats_of(primitive: Primitive) -> tuple[str, ...]:
    return tuple(dtype for dtype in FLOATS if dtype in primitive.dtypes)


def value(node: Node) -> np.ndarray:
    """The node's value; buffers below it are constants."""
    actual: dict[Node, None] = {}
    stack = [node]
    while stack:
        top = stack.pop()
        if top.primitive is None:
            actual[top] = None
        stack.extend(top.inputs)
    leaves = list(actual)
    return reference(Graph(leaves, (node,)), [leaf.value for leaf in leaves])[0]
