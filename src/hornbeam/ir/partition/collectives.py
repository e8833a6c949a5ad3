"""Collectives: what the members of a mesh axis compute together, each from a piece of its own.

They are no part of the vocabulary: only graphs that were cut for a mesh contain them, and only engines on one
have them. What a member computes depends on the others, so a reference asks the group that is open in its
thread; where none is open, a member is alone. There is no derivative: gradients are in a graph before it is
cut.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Primitive, Sample, bind, movement_cost
from hornbeam.ir.types import BOOL, DTYPES, NUMERIC, ShapeError, TensorType, dtype_name, is_float

Array = np.ndarray

__all__ = ["COLLECTIVES", "all_gather", "all_reduce", "grouped", "reduce_scatter", "shard"]


class Group(Protocol):
    """The members of the mesh axes, as the one that runs in this thread sees them."""

    def index(self, axis: str) -> int:
        """Its number on an axis."""
        ...

    def exchange(self, axis: str, array: Array) -> Sequence[Array]:
        """What all members on an axis gave, in their order. All of them call it together."""
        ...


_local = threading.local()


@contextmanager
def grouped(group: Group) -> Iterator[None]:
    """Inside, and in this thread, references of collectives meet the members of `group`."""
    _local.group = group
    try:
        yield
    finally:
        del _local.group


class Alone:
    """The group of a thread that has none."""

    def index(self, axis: str) -> int:
        return 0

    def exchange(self, axis: str, array: Array) -> Sequence[Array]:
        return [array]


def _group(axis: str, size: int) -> Group:
    group: Group = getattr(_local, "group", None) or Alone()
    if size != 1 and isinstance(group, Alone):
        raise RuntimeError(f"a collective of {size} members along {axis!r} was run by one alone")
    return group


def _cut(name: str, x: TensorType, dim: int, size: int) -> TensorType:
    """x with a `size`-th of dimension `dim`."""
    if not 0 <= dim < x.rank or x.shape[dim] % size:
        raise ShapeError(f"{name} cannot cut dimension {dim} of {x} into {size} equal pieces")
    return TensorType((*x.shape[:dim], x.shape[dim] // size, *x.shape[dim + 1 :]), x.dtype)


# ---------------------------------------------------------------- all_reduce

_COMBINE = {"sum": np.add, "prod": np.multiply, "max": np.maximum, "min": np.minimum}


def _reduce_type(x: TensorType, *, axis: str, size: int, how: str) -> TensorType:
    if how not in _COMBINE or (x.dtype in BOOL and how not in ("max", "min")):
        raise ValueError(f"all_reduce has no {how!r} of {x.dtype}")
    return x


def _all_reduce(x: Array, *, axis: str, size: int, how: str) -> Array:
    """16-bit floats add up in float32."""
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
    """The sum ("prod", "max", "min") of what all members have; of bools, "max" is or and "min" is and."""
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
    """The pieces of all members, one after the other along dimension `dim`."""
    return bind(ALL_GATHER, x, axis=axis, size=size, dim=dim)


# ---------------------------------------------------------------- reduce_scatter


def _piece(x: Array, *, axis: str, size: int, dim: int) -> Array:
    return np.ascontiguousarray(np.split(x, size, dim)[_group(axis, size).index(axis)])


def _reduce_scatter(x: Array, *, axis: str, size: int, dim: int) -> Array:
    total = _all_reduce(x, axis=axis, size=size, how="sum")
    return _piece(total, axis=axis, size=size, dim=dim)


REDUCE_SCATTER = Primitive(
    "reduce_scatter",
    type_rule=lambda x, *, axis, size, dim: _cut("reduce_scatter", x, dim, size),
    reference=_reduce_scatter,
    vjp=None,
    cost=movement_cost,
    dtypes=NUMERIC,
    samples=(Sample(((3, 2),), {"axis": "batch", "size": 1, "dim": 0}),),
)


def reduce_scatter(x: Node, axis: str, size: int, dim: int) -> Node:
    """Of the sum of what all members have, this member's piece along dimension `dim`."""
    return bind(REDUCE_SCATTER, x, axis=axis, size=size, dim=dim)


# ---------------------------------------------------------------- shard

SHARD = Primitive(
    "shard",
    type_rule=lambda x, *, axis, size, dim: _cut("shard", x, dim, size),
    reference=_piece,
    vjp=None,
    cost=movement_cost,
    dtypes=DTYPES,
    samples=(Sample(((3, 2),), {"axis": "batch", "size": 1, "dim": 0}),),
)


def shard(x: Node, axis: str, size: int, dim: int) -> Node:
    """This member's piece of a value that all members have, along dimension `dim`: nothing is sent."""
    return bind(SHARD, x, axis=axis, size=size, dim=dim)


COLLECTIVES = {made.name: made for made in (ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, SHARD)}
