"""Computing pending nodes: reading a value runs what it needs, and lets go of how it was computed."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbeam.engines import Engine, current_engine
from hornbeam.ir.graph import Graph, Node
from hornbeam.ir.trace import is_constant

_local = threading.local()
# Held while pending nodes are looked at or settled, not while they are computed.
_pending_lock = threading.RLock()


class ConcretizationError(TypeError):
    """A value was read inside a function that is being compiled, where only its shape and dtype are known."""


@contextmanager
def keep_history() -> Iterator[None]:
    """Values read inside keep what they were computed from, so that gradients can still be taken through
    them.
    """
    previous = getattr(_local, "keep", False)
    _local.keep = True
    try:
        yield
    finally:
        _local.keep = previous


def value_of(node: Node) -> np.ndarray:
    """The node's value as an array, computing it if need be."""
    if node.value is None:
        evaluate([node])
    owner, buffer = node.value
    return buffer if owner is None else owner.get(buffer)


def buffer_of(node: Node, engine: Engine) -> Any:
    """The value of a node as a buffer of `engine`, moved there if it lives elsewhere."""
    owner, buffer = node.value
    if owner is not engine:
        buffer = engine.put(buffer if owner is None else owner.get(buffer))
        node.value = (engine, buffer)
    return buffer


def evaluate(nodes: Sequence[Node]) -> None:
    """Compute pending nodes, and with them whatever the user still holds of what lies on the way."""
    with _pending_lock:
        order, leaves = _pending(nodes)
        traced = next(
            (n for n in (*order, *leaves) if n.level or (n.primitive is None and n.value is None)), None
        )
        if traced is not None:
            raise ConcretizationError(
                f"the value of {traced.type} is not known here: the function is being compiled and only "
                "shapes and "
                "dtypes are known. Use ops.cond / ops.where instead of `if`, or run_eagerly=True"
            )
        if not order:
            return
        wanted = set(nodes)
        outputs = [n for n in order if not isinstance(n.type, tuple) and (n in wanted or n.handles > 0)]
        engine = current_engine()
        executable = engine.executable(Graph(leaves, outputs))
        inputs = [buffer_of(n, engine) for n in leaves]
    results = executable.run(inputs)
    with _pending_lock:
        for node, buffer in zip(outputs, results, strict=True):
            _settle(node, (engine, buffer))


def _settle(node: Node, value: Any) -> None:
    """Give a node its value and let go of how it was computed, unless that is to be kept."""
    node.value = value
    # Constants are shared by every graph that needs them, so they stay what they are.
    if not getattr(_local, "keep", False) and not is_constant(node):
        node.primitive, node.inputs, node.params = None, (), {}
    node.depth = 0


def _pending(nodes: Sequence[Node]) -> tuple[list[Node], list[Node]]:
    """What must be computed for `nodes`, operands first, and the values it starts from."""
    seen: set[Node] = set()
    order: list[Node] = []
    leaves: list[Node] = []
    stack: list[tuple[Node, bool]] = [(n, False) for n in reversed(nodes)]
    while stack:
        node, expanded = stack.pop()
        if expanded:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            if node.value is not None or node.primitive is None:
                leaves.append(node)
            else:
                stack.append((node, True))
                stack.extend((operand, False) for operand in reversed(node.inputs))
    return order, leaves
