"""Reverse-mode differentiation: one walk over the graph, by the primitives' own rules.

It depends on the IR alone, so that control flow and composites can use it for their own derivatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam.errors import DerivativeError
from hornbeam.ir.interpret import where
from hornbeam.ir.node import Node, topological
from hornbeam.ir.primitive import Primitive, Sample, primitive, zeros_like
from hornbeam.ir.scope import backward_scope, scope
from hornbeam.ir.types import ShapeError, TensorType, ValueType, is_inexact


def _project_type(type: ValueType, *, index: int) -> TensorType:
    if not isinstance(type, tuple) or not 0 <= index < len(type):
        raise ShapeError(f"project takes output {index} of a value with several outputs, got {type}")
    return type[index]


# Selects one output of a primitive that has several. Its derivative is part of the walk below.
PROJECT: Primitive = primitive(
    "project",
    type_rule=_project_type,
    reference=lambda values, *, index: values[index],
    vjp=None,
    cost=lambda types, out, **_: (0, 0),
)

# The identity, through which no gradient flows: what precedes it needs no derivative rule.
BARRIER: Primitive = primitive(
    "stop_gradient",
    type_rule=lambda x: x,
    reference=lambda x: x,
    vjp=lambda ct, out, x: (None,),
    cost=lambda types, out, **_: (0, 0),
    samples=(Sample(((2, 3),), derivative=False),),
)


def project(node: Node, index: int) -> Node:
    """Select output `index` of a node with several outputs."""
    return PROJECT(node, index=index)


def outputs_of(node: Node) -> tuple[Node, ...]:
    """Return all outputs of a node, projected."""
    return tuple(project(node, i) for i in range(len(node.type))) if isinstance(node.type, tuple) else (node,)


def gradients(
    outputs: Sequence[Node], cotangents: Sequence[Node | None], wrt: Sequence[Node]
) -> list[Node | None]:
    """Compute the vector-Jacobian product: cotangents of `wrt` from those of `outputs`.

    Args:
        outputs: Nodes to differentiate.
        cotangents: Cotangent of each output, None for zero.
        wrt: Nodes to differentiate with respect to.

    Returns:
        One node for each of `wrt`, None if the outputs do not depend on it. They are ordinary nodes, which
        can be differentiated again.

    Raises:
        DerivativeError: If a path leads through an operation without a derivative.
    """
    order = topological(outputs)
    active = set(wrt)
    for node in order:
        if node.primitive is not BARRIER and any(operand in active for operand in node.inputs):
            active.add(node)
    pending: dict[Node, Any] = {}
    for node, ct in zip(outputs, cotangents, strict=True):
        if ct is not None and node in active:
            _accumulate(pending, node, ct)
    results: dict[Node, Node] = {}
    targets = set(wrt)
    for node in reversed(order):
        ct = pending.pop(node, None)
        if ct is None:
            continue
        if node in targets:
            results[node] = ct
        if any(operand in active for operand in node.inputs):
            _propagate(pending, node, ct, active)
    return [results.get(node) for node in wrt]


def _propagate(pending: dict[Node, Any], node: Node, ct: Any, active: set[Node]) -> None:
    """Add the contributions of `node` to the cotangents of its operands."""
    if node.primitive is PROJECT:
        source = node.inputs[0]
        slots = pending.setdefault(source, [None] * len(source.type))  # type: ignore[arg-type]
        index = node.params["index"]
        slots[index] = ct if slots[index] is None else slots[index] + ct
        return
    assert node.primitive is not None
    if node.primitive.vjp is None:
        raise DerivativeError(f"{node.name} has no derivative{where(node)}")
    with scope(backward_scope(node.scope)):
        cotangent = tuple(ct) if isinstance(node.type, tuple) else ct
        params = node.params
        if node.primitive.selective:
            params = {**params, "active": [operand in active for operand in node.inputs]}
        contributions = node.primitive.vjp(cotangent, node, *node.inputs, **params)
        for operand, contribution in zip(node.inputs, contributions, strict=True):
            if contribution is not None and operand in active:
                _accumulate(pending, operand, contribution)


def _accumulate(pending: dict[Node, Any], node: Node, ct: Node) -> None:
    if not is_inexact(node.dtype):
        return
    if ct.type != node.type:
        raise ShapeError(f"cotangent of {node!r} has type {ct.type}: the derivative rule is wrong")
    pending[node] = pending[node] + ct if node in pending else ct


def dense_cotangents(cts: Sequence[Node | None], values: Sequence[Node]) -> list[Node]:
    """Replace cotangents that are None by zeros."""
    return [zeros_like(value) if ct is None else ct for ct, value in zip(cts, values, strict=True)]
