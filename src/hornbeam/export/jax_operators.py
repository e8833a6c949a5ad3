"""JAX's functions for operators that `export/jax_rules.py` finds in a graph, for StableHLO files."""

from __future__ import annotations

import math

import jax.numpy as jnp
from jax import lax

from hornbeam.engines.jax.windows import CONTRACT, Array
from hornbeam.engines.table import Table


def _clip(x: Array, low: float, high: float) -> Array:
    bounds = [jnp.asarray(n, x.dtype) for n in (low, high)]
    return lax.max(x, bounds[0]) if high == math.inf else lax.clamp(bounds[0], x, bounds[1])


def _embedding(table: Array, index: Array) -> Array:
    return table.at[index].get(mode="promise_in_bounds")  # StableHLO clamps what is outside


def _softmax(x: Array) -> Array:
    powers = jnp.exp(x - jnp.max(x, -1, keepdims=True))
    return powers / jnp.sum(powers, -1, keepdims=True)


def _identity(x: Array) -> Array:
    return x


OPERATORS: Table = {
    "clip": _clip,
    "conv": CONTRACT["conv"],
    "embedding": _embedding,
    "identity": _identity,
    "softmax": _softmax,
}
