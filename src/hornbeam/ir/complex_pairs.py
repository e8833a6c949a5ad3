"""Complex values as pairs of real ones: the pass by which every engine computes with complex numbers.

A traced graph has values of complex64 and complex128, and is differentiated as such. Before an engine sees
it, `lower` rewrites it to real values:

- Inside of a graph a complex value is a `Pair` of nodes. What a primitive does to pairs is its rule in
  `COMPLEX_RULES` (written in `primitives/complex_*.py`).
- At the boundary of a graph, and of the bodies of its control flow, it is one real value with a last axis
  of 2. Graphs keep their numbers of inputs and outputs, batches their first axis, and `cond` and `scan`
  their parameters.

No engine has complex numbers of its own to implement, their derivatives need no rules but those of real
primitives, and code without complex values does not meet the pass: a graph is searched for them when it is
compiled.

Derivatives follow JAX's convention: those of primitives are complex-linear, so the rules of real primitives
hold unchanged. The gradient of a real loss by z = x + iy is dL/dx - i dL/dy; its conjugate is the direction
of steepest ascent, which PyTorch and TensorFlow call the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.autodiff import PROJECT, project
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import where
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import COMPLEX_RULES, PRIMITIVES, bind, graph_param
from hornbeam.ir.scope import scope
from hornbeam.ir.types import TensorType, ValueType, is_complex, numpy_dtype, real_dtype


class Pair(NamedTuple):
    """Real and imaginary part of a complex value."""

    real: Node
    imag: Node


# A list is a node with several outputs.
Value = Node | Pair | list[Any]


def has_complex(graph: Graph) -> bool:
    """Return whether a graph, or a body in it, has complex values."""
    return any(map(_is_complex_type, graph.in_types)) or any(map(_touches_complex, graph.nodes))


def _is_complex_type(type: ValueType) -> bool:
    if isinstance(type, tuple):
        return any(map(_is_complex_type, type))
    return is_complex(type.dtype)


def _touches_complex(node: Node) -> bool:
    return (
        _is_complex_type(node.type)
        or any(_is_complex_type(x.type) for x in node.inputs)
        or (bool(node.params) and any(map(has_complex, graph_param(node.params))))
    )


def lower(graph: Graph) -> Graph:
    """Return the graph on real values: complex inputs and outputs get a last axis of 2.

    Args:
        graph: Graph; one without complex values is returned as it is.
    """
    if not has_complex(graph):
        return graph
    inputs = [Node(None, (), {}, _packed_type(x.type), x.level) for x in graph.inputs]
    outputs = lower_nodes(graph, [unpack(n, x.type) for n, x in zip(inputs, graph.inputs, strict=True)])
    return Graph(inputs, [pack(value) for value in outputs])


def lower_nodes(graph: Graph, args: Sequence[Value]) -> list[Value]:
    """Return the outputs of a graph of complex values for operands that are lowered."""
    values: dict[Node, Value] = dict(zip(graph.inputs, args, strict=True))
    for node in graph.nodes:
        with scope(node.scope):
            values[node] = _lower_node(node, [values[x] for x in node.inputs])
    return [values[n] for n in graph.outputs]


def _lower_node(node: Node, operands: Sequence[Value]) -> Value:
    assert node.primitive is not None
    if node.primitive is PROJECT:
        source = operands[0]
        index = node.params["index"]
        return source[index] if isinstance(source, list) else project(source, index)  # type: ignore[arg-type]
    if not _touches_complex(node):
        return bind(node.primitive, *operands, **node.params)
    rule = COMPLEX_RULES.get(node.name) or (lower_body if node.primitive.composite else None)
    if rule is None:
        raise MissingPrimitiveError(f"{node.name} has no rule for complex numbers{where(node)}")
    return rule(node, *operands, **node.params)


def lower_body(node: Node, *operands: Value, body: Graph, **params: Any) -> Value:
    """Rule of composites: a kernel of that name is one of real values, so the body takes its place."""
    outputs = lower_nodes(body, operands)
    return outputs if isinstance(node.type, tuple) else outputs[0]


def lower_bodies(node: Node, *operands: Value, **params: Any) -> list[Value]:
    """Rule of control flow: bodies are lowered, and operands are packed, as at the boundary of any graph."""
    assert node.primitive is not None
    assert isinstance(node.type, tuple)
    lowered = {key: lower(value) if isinstance(value, Graph) else value for key, value in params.items()}
    result = bind(node.primitive, *map(pack, operands), **lowered)
    return [unpack(project(result, i), type) for i, type in enumerate(node.type)]


# -- the boundary --------------------------------------------------------------------------------------------


def _packed_type(type: ValueType) -> ValueType:
    if isinstance(type, tuple):
        return tuple(map(_packed_type, type))  # type: ignore[arg-type]
    return TensorType((*type.shape, 2), real_dtype(type.dtype)) if is_complex(type.dtype) else type


def pack(value: Value) -> Node:
    """Join the parts of a pair along a new last axis."""
    if not isinstance(value, Pair):
        assert isinstance(value, Node)
        return value
    shape = (*value.real.shape, 1)
    parts = [bind(PRIMITIVES["reshape"], part, shape=shape) for part in value]
    return bind(PRIMITIVES["concatenate"], *parts, axis=len(shape) - 1)


def unpack(node: Node, type: ValueType) -> Value:
    """Split a packed value of a complex `type` into a pair; any other value is returned as it is."""
    if isinstance(type, tuple):
        return [unpack(project(node, i), part) for i, part in enumerate(type)]
    if not is_complex(type.dtype):
        return node
    rank = len(type.shape)
    parts = [
        bind(
            PRIMITIVES["slice"],
            node,
            start=(*(0,) * rank, i),
            stop=(*type.shape, i + 1),
            step=(1,) * (rank + 1),
        )
        for i in range(2)
    ]
    return Pair(*(bind(PRIMITIVES["reshape"], part, shape=type.shape) for part in parts))


def pack_array(array: np.ndarray) -> np.ndarray:
    """Return a complex array as a real one with a last axis of 2; any other array as it is."""
    if array.dtype.kind != "c":
        return array
    real = numpy_dtype(real_dtype(array.dtype.newbyteorder("=").name))
    return np.ascontiguousarray(array).view(real).reshape(*array.shape, 2)


def unpack_array(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return the value of `dtype` that an engine computed as `array`."""
    if not is_complex(dtype):
        return array
    return np.ascontiguousarray(array).view(numpy_dtype(dtype)).reshape(array.shape[:-1])
