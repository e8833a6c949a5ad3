"""Movement, reductions, gather and scatter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytensor.tensor as pt

from hornbeam.engines.pytensor.ops import Array, NumPy, Variable, compute_dtype
from hornbeam.engines.table import Table
from hornbeam.ir.types import Shape, TensorType, numpy_dtype

# -- shape ---------------------------------------------------------------------------------------------------


def _constant(*, data: bytes, shape: tuple[int, ...], dtype: str) -> Variable:
    return pt.constant(np.frombuffer(data, numpy_dtype(dtype)).reshape(shape).astype(compute_dtype(dtype)))


def _reshape(x: Variable, *, shape: tuple[int, ...]) -> Variable:
    return pt.reshape(x, shape, ndim=len(shape))


def _broadcast(x: Variable, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Variable:
    order: list[Any] = ["x"] * len(shape)
    for position, axis in enumerate(dims):
        order[axis] = position
    return pt.broadcast_to(x.dimshuffle(order), shape)


def _reverse(x: Variable, *, axes: tuple[int, ...]) -> Variable:
    return x[tuple(slice(None, None, -1 if axis in axes else 1) for axis in range(x.ndim))] if axes else x


def _slice(x: Variable, *, start: Shape, stop: Shape, step: Shape) -> Variable:
    return x[tuple(map(slice, start, stop, step))] if start else x


def _iota(*, dtype: str, shape: tuple[int, ...], axis: int) -> Array:
    steps = np.arange(shape[axis]).astype(numpy_dtype(dtype)).astype(compute_dtype(dtype))
    return np.broadcast_to(steps.reshape([-1 if a == axis else 1 for a in range(len(shape))]), shape)


def _pad(x: Array, value: Array, *, low: Shape, high: Shape, interior: Shape) -> Array:
    """`value` before, after and between the elements; negative `low` and `high` crop."""
    out_shape, target, source = [], [], []
    for size, before, after, between in zip(x.shape, low, high, interior, strict=True):
        step = between + 1
        total = size + max(size - 1, 0) * between + before + after
        first = max(-(before // step), 0)  # the first element that is not cropped away
        last = min(size, -((before - total) // step))
        out_shape.append(total)
        source.append(slice(first, max(last, first)))
        start = before + first * step
        target.append(slice(start, start + max(last - first, 0) * step, step))
    out = np.full(out_shape, value, x.dtype)
    if out.size and x.size:
        out[tuple(target)] = x[tuple(source)]
    return out


def _window(shape: Sequence[int], starts: Sequence[Array], sizes: Sequence[int]) -> tuple[slice, ...]:
    first = [min(max(int(start), 0), n - size) for start, n, size in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(at, at + size) for at, size in zip(first, sizes, strict=True))


def _dynamic_slice(x: Array, *starts: Array, sizes: tuple[int, ...]) -> Array:
    return x[_window(x.shape, starts, sizes)].copy()


def _update(x: Array, update: Array, *starts: Array) -> Array:
    out = x.copy()
    out[_window(x.shape, starts, update.shape)] = update
    return out


# -- reductions ----------------------------------------------------------------------------------------------


def _over(fn: Callable[..., Variable]) -> Callable[..., Variable]:
    """A sum or product over `axes` in the operand's own dtype."""

    def reduce(x: Variable, *, axes: tuple[int, ...]) -> Variable:
        return fn(x, axis=axes, dtype=x.dtype, acc_dtype=x.dtype) if axes else x

    return reduce


def _extreme(fn: Callable[..., Variable], largest: bool) -> Callable[..., Variable]:
    """The largest or smallest over `axes`; of nothing the neutral value."""

    def reduce(x: Variable, *, axes: tuple[int, ...]) -> Variable:
        if not axes:
            return x
        if 0 not in x.type.shape:
            return fn(x, axis=axes)
        if x.dtype.startswith("float"):
            neutral = -np.inf if largest else np.inf
        else:
            neutral = np.iinfo(x.dtype).min if largest else np.iinfo(x.dtype).max
        kept = [size for axis, size in enumerate(x.type.shape) if axis not in axes]
        return pt.full(kept, np.array(neutral, x.dtype))

    return reduce


def _accumulate(ufunc: np.ufunc) -> Callable[..., Array]:
    def accumulate(x: Array, *, axis: int, reverse: bool) -> Array:
        x = np.flip(x, axis) if reverse else x
        out = ufunc.accumulate(x, axis=axis, dtype=x.dtype)
        return np.flip(out, axis) if reverse else out

    return accumulate


# -- gather, scatter -----------------------------------------------------------------------------------------


def _rows(shape: Sequence[int], indices: Variable, batch_dims: int) -> Variable:
    """Numbers of the addressed rows, of x as (rows, rest), clamped into range; one per row of `indices`."""
    *grid, depth = indices.type.shape
    number = pt.constant(np.zeros(grid, "int64"))
    for axis in range(batch_dims):
        steps = np.arange(grid[axis]).reshape([-1 if a == axis else 1 for a in range(len(grid))])
        number = number * shape[axis] + steps
    for i in range(depth):
        size = shape[batch_dims + i]
        last = min(max(size - 1, 0), np.iinfo(indices.dtype).max)
        inside = pt.clip(indices[..., i], np.array(0, indices.dtype), np.array(last, indices.dtype))
        number = number * size + pt.cast(inside, "int64")
    return pt.flatten(number)


def _gather(x: Variable, indices: Variable, *, batch_dims: int) -> Variable:
    shape, depth = x.type.shape, batch_dims + indices.type.shape[-1]
    flat = pt.reshape(x, (math.prod(shape[:depth]), *shape[depth:]))
    selected = flat[_rows(shape, indices, batch_dims)]
    return _reshape(selected, shape=(*indices.type.shape[:-1], *shape[depth:]))


def _scatter(x: Variable, indices: Variable, updates: Variable, *, mode: str, batch_dims: int) -> Variable:
    shape, depth = x.type.shape, batch_dims + indices.type.shape[-1]
    rows = _rows(shape, indices, batch_dims)
    if 0 in (*shape, *updates.type.shape):
        return x
    flat = pt.reshape(x, (math.prod(shape[:depth]), math.prod(shape[depth:])))
    parts = pt.reshape(updates, (-1, math.prod(shape[depth:])))
    if mode == "set":
        out = pt.set_subtensor(flat[rows], parts)
    elif mode == "add" and x.dtype != "bool":
        out = pt.inc_subtensor(flat[rows], parts)
    else:
        out = NumPy(_combine, [TensorType(flat.type.shape, x.dtype)], mode=mode)(flat, rows, parts)
    return _reshape(out, shape=shape)


def _combine(x: Array, rows: Array, updates: Array, *, mode: str) -> Array:
    out = x.copy()
    ufunc = {"add": np.logical_or, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[mode]
    ufunc.at(out, rows, updates)
    return out


EXPRESSIONS: Table = {
    "constant": _constant,
    "reshape": _reshape,
    "transpose": lambda x, *, perm: x.dimshuffle(perm),
    "broadcast": _broadcast,
    "slice": _slice,
    "reverse": _reverse,
    "concatenate": lambda *xs, axis: pt.join(axis, *xs),
    "reduce_sum": _over(pt.sum),
    "reduce_prod": _over(pt.prod),
    "reduce_max": _extreme(pt.max, largest=True),
    "reduce_min": _extreme(pt.min, largest=False),
    "reduce_and": lambda x, *, axes: pt.all(x, axis=axes) if axes else x,
    "reduce_or": lambda x, *, axes: pt.any(x, axis=axes) if axes else x,
    "argmax": lambda x, *, axis: pt.cast(pt.argmax(x, axis=axis), "int32"),
    "argsort": lambda x, *, axis: pt.cast(pt.argsort(x, axis=axis, kind="stable"), "int32"),
    "gather": _gather,
    "scatter": _scatter,
}
FUNCTIONS: Table = {
    "iota": _iota,
    "pad": _pad,
    "dynamic_slice": _dynamic_slice,
    "dynamic_update_slice": _update,
    "argmin": lambda x, *, axis: np.argmin(x, axis),
    "cumsum": _accumulate(np.add),
    "cumprod": _accumulate(np.multiply),
    "cummax": _accumulate(np.maximum),
    "cummin": _accumulate(np.minimum),
}
