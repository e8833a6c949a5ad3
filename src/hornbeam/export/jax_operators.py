"""JAX's functions for StableHLO files, and for the operators that `jax_rules.py` finds in a graph."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import lax

from hornbeam.engines.jax import JaxEngine
from hornbeam.engines.jax.control import control
from hornbeam.engines.jax.windows import CONTRACT, Array
from hornbeam.export.patterns.walk import FileLibrary, Functions


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


OPERATORS: Functions = {
    "clip": _clip,
    "conv": CONTRACT["conv"],
    "embedding": _embedding,
    "identity": _identity,
    "softmax": _softmax,
}


def file_library(engine: JaxEngine) -> FileLibrary:
    """Return JAX's functions, for graphs that leave this process; their shapes have JAX's own symbols."""
    return FileLibrary(
        engine.lower,
        control,
        lambda array, axis: array.shape[axis],
        lambda size: jnp.asarray(size, jnp.int32),
        {"min": jax.core.min_dim, "max": jax.core.max_dim},
        OPERATORS,
        jnp.asarray,
        jax.named_scope,
    )
