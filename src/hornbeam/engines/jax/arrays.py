"""Movement, reductions, gather and scatter."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from hornbeam.engines.jax.elementwise import convert, wide, widened
from hornbeam.engines.table import Table
from hornbeam.ir.types import Shape, numpy_dtype

Array = Any


def _constant(*, data: bytes, shape: tuple[int, ...], dtype: str) -> Array:
    return jnp.asarray(np.frombuffer(data, numpy_dtype(dtype)).reshape(shape))


def _broadcast(x: Array, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Array:
    return lax.broadcast_in_dim(x, shape, dims)


def _pad(x: Array, value: Array, *, low: Shape, high: Shape, interior: Shape) -> Array:
    return lax.pad(x, value, list(zip(low, high, interior, strict=True)))


SHAPE: Table = {
    "constant": _constant,
    "reshape": lambda x, *, shape: lax.reshape(x, shape),
    "transpose": lambda x, *, perm: lax.transpose(x, perm),
    "broadcast": _broadcast,
    "pad": _pad,
    "slice": lambda x, *, start, stop, step: lax.slice(x, start, stop, step),
    "concatenate": lambda *xs, axis: lax.concatenate(xs, axis),
    "reverse": lambda x, *, axes: lax.rev(x, axes),
    "iota": lambda *, dtype, shape, axis: lax.broadcasted_iota(numpy_dtype(dtype), shape, axis),
    "dynamic_slice": lambda x, *starts, sizes: lax.dynamic_slice(x, _starts(starts), sizes),
    "dynamic_update_slice": lambda x, update, *starts: lax.dynamic_update_slice(x, update, _starts(starts)),
    "select": lambda condition, x, y: lax.select(condition, x, y),
    "convert": convert,
    "bitcast": lambda x, *, dtype: lax.bitcast_convert_type(x, numpy_dtype(dtype)),
}


def _small(x: Array) -> Array:
    """Convert integers to int64, large uint64 to the largest one."""
    limit = min(np.iinfo(np.int32).max, int(jnp.iinfo(x.dtype).max))
    return jnp.minimum(x, np.asarray(limit, x.dtype)).astype(jnp.int64)


def _starts(starts: Sequence[Array]) -> list[Array]:
    """Clamp starts at 0: JAX would count negative ones from the end."""
    return [jnp.clip(_small(start), 0) for start in starts]


# -- reductions --------------------------------------------------------------------------------------------


def lowest(dtype: Any) -> bool | int | float:
    return dtype.type(-np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).min)


def highest(dtype: Any) -> bool | int | float:
    return dtype.type(np.inf if jnp.issubdtype(dtype, jnp.floating) else jnp.iinfo(dtype).max)


def _cumulative(fn: Callable[..., Array]) -> Callable[..., Array]:
    return widened(lambda x, *, axis, reverse: fn(x, axis=axis, reverse=reverse))


REDUCE: Table = {
    "reduce_sum": widened(lambda x, *, axes: jnp.sum(x, axes, dtype=x.dtype)),
    "reduce_prod": widened(lambda x, *, axes: jnp.prod(x, axes, dtype=x.dtype)),
    "reduce_max": lambda x, *, axes: jnp.max(x, axes, initial=lowest(x.dtype)),
    "reduce_min": lambda x, *, axes: jnp.min(x, axes, initial=highest(x.dtype)),
    "reduce_and": lambda x, *, axes: jnp.all(x, axes),
    "reduce_or": lambda x, *, axes: jnp.any(x, axes),
    "argmax": lambda x, *, axis: lax.argmax(x, axis, jnp.int32),
    "argmin": lambda x, *, axis: lax.argmin(x, axis, jnp.int32),
    "cumsum": _cumulative(lax.cumsum),
    "cumprod": _cumulative(lax.cumprod),
    "cummax": _cumulative(lax.cummax),
    "cummin": _cumulative(lax.cummin),
    "argsort": lambda x, *, axis: jnp.argsort(x, axis, stable=True).astype(jnp.int32),
}


# -- gather, scatter ---------------------------------------------------------------------------------------


def _addresses(shape: tuple[int, ...], indices: Array, batch_dims: int) -> tuple[Array, ...]:
    """Return index arrays of the leading axes, clamped, with one entry per row of `indices`."""
    grid = indices.shape[:-1]
    batch = [lax.broadcasted_iota(jnp.int64, grid, axis) for axis in range(batch_dims)]
    sizes = shape[batch_dims : batch_dims + indices.shape[-1]]
    small = _small(indices)
    return (*batch, *(jnp.clip(small[..., i], 0, max(size - 1, 0)) for i, size in enumerate(sizes)))


def _gather(x: Array, indices: Array, *, batch_dims: int) -> Array:
    addresses = _addresses(x.shape, indices, batch_dims)
    if not addresses:
        return jnp.broadcast_to(x, indices.shape[:-1] + x.shape)
    return x.at[addresses].get(mode="promise_in_bounds")


def _set_last(x: Array, addresses: tuple[Array, ...], updates: Array) -> Array:
    """Let later rows win in whichever order the device writes: each position takes the last row for it."""
    rows = addresses[0].shape
    numbers = jnp.arange(math.prod(rows), dtype=jnp.int32).reshape(rows)
    winner = jnp.full(x.shape[: len(addresses)], -1, jnp.int32).at[addresses].max(numbers)
    flat = updates.reshape(math.prod(rows), *x.shape[len(addresses) :])
    if not flat.shape[0]:
        return x
    rows_set = flat[jnp.maximum(winner, 0)]
    return jnp.where((winner >= 0).reshape(winner.shape + (1,) * (x.ndim - winner.ndim)), rows_set, x)


def _scatter(x: Array, indices: Array, updates: Array, *, mode: str, batch_dims: int) -> Array:
    addresses = _addresses(x.shape, indices, batch_dims)
    if not addresses:  # every row addresses all of x
        x, indices, updates = x[None], jnp.zeros((*indices.shape[:-1], 1), jnp.int32), updates
        return _scatter(x, indices, updates, mode=mode, batch_dims=0)[0]
    if mode == "set":
        return _set_last(x, addresses, updates)
    if x.dtype == jnp.bool_:
        x, updates = x.astype(jnp.uint8), updates.astype(jnp.uint8)
        pick = {"add": "max", "max": "max", "mul": "min", "min": "min"}[mode]
        return getattr(x.at[addresses], pick)(updates) != 0
    name = {"add": "add", "mul": "multiply", "max": "max", "min": "min"}[mode]
    combined = getattr(wide(x).at[addresses], name)(wide(updates), mode="promise_in_bounds")
    return combined.astype(x.dtype)


INDEX: Table = {"gather": _gather, "scatter": _scatter}
