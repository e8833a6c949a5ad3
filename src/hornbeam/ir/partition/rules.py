"""The rules: of every family of primitives, where a result is if the operands are here or there.

A rule gets a node and the places of its operands, at least one of which is not whole, and says where it wants
them. None means that there is no better way than whole operands: always right, sometimes slow. Sums that are
still to be taken (PARTIAL) go through what is linear.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hornbeam.ir.node import Node
from hornbeam.ir.partition.control import cond, scan, while_loop
from hornbeam.ir.partition.layouts import PARTIAL, Context, Place, Plan, Rule, is_dim, is_zero, piece
from hornbeam.ir.types import is_float

Places = tuple[Place, ...]


# -- elementwise ---------------------------------------------------------------------------------------------


def elementwise(node: Node, ins: Places, context: Context) -> Plan | None:
    """All operands in pieces as the one that is most work to move; a sum through what is linear in it."""
    dims = [i for i, p in enumerate(ins) if is_dim(p)]
    if dims:
        place = ins[max(dims, key=lambda i: (context.work[node.inputs[i]], -i))]
        return Plan((place,) * len(ins), place)
    linear = _linear(node, ins)
    return None if linear is None else Plan(linear, PARTIAL)


def _linear(node: Node, ins: Places) -> Places | None:
    """The places that let sums through, if some do."""
    name = node.name
    if name in ("neg", "stop_gradient"):
        return (PARTIAL,)
    if name in ("add", "sub"):
        return _all_sums(node.inputs, ins)
    if name == "mul" and ins.count(PARTIAL) == 1:
        return ins
    if name == "div" and ins == (PARTIAL, None) and is_float(node.dtype):
        return ins
    if name == "select" and ins[0] is None:
        values = _all_sums(node.inputs[1:], ins[1:])
        return None if values is None else (None, *values)
    return None


def _all_sums(nodes: Sequence[Node], ins: Places) -> Places | None:
    """All as sums, if they are or are zeros."""
    fits = all(p == PARTIAL or is_zero(x) for x, p in zip(nodes, ins, strict=True))
    return (PARTIAL,) * len(ins) if fits else None


# -- movement ------------------------------------------------------------------------------------------------


def broadcast(node: Node, ins: Places, context: Context) -> Plan:
    (p,) = ins
    if p == PARTIAL:
        return Plan(ins, PARTIAL)
    out = node.params["dims"][p]  # its size is not 1, so it is kept
    return Plan(ins, out, {"shape": piece(node.shape, out, context.size)})


def reshape(node: Node, ins: Places, context: Context) -> Plan | None:
    (p,) = ins
    if p == PARTIAL:
        return Plan(ins, PARTIAL)
    assert isinstance(p, int)
    out = reshaped_dim(node.inputs[0].shape, node.shape, p, context.size)
    return None if out is None else Plan(ins, out, {"shape": piece(node.shape, out, context.size)})


def reshaped_dim(before: Sequence[int], after: Sequence[int], dim: int, size: int) -> int | None:
    """The dimension of `after` whose pieces are those of `dim` of `before`: as much stands before both."""
    outer = 1
    for out, n in enumerate(after):
        if outer == math.prod(before[:dim]) and n > 1:
            return out if n % size == 0 else None
        outer *= n
    return None


def transpose(node: Node, ins: Places, context: Context) -> Plan:
    (p,) = ins
    return Plan(ins, PARTIAL if p == PARTIAL else node.params["perm"].index(p))


def pad(node: Node, ins: Places, context: Context) -> Plan | None:
    p, _ = ins
    if p == PARTIAL:
        return Plan((PARTIAL, None), PARTIAL) if is_zero(node.inputs[1]) else None
    if p is None or any(node.params[name][p] for name in ("low", "high", "interior")):
        return None
    return Plan((p, None), p)


def slice_(node: Node, ins: Places, context: Context) -> Plan | None:
    (p,) = ins
    if p == PARTIAL:
        return Plan(ins, PARTIAL)
    assert isinstance(p, int)
    if node.shape[p] != node.inputs[0].shape[p]:
        return None
    return Plan(ins, p, {"stop": piece(node.params["stop"], p, context.size)})


def concatenate(node: Node, ins: Places, context: Context) -> Plan | None:
    dims = [p for p in ins if is_dim(p) and p != node.params["axis"]]
    if dims:
        return Plan((dims[0],) * len(ins), dims[0])
    sums = _all_sums(node.inputs, ins)
    return None if sums is None else Plan(sums, PARTIAL)


def reverse(node: Node, ins: Places, context: Context) -> Plan | None:
    return None if ins[0] in node.params["axes"] else Plan(ins, ins[0])


def dynamic_slice(node: Node, ins: Places, context: Context) -> Plan | None:
    p, sizes = ins[0], node.params["sizes"]
    starts = (None,) * (len(ins) - 1)
    if p == PARTIAL:
        return Plan((PARTIAL, *starts), PARTIAL)
    if not isinstance(p, int) or sizes[p] != node.inputs[0].shape[p]:
        return None
    return Plan((p, *starts), p, {"sizes": piece(sizes, p, context.size)})


def dynamic_update_slice(node: Node, ins: Places, context: Context) -> Plan | None:
    x, update = node.inputs[:2]
    whole = [p for p in ins[:2] if isinstance(p, int) and x.shape[p] == update.shape[p]]
    starts = (None,) * (len(ins) - 2)
    return Plan((whole[0], whole[0], *starts), whole[0]) if whole else None


# -- reductions ----------------------------------------------------------------------------------------------


def _kept(dim: int, axes: Sequence[int]) -> int:
    """The number of a dimension after `axes` are gone."""
    return dim - sum(axis < dim for axis in axes)


def reduce_sum(node: Node, ins: Places, context: Context) -> Plan:
    (p,), axes = ins, node.params["axes"]
    return Plan(ins, _kept(p, axes) if isinstance(p, int) and p not in axes else PARTIAL)


def _reduction(how: str) -> Rule:
    def rule(node: Node, ins: Places, context: Context) -> Plan | None:
        (p,), axes = ins, node.params["axes"]
        if not isinstance(p, int):
            return None
        return Plan(ins, None, reduced=how) if p in axes else Plan(ins, _kept(p, axes))

    return rule


def _along(node: Node, ins: Places, context: Context) -> Plan | None:
    """What goes along one axis and keeps it."""
    p = ins[0]
    return Plan(ins, p) if isinstance(p, int) and p != node.params["axis"] else None


def _arg(node: Node, ins: Places, context: Context) -> Plan | None:
    p, axis = ins[0], node.params["axis"]
    return Plan(ins, _kept(p, (axis,))) if isinstance(p, int) and p != axis else None


# -- gather, scatter -----------------------------------------------------------------------------------------


def gather(node: Node, ins: Places, context: Context) -> Plan | None:
    """Rows of a whole table for pieces of the indices; else columns of a table in pieces."""
    (p, q), batch = ins, node.params["batch_dims"]
    grid, depth = node.inputs[1].rank - 1, batch + node.inputs[1].shape[-1]
    if isinstance(q, int) and q < grid:
        return Plan((q if q < batch else None, q), q)
    if isinstance(p, int) and p < batch:
        return Plan((p, p), p)
    if isinstance(p, int) and p >= depth:
        return Plan((p, None), p - depth + grid)
    return Plan((PARTIAL, None), PARTIAL) if p == PARTIAL else None


def scatter(node: Node, ins: Places, context: Context) -> Plan | None:
    """Batch axes and whole columns in pieces; sums of what each member's rows add."""
    p, q, r = ins
    batch, adds = node.params["batch_dims"], node.params["mode"] == "add" and node.dtype != "bool"
    grid, depth = node.inputs[1].rank - 1, batch + node.inputs[1].shape[-1]
    stacked = [dim for dim in ins if isinstance(dim, int) and dim < batch]
    if stacked:
        return Plan((stacked[0],) * 3, stacked[0])
    rows = [dim for dim in (q, r) if isinstance(dim, int) and dim < grid]
    if rows and adds:
        return Plan((PARTIAL, rows[0], rows[0]), PARTIAL)
    if isinstance(r, int) and r >= grid:
        return Plan((r - grid + depth, None, r), r - grid + depth)
    if isinstance(p, int) and p >= depth:
        return Plan((p, None, p - depth + grid), p)
    if r == PARTIAL and adds and (p == PARTIAL or is_zero(node.inputs[0])):
        return Plan((PARTIAL, None, PARTIAL), PARTIAL)
    return None


# -- products, convolutions, pools ---------------------------------------------------------------------------


def dot_general(node: Node, ins: Places, context: Context) -> Plan | None:
    """Rows of x in pieces, columns of y, or both along what is summed up. Where x and y disagree x stays."""
    p, q = ins
    summed = p in node.params["contract"][0] and isinstance(q, int) and _free(q, 1, node)
    if summed and context.work[node.inputs[0]] < context.work[node.inputs[1]]:
        p = None  # x is moved, and y keeps its columns
    if isinstance(p, int):
        return _dot_side(node, p, 0)
    if isinstance(q, int):
        return _dot_side(node, q, 1)
    return Plan(ins, PARTIAL) if ins in ((PARTIAL, None), (None, PARTIAL)) else None


def _free(dim: int, side: int, node: Node) -> bool:
    return dim not in node.params["contract"][side] and dim not in node.params["batch"][side]


def _dot_side(node: Node, dim: int, side: int) -> Plan:
    """The plan if operand `side` is in pieces along `dim`."""
    contract, batch = node.params["contract"], node.params["batch"]
    for axes, summed in ((contract, True), (batch, False)):
        if dim in axes[side]:
            at = axes[side].index(dim)
            return Plan((axes[0][at], axes[1][at]), PARTIAL if summed else at)
    free = [[a for a in range(x.rank) if _free(a, i, node)] for i, x in enumerate(node.inputs)]
    out = len(batch[0]) + side * len(free[0]) + free[side].index(dim)
    return Plan((dim, None) if side == 0 else (None, dim), out)


def _conv_rule(sides: Sequence[tuple[int, int, Plan]]) -> Rule:
    """A rule of plans by the dimension of an operand: see `CONVOLUTIONS`."""

    def rule(node: Node, ins: Places, context: Context) -> Plan | None:
        ranks = [x.rank for x in node.inputs]
        given = [p - rank if isinstance(p, int) and p > 0 else p for p, rank in zip(ins, ranks, strict=True)]
        for side, dim, plan in sides:
            if given[side] == dim and is_dim(ins[side]) and (dim == 0 or node.params["groups"] == 1):
                return _placed(node, plan, context)
        return Plan(ins, PARTIAL) if set(ins) == {PARTIAL, None} else None

    return rule


def _placed(node: Node, plan: Plan, context: Context) -> Plan:
    """A plan whose dimensions count from the end, in a node's own."""
    ranks = [x.rank for x in node.inputs]
    ins = tuple(_counted(p, rank) for p, rank in zip(plan.ins, ranks, strict=True))
    out = _counted(plan.out, node.rank)  # type: ignore[arg-type]
    names = [name for name in ("input_shape", "kernel_shape") if name in node.params]
    return Plan(ins, out, {name: piece(node.params[name], out, context.size) for name in names})


def _counted(place: Place, rank: int) -> Place:
    return place + rank if isinstance(place, int) and place < 0 else place


# Of x (N, *S, I), w (*K, I, O) and dy (N, *S, O): an operand, its dimension (0: images, -1, -2: channels),
# and what follows if it is in pieces there. Earlier lines win.
_I, _O = -2, -1
CONVOLUTIONS: dict[str, list[tuple[int, int, Plan]]] = {
    "conv": [
        (0, 0, Plan((0, None), 0)),
        (0, -1, Plan((-1, _I), PARTIAL)),
        (1, _O, Plan((None, _O), -1)),
        (1, _I, Plan((-1, _I), PARTIAL)),
    ],
    "conv_input_grad": [
        (0, 0, Plan((0, None), 0)),
        (0, -1, Plan((-1, _O), PARTIAL)),
        (1, _I, Plan((None, _I), -1)),
        (1, _O, Plan((-1, _O), PARTIAL)),
    ],
    "conv_kernel_grad": [
        (0, 0, Plan((0, 0), PARTIAL)),
        (1, 0, Plan((0, 0), PARTIAL)),
        (1, -1, Plan((None, -1), _O)),
        (0, -1, Plan((-1, None), _I)),
    ],
}


def _images(linear: bool) -> Rule:
    """Pools: images or channels in pieces, the same of all operands."""

    def rule(node: Node, ins: Places, context: Context) -> Plan | None:
        dims = [p for p in ins if p in (0, node.rank - 1)]
        if dims:
            shapes = {"input_shape": piece(node.shape, dims[0], context.size)}
            changed = shapes if "input_shape" in node.params else {}
            return Plan((dims[0],) * len(ins), dims[0], changed)
        return Plan(ins, PARTIAL) if linear and PARTIAL in ins else None

    return rule


# -- the rest ------------------------------------------------------------------------------------------------


def _matrices(node: Node, ins: Places, context: Context) -> Plan | None:
    """Linear algebra on stacks of matrices: the stack in pieces."""
    dims = [p for p in ins if isinstance(p, int) and p < node.inputs[0].rank - 2]
    if not dims:
        return None
    out = (dims[0],) * len(node.type) if isinstance(node.type, tuple) else dims[0]
    return Plan((dims[0],) * len(ins), out)


def _barrier(node: Node, ins: Places, context: Context) -> Plan:
    return Plan(ins, ins)


def _along_another_axis(node: Node, ins: Places, context: Context) -> Plan | None:
    """Collectives of another mesh axis, each of whose members has pieces of this one."""
    (p,) = ins
    if p == PARTIAL:
        sums = node.params.get("how", "sum") == "sum"
        return Plan(ins, PARTIAL) if sums else None
    return None if p == node.params.get("dim") else Plan(ins, p)


_BY_FAMILY: list[tuple[Any, str]] = [
    (
        elementwise,
        "neg sign abs floor ceil round exp expm1 log log1p sqrt rsqrt logistic sin cos tan asin acos atan "
        "sinh cosh tanh asinh acosh atanh erf erf_inv lgamma digamma logical_not is_finite "
        "add sub mul div rem pow atan2 max min and or xor shift_left shift_right eq ne lt le gt ge "
        "select convert bitcast stop_gradient",
    ),
    (_along, "cumsum cumprod cummax cummin argsort"),
    (_arg, "argmax argmin"),
    (_images(False), "max_pool max_pool_gather max_pool_scatter"),
    (_images(True), "sum_pool sum_pool_grad"),
    (_matrices, "cholesky triangular_solve lu qr svd eigh"),
    (_along_another_axis, "all_reduce all_gather reduce_scatter shard"),
]
ELEMENTWISE = frozenset(_BY_FAMILY[0][1].split())
RULES: dict[str, Rule] = {
    **{name: rule for rule, names in _BY_FAMILY for name in names.split()},
    **{name: _conv_rule(sides) for name, sides in CONVOLUTIONS.items()},
    **{f"reduce_{how}": _reduction(how) for how in ("prod", "max", "min")},
    "reduce_and": _reduction("min"),
    "reduce_or": _reduction("max"),
    "reduce_sum": reduce_sum,
    "broadcast": broadcast,
    "reshape": reshape,
    "transpose": transpose,
    "pad": pad,
    "slice": slice_,
    "concatenate": concatenate,
    "reverse": reverse,
    "dynamic_slice": dynamic_slice,
    "dynamic_update_slice": dynamic_update_slice,
    "gather": gather,
    "scatter": scatter,
    "dot_general": dot_general,
    "optimization_barrier": _barrier,
    "cond": cond,
    "while_loop": while_loop,
    "scan": scan,
}
