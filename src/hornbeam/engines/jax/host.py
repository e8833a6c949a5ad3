"""Functions of JAX in graphs: types by abstract evaluation, gradients by `jax.vjp`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hornbeam.ir.types import TensorType, dtype_name, numpy_dtype

Array = Any


class JaxHost:
    """Host functions of JAX; see `hornbeam.primitives.host.Host`.

    Functions run with the user's setting for 64-bit dtypes, which are enabled in the graph around them.
    """

    library = "jax"

    def infer(self, compute: Callable[..., Any], types: Sequence[TensorType]) -> list[TensorType]:
        """Infer the types of results; see `Host.infer`."""
        with jax.enable_x64(True):
            arguments = [jax.ShapeDtypeStruct(t.shape, numpy_dtype(t.dtype)) for t in types]
            results = jax.eval_shape(lambda *arrays: tuple(compute(*arrays)), *arguments)
        return [TensorType(tuple(x.shape), dtype_name(x.dtype)) for x in results]

    def follow(
        self, compute: Callable[..., Any], arrays: Sequence[Array], wanted: Sequence[int]
    ) -> tuple[Sequence[Array], Any]:
        """Compute results and a tape; see `Host.follow`."""

        def of_wanted(*values: Array) -> tuple[Array, ...]:
            full = list(arrays)
            for i, value in zip(wanted, values, strict=True):
                full[i] = value
            return tuple(compute(*full))

        outputs, pull = jax.vjp(of_wanted, *(arrays[i] for i in wanted))
        positions = {i: position for position, i in enumerate(wanted)}

        def tape(known: Sequence[int], asked: Sequence[int], cotangents: Sequence[Array]) -> list[Array]:
            by_output = dict(zip(known, cotangents, strict=True))
            dense = (by_output[i] if i in by_output else _zeros(y) for i, y in enumerate(outputs))
            grads = pull(tuple(dense))
            return [grads[positions[i]] for i in asked]

        return outputs, tape


def _zeros(y: Array) -> Array:
    """Return a zero cotangent: for integers JAX expects its dtype float0."""
    return (
        jnp.zeros_like(y) if jnp.issubdtype(y.dtype, jnp.floating) else np.zeros(y.shape, jax.dtypes.float0)
    )
