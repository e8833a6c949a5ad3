"""Functions of `tf` that create tensors, change shapes, and select or reorder elements.

Arguments are TensorFlow's.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, SupportsInt

import numpy as np

from hornbeam import Tensor, ops
from hornbeam import random as hb_random
from hornbeam.extensions.tensors import as_tensor
from hornbeam_compat.tensorflow.dtypes import TensorShape, int32
from hornbeam_compat.tensorflow.strings import StringTensor, holds_text
from hornbeam_compat.tensorflow.tensors import axes_of, integers_of, sizes_of
from hornbeam_compat.tensorflow.typing import (
    AxisLike,
    DTypeLike,
    ShapeLike,
    TensorLike,
    Tensors,
    TextOrTensor,
)


class Count(int):
    """A size: a Python integer with the attributes of a scalar tensor."""

    shape = TensorShape(())
    dtype = int32

    def numpy(self) -> np.int32:
        return np.int32(self)


class Sizes(np.ndarray):
    """Result of `tf.shape`: sizes, known on the host. Indexing returns an integer, or an unknown size."""

    def numpy(self) -> np.ndarray:
        return np.asarray(self)

    def __getitem__(self, key: Any) -> Any:
        part = super().__getitem__(key)
        if isinstance(part, np.ndarray) and part.ndim:
            return part
        return Count(part) if isinstance(part, (int, np.integer, np.ndarray)) else part

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in builtins.range(len(self)))


def _sizes(values: Tensors) -> Sizes:
    known = all(isinstance(value, (int, np.integer)) for value in values)
    if known:
        return np.asarray(values, np.int32).view(Sizes)
    array = np.empty(len(values), object)
    for index, value in enumerate(values):
        array[index] = value
    return array.view(Sizes)


def shape(input: TensorLike, out_type: object = "int32", name: str | None = None) -> Sizes:
    """Return the sizes of `input`."""
    return _sizes(input.shape if hasattr(input, "shape") else as_tensor(input).shape)


def size(input: TensorLike, out_type: object = "int32", name: str | None = None) -> int:
    """Return the number of elements."""
    sizes = shape(input)
    return Count(np.prod(sizes, dtype=np.int64)) if sizes.dtype != object else math.prod(sizes.tolist())


def rank(input: TensorLike, name: str | None = None) -> Count:
    """Return the number of axes."""
    return Count(len(shape(input)))


# -- creation ------------------------------------------------------------------------------------------------


def zeros(shape: ShapeLike, dtype: DTypeLike = "float32", name: str | None = None) -> TextOrTensor:
    """Create zeros, or empty strings."""
    if str(dtype) == "string":
        return StringTensor(np.full(tuple(sizes_of(shape)), b"", object))
    return ops.zeros(sizes_of(shape), dtype)


def ones(shape: ShapeLike, dtype: DTypeLike = "float32", name: str | None = None) -> Tensor:
    """Create ones."""
    return ops.ones(sizes_of(shape), dtype)


def zeros_like(input: TensorLike, dtype: DTypeLike | None = None, name: str | None = None) -> Tensor:
    """Create zeros in the shape of `input`."""
    return ops.zeros_like(input, dtype)


def ones_like(input: TensorLike, dtype: DTypeLike | None = None, name: str | None = None) -> Tensor:
    """Create ones in the shape of `input`."""
    return ops.ones_like(input, dtype)


def fill(dims: ShapeLike, value: TensorLike, name: str | None = None) -> Tensor:
    """Create a tensor of shape `dims` filled with `value`."""
    return ops.full(sizes_of(dims), value)


def eye(
    num_rows: SupportsInt, num_columns: SupportsInt | None = None, batch_shape: ShapeLike | None = None,
    dtype: DTypeLike = "float32", name: str | None = None,
) -> Tensor:  # fmt: skip
    """Create identity matrices."""
    matrix = ops.eye(int(num_rows), None if num_columns is None else int(num_columns), dtype=dtype)
    if batch_shape is None:
        return matrix
    return ops.broadcast_to(matrix, (*sizes_of(batch_shape), *matrix.shape))


def range(
    start: float | Tensor, limit: float | Tensor | None = None, delta: float | Tensor = 1,
    dtype: DTypeLike | None = None, name: str = "range",
) -> Tensor:  # fmt: skip
    """Return start, start + delta, ... below limit."""
    bounds = [x.numpy() if isinstance(x, Tensor) else x for x in (start, limit, delta) if x is not None]
    first, last = (0, bounds[0]) if limit is None else bounds[:2]
    return ops.arange(first, last, bounds[-1], dtype=dtype)


def linspace(start: TensorLike, stop: TensorLike, num: int, name: str | None = None, axis: int = 0) -> Tensor:
    """Return `num` evenly spaced numbers from start to stop."""
    return ops.linspace(start, stop, int(num), axis=axis)


def one_hot(
    indices: TensorLike, depth: int, on_value: TensorLike | None = None, off_value: TensorLike | None = None,
    axis: int | None = None, dtype: DTypeLike | None = None, name: str | None = None,
) -> Tensor:  # fmt: skip
    """Encode indices: `on_value` (1 by default) at each index, `off_value` (0) elsewhere."""
    encoded = ops.one_hot(indices, int(depth), axis=-1 if axis is None else axis, dtype=dtype or "float32")
    if on_value is None and off_value is None:
        return encoded
    high, low = (1 if on_value is None else on_value), (0 if off_value is None else off_value)
    return encoded * high + (1 - encoded) * low


def meshgrid(*args: TensorLike, indexing: str = "xy", **kwargs: object) -> list[Tensor]:
    """Return coordinates on a grid."""
    return list(ops.meshgrid(*args, indexing=indexing))


def sequence_mask(
    lengths: TensorLike, maxlen: SupportsInt | None = None, dtype: DTypeLike = "bool", name: str | None = None
) -> Tensor:
    """Return a mask with a new last axis, True at its first `lengths` positions."""
    counts = as_tensor(lengths)
    longest = int(ops.max(counts)) if maxlen is None else int(maxlen)
    return ops.cast(ops.arange(longest, dtype=counts.dtype) < ops.expand_dims(counts, -1), dtype)


# -- shapes --------------------------------------------------------------------------------------------------


def reshape(tensor: TensorLike, shape: ShapeLike, name: str | None = None) -> TextOrTensor:
    """Reshape a tensor."""
    sizes = sizes_of(shape)
    return (
        StringTensor(StringTensor(tensor).array.reshape(sizes))
        if holds_text(tensor)
        else ops.reshape(tensor, sizes)
    )


def transpose(
    a: TensorLike, perm: ShapeLike | None = None, conjugate: bool = False, name: str = "transpose"
) -> Tensor:
    """Permute the axes by `perm`, or reverse them."""
    return ops.transpose(a, axes=None if perm is None else sizes_of(perm))


def expand_dims(input: TensorLike, axis: int, name: str | None = None) -> TextOrTensor:
    """Insert an axis of size 1."""
    if holds_text(input):
        return StringTensor(np.expand_dims(StringTensor(input).array, axis))
    return ops.expand_dims(input, axis)


def squeeze(input: TensorLike, axis: AxisLike = None, name: str | None = None) -> TextOrTensor:
    """Remove axes of size 1."""
    if holds_text(input):
        return StringTensor(np.squeeze(StringTensor(input).array, axes_of(axis)))
    return ops.squeeze(input, axis=axes_of(axis))


def concat(values: Tensors, axis: int, name: str = "concat") -> TextOrTensor | Sizes:
    """Concatenate tensors along an axis."""
    parts = list(values)
    if holds_text(parts):
        return StringTensor(np.concatenate([StringTensor(part).array for part in parts], int(axis)))
    if all(isinstance(part, (list, tuple, np.ndarray, int, np.integer)) for part in parts):
        arrays = [np.asarray(part) for part in parts]
        are_sizes = all(array.dtype.kind in "iu" and array.ndim == 1 for array in arrays)
        if are_sizes and all(part.dtype == np.int32 for part in parts if isinstance(part, np.ndarray)):
            return _sizes(np.concatenate(arrays))
    return ops.concatenate(parts, axis=int(axis))


def stack(values: Tensors, axis: int = 0, name: str = "stack") -> TextOrTensor | Sizes:
    """Stack tensors along a new axis."""
    if all(isinstance(part, (int, np.integer)) for part in values):
        return _sizes(values)
    return ops.stack(list(values), axis=axis)


def unstack(value: TensorLike, num: int | None = None, axis: int = 0, name: str = "unstack") -> list[Any]:
    """Split a tensor along an axis, and remove that axis."""
    return list(value) if isinstance(value, Sizes) else list(ops.unstack(value, num, axis=axis))


def split(
    value: TensorLike, num_or_size_splits: ShapeLike, axis: int = 0, num: object = None, name: str = "split"
) -> list[Tensor]:
    """Split into equal parts, or into parts of the given sizes, of which one may be -1."""
    if isinstance(num_or_size_splits, int):
        return list(ops.split(value, num_or_size_splits, axis=axis))
    sizes = list(sizes_of(num_or_size_splits))
    if -1 in sizes:
        unknown = sizes.index(-1)
        sizes[unknown] = as_tensor(value).shape[axis] - (sum(sizes) + 1)
    return list(ops.split(value, [int(end) for end in np.cumsum(sizes)[:-1]], axis=axis))


def tile(input: TensorLike, multiples: ShapeLike, name: str | None = None) -> Tensor:
    """Repeat the tensor along every axis."""
    return ops.tile(input, sizes_of(multiples))


def repeat(
    input: TensorLike, repeats: int | Sequence[int], axis: int | None = None, name: str | None = None
) -> Tensor:
    """Repeat each element."""
    return ops.repeat(input, repeats, axis=axis)


def broadcast_to(input: TensorLike, shape: ShapeLike, name: str | None = None) -> Tensor:
    """Broadcast `input` to a larger shape."""
    return ops.broadcast_to(input, sizes_of(shape))


def pad(
    tensor: TensorLike, paddings: TensorLike, mode: str = "CONSTANT", constant_values: float = 0,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Pad each axis by (before, after)."""
    widths = [(int(low), int(high)) for low, high in np.asarray(paddings)]
    kind = mode.lower()
    if kind == "constant":
        return ops.pad(tensor, widths, mode=kind, constant_values=constant_values)
    return ops.pad(tensor, widths, mode=kind)


def reverse(tensor: TensorLike, axis: AxisLike, name: str | None = None) -> Tensor:
    """Reverse the order of elements along axes."""
    return ops.flip(tensor, axis=axes_of(axis))


def roll(input: TensorLike, shift: TensorLike, axis: AxisLike, name: str | None = None) -> Tensor:
    """Shift elements cyclically along axes."""
    return ops.roll(input, shift=integers_of(shift), axis=axes_of(axis))


def slice(input_: TensorLike, begin: ShapeLike, size: ShapeLike, name: str | None = None) -> Tensor:
    """Return `size` elements from `begin` on; -1 means all that remain."""
    key = tuple(
        builtins.slice(start, None if count == -1 else start + count)
        for start, count in zip(sizes_of(begin), sizes_of(size), strict=True)
    )
    return as_tensor(input_)[key]


# -- selection -----------------------------------------------------------------------------------------------


def where(
    condition: TensorLike, x: TensorLike | None = None, y: TensorLike | None = None, name: str | None = None
) -> Tensor:
    """Select x where the condition is true, else y; without both, return the indices of true elements."""
    if x is None and y is None:
        return ops.cast(ops.stack(list(ops.nonzero(condition)), axis=-1), "int64")
    if x is None or y is None:
        raise ValueError("tf.where takes both x and y, or none of them")
    return ops.where(condition, x, y)


def gather(
    params: TensorLike, indices: TensorLike, validate_indices: object = None, axis: int | None = None,
    batch_dims: int = 0, name: str | None = None,
) -> TextOrTensor:  # fmt: skip
    """Take slices of `params` at `indices` along `axis`."""
    if holds_text(params):
        return StringTensor(StringTensor(params).array[np.asarray(indices)])
    if not batch_dims:
        return ops.take(params, indices, axis=0 if axis is None else axis)
    table, index = as_tensor(params), as_tensor(indices)
    count = batch_dims + index.ndim if batch_dims < 0 else batch_dims
    at = count if axis is None else axis % table.ndim
    if at < count:
        raise ValueError(f"gather: axis {axis} must not be before batch_dims={batch_dims}")
    places = [
        ops.reshape(ops.arange(table.shape[i]), (*(1,) * i, -1, *(1,) * (index.ndim - i - 1)))
        for i in builtins.range(count)
    ]
    places = [ops.broadcast_to(numbers, index.shape) for numbers in places]
    where_to_read = (*places, index)
    result = ops.moveaxis(table, at, count)[where_to_read]
    # The axes of `indices` come after those between the batch and `axis`.
    between = [*builtins.range(index.ndim, index.ndim + at - count)]
    order = [
        *builtins.range(count),
        *between,
        *builtins.range(count, index.ndim),
        *builtins.range(index.ndim + at - count, result.ndim),
    ]
    return ops.transpose(result, order) if between else result


def gather_nd(
    params: TensorLike, indices: TensorLike, batch_dims: int = 0, name: str | None = None
) -> Tensor:
    """Take the elements of `params` whose indices are along the last axis of `indices`."""
    if batch_dims:
        raise NotImplementedError("tf.gather_nd(batch_dims=) is not supported by `hornbeam run`")
    return as_tensor(params)[tuple(ops.unstack(as_tensor(indices), axis=-1))]


def boolean_mask(
    tensor: TensorLike, mask: TensorLike, axis: int | None = None, name: str = "boolean_mask"
) -> Tensor:
    """Select by a mask. Its values must be known: it does not work inside compiled functions."""
    key = (*(builtins.slice(None),) * (axis or 0), np.asarray(mask).astype(bool))
    return as_tensor(tensor)[key]


def scatter_nd(indices: TensorLike, updates: TensorLike, shape: ShapeLike, name: str | None = None) -> Tensor:
    """Create zeros of a shape, and add `updates` at `indices`."""
    return ops.scatter(indices, updates, sizes_of(shape))


def _scatter(reduction: str | None) -> Callable[..., Tensor]:
    def update(
        tensor: TensorLike, indices: TensorLike, updates: TensorLike, name: str | None = None
    ) -> Tensor:
        """Combine the elements at `indices` with `updates`: replace them, add to them, keep the larger ..."""
        return ops.scatter_update(tensor, indices, updates, reduction=reduction)

    return update


tensor_scatter_nd_update, tensor_scatter_nd_add = _scatter(None), _scatter("add")
tensor_scatter_nd_max, tensor_scatter_nd_min = _scatter("max"), _scatter("min")


def tensor_scatter_nd_sub(
    tensor: TensorLike, indices: TensorLike, updates: TensorLike, name: str | None = None
) -> Tensor:
    """Subtract `updates` from the elements at `indices`."""
    return tensor_scatter_nd_add(tensor, indices, -as_tensor(updates))


def sort(values: TensorLike, axis: int = -1, direction: str = "ASCENDING", name: str | None = None) -> Tensor:
    """Sort along an axis."""
    ascending = ops.sort(values, axis=axis)
    return ascending if direction == "ASCENDING" else ops.flip(ascending, axis=axis)


def argsort(
    values: TensorLike, axis: int = -1, direction: str = "ASCENDING", stable: bool = False,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Return the indices that sort along an axis."""
    keys = as_tensor(values)
    return ops.argsort(keys if direction == "ASCENDING" else -keys, axis=axis)


def searchsorted(
    sorted_sequence: TensorLike, values: TensorLike, side: str = "left", out_type: DTypeLike = "int32",
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Return the positions at which insertion of `values` keeps the sequence sorted."""
    return ops.cast(ops.searchsorted(sorted_sequence, values, side=side), out_type)


def unique(x: TensorLike, out_idx: DTypeLike = "int32", name: str | None = None) -> tuple[Tensor, Tensor]:
    """Return the distinct values by first occurrence, and the index of each element among them."""
    array = np.asarray(x)
    values, first, inverse = np.unique(array, return_index=True, return_inverse=True)
    order = np.argsort(first)
    positions = np.empty_like(order)
    positions[order] = np.arange(len(order))
    return as_tensor(values[order]), as_tensor(positions[inverse.reshape(-1)].astype(out_idx))


def unique_with_counts(
    x: TensorLike, out_idx: DTypeLike = "int32", name: str | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the distinct values by first occurrence, the index of each element, and their counts."""
    values, positions = unique(x, out_idx)
    counts = np.bincount(np.asarray(positions), minlength=values.shape[0])
    return values, positions, as_tensor(counts.astype(str(out_idx)))


def dynamic_partition(
    data: TensorLike, partitions: TensorLike, num_partitions: int, name: str | None = None
) -> list[Tensor]:
    """Split rows by the number of their part. Those numbers must be known: not inside compiled functions."""
    numbers = np.asarray(partitions)
    tensor = as_tensor(data)
    return [tensor[np.nonzero(numbers == i)] for i in builtins.range(num_partitions)]


def dynamic_stitch(indices: Tensors, data: Tensors, name: str | None = None) -> Tensor:
    """Merge rows of several tensors to the places `indices`."""
    places = np.concatenate([np.asarray(x).reshape(-1) for x in indices])
    parts = [
        ops.reshape(as_tensor(x), (-1, *as_tensor(x).shape[np.asarray(i).ndim :]))
        for i, x in zip(indices, data, strict=True)
    ]
    order = np.zeros(int(places.max()) + 1, np.int32)
    order[places] = np.arange(len(places))
    return ops.take(ops.concatenate(parts), order, axis=0)


def reverse_sequence(
    input: TensorLike, seq_lengths: TensorLike, seq_axis: int = 1, batch_axis: int = 0,
    name: str | None = None,
) -> Tensor:  # fmt: skip
    """Reverse the first `seq_lengths` entries of each sequence."""
    tensor = ops.moveaxis(as_tensor(input), (batch_axis, seq_axis), (0, 1))
    steps = ops.arange(tensor.shape[1], dtype="int32")
    lengths = ops.expand_dims(ops.cast(as_tensor(seq_lengths), "int32"), 1)
    places = ops.where(steps < lengths, lengths - 1 - steps, steps)
    rows = ops.expand_dims(ops.arange(tensor.shape[0], dtype="int32"), 1)
    return ops.moveaxis(tensor[rows, places], (0, 1), (batch_axis, seq_axis))


def shuffle(value: TensorLike, seed: int | None = None, name: str | None = None) -> Tensor:
    """Shuffle along the first axis."""
    return hb_random.shuffle(value, seed=seed)
