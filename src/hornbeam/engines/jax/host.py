"""Functions of JAX inside of graphs: their types by abstract evaluation, their derivatives by `jax.vjp`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hornbeam.ir.types import TensorType, dtype_name, numpy_dtype

Array = Any


class JaxHost:
    """See `hornbeam.primitives.host.Host`. Functions run with the 64-bit setting that their user has, while
    the graph around them is computed with 64-bit dtypes on.
    """

    library = "jax"

    def infer(self, compute: Callable[..., Any], types: Sequence[TensorType]) -> list[TensorType]:
        """See `Host.infer`."""
        with jax.enable_x64(True):
            given = [jax.ShapeDtypeStruct(t.shape, numpy_dtype(t.dtype)) for t in types]
            found = jax.eval_shape(lambda *arrays: tuple(compute(*arrays)), *given)
        return [TensorType(tuple(x.shape), dtype_name(x.dtype)) for x in found]

    def follow(
        self, compute: Callable[..., Any], arrays: Sequence[Array], wanted: Sequence[int]
    ) -> tuple[Sequence[Array], Any]:
        """See `Host.follow`."""

        def chosen(*parts: Array) -> tuple[Array, ...]:
            full = list(arrays)
            for i, part in zip(wanted, parts, strict=True):
                full[i] = part
            return tuple(compute(*full))

        outputs, pull = jax.vjp(chosen, *(arrays[i] for i in wanted))
        places = {i: place for place, i in enumerate(wanted)}

        def tape(known: Sequence[int], asked: Sequence[int], slopes: Sequence[Array]) -> list[Array]:
            given = dict(zip(known, slopes, strict=True))
            found = pull(tuple(given[i] if i in given else _zeros(y) for i, y in enumerate(outputs)))
            return [found[places[i]] for i in asked]

        return outputs, tape


def _zeros(y: Array) -> Array:
    """No cotangent: of integers JAX wants one of a dtype of its own."""
    return (
        jnp.zeros_like(y) if jnp.issubdtype(y.dtype, jnp.floating) else np.zeros(y.shape, jax.dtypes.float0)
    )
