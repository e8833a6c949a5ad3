"""JAX's functions for what nodes stand for, so that StableHLO has the operations that people expect."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
from jax import lax

from hornbeam.engines.jax.windows import CONTRACT, Array
from hornbeam.engines.table import Table
from hornbeam.export.patterns import Pattern, activations, products, sequences
from hornbeam.export.patterns.arrays import as_it_is, for_float32


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
RULES: Mapping[str, Sequence[Pattern]] = {
    "conv": (for_float32(products.convolution),),
    "gather": (sequences.embedding,),
    "max": (for_float32(activations.clip),),
    "min": (for_float32(activations.clip),),
    "reverse": (sequences.turned_twice,),
    "select": (for_float32(activations.clip),),
    "softmax": (for_float32(as_it_is()),),
}
