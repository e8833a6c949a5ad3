"""Lazy evaluation: reading a value computes the nodes that it needs and releases their graph."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam._internal.context import ThreadSetting, context_variable, override
from hornbeam.core.concretization import concretization_error
from hornbeam.engines import Engine, current_engine
from hornbeam.ir.autodiff import BARRIER, PROJECT
from hornbeam.ir.complex_pairs import pack_array, unpack_array
from hornbeam.ir.graph import Graph, Structure
from hornbeam.ir.node import Node
from hornbeam.ir.trace import FROM_CONSTANTS, is_constant
from hornbeam.ir.types import is_inexact

if TYPE_CHECKING:
    from hornbeam.engines.base import Buffer

_retains = context_variable("graph retention", False)
# For each `GraphHolder` by its id, the oldest first, the nodes to release with it.
_holders: ThreadSetting[dict[int, list[Node]]] = ThreadSetting("holders of graphs", {})
_NO_PARAMS: dict[str, Any] = {}
# Results of calls that have several, which an inference plan computes together.
_results_of: weakref.WeakKeyDictionary[Node, list[weakref.ref[Node]]] = weakref.WeakKeyDictionary()
# Held while lazy nodes are inspected or get values, not while they are computed.
_lazy_lock = threading.RLock()


# Parameter of a value whose graph was released: weak references to the leaves that it was computed from.
_SOURCES = "computed_from"


def retain_graph() -> override[bool]:
    """Retain the graph of values that are read inside, so that gradients can be taken through them."""
    return override(_retains, True)


def retains_graph() -> bool:
    """Return True if values that are read here retain their graph."""
    return _retains.get() or bool(_holders.get())


class GraphHolder:
    """Retains graphs as `retain_graph` does, until `release()` or its own end; holders need not be nested."""

    def __init__(self) -> None:
        _holders.set({**_holders.get(), id(self): []})
        self.release = weakref.finalize(self, _release_graphs, id(self))
        self.release.atexit = False


def _release_graphs(holder: int) -> None:
    """Release the graphs of values read since a holder was created, unless an older one remains."""
    holders = dict(_holders.get())
    older = list(itertools.takewhile(lambda key: key != holder, holders))
    nodes = holders.pop(holder, [])  # none if it was created in another thread
    _holders.set(holders)
    if older:
        holders[older[-1]].extend(nodes)
        return
    with _lazy_lock:
        for node in nodes:
            _release(node)


def released_sources(node: Node) -> frozenset[weakref.ref[Node]]:
    """Return the leaves on which a value with a released graph depended: gradients cannot reach them."""
    return node.params.get(_SOURCES, frozenset()) if node.primitive is None else frozenset()


def _dependent_nodes(order: Sequence[Node], leaves: Sequence[Node]) -> tuple[set[Node], dict[str, Any]]:
    """Return the computed nodes that depend on float leaves, and the parameters that record those leaves."""
    sources = [leaf for leaf in leaves if not isinstance(leaf.type, tuple) and is_inexact(leaf.type.dtype)]
    dependent = set(sources)
    for node in order:
        if node.primitive is BARRIER or dependent.isdisjoint(node.inputs):
            continue
        if isinstance(node.type, tuple) or is_inexact(node.type.dtype):
            dependent.add(node)
    earlier = {ref for leaf in sources for ref in released_sources(leaf) if ref() is not None}
    return dependent, {_SOURCES: frozenset(earlier.union(map(weakref.ref, sources)))}


def _release(node: Node, params: dict[str, Any] = _NO_PARAMS) -> None:
    """Turn a computed node into a leaf. Constants are unchanged, since graphs share them."""
    if node.name not in FROM_CONSTANTS or not is_constant(node):
        for operand in node.inputs:
            operand.uses -= 1
        node.primitive, node.inputs, node.params = None, (), params


def value_of(node: Node) -> np.ndarray:
    """Return the value of a node as an array; compute it if necessary."""
    if node.value is None:
        evaluate([node])
    owner, buffer = node.value
    return buffer if owner is None else unpack_array(owner.get(buffer), node.dtype)


def buffer_of(node: Node, engine: Engine) -> Buffer:
    """Return the value of a node as a buffer of `engine`; move it if another engine owns it."""
    owner, buffer = node.value
    if owner is not engine:
        buffer = engine.put(pack_array(buffer) if owner is None else owner.get(buffer))
        node.value = (engine, buffer)
    return buffer


def evaluate(nodes: Sequence[Node]) -> None:
    """Compute lazy nodes, and keep the intermediate values that have handles or pending uses."""
    engine = current_engine()
    with _lazy_lock:
        planned_call = _inference_plan_call(nodes[0], engine) if len(nodes) == 1 else None
        if planned_call is not None:
            order, leaves, outputs, run, inputs = planned_call
        else:
            order, leaves, structure = _collect_lazy(nodes)
            if not order:
                return
            outputs = _values_to_keep(order, nodes)
            # Repeated code is recognized by its structure, without a Graph.
            executable = engine.compiled(structure.key(outputs)) or engine.executable(Graph(leaves, outputs))
            run, inputs = executable.run, [buffer_of(n, engine) for n in leaves]
    results = run(inputs)
    with _lazy_lock:
        keep = retains_graph()
        dependent, params = (set(), _NO_PARAMS) if keep else _dependent_nodes(order, leaves)
        for node, buffer in zip(outputs, results, strict=True):
            node.value = (engine, buffer)
            node.depth = 0
            if not keep:
                _release(node, params if node in dependent else _NO_PARAMS)
        holders = _holders.get()
        if holders:
            holders[next(reversed(holders))].extend(outputs)


def share_plan(outputs: Sequence[Node]) -> None:
    """Let the results of a call of a graph with an inference plan be computed together."""
    if len(outputs) > 1:
        _results_of[outputs[0].inputs[0]] = [weakref.ref(node) for node in outputs]


def _inference_plan_call(
    node: Node, engine: Engine
) -> tuple[list[Node], list[Node], list[Node], Callable[[list[Any]], list[Any]], list[Any]] | None:
    """Return nodes, leaves, outputs, function and inputs of a call with an inference plan, if it is ready."""
    if node.value is not None or node.level:
        return None
    call = node.inputs[0] if node.primitive is PROJECT else node
    if call.name != "call" or isinstance(node.type, tuple):
        return None
    plan = call.params["body"].plan
    if plan is None or plan.engine is not engine:
        return None
    for operand in call.inputs:
        if operand.value is None and is_constant(operand):  # an array of zeros, for example
            evaluate([operand])
        if operand.value is None:
            return None
    results = [node] if call is node else [ref() for ref in _results_of.get(call, ())]
    if node not in results:
        return None
    kept = [i for i, each in enumerate(results) if each is not None and each.value is None]
    weights = list(call.inputs[: plan.weights])
    inputs = [buffer_of(n, engine) for n in call.inputs[plan.weights :]]

    def run(buffers: list[Any]) -> list[Any]:
        outputs = plan.run(weights, buffers)
        return [outputs[i] for i in kept]

    outputs = [each for each in (results[i] for i in kept) if each is not None]
    return [call] if call is node else [call, *outputs], list(call.inputs), outputs, run, inputs


def _values_to_keep(order: Sequence[Node], nodes: Sequence[Node]) -> list[Node]:
    """Return the computed nodes whose values are kept: those with handles and those with other lazy uses.

    Otherwise a loop that reads its loss would compute its weights from the start, each time.
    """
    if len(order) == len(nodes) == 1 and not isinstance(order[0].type, tuple):
        return [order[0]]
    requested = nodes if len(nodes) == 1 else set(nodes)
    for node in order:
        for operand in node.inputs:
            operand.uses -= 1
    keep = [
        n
        for n in order
        if (n.handles > 0 or n in requested or (n.uses > 0 and not is_constant(n)))
        and not isinstance(n.type, tuple)
    ]
    for node in order:
        for operand in node.inputs:
            operand.uses += 1
    return keep


def _collect_lazy(nodes: Sequence[Node]) -> tuple[list[Node], list[Node], Structure]:
    """Return the nodes to compute for `nodes`, operands first, the leaves, and the structure.

    Raises ConcretizationError for values of a function that is being traced.
    """
    seen: set[Node | None] = set()
    order: list[Node] = []
    leaves: list[Node] = []
    structure = Structure()
    # None marks that the operands of the node below it are done.
    stack: list[Node | None] = list(reversed(nodes))
    while stack:
        node = stack.pop()
        if node is None:
            node = stack.pop()
            assert node is not None
            order.append(node)
            structure.node(node)
        elif node not in seen:
            seen.add(node)
            if node.level or (node.primitive is None and node.value is None):
                raise concretization_error(node)
            if node.value is not None or node.primitive is None:
                leaves.append(node)
                structure.input(node)
            else:
                stack.append(node)
                stack.append(None)
                stack.extend(node.inputs[::-1])
    return order, leaves, structure
