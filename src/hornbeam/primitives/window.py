"""Pooling over the spatial axes of (N, *S, C): maxima and sums, and their derivatives.

Padding counts as -inf for maxima and as 0 for sums. max_pool_gather and max_pool_scatter share one choice:
the first largest element of each window in row-major order, NaN before all; padding is never chosen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Sample, bind, expect_same, movement_bytes, primitive
from hornbeam.ir.sizes import same_shape
from hornbeam.ir.types import FLOATS, Shape, ShapeError, TensorType, dtype_name
from hornbeam.primitives.contract import Padding, conv_output_size
from hornbeam.primitives.numerics import Array, lowest, rounded

__all__ = ["max_pool", "max_pool_gather", "max_pool_scatter", "sum_pool", "sum_pool_grad"]


def _pool_shape(name: str, x: Shape, window: Shape, strides: Shape, padding: Padding) -> Shape:
    rank = len(x) - 2
    if rank not in (1, 2, 3) or not len(window) == len(strides) == len(padding) == rank:
        raise ShapeError(
            f"{name} needs x (N, *S, C) with 1 to 3 axes in S, got {x} and {window}, {strides}, {padding}"
        )
    if min(*window, *strides) < 1 or min(min(pair) for pair in padding) < 0:
        raise ShapeError(
            f"{name} needs window, strides > 0 and padding >= 0, got {window}, {strides}, {padding}"
        )
    sizes = (
        conv_output_size(size, reach, stride, pair, 1)
        for size, reach, stride, pair in zip(x[1:-1], window, strides, padding, strict=True)
    )
    return (x[0], *sizes, x[-1])


def _expect(name: str, operand: TensorType, shape: Shape) -> None:
    if not same_shape(operand.shape, shape):
        raise ShapeError(f"{name} needs an operand of shape {shape}, got {operand}")


def _views(x: Array, output: Shape, window: Shape, strides: Shape) -> list[Array]:
    """Return, for every window position, the elements of the padded x at it: views of the output's shape."""
    if 0 in output:
        return []
    steps = (1, *strides, 1)
    starts = itertools.product((0,), *map(range, window), (0,))
    return [
        x[tuple(slice(k, k + (n - 1) * s + 1, s) for k, n, s in zip(at, output, steps, strict=True))]
        for at in starts
    ]


def _around(padding: Padding) -> tuple[tuple[int, int], ...]:
    return ((0, 0), *padding, (0, 0))


def _inside(x: Array, padding: Padding) -> Array:
    """Remove the padding of x."""
    return x[
        tuple(slice(low, size - high) for size, (low, high) in zip(x.shape, _around(padding), strict=True))
    ]


def _choices(x: Array, window: Shape, strides: Shape, padding: Padding) -> list[Array]:
    """Return, for every window position, a mask of the windows that select the element at it."""
    output = _pool_shape("max_pool", x.shape, window, strides, padding)
    values = _views(np.pad(x, _around(padding)), output, window, strides)
    valid = _views(np.pad(np.ones(x.shape, bool), _around(padding)), output, window, strides)
    best, chosen = np.zeros(output, x.dtype), np.full(output, -1)
    for position, (value, real) in enumerate(zip(values, valid, strict=True)):
        larger = (value > best) | (np.isnan(value) & ~np.isnan(best))
        take = real & ((chosen < 0) | larger)
        best, chosen = np.where(take, value, best), np.where(take, position, chosen)
    return [chosen == position for position in range(len(values))]


def _max_pool(x: Array, *, window: Shape, strides: Shape, padding: Padding) -> Array:
    shape = _pool_shape("max_pool", x.shape, window, strides, padding)
    low = lowest(dtype_name(x.dtype))
    out = np.full(shape, low, x.dtype)
    for view in _views(np.pad(x, _around(padding), constant_values=low), shape, window, strides):
        out = np.maximum(out, view)
    return out


def _max_pool_gather(x: Array, t: Array, *, window: Shape, strides: Shape, padding: Padding) -> Array:
    shape = _pool_shape("max_pool_gather", x.shape, window, strides, padding)
    out = np.zeros(shape, t.dtype)
    views = _views(np.pad(t, _around(padding)), shape, window, strides)
    for chosen, view in zip(_choices(x, window, strides, padding), views, strict=True):
        out = np.where(chosen, view, out)
    return out


def _max_pool_scatter(x: Array, dy: Array, *, window: Shape, strides: Shape, padding: Padding) -> Array:
    padded = np.pad(np.zeros_like(x), _around(padding))
    views = _views(padded, dy.shape, window, strides)
    for chosen, view in zip(_choices(x, window, strides, padding), views, strict=True):
        view += np.where(chosen, dy, 0)
    return _inside(padded, padding)


def _sum_pool(x: Array, *, window: Shape, strides: Shape, padding: Padding) -> Array:
    out = np.zeros(_pool_shape("sum_pool", x.shape, window, strides, padding), x.dtype)
    for view in _views(np.pad(x, _around(padding)), out.shape, window, strides):
        out += view
    return out


def _sum_pool_grad(
    dy: Array, *, input_shape: Shape, window: Shape, strides: Shape, padding: Padding
) -> Array:
    padded = np.pad(np.zeros(input_shape, dy.dtype), _around(padding))
    for view in _views(padded, dy.shape, window, strides):
        view += dy
    return _inside(padded, padding)


def _cost(types: Sequence[TensorType], out: TensorType, *, window: Shape, **params: Any) -> tuple[int, int]:
    """Cost of one FLOP per window element, counted at the pooled side."""
    pooled = min(t.size for t in (*types, out))
    return pooled * math.prod(window), movement_bytes(types, out)


def _window(window: Shape, strides: Shape, padding: Padding) -> dict[str, Any]:
    return {"window": window, "strides": strides, "padding": padding}


_CASES: list[tuple[Shape, dict[str, Any]]] = [
    ((2, 6, 3), _window((2,), (2,), ((0, 0),))),
    ((1, 7, 2), _window((3,), (2,), ((1, 1),))),
    ((2, 4, 6, 3), _window((2, 2), (2, 2), ((0, 0), (0, 0)))),
    ((1, 5, 4, 2), _window((3, 2), (1, 1), ((1, 1), (0, 1)))),
    ((1, 5, 5, 1), _window((2, 2), (3, 3), ((0, 0), (0, 0)))),
    ((1, 4, 3, 4, 2), _window((2, 3, 2), (2, 1, 1), ((0, 0), (1, 1), (0, 1)))),
    ((1, 1, 1, 5), _window((1, 1), (1, 1), ((0, 0), (0, 0)))),
    ((0, 4, 4, 2), _window((2, 2), (2, 2), ((0, 0), (0, 0)))),
]


def _pooled(name: str, x: TensorType, **window: Any) -> TensorType:
    return TensorType(_pool_shape(name, x.shape, **window), x.dtype)


MAX_POOL = primitive(
    "max_pool",
    type_rule=lambda x, **window: _pooled("max_pool", x, **window),
    reference=rounded(_max_pool),
    vjp=lambda ct, out, x, **window: (max_pool_scatter(x, ct, **window),),
    cost=_cost,
    dtypes=FLOATS,
    samples=[Sample((shape,), window) for shape, window in _CASES],
)


def max_pool(x: Node, window: Shape, strides: Shape, padding: Padding) -> Node:
    """Compute the maximum of each window of x (N, *S, C); NaN if it contains one."""
    return bind(MAX_POOL, x, window=window, strides=strides, padding=padding)


MAX_POOL_GATHER = primitive(
    "max_pool_gather",
    type_rule=lambda x, t, **window: _pooled(
        "max_pool_gather", expect_same("max_pool_gather", x, t), **window
    ),
    reference=rounded(_max_pool_gather),
    vjp=lambda ct, out, x, t, **window: (None, max_pool_scatter(x, ct, **window)),
    cost=_cost,
    dtypes=FLOATS,
    samples=[Sample((shape, shape), window) for shape, window in _CASES],
)


def max_pool_gather(x: Node, t: Node, window: Shape, strides: Shape, padding: Padding) -> Node:
    """Select the element of t at the argmax of x in each window (0 for a window of padding alone)."""
    return bind(MAX_POOL_GATHER, x, t, window=window, strides=strides, padding=padding)


def _scatter_type(x: TensorType, dy: TensorType, **window: Any) -> TensorType:
    _expect("max_pool_scatter", dy, _pool_shape("max_pool_scatter", x.shape, **window))
    expect_same("max_pool_scatter", TensorType((), x.dtype), TensorType((), dy.dtype))
    return x


MAX_POOL_SCATTER = primitive(
    "max_pool_scatter",
    type_rule=_scatter_type,
    reference=rounded(_max_pool_scatter),
    vjp=lambda ct, out, x, dy, **window: (None, max_pool_gather(x, ct, **window)),
    cost=_cost,
    dtypes=FLOATS,
    samples=[Sample((shape, _pool_shape("max_pool", shape, **window)), window) for shape, window in _CASES],
)


def max_pool_scatter(x: Node, dy: Node, window: Shape, strides: Shape, padding: Padding) -> Node:
    """Transpose `max_pool_gather` in t: add dy at the argmax of x in each window."""
    return bind(MAX_POOL_SCATTER, x, dy, window=window, strides=strides, padding=padding)


SUM_POOL = primitive(
    "sum_pool",
    type_rule=lambda x, **window: _pooled("sum_pool", x, **window),
    reference=rounded(_sum_pool),
    vjp=lambda ct, out, x, **window: (sum_pool_grad(ct, x.shape, **window),),
    cost=_cost,
    dtypes=FLOATS,
    samples=[Sample((shape,), window) for shape, window in _CASES],
)


def sum_pool(x: Node, window: Shape, strides: Shape, padding: Padding) -> Node:
    """Compute the sum of each window of x (N, *S, C)."""
    return bind(SUM_POOL, x, window=window, strides=strides, padding=padding)


def _sum_grad_type(dy: TensorType, *, input_shape: Shape, **window: Any) -> TensorType:
    _expect("sum_pool_grad", dy, _pool_shape("sum_pool_grad", input_shape, **window))
    return TensorType(input_shape, dy.dtype)


SUM_POOL_GRAD = primitive(
    "sum_pool_grad",
    type_rule=_sum_grad_type,
    reference=rounded(_sum_pool_grad),
    vjp=lambda ct, out, dy, *, input_shape, **window: (sum_pool(ct, **window),),
    cost=_cost,
    dtypes=FLOATS,
    samples=[
        Sample((_pool_shape("sum_pool", shape, **window),), {"input_shape": shape, **window})
        for shape, window in _CASES
    ],
)


def sum_pool_grad(dy: Node, input_shape: Shape, window: Shape, strides: Shape, padding: Padding) -> Node:
    """Transpose `sum_pool`: add dy to every element of its window, in an input of `input_shape`."""
    return bind(SUM_POOL_GRAD, dy, input_shape=input_shape, window=window, strides=strides, padding=padding)
