"""Gather, scatter and argsort.

`indices` (*batch, ..., k) address the k axes of x that follow its `batch_dims` leading axes; the rest of x
is moved as whole slices. Indices are clamped into range, never wrapped and never an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import (
    Sample,
    bind,
    movement_bytes,
    movement_cost,
    ones_like,
    primitive,
    zeros_like,
)
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import DTYPES, NUMERIC, HornbeamTypeError, Shape, ShapeError, TensorType, is_integer
from hornbeam.primitives.elementwise import bit_and, convert, eq, select
from hornbeam.primitives.numerics import Array, edges, quiet, single
from hornbeam.primitives.shape import broadcast, iota, reshape

__all__ = ["argsort", "gather", "scatter"]

_INDEX_DOMAIN = (-1.0, 1.4)  # integer samples are five times as wide: some fall outside and are clamped


def _gathered_shape(name: str, x: TensorType, indices: TensorType, batch_dims: int) -> Shape:
    """Shape of gather(x, indices), or the error that says why there is none."""
    if not is_integer(indices.dtype):
        raise HornbeamTypeError(f"{name} needs integer indices, got {indices}")
    if indices.rank < batch_dims + 1 or indices.shape[-1] + batch_dims > x.rank:
        raise ShapeError(
            f"{name} of {x} with {batch_dims} batch axes needs indices (*batch, ..., k), got {indices}"
        )
    if not same_shape(x.shape[:batch_dims], indices.shape[:batch_dims]):
        raise ShapeError(f"{name} needs the same {batch_dims} batch axes in {x} and {indices}")
    depth = batch_dims + indices.shape[-1]
    shape = indices.shape[:-1] + x.shape[depth:]
    if 0 in x.shape[batch_dims:depth] and 0 not in shape:
        raise ShapeError(f"{name} cannot index {x}, which is empty")
    return shape


def _addresses(shape: Shape, indices: Array, batch_dims: int) -> tuple[Array, ...]:
    """Index arrays of the leading axes, clamped, one entry per row of `indices`."""
    grid = indices.shape[:-1]
    batch = [
        np.arange(grid[axis]).reshape([grid[axis] if a == axis else 1 for a in range(len(grid))])
        for axis in range(batch_dims)
    ]
    sizes = shape[batch_dims : batch_dims + indices.shape[-1]]
    # uint64 beyond the largest int64 must stay large.
    small = (
        np.minimum(indices, np.array(2**31 - 1, np.int64).astype(indices.dtype))
        if indices.dtype.itemsize > 4
        else indices
    )
    addressed = [np.clip(small[..., i].astype(np.int64), 0, max(size - 1, 0)) for i, size in enumerate(sizes)]
    return tuple(np.broadcast_arrays(*batch, *addressed, np.zeros(grid, np.int64)))[:-1]


def _gather(x: Array, indices: Array, *, batch_dims: int) -> Array:
    addresses = _addresses(x.shape, indices, batch_dims)
    if not addresses:
        return np.broadcast_to(x, indices.shape[:-1] + x.shape).copy()
    return x[addresses]


GATHER = primitive(
    "gather",
    type_rule=lambda x, indices, *, batch_dims: TensorType(
        _gathered_shape("gather", x, indices, batch_dims), x.dtype
    ),
    reference=quiet(_gather),
    vjp=lambda ct, out, x, indices, *, batch_dims: (
        scatter(zeros_like(x), indices, ct, "add", batch_dims),
        None,
    ),
    cost=movement_cost,
    samples=[
        Sample(shapes, {"batch_dims": batch_dims}, domain=_INDEX_DOMAIN, dtypes=(None, dtype))
        for shapes, batch_dims, dtype in (
            (((5, 3), (4, 1)), 0, "int32"),
            (((5,), (2, 3, 1)), 0, "int64"),
            (((4, 5, 2), (3, 2)), 0, "int32"),
            (((4, 5), (3, 2)), 0, "uint8"),
            (((2, 5, 3), (2, 4, 1)), 1, "int32"),
            (((2, 3, 4), (2, 3, 1)), 2, "int16"),
            (((3, 2), (1,)), 0, "int32"),
            (((3, 2), (2, 0)), 0, "int32"),
            (((5, 3), (0, 1)), 0, "uint64"),
        )
    ],
)


def gather(x: Node, indices: Node, batch_dims: int = 0) -> Node:
    """Slices of x at `indices` (*batch, ..., k): shape indices.shape[:-1] + x.shape[batch_dims + k:]."""
    return bind(GATHER, x, indices, batch_dims=batch_dims)


# ---------------------------------------------------------------- scatter


def _set(out: Array, addresses: Any, updates: Array) -> None:
    """One row after the other, so that the last of equal indices wins."""
    out[addresses] = updates


_MODES: dict[str, Callable[[Array, Any, Array], None]] = {
    "add": np.add.at,
    "mul": np.multiply.at,
    "max": np.maximum.at,
    "min": np.minimum.at,
    "set": _set,
}


def _scatter_type(
    x: TensorType, indices: TensorType, updates: TensorType, *, mode: str, batch_dims: int
) -> TensorType:
    if mode not in _MODES:
        raise ValueError(f"scatter has the modes {', '.join(_MODES)}, not {mode!r}")
    if updates.dtype != x.dtype:
        raise HornbeamTypeError(f"scatter needs operands of one dtype, got {x} and {updates}")
    expected = _gathered_shape("scatter", x, indices, batch_dims)
    if not same_shape(updates.shape, expected):
        raise ShapeError(f"scatter into {x} at {indices} needs updates of shape {expected}, got {updates}")
    return x


def _scatter(x: Array, indices: Array, updates: Array, *, mode: str, batch_dims: int) -> Array:
    out = single(x).copy()
    addresses = _addresses(x.shape, indices, batch_dims)
    rows = indices.shape[:-1]
    if addresses:
        flat = tuple(a.reshape(-1) for a in addresses)
        _MODES[mode](out, flat, single(updates).reshape(math.prod(rows), *updates.shape[len(rows) :]))
    else:
        for update in single(updates).reshape(math.prod(rows), *x.shape):
            _MODES[mode](out, ..., update)
    return out.astype(x.dtype)


def _scatter_vjp(
    ct: Node, out: Node, x: Node, indices: Node, updates: Node, *, mode: str, batch_dims: int
) -> tuple[Node, None, Node]:
    """Ties of max and min part_of_ct evenly. The derivative of "mul" at a zero is right in first order
    only."""

    def at(values: Node) -> Node:
        return gather(values, indices, batch_dims)

    def collect(values: Node, how: str = "add", start: float = 0) -> Node:
        base = zeros_like(x) if start == 0 else ones_like(x)
        base = base if values.dtype == x.dtype else convert(base, values.dtype)
        return scatter(base, indices, values, how, batch_dims)

    if mode == "add":
        return ct, None, at(ct)
    if mode == "set":
        order = _row_numbers(indices, updates)
        winner = eq(at(collect(order, "set")), order)
        kept = scatter(ct, indices, zeros_like(updates), "set", batch_dims)
        return kept, None, select(winner, at(ct), zeros_like(updates))
    if mode == "mul":
        zero = eq(updates, 0)
        zeros_here = at(collect(convert(zero, x.dtype)))
        others = at(ct * x * collect(select(zero, ones_like(updates), updates), "mul", 1))
        alone = bit_and(zero, eq(zeros_here, 1))
        safe = others / select(zero, ones_like(updates), updates)
        dupdates = select(alone, others, select(eq(zeros_here, 0), safe, zeros_like(updates)))
        return ct * collect(updates, "mul", 1), None, dupdates
    hit_x, hit_updates = eq(x, out), eq(updates, at(out))
    part_of_ct = ct / (convert(hit_x, x.dtype) + collect(convert(hit_updates, x.dtype)))
    return (
        select(hit_x, part_of_ct, zeros_like(x)),
        None,
        select(hit_updates, at(part_of_ct), zeros_like(updates)),
    )


def _row_numbers(indices: Node, updates: Node) -> Node:
    """Number the rows of `indices` 1, 2, ..., broadcast to the shape of `updates`."""
    rows = indices.shape[:-1]
    count = math.prod(rows)
    return broadcast(reshape(iota("int32", (count,), 0) + 1, rows), updates.shape, tuple(range(len(rows))))


def _scatter_cost(types: Sequence[TensorType], out: TensorType, **params: Any) -> tuple[int, int]:
    return types[2].size, movement_bytes(types, out)


SCATTER = primitive(
    "scatter",
    type_rule=_scatter_type,
    reference=quiet(_scatter),
    vjp=_scatter_vjp,
    cost=_scatter_cost,
    dtypes=DTYPES,
    samples=[
        Sample(
            shapes,
            {"mode": mode, "batch_dims": batch_dims},
            domain=_INDEX_DOMAIN,
            dtypes=(None, "int32", None),
        )
        for mode in _MODES
        for shapes, batch_dims in (
            (((5, 3), (4, 1), (4, 3)), 0),
            (((5,), (2, 3, 1), (2, 3)), 0),
            (((4, 5, 2), (3, 2), (3, 2)), 0),
            (((2, 5, 3), (2, 4, 1), (2, 4, 3)), 1),
            (((3, 2), (1,), (2,)), 0),
            (((3, 2), (2, 0), (2, 3, 2)), 0),
            (((5, 3), (0, 1), (0, 3)), 0),
        )
    ],
)


def scatter(x: Node, indices: Node, updates: Node, mode: str, batch_dims: int = 0) -> Node:
    """x with `updates` combined in row order ("add", "set", "mul", "max", "min") where `gather` would read.

    Of bools, "add" and "max" mean or, "mul" and "min" mean and.
    """
    return bind(SCATTER, x, indices, updates, mode=mode, batch_dims=batch_dims)


# ---------------------------------------------------------------- argsort


def _argsort_type(x: TensorType, *, axis: int) -> TensorType:
    if not 0 <= axis < x.rank:
        raise ShapeError(f"argsort of {x} has no axis {axis}")
    return TensorType(x.shape, "int32")


ARGSORT = primitive(
    "argsort",
    type_rule=_argsort_type,
    reference=quiet(lambda x, *, axis: np.argsort(single(x), axis, kind="stable").astype(np.int32)),
    vjp=None,
    cost=movement_cost,
    dtypes=NUMERIC,
    samples=[
        Sample(((3, 5),), {"axis": 1}),
        Sample(((5, 3),), {"axis": 0}),
        Sample(((2, 67, 2),), {"axis": 1}),
        Sample(((1,),), {"axis": 0}),
        Sample(((0, 3),), {"axis": 1}),
        Sample(((20,),), {"axis": 0}, make=lambda rng, dtype: [edges(dtype)]),
    ],
)


def argsort(x: Node, axis: int) -> Node:
    """int32 indices that sort x along `axis`: ascending, stable, NaN last."""
    return bind(ARGSORT, x, axis=axis)
