"""Slices at computed positions, and scatters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.core.convert import as_tensor, broadcast_node, cast_node
from hornbeam.core.dispatch import operation
from hornbeam.core.tensor import Tensor
from hornbeam.core.typing import TensorLike
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import full
from hornbeam.ir.sizes import certainly_exceeds
from hornbeam.ir.types import HornbeamTypeError, ShapeError, TensorType, is_integer
from hornbeam.ops._common import node_of, shape_of
from hornbeam.ops.joining import unstack


def _starts(start_indices: Sequence[TensorLike] | TensorLike, rank: int, name: str) -> list[Node]:
    if isinstance(start_indices, (list, tuple)):
        starts = [node_of(i) for i in start_indices]
    else:
        stacked: Any = start_indices
        starts = [t.node for t in unstack(as_tensor(stacked))]
    if len(starts) != rank or any(s.rank or not is_integer(s.dtype) for s in starts):
        raise ShapeError(f"{name}: needs {rank} integer start indices, got {start_indices!r}")
    return starts


@operation
def slice(
    inputs: TensorLike, start_indices: Sequence[TensorLike] | TensorLike, shape: Sequence[int]
) -> Tensor:
    """Extract a block; its start may be computed.

    A block that would reach beyond the end is moved back so that it fits.

    Args:
        inputs: Tensor of any shape.
        start_indices: Sequence of integers or of integer scalars, or a tensor of one axis, one for each axis.
        shape: Sequence of integers, the sizes of the block; -1 extends to the end, from a start that is
            known.

    Returns:
        Tensor of `shape`.

    Raises:
        ShapeError: If the block is larger than `inputs`, or a start or size is missing.

    Example:
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
    if any(size < 0 or certainly_exceeds(size, n) for size, n in zip(sizes, node.shape, strict=True)):
        raise ShapeError(f"slice: a block of {sizes} does not fit into shape {node.shape}")
    return Tensor(p.dynamic_slice(node, *starts, sizes=sizes))


@operation
def slice_update(
    inputs: TensorLike, start_indices: Sequence[TensorLike] | TensorLike, updates: TensorLike
) -> Tensor:
    """Replace the block that begins at `start_indices`.

    Args:
        inputs: Tensor of any shape.
        start_indices: Sequence of integers or of integer scalars, or a tensor of one axis, one for each axis.
        updates: Tensor with as many axes as `inputs`, the block.

    Returns:
        Tensor of the shape of `inputs`.

    Raises:
        ShapeError: If `updates` is larger than `inputs`.

    Example:
        >>> np.asarray(hornbeam.ops.slice_update([1, 2, 3], [1], [9])).tolist()
        [1, 9, 3]
    """
    node = node_of(inputs)
    block = cast_node(updates, node.dtype)
    if block.rank != node.rank or any(map(certainly_exceeds, block.shape, node.shape)):
        raise ShapeError(f"slice_update: updates of shape {block.shape} do not fit into shape {node.shape}")
    return Tensor(p.dynamic_update_slice(node, block, *_starts(start_indices, node.rank, "slice_update")))


@operation
def scatter(indices: TensorLike, values: TensorLike, shape: Sequence[int]) -> Tensor:
    """Add values to zeros at indices of the first k axes.

    Args:
        indices: Tensor (..., k) of integers.
        values: Tensor (..., *shape[k:]).
        shape: Sequence of integers, the shape of the result.

    Returns:
        Tensor of `shape`.

    Example:
        >>> np.asarray(hornbeam.ops.scatter([[0], [2], [2]], [1, 2, 3], (3,))).tolist()
        [1, 0, 5]
    """
    updates = node_of(values)
    return Tensor(
        p.scatter(full(0, TensorType(shape_of(shape), updates.dtype)), node_of(indices), updates, "add")
    )


@operation
def scatter_update(
    inputs: TensorLike, indices: TensorLike, updates: TensorLike, reduction: str | None = None
) -> Tensor:
    """Write values at indices of the first k axes.

    Args:
        inputs: Tensor of any shape.
        indices: Tensor (..., k) of integers; negative ones count from the end.
        updates: Tensor (..., *inputs.shape[k:]).
        reduction: None to write (the last of equal indices wins), or "add", "mul", "max" or "min" to combine
            with the present value.

    Returns:
        Tensor of the shape of `inputs`.

    Raises:
        ValueError: If `reduction` is unknown.
        HornbeamTypeError: If `indices` does not hold integers.

    Example:
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
