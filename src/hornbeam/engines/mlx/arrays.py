"""Movement, reductions, gather and scatter."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from hornbeam.engines.mlx.elementwise import HALVES, Array, convert, dtype_name, is_float, mlx_dtype, widened
from hornbeam.engines.table import Table
from hornbeam.ir.types import Shape, numpy_dtype


def as_mlx(array: np.ndarray) -> Array:
    """Copy an array of NumPy."""
    name = array.dtype.name
    return mx.array(array, dtype=mlx_dtype(name))


def filled(shape: Sequence[int], value: Any, dtype: mx.Dtype) -> Array:
    """Fill an array with a number; MLX's own function takes no uint64 above the largest int64."""
    return mx.broadcast_to(as_mlx(np.array(value, numpy_dtype(dtype_name(dtype)))), shape)


@functools.lru_cache(maxsize=4096)
def _constant(*, data: bytes, shape: tuple[int, ...], dtype: str) -> Array:
    return as_mlx(np.frombuffer(data, numpy_dtype(dtype)).reshape(shape))


def _iota(*, dtype: str, shape: tuple[int, ...], axis: int) -> Array:
    steps = mx.arange(shape[axis], dtype=mx.int32).astype(mlx_dtype(dtype))
    return mx.broadcast_to(steps.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape)


def _broadcast(x: Array, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    sizes = [1] * len(shape)
    for size, axis in zip(x.shape, dims, strict=True):
        sizes[axis] = size
    return mx.broadcast_to(x.reshape(sizes), shape)


def _pad(x: Array, value: Array, *, low: Shape, high: Shape, interior: Shape) -> Array:
    if any(interior) and x.size:
        sizes = [n + (n - 1) * i for n, i in zip(x.shape, interior, strict=True)]
        spread = mx.broadcast_to(value, sizes)
        steps = [i + 1 for i in interior]
        x = _spread(spread, x, steps)
    around = [(max(a, 0), max(b, 0)) for a, b in zip(low, high, strict=True)]
    if any(map(any, around)):
        x = mx.pad(x, around, constant_values=value)
    stops = [n + min(b, 0) for n, b in zip(x.shape, high, strict=True)]
    return x[tuple(slice(max(-a, 0), stop) for a, stop in zip(low, stops, strict=True))] if low else x


def _spread(target: Array, x: Array, steps: Sequence[int]) -> Array:
    """Return `target` with x at every so many positions."""
    target = mx.array(target)
    target[tuple(slice(None, None, step) for step in steps)] = x
    return target


def _slice(x: Array, *, start: Shape, stop: Shape, step: Shape) -> Array:
    return x[tuple(map(slice, start, stop, step))] if start else x


def _reverse(x: Array, *, axes: tuple[int, ...]) -> Array:
    return mx.flip(x, axes) if axes else x


def _begin(x: Array, starts: Sequence[Array], sizes: Sequence[int]) -> Array:
    """Return the start of a window as a vector, clamped so that the window fits."""
    limits = [n - size for n, size in zip(x.shape, sizes, strict=True)]
    return mx.stack(
        [mx.clip(start, 0, limit).astype(mx.int32) for start, limit in zip(starts, limits, strict=True)]
    )


def _dynamic_slice(x: Array, *starts: Array, sizes: tuple[int, ...]) -> Array:
    return mx.slice(x, _begin(x, starts, sizes), tuple(range(x.ndim)), sizes) if starts else x


def _update(x: Array, update: Array, *starts: Array) -> Array:
    if not starts:
        return update
    return mx.slice_update(x, update, _begin(x, starts, update.shape), tuple(range(x.ndim)))


SHAPE: Table = {
    "constant": _constant,
    "iota": _iota,
    "reshape": lambda x, *, shape: mx.reshape(x, shape),
    "transpose": lambda x, *, perm: mx.transpose(x, perm) if perm else x,
    "broadcast": _broadcast,
    "pad": _pad,
    "slice": _slice,
    "concatenate": lambda *xs, axis: mx.concatenate(list(xs), axis),
    "reverse": _reverse,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _update,
    "select": mx.where,
    "convert": convert,
    "bitcast": lambda x, *, dtype: x.view(mlx_dtype(dtype)),
}


# -- reductions ----------------------------------------------------------------------------------------------


def _reduction(fn: Callable[..., Array], neutral: Callable[[mx.Dtype], Any]) -> Callable[..., Array]:
    """Wrap a reduction: no axes mean none (for MLX all), and empty operands give `neutral`."""

    def reduction(x: Array, *, axes: tuple[int, ...]) -> Array:
        if not axes:
            return x
        if not x.size:
            shape = [size for axis, size in enumerate(x.shape) if axis not in axes]
            return filled(shape, neutral(x.dtype), x.dtype)
        return fn(x, axes).astype(x.dtype)

    return reduction


def lowest(dtype: mx.Dtype) -> Any:
    return -math.inf if mx.issubdtype(dtype, mx.floating) else mx.iinfo(dtype).min


def _highest(dtype: mx.Dtype) -> Any:
    return math.inf if mx.issubdtype(dtype, mx.floating) else mx.iinfo(dtype).max


def _arg(fn: Callable[..., Array]) -> Callable[..., Array]:
    """Return the index of the first of equals; a NaN is before all."""

    def arg(x: Array, *, axis: int) -> Array:
        if not x.size:
            return mx.zeros([size for a, size in enumerate(x.shape) if a != axis], mx.int32)
        if is_float(x):
            missing = mx.isnan(x)
            best = mx.where(mx.any(missing, axis), mx.argmax(missing.astype(mx.int32), axis), fn(x, axis))
            return best.astype(mx.int32)
        return fn(x, axis).astype(mx.int32)

    return arg


def _cumulative(fn: Callable[..., Array]) -> Callable[..., Array]:
    def cumulative(x: Array, *, axis: int, reverse: bool) -> Array:
        return fn(x, axis=axis, reverse=reverse) if x.size else x

    return widened(cumulative)


REDUCE: Table = {
    "reduce_sum": widened(_reduction(mx.sum, lambda _: 0)),
    "reduce_prod": widened(_reduction(mx.prod, lambda _: 1)),
    "reduce_max": _reduction(mx.max, lowest),
    "reduce_min": _reduction(mx.min, _highest),
    "reduce_and": _reduction(mx.all, lambda _: True),
    "reduce_or": _reduction(mx.any, lambda _: False),
    "argmax": _arg(mx.argmax),
    "argmin": _arg(mx.argmin),
    "cumsum": _cumulative(mx.cumsum),
    "cumprod": _cumulative(mx.cumprod),
    "cummax": _cumulative(mx.cummax),
    "cummin": _cumulative(mx.cummin),
    "argsort": lambda x, *, axis: mx.argsort(x, axis).astype(mx.int32),
}


# -- gather, scatter -----------------------------------------------------------------------------------------


def _rows(shape: Sequence[int], indices: Array, batch_dims: int) -> Array:
    """Return indices of rows of x as (rows, rest), clamped into range, one per row of `indices`."""
    grid, depth = indices.shape[:-1], indices.shape[-1]
    number = mx.zeros(grid, mx.int32)
    for axis in range(batch_dims):
        at = mx.arange(grid[axis], dtype=mx.int32)
        number = number * shape[axis] + at.reshape([-1 if a == axis else 1 for a in range(len(grid))])
    for i in range(depth):
        last = min(max(shape[batch_dims + i] - 1, 0), mx.iinfo(indices.dtype).max)
        inside = mx.clip(indices[..., i], mx.array(0, indices.dtype), mx.array(last, indices.dtype))
        number = number * shape[batch_dims + i] + inside.astype(mx.int32)
    return number.reshape(math.prod(grid))


def _gather(x: Array, indices: Array, *, batch_dims: int) -> Array:
    depth = batch_dims + indices.shape[-1]
    shape = (*indices.shape[:-1], *x.shape[depth:])
    if not math.prod(shape):
        return mx.zeros(shape, x.dtype)
    flat = x.reshape(math.prod(x.shape[:depth]), *x.shape[depth:])
    return mx.take(flat, _rows(x.shape, indices, batch_dims), axis=0).reshape(shape)


def _combine(x: Array, rows: Array, updates: Array, mode: str) -> Array:
    """Combine x (rows, rest) with `updates` (n, rest) at `rows` (n)."""
    if mode == "set":  # later rows win, in whichever order the device writes
        numbers = mx.arange(len(rows), dtype=mx.int32)
        winner = mx.full((len(x),), -1, mx.int32).at[rows].maximum(numbers)
        return mx.where((winner >= 0)[:, None], mx.take(updates, mx.maximum(winner, 0), axis=0), x)
    at = x.at[rows]
    fn = {"add": at.add, "mul": at.multiply, "max": at.maximum, "min": at.minimum}[mode]
    return fn(updates)


def _scatter(x: Array, indices: Array, updates: Array, *, mode: str, batch_dims: int) -> Array:
    depth = batch_dims + indices.shape[-1]
    if not x.size or not updates.size:
        return x
    rows = _rows(x.shape, indices, batch_dims)
    flat = x.reshape(math.prod(x.shape[:depth]), math.prod(x.shape[depth:]))
    flat_updates = updates.reshape(rows.size, flat.shape[1])
    if x.dtype == mx.bool_:
        mode = {"add": "max", "mul": "min"}.get(mode, mode)
        numbers = _combine(flat.astype(mx.int32), rows, flat_updates.astype(mx.int32), mode)
        return (numbers != 0).reshape(x.shape)
    if x.dtype in HALVES:
        total = _combine(flat.astype(mx.float32), rows, flat_updates.astype(mx.float32), mode)
        return total.astype(x.dtype).reshape(x.shape)
    return _combine(flat, rows, flat_updates, mode).reshape(x.shape)


INDEX: Table = {"gather": _gather, "scatter": _scatter}
