"""Recurrent composites for XLA: a loop over steps without a transposed copy of any sequence.

XLA updates the carry of a loop in place. So each step reads its row of the (batch, steps, ...) arrays and
writes its results in place, the gates over their pre-activations. (Writing gradients over the gates likewise
makes XLA copy all of them at every step.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from hornbeam.engines.table import Table

Array = Any


def _product(x: Array, w: Array, side: int) -> Array:
    """Compute x @ w, or x @ w^T for side 1; 16-bit floats are accumulated in float32."""
    wide = jnp.promote_types(x.dtype, jnp.float32)
    return lax.dot_general(x, w, (((1,), (side,)), ((), ())), preferred_element_type=wide).astype(x.dtype)


def _row(x: Array, step: Array) -> Array:
    return lax.dynamic_index_in_dim(x, step, axis=1, keepdims=False)


def _written(x: Array, row: Array, step: Array) -> Array:
    return lax.dynamic_update_index_in_dim(x, row, step, axis=1)


def _select_by_mask(mask: Sequence[Array], step: Array) -> Callable[[Array, Array], Array]:
    """Return a function that selects new values in the rows of a step's mask, old ones in others."""
    if not mask:
        return lambda new, old: new
    active = _row(mask[0], step)[:, None]
    return lambda new, old: jnp.where(active, new, old)


def _loop(step: Callable[..., Any], state: Any, length: int, reverse: bool) -> Any:
    """Return the state after `step(state, index)` for all steps."""
    if not isinstance(length, int):  # a symbol of JAX's
        return lax.fori_loop(0, length, lambda i, state: step(state, length - 1 - i if reverse else i), state)
    numbers = jnp.arange(length, dtype=jnp.int32)
    return lax.scan(lambda state, number: (step(state, number), None), state, numbers, reverse=reverse)[0]


def _lstm(
    x: Array, w: Array, h0: Array, c0: Array, *mask: Array, reverse: bool, masked: bool, **_: Any
) -> tuple[Array, ...]:
    def step(state: Any, at: Array) -> Any:
        h, c, gates, every_h, every_c = state
        sums = _row(gates, at) + _product(h, w, 0)
        i, f, g, o = jnp.split(sums, 4, axis=1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        select = _select_by_mask(mask, at)
        new = f * c + i * g
        h, c = select(o * jnp.tanh(new), h), select(new, c)
        activations = select(jnp.concatenate([i, f, g, o], axis=1), jnp.zeros_like(sums))
        return h, c, _written(gates, activations, at), _written(every_h, h, at), _written(every_c, c, at)

    blank = jnp.zeros((*x.shape[:2], h0.shape[1]), x.dtype)
    h, c, gates, every_h, every_c = _loop(step, (h0, c0, x, blank, blank), x.shape[1], reverse)
    return every_h, h, c, every_c, gates


def _lstm_grad(
    w: Array, c0: Array, c: Array, gates: Array, dh: Array, dc: Array, *rest: Array,
    reverse: bool, masked: bool, **_: Any,
) -> tuple[Array, ...]:  # fmt: skip
    every, mask = rest[: len(rest) - masked], rest[len(rest) - masked :]
    length = c.shape[1]
    first = length - 1 if reverse else 0

    def step(state: Any, at: Array) -> Any:
        dh, dc, dx = state
        i, f, g, o = jnp.split(_row(gates, at), 4, axis=1)
        dh = dh + _row(every[0], at) if every else dh
        before = jnp.where(at == first, c0, _row(c, jnp.clip(at + 1 if reverse else at - 1, 0, length - 1)))
        tanh_c = jnp.tanh(_row(c, at))
        dc_total = dc + dh * o * (1 - tanh_c * tanh_c)
        parts = [dc_total * g * i * (1 - i), dc_total * before * f * (1 - f), dc_total * i * (1 - g * g)]
        sums = jnp.concatenate([*parts, dh * tanh_c * o * (1 - o)], axis=1)
        select = _select_by_mask(mask, at)
        dgates = select(sums, jnp.zeros_like(sums))
        return select(_product(sums, w, 1), dh), select(dc_total * f, dc), _written(dx, dgates, at)

    dh, dc, dx = _loop(step, (dh, dc, jnp.zeros_like(gates)), length, not reverse)
    return dx, dh, dc


RECURRENT: Table = {"lstm": _lstm, "lstm_grad": _lstm_grad}
