"""Products, convolutions and pools."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hornbeam.engines.jax.arrays import lowest
from hornbeam.engines.jax.elementwise import HALVES, widened
from hornbeam.engines.table import Table
from hornbeam.ir.types import Shape
from hornbeam.primitives.contract import AxesPair, Padding

Array = Any


def _dot(x: Array, y: Array, *, contract: AxesPair, batch: AxesPair) -> Array:
    wide = jnp.float32 if x.dtype in HALVES else x.dtype
    return lax.dot_general(x, y, (contract, batch), preferred_element_type=wide).astype(x.dtype)


def _padded(x: Array, padding: Padding, value: Any) -> tuple[Array, Padding]:
    """Pad x by what JAX's windows do not take, symbols. Return it and the padding that is left."""
    if all(isinstance(n, int) for pair in padding for n in pair):
        return x, padding
    return lax.pad(x, value, [(0, 0, 0), *((*pair, 0) for pair in padding), (0, 0, 0)]), ((0, 0),) * len(
        padding
    )


def _conv(x: Array, w: Array, *, strides: Shape, padding: Padding, dilation: Shape, groups: int) -> Array:
    x, padding = _padded(x, padding, x.dtype.type(0))
    space = "DHW"[3 - len(strides) :]
    return lax.conv_general_dilated(
        x, w, strides, padding, rhs_dilation=dilation, feature_group_count=groups,
        dimension_numbers=(f"N{space}C", f"{space}IO", f"N{space}C"),
    )  # fmt: skip


def _like(shape: tuple[int, ...], x: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, x.dtype)


def _conv_input_grad(dy: Array, w: Array, *, input_shape: Shape, **window: Any) -> Array:
    return jax.linear_transpose(lambda x: _conv(x, w, **window), _like(input_shape, dy))(dy)[0]


def _conv_kernel_grad(x: Array, dy: Array, *, kernel_shape: Shape, **window: Any) -> Array:
    return jax.linear_transpose(lambda w: _conv(x, w, **window), _like(kernel_shape, dy))(dy)[0]


def _full_window(window: dict[str, Any]) -> dict[str, Any]:
    """Return the window over all axes of (N, *S, C)."""
    return {
        "window_dimensions": (1, *window["window"], 1),
        "window_strides": (1, *window["strides"], 1),
        "padding": ((0, 0), *window["padding"], (0, 0)),
    }


def _max_pool(x: Array, **window: Any) -> Array:
    return _reduced(x, lowest(x.dtype), lax.max, window)


def _sum_pool(x: Array, **window: Any) -> Array:
    return _reduced(x, x.dtype.type(0), lax.add, window)


def _reduced(x: Array, start: Any, operation: Any, window: dict[str, Any]) -> Array:
    x, padding = _padded(x, window["padding"], start)
    return lax.reduce_window(x, start, operation, **_full_window({**window, "padding": padding}))


def _sum_pool_grad(dy: Array, *, input_shape: Shape, **window: Any) -> Array:
    return jax.linear_transpose(lambda x: _sum_pool(x, **window), _like(input_shape, dy))(dy)[0]


def _argmax_of_windows(x: Array, window: dict[str, Any]) -> Array:
    """Return, for every window, the row-major spatial index of its first maximum (NaN first)."""
    spatial = x.shape[1:-1]
    positions = jnp.broadcast_to(
        jnp.arange(math.prod(spatial), dtype=jnp.int32).reshape(1, *spatial, 1), x.shape
    )

    def better(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
        (x, i), (y, j) = a, b
        first = (i >= 0) & ((j < 0) | (i < j))
        same = (x == y) | (jnp.isnan(x) & jnp.isnan(y))
        larger = (x > y) | (jnp.isnan(x) & ~jnp.isnan(y))
        take = (i >= 0) & ((j < 0) | larger | (same & first))
        return jnp.where(take, x, y), jnp.where(take, i, j)

    start = (jnp.array(-np.inf, x.dtype), jnp.array(-1, jnp.int32))
    return lax.reduce_window((x, positions), start, better, **_full_window(window))[1]


def _max_pool_gather(x: Array, t: Array, **window: Any) -> Array:
    argmax = _argmax_of_windows(x, window)
    n, *spatial, channels = x.shape
    flat = t.reshape(n, math.prod(spatial), channels)
    indices = argmax.reshape(n, math.prod(argmax.shape[1:-1]), channels)
    values = jnp.take_along_axis(flat, jnp.maximum(indices, 0), axis=1, mode="promise_in_bounds")
    return jnp.where(indices >= 0, values, 0).astype(t.dtype).reshape(argmax.shape)


def _max_pool_scatter(x: Array, dy: Array, **window: Any) -> Array:
    return jax.vjp(lambda x: _max_pool(x, **window), x)[1](dy)[0]


CONTRACT: Table = {
    "dot_general": _dot,
    "conv": widened(_conv),
    "conv_input_grad": widened(_conv_input_grad),
    "conv_kernel_grad": widened(_conv_kernel_grad),
    "max_pool": _max_pool,
    "max_pool_gather": _max_pool_gather,
    "max_pool_scatter": widened(_max_pool_scatter),
    "sum_pool": widened(_sum_pool),
    "sum_pool_grad": widened(_sum_pool_grad),
}
