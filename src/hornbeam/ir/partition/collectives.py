"""Collectives: operations of all ranks of a mesh axis on their local values.

They are not primitives of the vocabulary: only partitioned graphs contain them, and only mesh engines
implement them. A reference asks the process group of its thread for the values of other ranks; without a
group a rank is the only one. They have no derivative, since gradients are in the graph before it is
partitioned.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Protocol

import numpy as np

from hornbeam._internal.context import context_variable, override
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Primitive, Sample, bind, movement_cost
from hornbeam.ir.types import BOOL, DTYPES, NUMERIC, ShapeError, TensorType, dtype_name, is_float

Array = np.ndarray

__all__ = ["COLLECTIVES", "all_gather", "all_reduce", "process_group", "reduce_scatter", "shard"]


class RankGroup(Protocol):
    """The ranks of a mesh, as seen by the rank of this thread."""

    def index(self, axis: str) -> int:
        """Return the rank's index on an axis."""
        ...

    def exchange(self, axis: str, array: Array) -> Sequence[Array]:
        """Return the arrays of all ranks on an axis, in order. All of them call it together."""
        ...


_process_group: ContextVar[RankGroup | None] = context_variable("process group", None)


def process_group(group: RankGroup) -> override[RankGroup | None]:
    """Let references of collectives use `group` inside."""
    return override(_process_group, group)


class SingleRank:
    """The group of a thread without one."""

    def index(self, axis: str) -> int:
        return 0

    def exchange(self, axis: str, array: Array) -> Sequence[Array]:
        return [array]


def _group(axis: str, size: int) -> RankGroup:
    group: RankGroup = _process_group.get() or SingleRank()
    if size != 1 and isinstance(group, SingleRank):
        raise RuntimeError(
            f"a collective of {size} ranks along {axis!r} runs in a thread without a process group"
        )
    return group


def _shard_type(name: str, x: TensorType, dim: int, size: int) -> TensorType:
    """Return the type of a shard along `dim`."""
    if not 0 <= dim < x.rank or x.shape[dim] % size:
        raise ShapeError(f"{name} cannot divide dimension {dim} of {x} into {size} equal shards")
    return TensorType((*x.shape[:dim], x.shape[dim] // size, *x.shape[dim + 1 :]), x.dtype)


# ---------------------------------------------------------------- all_reduce

_COMBINE = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


def _reduce_type(x: TensorType, *, axis: str, size: int, how: str) -> TensorType:
    if how not in _COMBINE or (x.dtype in BOOL and how not in ("max", "min")):
        raise ValueError(f"all_reduce has no {how!r} of {x.dtype}")
    return x


def _all_reduce(x: Array, *, axis: str, size: int, how: str) -> Array:
    """Combine the values of all ranks; 16-bit floats in float32."""
    wide = x.dtype.itemsize == 2 and is_float(dtype_name(x.dtype))
    arrays = [np.asarray(y, np.float32 if wide else x.dtype) for y in _group(axis, size).exchange(axis, x)]
    with np.errstate(all="ignore"):
        return functools.reduce(_COMBINE[how], arrays).astype(x.dtype)


ALL_REDUCE = Primitive(
    "all_reduce",
    type_rule=_reduce_type,
    reference=_all_reduce,
    vjp=None,
    cost=movement_cost,
    dtypes=DTYPES,
    samples=(
        Sample(((3, 2),), {"axis": "batch", "size": 1, "how": "max"}),
        Sample(((),), {"axis": "batch", "size": 1, "how": "min"}),
    ),
)


def all_reduce(x: Node, axis: str, size: int, how: str = "sum") -> Node:
    """Sum ("prod", "max", "min") of the values of all ranks; of bools, "max" is or and "min" is and."""
    return bind(ALL_REDUCE, x, axis=axis, size=size, how=how)


# ---------------------------------------------------------------- all_gather


def _gather_type(x: TensorType, *, axis: str, size: int, dim: int) -> TensorType:
    if not 0 <= dim < x.rank:
        raise ShapeError(f"all_gather of {x} has no dimension {dim}")
    return TensorType((*x.shape[:dim], x.shape[dim] * size, *x.shape[dim + 1 :]), x.dtype)


ALL_GATHER = Primitive(
    "all_gather",
    type_rule=_gather_type,
    reference=lambda x, *, axis, size, dim: np.concatenate(_group(axis, size).exchange(axis, x), dim),
    vjp=None,
    cost=movement_cost,
    dtypes=DTYPES,
    samples=(Sample(((3, 2),), {"axis": "batch", "size": 1, "dim": 1}),),
)


def all_gather(x: Node, axis: str, size: int, dim: int) -> Node:
    """Concatenate the shards of all ranks along dimension `dim`."""
    return bind(ALL_GATHER, x, axis=axis, size=size, dim=dim)


# ---------------------------------------------------------------- reduce_scatter


def _local_shard(x: Array, *, axis: str, size: int, dim: int) -> Array:
    return np.ascontiguousarray(np.split(x, size, dim)[_group(axis, size).index(axis)])


def _reduce_scatter(x: Array, *, axis: str, size: int, dim: int) -> Array:
    total = _all_reduce(x, axis=axis, size=size, how="sum")
    return _local_shard(total, axis=axis, size=size, dim=dim)


REDUCE_SCATTER = Primitive(
    "reduce_scatter",
    type_rule=lambda x, *, axis, size, dim: _shard_type("reduce_scatter", x, dim, size),
    reference=_reduce_scatter,
    vjp=None,
    cost=movement_cost,
    dtypes=NUMERIC,
    samples=(Sample(((3, 2),), {"axis": "batch", "size": 1, "dim": 0}),),
)


def reduce_scatter(x: Node, axis: str, size: int, dim: int) -> Node:
    """Sum the values of all ranks and return this rank's shard along dimension `dim`."""
    return bind(REDUCE_SCATTER, x, axis=axis, size=size, dim=dim)


# ---------------------------------------------------------------- shard

SHARD = Primitive(
    "shard",
    type_rule=lambda x, *, axis, size, dim: _shard_type("shard", x, dim, size),
    reference=_local_shard,
    vjp=None,
    cost=movement_cost,
    dtypes=DTYPES,
    samples=(Sample(((3, 2),), {"axis": "batch", "size": 1, "dim": 0}),),
)


def shard(x: Node, axis: str, size: int, dim: int) -> Node:
    """Return this rank's shard of a replicated value along dimension `dim`, without communication."""
    return bind(SHARD, x, axis=axis, size=size, dim=dim)


COLLECTIVES = {primitive.name: primitive for primitive in (ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, SHARD)}
