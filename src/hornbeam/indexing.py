"""`tensor[...]`: NumPy's indexing, made of slices, reshapes and gathers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam import primitives as p
from hornbeam.ir.graph import Node
from hornbeam.ir.types import ShapeError, is_integer
from hornbeam.tensor import Tensor, as_tensor, broadcast_node, broadcast_shapes, operation


@operation
def reshape(x: Any, newshape: Sequence[int] | int) -> Tensor:
    """`x` with the same values in a new shape; one size may be -1."""
    node = as_tensor(x).node
    shape = (newshape,) if isinstance(newshape, int) else tuple(int(size) for size in newshape)
    return Tensor(p.reshape(node, resolve_shape(node.shape, shape)))


def resolve_shape(old: tuple[int, ...], new: tuple[int, ...]) -> tuple[int, ...]:
    """`new` with its -1 replaced. Raises ShapeError when the sizes do not match."""
    count = int(np.prod(old, dtype=np.int64))
    if new.count(-1) > 1:
        raise ShapeError(f"only one size may be -1, got {new}")
    if -1 in new:
        known = int(np.prod([size for size in new if size != -1], dtype=np.int64))
        if known == 0 or count % known:
            raise ShapeError(f"cannot reshape {old} ({count} values) to {new}")
        new = tuple(count // known if size == -1 else size for size in new)
    if int(np.prod(new, dtype=np.int64)) != count:
        raise ShapeError(f"cannot reshape {old} ({count} values) to {new}")
    return new


@operation
def getitem(x: Any, key: Any) -> Tensor:
    """NumPy's basic and integer-array indexing; boolean masks need a value that is known (eager code)."""
    node = as_tensor(x).node
    parts = _expand(key if isinstance(key, tuple) else (key,), node.rank)
    basic, arrays = _split(parts, node.shape)
    node, axis_of = _basic(node, basic)
    if arrays:
        node = _advanced(node, [(axis_of[i], index) for i, index in arrays])
    return Tensor(node)


def _expand(parts: tuple, rank: int) -> list:
    """Replace Ellipsis and boolean masks, and pad with full slices."""
    expanded: list[Any] = []
    for part in parts:
        if isinstance(part, (list, np.ndarray)) or (isinstance(part, Tensor) and part.dtype == "bool"):
            array = np.asarray(part)
            if array.dtype == bool:
                expanded.extend(np.nonzero(array))
                continue
        expanded.append(part)
    used = sum(part is not None and part is not Ellipsis for part in expanded)
    if used > rank:
        raise ShapeError(f"too many indices: {used} for a tensor with {rank} axes")
    fill = [slice(None)] * (rank - used)
    at = next((i for i, part in enumerate(expanded) if part is Ellipsis), None)
    if at is None:
        return expanded + fill
    return expanded[:at] + fill + expanded[at + 1 :]


def _is_scalar(part: Any) -> bool:
    return isinstance(part, (int, np.integer)) and not isinstance(part, bool)


def _split(parts: list, shape: tuple[int, ...]) -> tuple[list, list[tuple[int, Any]]]:
    """Basic parts (an array index stands as a full slice) and the array indices with their place among the parts."""
    basic, arrays = [], []
    for place, part in enumerate(parts):
        if part is None or isinstance(part, slice) or _is_scalar(part):
            basic.append(part)
        else:
            basic.append(slice(None))
            arrays.append((place, as_tensor(part)))
    return basic, arrays


def _basic(node: Node, parts: list) -> tuple[Node, dict[int, int]]:
    """Apply slices, integers and None; also say at which output axis each part ended up."""
    starts, stops, steps, flips, shape = [], [], [], [], []
    axis_of: dict[int, int] = {}
    axis = 0
    for place, part in enumerate(parts):
        if part is None:
            shape.append(1)
            continue
        size = node.shape[axis]
        if _is_scalar(part):
            index = int(part)
            if not -size <= index < size:
                raise IndexError(f"index {index} is out of range for axis {axis} with size {size}")
            index %= size
            start, stop, step = index, index + 1, 1
        else:
            start, stop, step = part.indices(size)
            count = len(range(start, stop, step))
            if step < 0:
                flips.append(axis)
                start, stop, step = start + (count - 1) * step, start + 1, -step
            stop = max(start, min(stop, size)) if count else start
            axis_of[place] = len(shape)
            shape.append(count)
        starts.append(start)
        stops.append(stop)
        steps.append(step)
        axis += 1
    node = p.slice_(node, tuple(starts), tuple(stops), tuple(steps))
    node = p.reverse(node, tuple(flips)) if flips else node
    return p.reshape(node, tuple(shape)), axis_of


def _advanced(node: Node, arrays: list[tuple[int, Tensor]]) -> Node:
    """Integer arrays: move their axes to the front, gather, and put the result where NumPy puts it."""
    axes = [axis for axis, _ in arrays]
    for _, index in arrays:
        if not is_integer(index.dtype):
            raise IndexError(f"an index must be an integer, a slice or an integer array, got {index.dtype}")
    shape = broadcast_shapes(*(index.shape for _, index in arrays))
    columns = [_wrapped(index.node, node.shape[axis], shape) for axis, index in arrays]
    indices = p.concatenate(*(p.reshape(c, (*shape, 1)) for c in columns), axis=len(shape))
    rest = [i for i in range(node.rank) if i not in axes]
    gathered = p.gather(p.transpose(node, (*axes, *rest)), indices)
    if axes != list(range(axes[0], axes[0] + len(axes))):
        return gathered
    before = axes[0]
    perm = [*range(len(shape), len(shape) + before), *range(len(shape)), *range(len(shape) + before, gathered.rank)]
    return p.transpose(gathered, tuple(perm))


def _wrapped(index: Node, size: int, shape: tuple[int, ...]) -> Node:
    """Negative indices counted from the end."""
    index = broadcast_node(p.convert(index, "int32"), shape)
    return p.select(p.lt(index, p.zeros_like(index)), index + size, index)
