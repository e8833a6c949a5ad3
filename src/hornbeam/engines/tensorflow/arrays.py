"""Movement, reductions, gather and scatter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from hornbeam.engines.table import Table
from hornbeam.engines.tensorflow.elementwise import (
    HALVES,
    Tensor,
    at_least,
    in_wider_integers,
    is_empty,
    is_zero,
    long,
    maximum,
    minimum,
    sizes_of,
    widened,
    zero_like,
)
from hornbeam.ir.types import Shape, numpy_dtype

# -- shape ---------------------------------------------------------------------------------------------------


def _constant(*, data: bytes, shape: tuple[int, ...], dtype: str) -> Tensor:
    return tf.constant(np.frombuffer(data, numpy_dtype(dtype)).reshape(shape))


def _iota(*, dtype: str, shape: tuple[int, ...], axis: int) -> Tensor:
    steps = tf.cast(tf.range(shape[axis], dtype=tf.int64), numpy_dtype(dtype))
    return tf.broadcast_to(tf.reshape(steps, [-1 if a == axis else 1 for a in range(len(shape))]), shape)


def _broadcast(x: Tensor, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Tensor:
    sizes = [1] * len(shape)
    for size, axis in zip(sizes_of(x), dims, strict=True):
        sizes[axis] = size
    return tf.broadcast_to(tf.reshape(x, sizes), shape)


def pad(
    x: Tensor, value: Tensor, *, low: Sequence[int], high: Sequence[int], interior: Sequence[int]
) -> Tensor:
    for axis, between in enumerate(interior):
        size = sizes_of(x)[axis]
        if between and not is_zero(size):
            after = [[0, 0]] * (axis + 1) + [[0, between]] + [[0, 0]] * (x.shape.rank - axis - 1)
            x = tf.pad(tf.expand_dims(x, axis + 1), after, constant_values=value)
            spread = sizes_of(x)
            wide = [*spread[:axis], size * (between + 1), *spread[axis + 2 :]]
            x = tf.gather(tf.reshape(x, wide), tf.range(wide[axis] - between), axis=axis)
    grown = [[at_least(a, 0), at_least(b, 0)] for a, b in zip(low, high, strict=True)]
    if not all(is_zero(n) for pair in grown for n in pair):
        x = tf.pad(x, grown, constant_values=value)
    sizes = zip(sizes_of(x), low, high, strict=True)
    return x[tuple(slice(at_least(-a, 0), n - at_least(-b, 0)) for n, a, b in sizes)]


def _starts(starts: Sequence[Tensor], shape: Sequence[Any], sizes: Sequence[Any]) -> list[Tensor]:
    """Starts as int32, moved so that the block lies inside."""
    ends = [n - size for n, size in zip(shape, sizes, strict=True)]
    return [_inside_range(start, end) for start, end in zip(starts, ends, strict=True)]


def _inside_range(index: Tensor, last: Any) -> Tensor:
    largest = index.dtype.max
    if tf.is_tensor(last):
        top = tf.cast(tf.minimum(tf.cast(last, tf.int64), min(largest, tf.int64.max)), index.dtype)
    else:
        top = tf.constant(min(last, largest), index.dtype)
    return tf.cast(tf.maximum(tf.minimum(index, top), tf.zeros_like(index)), tf.int32)


def _dynamic_slice(x: Tensor, *starts: Tensor, sizes: tuple[int, ...]) -> Tensor:
    return tf.slice(x, tf.stack(_starts(starts, sizes_of(x), sizes)), sizes) if sizes else x


def _update(x: Tensor, update: Tensor, *starts: Tensor) -> Tensor:
    inside = tf.constant(True)
    if is_empty(update):
        return x
    shape, block = sizes_of(x), sizes_of(update)
    for axis, start in enumerate(_starts(starts, shape, block)):
        position, size = tf.range(shape[axis]) - start, block[axis]
        update = tf.gather(update, tf.clip_by_value(position, 0, size - 1), axis=axis)
        inside_axis = tf.reshape((position >= 0) & (position < size), [-1] + [1] * (x.shape.rank - axis - 1))
        inside = inside & inside_axis
    return tf.where(inside, update, x)


def _strided(x: Tensor, *, start: Shape, stop: Shape, step: Shape) -> Tensor:
    return x[tuple(map(slice, start, stop, step))] if start else x


SHAPE: Table = {
    "constant": _constant,
    "iota": _iota,
    "reshape": lambda x, *, shape: tf.reshape(x, shape),
    "transpose": lambda x, *, perm: tf.transpose(x, perm),
    "broadcast": _broadcast,
    "pad": pad,
    "slice": _strided,
    "concatenate": lambda *xs, axis: tf.concat(xs, axis),
    "reverse": lambda x, *, axes: tf.reverse(x, axes) if axes else x,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _update,
    "select": tf.where,
}


# -- reductions ----------------------------------------------------------------------------------------------


def _over(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """A reduction over `axes`; TensorFlow's are not defined for all dtypes, but int64 is among them."""
    return in_wider_integers(long, widened(lambda x, *, axes: fn(x, list(axes)) if axes else x))


def _extremes(fn: Callable[..., Tensor], of_nothing: Callable[[Any], Any]) -> Callable[..., Tensor]:
    """The largest or smallest over axes; NaN if there is one."""

    def extremes(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
        if not axes:
            return x
        if is_empty(x):
            kept = [size for axis, size in enumerate(x.shape) if axis not in axes]
            return tf.fill(kept, tf.constant(of_nothing(x.dtype), x.dtype))
        if x.dtype == tf.uint64:
            return _unsigned(fn(_sort_key(x), list(axes)))
        out = in_wider_integers(long, fn)(x, axis=list(axes))
        if not x.dtype.is_floating:
            return out
        return tf.where(tf.reduce_any(tf.math.is_nan(x), list(axes)), tf.constant(math.nan, x.dtype), out)

    return extremes


def _lowest(dtype: Any) -> bool | int | float:
    return -math.inf if dtype.is_floating else dtype.min


def _highest(dtype: Any) -> bool | int | float:
    return math.inf if dtype.is_floating else dtype.max


def _position(x: Tensor, axis: int, largest: bool) -> Tensor:
    """Index of the first largest (smallest) element along an axis; NaN comes first."""
    best = (tf.reduce_max if largest else tf.reduce_min)(x, axis, keepdims=True)
    is_best = x == best
    if x.dtype.is_floating:
        nans = tf.math.is_nan(x)
        is_best = tf.where(tf.reduce_any(nans, axis, keepdims=True), nans, is_best)
    return tf.argmax(tf.cast(is_best, tf.int32), axis, output_type=tf.int32)


def _cumulative(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return in_wider_integers(long, widened(lambda x, *, axis, reverse: fn(x, axis, reverse=reverse)))


def _running(pick: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Cumulative maximum or minimum by doubling: log2(n) steps."""

    def running(x: Tensor, *, axis: int, reverse: bool) -> Tensor:
        if x.shape[axis] is None:
            order = [axis, *(a for a in range(x.shape.rank) if a != axis)]
            steps = tf.scan(pick, tf.transpose(x, order), reverse=reverse)
            return tf.transpose(steps, np.argsort(order))
        x = tf.reverse(x, [axis]) if reverse else x
        size, reach = x.shape[axis], 1
        while reach < size:
            before, rest = tf.split(x, [reach, size - reach], axis)
            earlier = tf.split(x, [size - reach, reach], axis)[0]
            x, reach = tf.concat([before, pick(rest, earlier)], axis), 2 * reach
        return tf.reverse(x, [axis]) if reverse else x

    return running


def _sort_key(x: Tensor) -> Tensor:
    """Signed integers in the order of x: -0 equal to 0, NaN last."""
    if x.dtype.is_floating:
        x = tf.cast(x, tf.float32) if x.dtype in HALVES else x
        integer = {tf.float32: tf.int32, tf.float64: tf.int64}[x.dtype]
        bits = tf.bitcast(tf.where(x == 0, zero_like(x), x), integer)
        ordered = tf.where(bits < 0, tf.bitwise.bitwise_xor(bits, tf.constant(integer.max, integer)), bits)
        return tf.where(tf.math.is_nan(x), tf.constant(integer.max, integer), ordered)
    if x.dtype == tf.uint64:
        return tf.bitwise.bitwise_xor(tf.bitcast(x, tf.int64), tf.constant(tf.int64.min, tf.int64))
    return tf.cast(x, tf.int64)


def _unsigned(key: Tensor) -> Tensor:
    """The uint64 numbers that `_sort_key` made these of."""
    return tf.bitcast(tf.bitwise.bitwise_xor(key, tf.constant(tf.int64.min, tf.int64)), tf.uint64)


def _argsort(x: Tensor, *, axis: int) -> Tensor:
    key = _sort_key(x)
    if is_empty(x):
        return tf.zeros(sizes_of(x), tf.int32)
    moved = [a for a in range(x.shape.rank) if a != axis] + [axis]
    # All bits turned round, the smallest is the largest; of equals the first comes first.
    last = tf.bitwise.invert(tf.transpose(key, moved))
    return tf.transpose(tf.math.top_k(last, sizes_of(x)[axis]).indices, np.argsort(moved))


REDUCE: Table = {
    "reduce_sum": _over(tf.reduce_sum),
    "reduce_prod": _over(tf.reduce_prod),
    "reduce_max": _extremes(tf.reduce_max, _lowest),
    "reduce_min": _extremes(tf.reduce_min, _highest),
    "reduce_and": lambda x, *, axes: tf.reduce_all(x, list(axes)),
    "reduce_or": lambda x, *, axes: tf.reduce_any(x, list(axes)),
    "argmax": lambda x, *, axis: _position(x, axis, True),
    "argmin": lambda x, *, axis: _position(x, axis, False),
    "cumsum": _cumulative(tf.cumsum),
    "cumprod": _cumulative(tf.math.cumprod),
    "cummax": _running(maximum),
    "cummin": _running(minimum),
    "argsort": _argsort,
}


# -- gather, scatter -----------------------------------------------------------------------------------------


def _rows(shape: Sequence[Any], indices: Tensor, batch_dims: int) -> Tensor:
    """Numbers of the addressed rows, of x as (rows, rest), clamped into range; one per row of `indices`."""
    *grid, depth = sizes_of(indices)
    number = tf.zeros(grid, tf.int32)
    for axis in range(batch_dims):
        number = number * shape[axis] + _iota(dtype="int32", shape=tuple(grid), axis=axis)
    for i in range(depth):
        size = shape[batch_dims + i]
        number = number * size + _inside_range(indices[..., i], at_least(size - 1, 0))
    return tf.reshape(number, [-1])


def _gather(x: Tensor, indices: Tensor, *, batch_dims: int) -> Tensor:
    depth, shape = batch_dims + indices.shape[-1], sizes_of(x)
    flat = tf.reshape(x, [math.prod(shape[:depth]), *shape[depth:]])
    selected = tf.gather(flat, _rows(shape, indices, batch_dims))
    return tf.reshape(selected, [*sizes_of(indices)[:-1], *shape[depth:]])


def _combine(x: Tensor, rows: Tensor, updates: Tensor, mode: str) -> Tensor:
    """x (rows, rest) with `updates` (n, rest) combined at `rows` (n)."""
    count = sizes_of(x)[0]
    if mode == "set":  # later rows win, whatever order the device writes in
        winner = tf.math.unsorted_segment_max(tf.range(sizes_of(rows)[0]), rows, count)
        hit = (winner >= 0)[:, None]
        return tf.where(hit, tf.gather(updates, tf.maximum(winner, 0)), x)
    if mode == "mul":
        return x * tf.math.unsorted_segment_prod(updates, rows, count)
    fn = {
        "add": tf.tensor_scatter_nd_add, "max": tf.tensor_scatter_nd_max, "min": tf.tensor_scatter_nd_min
    }[mode]  # fmt: skip
    return fn(x, rows[:, None], updates)


def _scatter(x: Tensor, indices: Tensor, updates: Tensor, *, mode: str, batch_dims: int) -> Tensor:
    depth = batch_dims + indices.shape[-1]
    shape = sizes_of(x)
    rows = _rows(shape, indices, batch_dims)
    if is_empty(rows) or is_empty(x):
        return x
    width = math.prod(shape[depth:])
    flat = tf.reshape(x, [math.prod(shape[:depth]), width])
    parts = tf.reshape(updates, [sizes_of(rows)[0], width])
    if x.dtype == tf.bool:
        mode = {"add": "max", "mul": "min"}.get(mode, mode)
    wide = tf.float32 if x.dtype in HALVES else tf.int32 if x.dtype == tf.bool else long(x.dtype)
    if mode == "set" and x.dtype != tf.bool:
        wide = x.dtype
    if x.dtype == tf.uint64 and mode in ("max", "min"):  # int64 in the order of uint64
        return tf.reshape(_unsigned(_combine(_sort_key(flat), rows, _sort_key(parts), mode)), shape)
    out = tf.cast(_combine(tf.cast(flat, wide), rows, tf.cast(parts, wide), mode), x.dtype)
    return tf.reshape(out, shape)


INDEX: Table = {"gather": _gather, "scatter": _scatter}
