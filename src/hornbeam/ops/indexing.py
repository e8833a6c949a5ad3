"""Slices at computed positions, and scatters."""

from __future__ import annotations

from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_node, cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, is_integer
from hornbeam.ops._common import node_of, shape_of
from hornbeam.ops.shaping import unstack


def _starts(start_indices: Any, rank: int, name: str) -> list[Node]:
    if isinstance(start_indices, (list, tuple)):
        starts = [node_of(i) for i in start_indices]
    else:
        starts = [t.node for t in unstack(as_tensor(start_indices))]
    if len(starts) != rank or any(s.rank or not is_integer(s.dtype) for s in starts):
        raise ShapeError(f"{name}: needs {rank} integer start indices, got {start_indices!r}")
    return starts


@operation
def slice(inputs: Any, start_indices: Any, shape: Any) -> Tensor:
    """The block of `shape` of `inputs` that begins at `start_indices`, which may be computed values.

    A size of -1 takes all that is left (the start must then be a known number). A block that would reach
    beyond the end is moved back so that it fits.

    >>> np.asarray(hornbeam.ops.slice([1, 2, 3, 4], [1], [2])).tolist()
    [2, 3]
    """
    node, sizes = node_of(inputs), shape_of(shape)
    starts = _starts(start_indices, node.rank, "slice")
    if len(sizes) != node.rank:
        raise ShapeError(f"slice: needs {node.rank} sizes, got {sizes}")
    known = [int(Tensor(s)) if size == -1 else 0 for s, size in zip(starts, sizes, strict=True)]
    sizes = tuple(
        n - at if size == -1 else size for n, at, size in zip(node.shape, known, sizes, strict=True)
    )
    if any(not 0 <= size <= n for size, n in zip(sizes, node.shape, strict=True)):
        raise ShapeError(f"slice: a block of {sizes} does not fit into shape {node.shape}")
    return Tensor(p.dynamic_slice(node, *starts, sizes=sizes))


@operation
def slice_update(inputs: Any, start_indices: Any, updates: Any) -> Tensor:
    """`inputs` with the block that begins at `start_indices` replaced by `updates`.

    >>> np.asarray(hornbeam.ops.slice_update([1, 2, 3], [1], [9])).tolist()
    [1, 9, 3]
    """
    node = node_of(inputs)
    block = cast_node(updates, node.dtype)
    if block.rank != node.rank or any(a > b for a, b in zip(block.shape, node.shape, strict=True)):
        raise ShapeError(f"slice_update: updates of shape {block.shape} do not fit into shape {node.shape}")
    return Tensor(p.dynamic_update_slice(node, block, *_starts(start_indices, node.rank, "slice_update")))


@operation
def scatter(indices: Any, values: Any, shape: Any) -> Tensor:
    """Zeros of `shape` with `values` added at `indices` (..., k), which address the first k axes.

    >>> np.asarray(hornbeam.ops.scatter([[0], [2], [2]], [1, 2, 3], (3,))).tolist()
    [1, 0, 5]
    """
    updates = node_of(values)
    return Tensor(
        p.scatter(full(0, TensorType(shape_of(shape), updates.dtype)), node_of(indices), updates, "add")
    )


@operation
def scatter_update(inputs: Any, indices: Any, updates: Any, reduction: str | None = None) -> Tensor:
    """`inputs` with `updates` written at `indices` (..., k), which address the first k axes.

    reduction: None writes (the last of equal indices wins); "add", "mul", "max", "min" combine with what is
    there.

    >>> np.asarray(hornbeam.ops.scatter_update([1, 2, 3], [[1]], [9])).tolist()
    [1, 9, 3]
    """
    modes = {None: "set", "add": "add", "mul": "mul", "max": "max", "min": "min"}
    if reduction not in modes:
        raise ValueError(f'reduction must be None, "add", "mul", "max" or "min", got {reduction!r}')
    node, index = node_of(inputs), node_of(indices)
    if not is_integer(index.dtype):
        raise HornbeamTypeError(f"scatter_update needs integer indices, got {index.dtype}")
    depth = index.shape[-1]
    sizes = full(0, TensorType((), index.dtype))
    wrap = p.constant(np.asarray(node.shape[:depth]), index.dtype)
    wrap = broadcast_node(wrap, index.shape)
    index = p.select(p.lt(index, broadcast_node(sizes, index.shape)), index + wrap, index)
    return Tensor(p.scatter(node, index, cast_node(updates, node.dtype), modes[reduction]))
