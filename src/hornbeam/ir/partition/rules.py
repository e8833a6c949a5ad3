"""Sharding rules: for every family of primitives, the placement of the result given those of the operands.

A rule takes a node and the placements of its operands, at least one of which is not replicated, and returns
the placements with which it is computed. None replicates all operands: always correct, sometimes slow.
Partial sums pass through linear operations.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hornbeam.ir.node import Node
from hornbeam.ir.partition.control import cond, scan, while_loop
from hornbeam.ir.partition.layouts import (
    PARTIAL,
    Context,
    Placement,
    Rule,
    ShardingPlan,
    is_sharded,
    is_zero,
    shard_shape,
)
from hornbeam.ir.types import is_float

Placements = tuple[Placement, ...]


# -- elementwise ---------------------------------------------------------------------------------------------


def elementwise(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    """Shard all operands as the one that is most expensive to move; pass partial sums if linear."""
    dims = [i for i, p in enumerate(ins) if is_sharded(p)]
    if dims:
        placement = ins[max(dims, key=lambda i: (context.bytes_to_move[node.inputs[i]], -i))]
        return ShardingPlan((placement,) * len(ins), placement)
    linear = _linear(node, ins)
    return None if linear is None else ShardingPlan(linear, PARTIAL)


def _linear(node: Node, ins: Placements) -> Placements | None:
    """Return the placements that pass partial sums, if there are any."""
    name = node.name
    if name in ("neg", "stop_gradient"):
        return (PARTIAL,)
    if name in ("add", "sub"):
        return _all_partial(node.inputs, ins)
    if name == "mul" and ins.count(PARTIAL) == 1:
        return ins
    if name == "div" and ins == (PARTIAL, None) and is_float(node.dtype):
        return ins
    if name == "select" and ins[0] is None:
        values = _all_partial(node.inputs[1:], ins[1:])
        return None if values is None else (None, *values)
    return None


def _all_partial(nodes: Sequence[Node], ins: Placements) -> Placements | None:
    """Return PARTIAL for all operands if each is a partial sum or zero."""
    fits = all(p == PARTIAL or is_zero(x) for x, p in zip(nodes, ins, strict=True))
    return (PARTIAL,) * len(ins) if fits else None


# -- movement ------------------------------------------------------------------------------------------------


def broadcast(node: Node, ins: Placements, context: Context) -> ShardingPlan:
    (p,) = ins
    if p == PARTIAL:
        return ShardingPlan(ins, PARTIAL)
    out = node.params["dims"][p]  # its size is not 1, so it remains
    return ShardingPlan(ins, out, {"shape": shard_shape(node.shape, out, context.size)})


def reshape(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    (p,) = ins
    if p == PARTIAL:
        return ShardingPlan(ins, PARTIAL)
    assert isinstance(p, int)
    out = reshaped_dim(node.inputs[0].shape, node.shape, p, context.size)
    return (
        None if out is None else ShardingPlan(ins, out, {"shape": shard_shape(node.shape, out, context.size)})
    )


def reshaped_dim(before: Sequence[int], after: Sequence[int], dim: int, size: int) -> int | None:
    """Return the dimension of `after` whose shards are those of `dim` of `before`: equal outer sizes."""
    outer = 1
    for out, n in enumerate(after):
        if outer == math.prod(before[:dim]) and n > 1:
            return out if n % size == 0 else None
        outer *= n
    return None


def transpose(node: Node, ins: Placements, context: Context) -> ShardingPlan:
    (p,) = ins
    return ShardingPlan(ins, PARTIAL if p == PARTIAL else node.params["perm"].index(p))


def pad(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    p, _ = ins
    if p == PARTIAL:
        return ShardingPlan((PARTIAL, None), PARTIAL) if is_zero(node.inputs[1]) else None
    if p is None or any(node.params[name][p] for name in ("low", "high", "interior")):
        return None
    return ShardingPlan((p, None), p)


def slice_(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    (p,) = ins
    if p == PARTIAL:
        return ShardingPlan(ins, PARTIAL)
    assert isinstance(p, int)
    if node.shape[p] != node.inputs[0].shape[p]:
        return None
    return ShardingPlan(ins, p, {"stop": shard_shape(node.params["stop"], p, context.size)})


def concatenate(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    dims = [p for p in ins if is_sharded(p) and p != node.params["axis"]]
    if dims:
        return ShardingPlan((dims[0],) * len(ins), dims[0])
    sums = _all_partial(node.inputs, ins)
    return None if sums is None else ShardingPlan(sums, PARTIAL)


def reverse(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    return None if ins[0] in node.params["axes"] else ShardingPlan(ins, ins[0])


def dynamic_slice(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    p, sizes = ins[0], node.params["sizes"]
    starts = (None,) * (len(ins) - 1)
    if p == PARTIAL:
        return ShardingPlan((PARTIAL, *starts), PARTIAL)
    if not isinstance(p, int) or sizes[p] != node.inputs[0].shape[p]:
        return None
    return ShardingPlan((p, *starts), p, {"sizes": shard_shape(sizes, p, context.size)})


def dynamic_update_slice(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    x, update = node.inputs[:2]
    same = [p for p in ins[:2] if isinstance(p, int) and x.shape[p] == update.shape[p]]
    starts = (None,) * (len(ins) - 2)
    return ShardingPlan((same[0], same[0], *starts), same[0]) if same else None


# -- reductions ----------------------------------------------------------------------------------------------


def _kept(dim: int, axes: Sequence[int]) -> int:
    """Return the index of a dimension after `axes` are removed."""
    return dim - sum(axis < dim for axis in axes)


def reduce_sum(node: Node, ins: Placements, context: Context) -> ShardingPlan:
    (p,), axes = ins, node.params["axes"]
    return ShardingPlan(ins, _kept(p, axes) if isinstance(p, int) and p not in axes else PARTIAL)


def _reduction(how: str) -> Rule:
    def rule(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
        (p,), axes = ins, node.params["axes"]
        if not isinstance(p, int):
            return None
        return ShardingPlan(ins, None, reduced=how) if p in axes else ShardingPlan(ins, _kept(p, axes))

    return rule


def _along(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    """Shard an operation along one axis by any other dimension."""
    p = ins[0]
    return ShardingPlan(ins, p) if isinstance(p, int) and p != node.params["axis"] else None


def _arg(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    p, axis = ins[0], node.params["axis"]
    return ShardingPlan(ins, _kept(p, (axis,))) if isinstance(p, int) and p != axis else None


# -- gather, scatter -----------------------------------------------------------------------------------------


def gather(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    """Shard by indices with a replicated table, or by columns of the table."""
    (p, q), batch = ins, node.params["batch_dims"]
    grid, depth = node.inputs[1].rank - 1, batch + node.inputs[1].shape[-1]
    if isinstance(q, int) and q < grid:
        return ShardingPlan((q if q < batch else None, q), q)
    if isinstance(p, int) and p < batch:
        return ShardingPlan((p, p), p)
    if isinstance(p, int) and p >= depth:
        return ShardingPlan((p, None), p - depth + grid)
    return ShardingPlan((PARTIAL, None), PARTIAL) if p == PARTIAL else None


def scatter(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    """Shard by batch axes or columns; rows that each rank adds give a partial sum."""
    p, q, r = ins
    batch, adds = node.params["batch_dims"], node.params["mode"] == "add" and node.dtype != "bool"
    grid, depth = node.inputs[1].rank - 1, batch + node.inputs[1].shape[-1]
    stacked = [dim for dim in ins if isinstance(dim, int) and dim < batch]
    if stacked:
        return ShardingPlan((stacked[0],) * 3, stacked[0])
    rows = [dim for dim in (q, r) if isinstance(dim, int) and dim < grid]
    if rows and adds:
        return ShardingPlan((PARTIAL, rows[0], rows[0]), PARTIAL)
    if isinstance(r, int) and r >= grid:
        return ShardingPlan((r - grid + depth, None, r), r - grid + depth)
    if isinstance(p, int) and p >= depth:
        return ShardingPlan((p, None, p - depth + grid), p)
    if r == PARTIAL and adds and (p == PARTIAL or is_zero(node.inputs[0])):
        return ShardingPlan((PARTIAL, None, PARTIAL), PARTIAL)
    return None


# -- products, convolutions, pools ---------------------------------------------------------------------------


def dot_general(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    """Shard rows of x, columns of y, or both along the contraction. If x and y disagree, x stays."""
    p, q = ins
    summed = p in node.params["contract"][0] and isinstance(q, int) and _free(q, 1, node)
    if summed and context.bytes_to_move[node.inputs[0]] < context.bytes_to_move[node.inputs[1]]:
        p = None  # redistribute x, and keep the columns of y
    if isinstance(p, int):
        return _dot_side(node, p, 0)
    if isinstance(q, int):
        return _dot_side(node, q, 1)
    return ShardingPlan(ins, PARTIAL) if ins in ((PARTIAL, None), (None, PARTIAL)) else None


def _free(dim: int, side: int, node: Node) -> bool:
    return dim not in node.params["contract"][side] and dim not in node.params["batch"][side]


def _dot_side(node: Node, dim: int, side: int) -> ShardingPlan:
    """Return the plan if operand `side` is sharded along `dim`."""
    contract, batch = node.params["contract"], node.params["batch"]
    for axes, summed in ((contract, True), (batch, False)):
        if dim in axes[side]:
            at = axes[side].index(dim)
            return ShardingPlan((axes[0][at], axes[1][at]), PARTIAL if summed else at)
    free = [[a for a in range(x.rank) if _free(a, i, node)] for i, x in enumerate(node.inputs)]
    out = len(batch[0]) + side * len(free[0]) + free[side].index(dim)
    return ShardingPlan((dim, None) if side == 0 else (None, dim), out)


def _conv_rule(sides: Sequence[tuple[int, int, ShardingPlan]]) -> Rule:
    """Build a rule from plans by the sharded dimension of an operand: see `CONVOLUTIONS`."""

    def rule(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
        ranks = [x.rank for x in node.inputs]
        from_end = [
            p - rank if isinstance(p, int) and p > 0 else p for p, rank in zip(ins, ranks, strict=True)
        ]
        for side, dim, plan in sides:
            if from_end[side] == dim and is_sharded(ins[side]) and (dim == 0 or node.params["groups"] == 1):
                return _with_dims(node, plan, context)
        return ShardingPlan(ins, PARTIAL) if set(ins) == {PARTIAL, None} else None

    return rule


def _with_dims(node: Node, plan: ShardingPlan, context: Context) -> ShardingPlan:
    """Convert a plan whose dimensions count from the end to the dimensions of a node."""
    ranks = [x.rank for x in node.inputs]
    ins = tuple(_dim_from_start(p, rank) for p, rank in zip(plan.ins, ranks, strict=True))
    out = _dim_from_start(plan.out, node.rank)  # type: ignore[arg-type]
    names = [name for name in ("input_shape", "kernel_shape") if name in node.params]
    return ShardingPlan(ins, out, {name: shard_shape(node.params[name], out, context.size) for name in names})


def _dim_from_start(placement: Placement, rank: int) -> Placement:
    return placement + rank if isinstance(placement, int) and placement < 0 else placement


# Of x (N, *S, I), w (*K, I, O) and dy (N, *S, O): an operand, its dimension (0: images, -1, -2: channels),
# and the plan if it is sharded there. Earlier lines win.
_I, _O = -2, -1
CONVOLUTIONS: dict[str, list[tuple[int, int, ShardingPlan]]] = {
    "conv": [
        (0, 0, ShardingPlan((0, None), 0)),
        (0, -1, ShardingPlan((-1, _I), PARTIAL)),
        (1, _O, ShardingPlan((None, _O), -1)),
        (1, _I, ShardingPlan((-1, _I), PARTIAL)),
    ],
    "conv_input_grad": [
        (0, 0, ShardingPlan((0, None), 0)),
        (0, -1, ShardingPlan((-1, _O), PARTIAL)),
        (1, _I, ShardingPlan((None, _I), -1)),
        (1, _O, ShardingPlan((-1, _O), PARTIAL)),
    ],
    "conv_kernel_grad": [
        (0, 0, ShardingPlan((0, 0), PARTIAL)),
        (1, 0, ShardingPlan((0, 0), PARTIAL)),
        (1, -1, ShardingPlan((None, -1), _O)),
        (0, -1, ShardingPlan((-1, None), _I)),
    ],
}


def _images(linear: bool) -> Rule:
    """Shard pools by images or channels, all operands alike."""

    def rule(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
        dims = [p for p in ins if p in (0, node.rank - 1)]
        if dims:
            shapes = {"input_shape": shard_shape(node.shape, dims[0], context.size)}
            changed = shapes if "input_shape" in node.params else {}
            return ShardingPlan((dims[0],) * len(ins), dims[0], changed)
        return ShardingPlan(ins, PARTIAL) if linear and PARTIAL in ins else None

    return rule


# -- the rest ------------------------------------------------------------------------------------------------


def _matrices(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    """Shard linear algebra by the batch of matrices."""
    dims = [p for p in ins if isinstance(p, int) and p < node.inputs[0].rank - 2]
    if not dims:
        return None
    out = (dims[0],) * len(node.type) if isinstance(node.type, tuple) else dims[0]
    return ShardingPlan((dims[0],) * len(ins), out)


def _barrier(node: Node, ins: Placements, context: Context) -> ShardingPlan:
    return ShardingPlan(ins, ins)


def _along_another_axis(node: Node, ins: Placements, context: Context) -> ShardingPlan | None:
    """Shard a collective of another mesh axis by any other dimension."""
    (p,) = ins
    if p == PARTIAL:
        sums = node.params.get("how", "sum") == "sum"
        return ShardingPlan(ins, PARTIAL) if sums else None
    return None if p == node.params.get("dim") else ShardingPlan(ins, p)


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
    (_matrices, "cholesky triangular_solve lu qr svd eig eigh"),
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
