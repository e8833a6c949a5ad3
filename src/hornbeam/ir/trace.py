"""Tracing: Python functions on nodes to graphs, and back."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from hornbeam._internal.context import context_variable, override
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder, topological
from hornbeam.ir.primitive import SIZE, bind, constant
from hornbeam.ir.scope import scope
from hornbeam.ir.sizes import evaluated
from hornbeam.ir.types import TensorType, is_float

_level = context_variable("trace level", 0)
# Number of open traces: 0 in eager code. Not wrapped: every operation reads it.
current_level = _level.get


def new_level() -> override[int]:
    """Open a trace; values computed from its placeholders belong to its level."""
    return override(_level, current_level() + 1)


def no_level() -> override[int]:
    """Suspend open traces: values computed from constants inside are evaluated eagerly."""
    return override(_level, 0)


@contextmanager
def gc_paused() -> Iterator[None]:
    """Python's search for dead cycles waits until the end: of the many small objects that are made inside, a
    graph, hardly any dies, and going through them again and again takes a third of the time.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def trace_body(
    fn: Callable[..., Sequence[Node]], types: Sequence[TensorType]
) -> tuple[Graph, tuple[Node, ...]]:
    """Trace `fn` on placeholders of `types`.

    Returns:
        The graph, and the outer nodes that it captured. Those are the graph's last inputs: calling it with
        `(*args, *captured)` is the same as calling `fn(*args)`.
    """
    with new_level() as level:
        inputs = [placeholder(type, level) for type in types]
        outputs = tuple(fn(*inputs))
    captured = captures(outputs, inputs, level)
    return Graph((*inputs, *captured), outputs), captured


def captures(outputs: Sequence[Node], inputs: Sequence[Node], level: int) -> tuple[Node, ...]:
    """Return the nodes of outer levels that a body uses, without what helps kernels inside: constants, and
    conversions of int8, whose integers it captures."""
    reached = _reached(outputs, set(inputs), level)
    outer = (node for node in reached if node.level < level)
    return tuple(node for node in outer if not is_constant(node) and not is_converted_int8(node))


def _reached(outputs: Sequence[Node], inputs: set[Node], level: int) -> list[Node]:
    """Return the nodes that a body computes, and those of outer levels that they read."""
    seen: set[Node] = set(inputs)
    order: list[Node] = []
    stack = list(reversed(outputs))
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        order.append(node)
        if node.level >= level or is_converted_int8(node):
            stack.extend(reversed(node.inputs))
    return order


# Primitives of constants: "constant", "size" and "iota" have no operands.
FROM_CONSTANTS = frozenset({"constant", "size", "broadcast", "iota", "reshape", "convert"})


def is_constant(node: Node) -> bool:
    """Return whether a node depends on constants alone, at most a broadcast away from a small literal."""
    # Read before the primitive: another thread may be releasing the node's history, the primitive first.
    inputs = node.inputs
    if node.primitive is None:
        return False
    return node.name in FROM_CONSTANTS and all(is_constant(n) for n in inputs)


def is_converted_int8(node: Node) -> bool:
    """Return whether a node is a conversion of bytes to floats, also reshaped or transposed.

    The integers need a quarter of the memory, and the native engine multiplies them as they are.
    """
    # As above: a node may be released meanwhile.
    while (inputs := node.inputs) and node.primitive is not None:
        if node.name not in ("reshape", "transpose"):
            return node.name == "convert" and inputs[0].dtype in ("int8", "uint8") and is_float(node.dtype)
        node = inputs[0]
    return False


def inline(graph: Graph, args: Sequence[Node]) -> tuple[Node, ...]:
    """Return the graph's outputs with `args` substituted for its inputs."""
    if len(args) != len(graph.inputs):
        raise ValueError(f"graph takes {len(graph.inputs)} inputs, got {len(args)}")
    known: dict[Node, Node] = dict(zip(graph.inputs, args, strict=True))
    for node in topological(graph.outputs, graph.inputs):
        if node.primitive is None or not any(operand in known for operand in node.inputs):
            continue
        known[node] = bind(node.primitive, *(known.get(n, n) for n in node.inputs), **node.params)
    return tuple(known.get(n, n) for n in graph.outputs)


def expanded(graph: Graph, which: Callable[[Node], bool]) -> Graph:
    """Inline the composites for which `which(node)` is true."""

    def is_inlined(node: Node) -> bool:
        return node.primitive is not None and node.primitive.composite and which(node)

    if not any(is_inlined(node) for node in graph.nodes):
        return graph
    known: dict[Node, Any] = {node: node for node in graph.inputs}
    for node in graph.nodes:
        operands = [known[x] for x in node.inputs]
        with scope(node.scope):
            if is_inlined(node):
                results = inline(expanded(node.params["body"], which), operands)
                known[node] = results if isinstance(node.type, tuple) else results[0]
            elif node.name == "project" and isinstance(operands[0], tuple):
                known[node] = operands[0][node.params["index"]]
            elif node.primitive is not None:
                known[node] = bind(node.primitive, *operands, **node.params)
    return Graph(graph.inputs, [known[node] for node in graph.outputs])


def with_numbers(graph: Graph, args: Sequence[Node], numbers: Mapping[str, int]) -> tuple[Node, ...]:
    """Return the outputs of a graph of unknown sizes, for `numbers` in place of their symbols.

    `args` are substituted for its inputs.
    """
    known: dict[Node, Node] = dict(zip(graph.inputs, args, strict=True))
    for node in graph.nodes:
        assert node.primitive is not None
        params = {name: _with_numbers(x, numbers) for name, x in node.params.items()}
        if node.primitive is SIZE:
            known[node] = constant(params["size"], "int32")
        else:
            known[node] = bind(node.primitive, *(known[x] for x in node.inputs), **params)
    return tuple(known[x] for x in graph.outputs)


def _with_numbers(param: Any, numbers: Mapping[str, int]) -> Any:
    if not isinstance(param, Graph):
        return evaluated(param, numbers)
    types = [TensorType(evaluated(x.shape, numbers), x.dtype) for x in param.inputs]
    return trace_body(lambda *args: with_numbers(param, args, numbers), types)[0]
