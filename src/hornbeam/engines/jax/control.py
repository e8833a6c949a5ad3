"""Random bits, and control flow by XLA."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from hornbeam.engines.table import STRUCTURE, Table
from hornbeam.ir.graph import Graph

Array = Any


def _random_bits(key: Array, *, shape: tuple[int, ...]) -> Array:
    """Compute threefry-2x32 with 20 rounds; see `primitives/random.py`."""
    size = math.prod(shape)
    block = jnp.arange((size + 1) // 2, dtype=jnp.uint64)
    keys = (key[0], key[1], key[0] ^ key[1] ^ np.uint32(0x1BD11BDA))
    x = (block >> 32).astype(jnp.uint32) + keys[0]
    y = block.astype(jnp.uint32) + keys[1]
    for injection in range(1, 6):
        for distance in ((17, 29, 16, 24), (13, 15, 26, 6))[injection % 2]:
            x = x + y
            y = ((y << distance) | (y >> (32 - distance))) ^ x
        x = x + keys[injection % 3]
        y = y + keys[(injection + 1) % 3] + np.uint32(injection)
    return jnp.stack([x, y], axis=-1).reshape(-1)[:size].reshape(shape)


PLUMBING: Table = {
    **STRUCTURE,
    "random_bits": _random_bits,
    "stop_gradient": lax.stop_gradient,  # JAX may differentiate our graphs (interop/jax_tracing.py)
    "optimization_barrier": lambda *values: tuple(lax.optimization_barrier(values)),
}


def _scan_unknown_length(
    step: Callable[..., tuple[Any, Any]], carry: Any, xs: Sequence[Array], length: Any, reverse: bool
) -> tuple[Any, list[Array]]:
    """Do what `lax.scan` does, which needs a number for `length`."""

    def rows(at: Any) -> tuple[Array, ...]:
        return tuple(lax.dynamic_index_in_dim(x, at, keepdims=False) for x in xs)

    def body(count: Array, state: tuple[Any, list[Array]]) -> tuple[Any, list[Array]]:
        carry, stacked = state
        at = length - 1 - count if reverse else count
        carry, results = step(carry, rows(at))
        written = zip(stacked, results, strict=True)
        return carry, [lax.dynamic_update_index_in_dim(array, row, at, 0) for array, row in written]

    _, shapes = jax.eval_shape(step, carry, rows(0))
    return lax.fori_loop(0, length, body, (carry, [jnp.zeros((length, *s.shape), s.dtype) for s in shapes]))


def control(walk: Callable[[Graph, Sequence[Array]], list[Array]]) -> Table:
    """Build control flow by XLA's operations; `walk` evaluates a body."""

    def cond(pred: Array, *operands: Array, true_graph: Graph, false_graph: Graph) -> tuple[Array, ...]:
        def branch(graph: Graph) -> Callable[..., tuple[Array, ...]]:
            return lambda *args: tuple(walk(graph, args))

        return lax.cond(pred, branch(true_graph), branch(false_graph), *operands)

    def while_loop(*values: Array, cond_graph: Graph, body_graph: Graph) -> tuple[Array, ...]:
        count = len(body_graph.outputs)
        fixed = values[count:]
        return lax.while_loop(
            lambda carry: walk(cond_graph, (*carry, *fixed))[0],
            lambda carry: tuple(walk(body_graph, (*carry, *fixed))),
            values[:count],
        )

    def scan(
        *values: Array, body: Graph, length: int, carries: int, sequences: int, reverse: bool
    ) -> tuple[Array, ...]:
        xs, fixed = values[carries : carries + sequences], values[carries + sequences :]

        def step(carry: tuple[Array, ...], x: tuple[Array, ...]) -> tuple[Any, Any]:
            results = walk(body, (*carry, *x, *fixed))
            return tuple(results[:carries]), (*results[carries:], *carry)

        loop = lax.scan if isinstance(length, int) else _scan_unknown_length
        carry, stacked = loop(step, values[:carries], xs, length=length, reverse=reverse)
        return (*carry, *stacked)

    return {"cond": cond, "while_loop": while_loop, "scan": scan}
