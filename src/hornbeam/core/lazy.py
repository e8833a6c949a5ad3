"""Computing pending nodes: reading a value runs what it needs, and lets go of how it was computed."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from hornbeam.engines import Engine, current_engine
from hornbeam.ir.autodiff import BARRIER
from hornbeam.ir.graph import Graph, Structure
from hornbeam.ir.node import Node
from hornbeam.ir.trace import FROM_CONSTANTS, is_constant
from hornbeam.ir.types import is_float

_local = threading.local()
_NONE: dict[str, Any] = {}
# Held while pending nodes are looked at or settled, not while they are computed.
_lazy_lock = threading.RLock()


# What a value that has let go of its history was computed from: weak references to leaves.
_SOURCES = "computed_from"


class ConcretizationError(TypeError):
    """A value was read inside a function that is being compiled, where only its shape and dtype are known."""


@contextmanager
def retain_graph() -> Iterator[None]:
    """Values read inside keep what they were computed from, so that gradients can still be taken through
    them.
    """
    previous = getattr(_local, "keep", False)
    _local.keep = True
    try:
        yield
    finally:
        _local.keep = previous


def retains_graph() -> bool:
    """Whether values that this thread reads keep what they were computed from."""
    return getattr(_local, "keep", False) or bool(getattr(_local, "holders", None))


def acquire_graph(holder: int) -> None:
    """As `retain_graph`, until `release_graph(holder)`; holders need not be nested."""
    if not hasattr(_local, "holders"):
        _local.holders = {}
    _local.holders.setdefault(holder, [])


def release_graph(holder: int) -> None:
    """Let go of the history of values that were read since `acquire_graph(holder)`, unless an older holder
    is left.
    """
    holders: dict[int, list[Node]] = getattr(_local, "holders", {})
    if holder not in holders:
        return
    older = list(holders)[: list(holders).index(holder)]
    nodes = holders.pop(holder)
    if older:
        holders[older[-1]].extend(nodes)
        return
    with _lazy_lock:
        for node in nodes:
            _release(node)


def released_sources(node: Node) -> frozenset[weakref.ref[Node]]:
    """The leaves on which a value depended that has let go of its history: through it no derivative with
    respect to them is found.
    """
    return node.params.get(_SOURCES, frozenset()) if node.primitive is None else frozenset()


def _dependent_nodes(order: Sequence[Node], leaves: Sequence[Node]) -> tuple[set[Node], dict[str, Any]]:
    """Which of the values just computed have a slope, and what they will say of where they came from."""
    sources = [leaf for leaf in leaves if not isinstance(leaf.type, tuple) and is_float(leaf.type.dtype)]
    dependent = set(sources)
    for node in order:
        if node.primitive is BARRIER or dependent.isdisjoint(node.inputs):
            continue
        if isinstance(node.type, tuple) or is_float(node.type.dtype):
            dependent.add(node)
    known = {ref for leaf in sources for ref in released_sources(leaf) if ref() is not None}
    return dependent, {_SOURCES: frozenset(known.union(map(weakref.ref, sources)))}


def _release(node: Node, note: dict[str, Any] = _NONE) -> None:
    """Forget how a value was computed. Constants are shared by every graph that needs them, so they stay
    what they are.
    """
    if node.name not in FROM_CONSTANTS or not is_constant(node):
        for operand in node.inputs:
            operand.uses -= 1
        node.primitive, node.inputs, node.params = None, (), note


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
    """Compute pending nodes, and with them whatever lies on the way and is still held or needed."""
    engine = current_engine()
    with _lazy_lock:
        planned = _planned(nodes[0], engine) if len(nodes) == 1 else None
        if planned is not None:
            order, leaves, outputs = list(nodes), list(nodes[0].inputs), list(nodes)
            run, inputs = planned
        else:
            order, leaves, made = _pending(nodes)
            if not order:
                return
            outputs = _kept(order, nodes)
            # Repeated code is found by its structure, without a Graph.
            executable = engine.compiled(made.key(outputs)) or engine.executable(Graph(leaves, outputs))
            run, inputs = executable.run, [buffer_of(n, engine) for n in leaves]
    results = run(inputs)
    with _lazy_lock:
        keep = retains_graph()
        dependent, note = (set(), _NONE) if keep else _dependent_nodes(order, leaves)
        for node, buffer in zip(outputs, results, strict=True):
            node.value = (engine, buffer)
            node.depth = 0
            if not keep:
                _release(node, note if node in dependent else _NONE)
        holders = getattr(_local, "holders", None)
        if holders:
            holders[next(reversed(holders))].extend(outputs)


def _planned(node: Node, engine: Engine) -> tuple[Callable[[list[Any]], list[Any]], list[Any]] | None:
    """How to compute a call of a graph that has a plan, and from what, if nothing else has to be computed."""
    if node.name != "call" or node.value is not None or node.level or isinstance(node.type, tuple):
        return None
    plan = node.params["body"].plan
    if plan is None or plan.engine is not engine:
        return None
    for operand in node.inputs:
        if operand.value is None:
            return None
    weights = list(node.inputs[: plan.weights])
    inputs = [buffer_of(n, engine) for n in node.inputs[plan.weights :]]
    return lambda given: plan.run(weights, given), inputs


def _kept(order: Sequence[Node], nodes: Sequence[Node]) -> list[Node]:
    """Which of the values that are computed for `nodes` are kept: those that somebody holds, and those that
    other pending work will need. A loop that reads its loss would else compute its weights from the start
    again, each time.
    """
    if len(order) == len(nodes) == 1 and not isinstance(order[0].type, tuple):
        return [order[0]]
    wanted = nodes if len(nodes) == 1 else set(nodes)
    for node in order:
        for operand in node.inputs:
            operand.uses -= 1
    kept = [
        n
        for n in order
        if (n.handles > 0 or n in wanted or (n.uses > 0 and not is_constant(n)))
        and not isinstance(n.type, tuple)
    ]
    for node in order:
        for operand in node.inputs:
            operand.uses += 1
    return kept


def _pending(nodes: Sequence[Node]) -> tuple[list[Node], list[Node], Structure]:
    """What must be computed for `nodes`, operands first, the values it starts from, and its structure.

    Raises ConcretizationError for values of a function that is being compiled.
    """
    seen: set[Node | None] = set()
    order: list[Node] = []
    leaves: list[Node] = []
    made = Structure()
    # None says that the operands of the node under it are done.
    stack: list[Node | None] = list(reversed(nodes))
    while stack:
        node = stack.pop()
        if node is None:
            node = stack.pop()
            assert node is not None
            order.append(node)
            made.node(node)
        elif node not in seen:
            seen.add(node)
            if node.level or (node.primitive is None and node.value is None):
                raise ConcretizationError(
                    f"the value of {node.type} is not known here: the function is being compiled and only "
                    "shapes and "
                    "dtypes are known. Use ops.cond / ops.where instead of `if`, or run_eagerly=True"
                )
            if node.value is not None or node.primitive is None:
                leaves.append(node)
                made.input(node)
            else:
                stack.append(node)
                stack.append(None)
                stack.extend(node.inputs[::-1])
    return order, leaves, made
