"""Activations: what layers write with comparisons and products."""

from __future__ import annotations

import math

import numpy as np

from hornbeam.export.patterns.matching import MatchContext, Operator
from hornbeam.ir.node import Node

# -- bounds --------------------------------------------------------------------------------------------------

Bounds = tuple[Node, float, float]


def bounds(context: MatchContext, node: Node) -> Bounds | None:
    """x, low and high of min(max(x, low), high), in whichever way that was written."""
    outer = _bound(context, node)
    if outer is None:
        return None
    x, low, high = outer
    inner = _bound(context, x)
    if inner is None or (low == -math.inf) == (inner[1] == -math.inf):
        return outer
    low, high = max(low, inner[1]), min(high, inner[2])
    return (inner[0], low, high) if low <= high else outer


def _bound(context: MatchContext, node: Node) -> Bounds | None:
    if node.name == "relu":
        return node.inputs[0], 0.0, math.inf
    if node.name in ("max", "min"):
        pair = context.with_number(node)
        if pair is None:
            return None
        return (pair[0], pair[1], math.inf) if node.name == "max" else (pair[0], -math.inf, pair[1])
    if node.name != "select" or node.inputs[0].name not in ("gt", "ge", "lt", "le"):
        return None
    condition, chosen, other = node.inputs
    x, limit = condition.inputs
    number = context.number(limit)
    if number is None:
        return None
    if chosen is x and context.number(other) == number:
        lower = condition.name in ("gt", "ge")
    elif other is x and context.number(chosen) == number:
        lower = condition.name in ("lt", "le")
    else:
        return None
    return (x, number, math.inf) if lower else (x, -math.inf, number)


def clip(context: MatchContext, node: Node) -> Operator | None:
    limits = bounds(context, node)
    if limits is None:
        return None
    x, low, high = limits
    return Operator("clip", (x,), {"low": low, "high": high})


# -- piecewise linear ----------------------------------------------------------------------------------------


def _line(context: MatchContext, node: Node) -> tuple[Node, float, float] | None:
    """x, a and b of a x + b."""
    if node.name != "add" or (pair := context.with_number(node)) is None:
        return None
    inner, offset = pair
    x, factor = _multiple(context, inner) or (inner, 1.0)
    return x, factor, offset


def _multiple(context: MatchContext, node: Node) -> tuple[Node, float] | None:
    """x and a of a x."""
    if node.name == "mul":
        return context.with_number(node)
    if node.name == "div" and (number := context.number(node.inputs[1])):
        return node.inputs[0], 1 / number
    return None


def hard_sigmoid(context: MatchContext, node: Node) -> Operator | None:
    """min(max(alpha x + beta, 0), 1)."""
    bounded, factor = _multiple(context, node) or (node, 1.0)
    limits = bounds(context, bounded)
    if limits is None or limits[1] != 0 or not math.isclose(limits[2] * factor, 1, rel_tol=1e-6):
        return None
    line = _line(context, limits[0])
    if line is None:
        return None
    return Operator("hard_sigmoid", line[:1], {"alpha": line[1] * factor, "beta": line[2] * factor})


def hard_silu(context: MatchContext, node: Node) -> Operator | None:
    for x, gate in (node.inputs, node.inputs[::-1]):
        sigmoid = hard_sigmoid(context, gate)
        if sigmoid is None or sigmoid.inputs != (x,):
            continue
        if np.allclose((sigmoid.params["alpha"], sigmoid.params["beta"]), (1 / 6, 0.5), rtol=1e-6):
            return Operator("hard_silu", (x,))
    return None


def _is_positive(context: MatchContext, node: Node, x: Node) -> bool:
    return node.name in ("gt", "ge") and node.inputs[0] is x and context.is_number(node.inputs[1], 0)


def leaky_relu(context: MatchContext, node: Node) -> Operator | None:
    condition, x, other = node.inputs
    scaled = _multiple(context, other)
    if scaled is None or scaled[0] is not x or not _is_positive(context, condition, x):
        return None
    return Operator("leaky_relu", (x,), {"alpha": scaled[1]})


def prelu(context: MatchContext, node: Node) -> Operator | None:
    """relu(x) - alpha * relu(-x)."""
    above, below = node.inputs
    if above.name != "relu" or below.name != "mul":
        return None
    x = above.inputs[0]
    for alpha, mirrored in (below.inputs, below.inputs[::-1]):
        small = alpha.inputs[0] if alpha.name == "broadcast" else alpha
        turned = mirrored.inputs[0] if mirrored.name == "relu" else mirrored
        if (
            small in context.known
            and turned.name == "neg"
            and turned.inputs[0] is x
            and mirrored.name == "relu"
        ):
            return Operator("prelu", (x, alpha))
    return None


# -- smooth --------------------------------------------------------------------------------------------------


def elu(context: MatchContext, node: Node) -> Operator | None:
    """x where it is positive, alpha (exp(x) - 1) elsewhere."""
    if node.name != "select":
        return None
    condition, x, other = node.inputs
    power, alpha = _multiple(context, other) or (other, 1.0)
    if power.name != "expm1" or not _is_positive(context, condition, x):
        return None
    below = power.inputs[0]
    limits = _bound(context, below)
    if limits is None or limits[0] is not x or limits[2] != 0:
        return None
    return Operator("elu", (x,), {"alpha": alpha})


def selu(context: MatchContext, node: Node) -> Operator | None:
    scaled = context.with_number(node)
    inner = None if scaled is None else elu(context, scaled[0])
    if scaled is None or inner is None:
        return None
    return Operator("selu", inner.inputs, {**inner.params, "gamma": scaled[1]})


def softplus(context: MatchContext, node: Node) -> Operator | None:
    """max(x, 0) + log(1 + exp(-|x|))."""
    above, rest = node.inputs
    limits = _bound(context, above)
    if limits is None or limits[1:] != (0, math.inf) or rest.name != "log1p" or rest.inputs[0].name != "exp":
        return None
    x, power = limits[0], rest.inputs[0].inputs[0]
    if power.name != "select" or not _is_positive(context, power.inputs[0], x):
        return None
    turned, same = power.inputs[1:]
    if turned.name != "neg" or turned.inputs[0] is not x or same is not x:
        return None
    return Operator("softplus", (x,))


def softsign(context: MatchContext, node: Node) -> Operator | None:
    x, below = node.inputs
    pair = context.with_number(below) if below.name == "add" else None
    if pair is None or pair[1] != 1 or pair[0].name != "abs" or pair[0].inputs[0] is not x:
        return None
    return Operator("softsign", (x,))
