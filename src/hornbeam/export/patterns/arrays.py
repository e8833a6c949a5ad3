"""Movements of arrays without what libraries do themselves: broadcasting, padding of nothing, whole axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hornbeam import primitives as p
from hornbeam.export.patterns.matching import MatchContext, Operator, Pattern
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import Shape


def as_it_is(*names: str) -> Pattern:
    """The node itself, with the parameters of these names."""
    return lambda context, node: Operator(node.name, node.inputs, {name: node.params[name] for name in names})


def for_float32(pattern: Pattern) -> Pattern:
    """`pattern` for results of float32 alone, which all libraries compute as they are."""

    def checked(context: MatchContext, node: Node) -> Operator | None:
        types = node.type if isinstance(node.type, tuple) else (node.type,)
        return pattern(context, node) if types[0].dtype == "float32" else None

    return checked


# -- broadcasting --------------------------------------------------------------------------------------------


def elementwise(context: MatchContext, node: Node) -> Operator | None:
    """An operation on elements, whose operands the library repeats as NumPy does."""
    operands = [aligned(context, x) for x in node.inputs]
    if not _broadcasts_to([x.shape for x in operands], node.shape):
        operands[0] = node.inputs[0]
        if not _broadcasts_to([x.shape for x in operands], node.shape):
            return None
    return Operator(node.name, tuple(operands), dict(node.params))


def aligned(context: MatchContext, node: Node) -> Node:
    """The value that is repeated to `node`, with axes of size 1 so that NumPy's rules repeat it likewise."""
    if node.name != "broadcast":
        return node
    small, dims = node.inputs[0], node.params["dims"]
    if tuple(dims) == tuple(range(node.rank - small.rank, node.rank)):
        return small
    sizes = dict(zip(dims, small.shape, strict=True))
    # Of a size that is not known, both == and != are false.
    first = min((axis for axis, size in sizes.items() if size not in (1,)), default=node.rank)
    shape = tuple(sizes.get(axis, 1) for axis in range(first, node.rank))
    if shape == small.shape:
        return small
    wide = p.reshape(small, shape)
    return context.learn(wide) if small in context.known else wide


def _broadcasts_to(shapes: Sequence[Shape], shape: Shape) -> bool:
    """True if NumPy repeats arrays of these shapes to `shape`."""
    for axis, size in enumerate(reversed(shape), 1):
        sizes = [s[-axis] for s in shapes if len(s) >= axis]
        if not all(n in (1, size) for n in sizes) or size not in sizes:
            return False
    return True


def broadcast(context: MatchContext, node: Node) -> Operator:
    return Operator("broadcast_to", (aligned(context, node),), {"shape": node.shape})


# -- movements -----------------------------------------------------------------------------------------------


def reshape(context: MatchContext, node: Node) -> Operator:
    """A reshape, with -1 for the one size that is not known."""
    unknown = [axis for axis, size in enumerate(node.shape) if is_unknown(size)]
    shape = node.shape
    if len(unknown) == 1 and 0 not in shape:
        shape = tuple(-1 if axis == unknown[0] else size for axis, size in enumerate(shape))
    return Operator("reshape", node.inputs, {"shape": shape})


def strided_slice(context: MatchContext, node: Node) -> Operator:
    """x[start:stop:step, ...], with None for the bounds of an axis that is read from end to end."""
    sizes, params = node.inputs[0].shape, node.params
    bounds: list[tuple[Any, Any, int]] = []
    for size, start, stop, step in zip(sizes, params["start"], params["stop"], params["step"], strict=True):
        at_start = not is_unknown(start) and start == 0
        bounds.append((None if at_start else start, None if stop == size else stop, step))
    return Operator("slice", node.inputs, {"bounds": tuple(bounds)})


def pad(context: MatchContext, node: Node) -> Operator | None:
    """Padding around x, by 0 or more elements and none between those of x."""
    low, high = node.params["low"], node.params["high"]
    if any(node.params["interior"]) or any(n < 0 for n in (*low, *high)):
        return None
    x, value = node.inputs
    pairs = tuple(zip(low, high, strict=True))
    if context.is_number(value, 0):
        return Operator("pad", (x,), {"paddings": pairs})
    return Operator("pad", (x, value), {"paddings": pairs})
