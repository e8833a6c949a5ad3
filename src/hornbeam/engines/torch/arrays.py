"""Movement, reductions, gather and scatter."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from hornbeam.engines.table import Table
from hornbeam.engines.torch.elementwise import (
    CARRIERS,
    Tensor,
    bitcast,
    carried,
    convert,
    torch_dtype,
    widened,
)
from hornbeam.ir.types import Shape, numpy_dtype


def creation(device: torch.device) -> Table:
    """Build the operations without operands, for a device."""

    @functools.lru_cache(maxsize=4096)
    def constant(*, data: bytes, shape: tuple[int, ...], dtype: str) -> Tensor:
        array = np.frombuffer(data, numpy_dtype(dtype)).reshape(shape)
        bits = torch.from_numpy((array.view(np.int16) if dtype == "bfloat16" else array).copy())
        return carried(bits.view(torch.bfloat16) if dtype == "bfloat16" else bits).to(device)

    def iota(*, dtype: str, shape: tuple[int, ...], axis: int) -> Tensor:
        kind = CARRIERS.get(dtype) or torch_dtype(dtype)
        steps = torch.arange(shape[axis], device=device).to(kind)
        return steps.reshape([-1 if a == axis else 1 for a in range(len(shape))]).expand(shape)

    return {"constant": constant, "iota": iota}


def _broadcast(x: Tensor, *, shape: tuple[int, ...], dims: tuple[int, ...]) -> Tensor:
    sizes = [1] * len(shape)
    for size, axis in zip(x.shape, dims, strict=True):
        sizes[axis] = size
    return x.reshape(sizes).expand(shape)


def _pad(x: Tensor, value: Tensor, *, low: Shape, high: Shape, interior: Shape) -> Tensor:
    if any(interior):
        sizes = [n + max(n - 1, 0) * i for n, i in zip(x.shape, interior, strict=True)]
        spread = value.expand(sizes).clone()
        spread[tuple(slice(None, None, i + 1) for i in interior)] = x
        x = spread
    sizes = [n + max(a, 0) + max(b, 0) for n, a, b in zip(x.shape, low, high, strict=True)]
    if sizes != list(x.shape):
        grown = value.expand(sizes).clone()
        grown[tuple(slice(max(a, 0), max(a, 0) + n) for n, a in zip(x.shape, low, strict=True))] = x
        x = grown
    return x[tuple(slice(max(-a, 0), n + min(b, 0)) for n, a, b in zip(x.shape, low, high, strict=True))]


def _begin(x: Tensor, starts: Sequence[Tensor], sizes: Sequence[int]) -> tuple[slice, ...]:
    positions = (
        min(max(int(start), 0), n - size) for start, n, size in zip(starts, x.shape, sizes, strict=True)
    )
    return tuple(slice(at, at + size) for at, size in zip(positions, sizes, strict=True))


def _update(x: Tensor, update: Tensor, *starts: Tensor) -> Tensor:
    out = x.clone()
    out[_begin(x, starts, update.shape)] = update
    return out


SHAPE: Table = {
    "reshape": lambda x, *, shape: x.reshape(shape),
    "transpose": lambda x, *, perm: x.permute(perm),
    "broadcast": _broadcast,
    "pad": _pad,
    "slice": lambda x, *, start, stop, step: x[tuple(map(slice, start, stop, step))],
    "concatenate": lambda *xs, axis: torch.cat(xs, axis),
    "reverse": lambda x, *, axes: torch.flip(x, axes),
    "dynamic_slice": lambda x, *starts, sizes: x[_begin(x, starts, sizes)],
    "dynamic_update_slice": _update,
    "select": torch.where,
    "convert": convert,
    "bitcast": bitcast,
}


# -- reductions ----------------------------------------------------------------------------------------------


def _reduction(fn: Callable[..., Tensor], neutral: Callable[[torch.dtype], Any]) -> Callable[..., Tensor]:
    """Wrap a reduction: no axes means none (for PyTorch all), and empty operands give `neutral`."""

    def reduction(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
        if not axes:
            return x
        if not x.numel():
            shape = [size for axis, size in enumerate(x.shape) if axis not in axes]
            return torch.full(shape, neutral(x.dtype), dtype=x.dtype, device=x.device)
        return fn(x, axes)

    return reduction


def _lowest(dtype: torch.dtype) -> bool | int | float:
    return -math.inf if dtype.is_floating_point else torch.iinfo(dtype).min


def _highest(dtype: torch.dtype) -> bool | int | float:
    return math.inf if dtype.is_floating_point else torch.iinfo(dtype).max


def _product(x: Tensor, *, axes: tuple[int, ...]) -> Tensor:
    for axis in reversed(axes):
        x = torch.prod(x, axis, dtype=x.dtype)
    return x


def _cumulative(fn: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def cumulative(x: Tensor, *, axis: int, reverse: bool) -> Tensor:
        if not x.numel():
            return x
        out = fn(x.flip(axis) if reverse else x, axis)
        return out.flip(axis) if reverse else out

    return widened(cumulative)


REDUCE: Table = {
    "reduce_sum": widened(_reduction(lambda x, axes: torch.sum(x, axes, dtype=x.dtype), lambda _: 0)),
    "reduce_prod": widened(_product),
    "reduce_max": _reduction(torch.amax, _lowest),
    "reduce_min": _reduction(torch.amin, _highest),
    "reduce_and": _reduction(lambda x, axes: torch.all(x, axes), lambda _: True),
    "reduce_or": _reduction(lambda x, axes: torch.any(x, axes), lambda _: False),
    "argmax": lambda x, *, axis: torch.argmax(x, axis).to(torch.int32),
    "argmin": lambda x, *, axis: torch.argmin(x, axis).to(torch.int32),
    "cumsum": _cumulative(lambda x, axis: torch.cumsum(x, axis, dtype=x.dtype)),
    "cumprod": _cumulative(lambda x, axis: torch.cumprod(x, axis, dtype=x.dtype)),
    "cummax": _cumulative(lambda x, axis: torch.cummax(x, axis).values),
    "cummin": _cumulative(lambda x, axis: torch.cummin(x, axis).values),
    "argsort": lambda x, *, axis: torch.argsort(x, dim=axis, stable=True).to(torch.int32),
}


# -- gather, scatter -----------------------------------------------------------------------------------------


def _rows(shape: Sequence[int], indices: Tensor, batch_dims: int) -> Tensor:
    """Return indices of rows of x as (rows, rest), clamped into range, one per row of `indices`."""
    grid, depth = indices.shape[:-1], indices.shape[-1]
    number = torch.zeros(grid, dtype=torch.int64, device=indices.device)
    for axis in range(batch_dims):
        at = torch.arange(grid[axis], device=indices.device)
        number = number * shape[axis] + at.reshape([-1 if a == axis else 1 for a in range(len(grid))])
    for i in range(depth):
        size = shape[batch_dims + i]
        number = number * size + indices[..., i].long().clamp(0, max(size - 1, 0))
    return number.reshape(-1)


def _gather(x: Tensor, indices: Tensor, *, batch_dims: int) -> Tensor:
    depth = batch_dims + indices.shape[-1]
    flat = x.reshape(math.prod(x.shape[:depth]), *x.shape[depth:])
    rows = _rows(x.shape, indices, batch_dims)
    return flat.index_select(0, rows).reshape(*indices.shape[:-1], *x.shape[depth:])


def _combine(x: Tensor, rows: Tensor, updates: Tensor, mode: str) -> Tensor:
    """Combine x (rows, rest) with `updates` (n, rest) at `rows` (n)."""
    if mode == "set":  # later rows win, in whichever order the device writes
        numbers = torch.arange(len(rows), device=x.device)
        unset = torch.full((len(x),), -1, dtype=torch.int64, device=x.device)
        winner = unset.scatter_reduce(0, rows, numbers, "amax")
        return torch.where((winner >= 0)[:, None], updates.index_select(0, winner.clamp(min=0)), x)
    if mode == "add":
        return x.index_add(0, rows, updates)
    how = {"mul": "prod", "max": "amax", "min": "amin"}[mode]
    return x.scatter_reduce(0, rows[:, None].expand(updates.shape), updates, how)


def _scatter(x: Tensor, indices: Tensor, updates: Tensor, *, mode: str, batch_dims: int) -> Tensor:
    depth = batch_dims + indices.shape[-1]
    rows = _rows(x.shape, indices, batch_dims)
    if not rows.numel() or not x.numel():
        return x
    flat = x.reshape(math.prod(x.shape[:depth]), math.prod(x.shape[depth:]))
    flat_updates = updates.reshape(len(rows), flat.shape[1])
    if x.dtype == torch.bool:
        mode = {"add": "max", "mul": "min"}.get(mode, mode)
        return (_combine(flat.to(torch.uint8), rows, flat_updates.to(torch.uint8), mode) != 0).reshape(
            x.shape
        )
    return _combine(flat, rows, flat_updates, mode).reshape(x.shape)


def _scatter_rounded(x: Tensor, indices: Tensor, updates: Tensor, **params: Any) -> Tensor:
    if x.dtype not in (torch.float16, torch.bfloat16):
        return _scatter(x, indices, updates, **params)
    return _scatter(x.float(), indices, updates.float(), **params).to(x.dtype)


INDEX: Table = {"gather": _gather, "scatter": _scatter_rounded}
