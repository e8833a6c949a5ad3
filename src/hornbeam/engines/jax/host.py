"""Functions of JAX in graphs: types by abstract evaluation, gradients by `jax.vjp`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hornbeam.engines.jax.dimensions import Dimensions
from hornbeam.ir.sizes import is_unknown
from hornbeam.ir.types import TensorType

Array = Any

# What JAX raises where a comparison or a value depends on an unknown size.
_UNDECIDED = (jax.errors.InconclusiveDimensionOperation, NotImplementedError)


class JaxHost:
    """Host functions of JAX; see `hornbeam.primitives.host.Host`.

    Functions run with the user's setting for 64-bit dtypes, which are enabled in the graph around them.
    """

    library = "jax"

    def infer(self, compute: Callable[..., Any], types: Sequence[TensorType]) -> list[TensorType]:
        """Infer the types of results; see `Host.infer`.

        Raises:
            TypeError: If the function needs unknown sizes as numbers.
        """

        def evaluate(dimensions: Dimensions) -> list[TensorType]:
            with jax.enable_x64(True):
                arguments = map(dimensions.encode, types)
                results = jax.eval_shape(lambda *arrays: tuple(compute(*arrays)), *arguments)
            return list(map(dimensions.decode, results))

        try:
            return evaluate(Dimensions(types))
        except (TypeError, ValueError, *_UNDECIDED):
            if not any(is_unknown(size) for t in types for size in t.shape):
                raise
        try:
            return evaluate(Dimensions(types, alike=True))
        except (TypeError, *_UNDECIDED) as error:
            if not isinstance(error, _UNDECIDED) and "_DimExpr" not in str(error):
                raise
            raise TypeError(
                "JAX infers the shapes of a function's results without numbers for sizes that are unknown "
                "(None), and this function needs them. Give Input all sizes (shape=..., batch_size=...), or "
                f"compute with jax.numpy instead of Python and NumPy ({error})"
            ) from error

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
