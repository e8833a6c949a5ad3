"""Parts of tensors: slices, concatenation, padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hornbeam.ir.sizes import is_one, is_unknown, maximum, minimum
from hornbeam.onnx.emitter.kernels import compute_dtype
from hornbeam.onnx.emitter.values import Value, common_order, reshape, view


def slice_axes(x: Value, start: Sequence[int], stop: Sequence[int], step: Sequence[int]) -> Value:
    """x[start:stop:step] on every axis; a step of -1 from the last element turns an axis round."""
    shape = tuple(_length(a, b, s) for a, b, s in zip(start, stop, step, strict=True))
    if not x.stored_shape and 0 not in shape:
        return view(x, (), shape)
    if 0 in shape:
        x = x.contiguous()
    axes = [
        a for a in range(x.rank)
        if (start[a], stop[a], step[a]) != (0, x.shape[a], 1)
        and (not is_one(x.stored_shape[a]) or x.shape[a] == 1)
    ]  # fmt: skip
    if not axes:
        return replace(x, shape=shape)
    stored_shape = tuple(shape[a] if a in axes else x.stored_shape[a] for a in range(x.rank))
    ends = [stop[a] if stop[a] >= 0 else np.iinfo(np.int64).min for a in axes]
    bounds = ([start[a] for a in axes], ends, [x.axes.index(a) for a in axes], [step[a] for a in axes])
    return x.emitter.node(
        "Slice", [x, *map(x.emitter.ints, bounds)], x.dtype, shape, stored_shape, order=x.order
    )


def _length(start: int, stop: int, step: int) -> int:
    """The number of elements of a slice."""
    if not (is_unknown(start) or is_unknown(stop)):
        return len(range(start, stop, step))
    return -((start - stop) // step)


def slice_axis(x: Value, axis: int, start: int, stop: int) -> Value:
    """x[start:stop] on one axis."""
    begin, end = [0] * x.rank, list(x.shape)
    begin[axis], end[axis] = start, stop
    return slice_axes(x, begin, end, [1] * x.rank)


def concatenate(xs: Sequence[Value], axis: int) -> Value:
    """The values one after the other along `axis`."""
    shape = list(xs[0].shape)
    shape[axis] = sum(x.shape[axis] for x in xs)
    order = common_order(xs)
    parts = [x.contiguous(order) for x in xs]
    position = parts[0].axes.index(axis)
    return xs[0].emitter.node("Concat", parts, xs[0].dtype, tuple(shape), order=order, axis=position)


def pad(x: Value, value: Value, low: Sequence[int], high: Sequence[int], interior: Sequence[int]) -> Value:
    """`value` before, after and between the elements of each axis; negative `low` and `high` crop."""
    for axis, gap in enumerate(interior):
        if gap and x.shape[axis] > 1:
            x = _spaced(x, value, axis, gap)
    begin, end = [maximum(n, 0) for n in low], [maximum(n, 0) for n in high]
    if not all(n == 0 for n in (*begin, *end)):
        work = compute_dtype("Pad", x.dtype)
        shape = tuple(n + a + b for n, a, b in zip(x.shape, begin, end, strict=True))
        x = x.contiguous(x.order)
        amounts = x.emitter.ints([side[a] for side in (begin, end) for a in x.axes])
        parts = [x.cast(work), amounts, value.contiguous().cast(work)]
        x = x.emitter.node("Pad", parts, work, shape, order=x.order).cast(x.dtype)
    stop = [n + minimum(b, 0) for n, b in zip(x.shape, high, strict=True)]
    return slice_axes(x, [maximum(-a, 0) for a in low], stop, [1] * x.rank)


def _spaced(x: Value, value: Value, axis: int, gap: int) -> Value:
    """`gap` elements of `value` between those of x along `axis`: padded along a new axis behind it."""
    apart = reshape(x.contiguous(), (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    none = [0] * apart.rank
    apart = pad(apart, value, none, [gap if a == axis + 1 else 0 for a in range(apart.rank)], none)
    size = x.shape[axis] * (gap + 1)
    shape = (*x.shape[:axis], size, *x.shape[axis + 1 :])
    stop = [size - gap if a == axis else n for a, n in enumerate(shape)]
    return slice_axes(reshape(apart, shape), [0] * x.rank, stop, [1] * x.rank)
