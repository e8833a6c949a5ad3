"""Primitives that NumPy computes in memory shared with MLX: float64 where MLX has the digits of float32."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from hornbeam.engines.mlx.arrays import as_mlx
from hornbeam.engines.mlx.elementwise import Array
from hornbeam.ir.node import Node
from hornbeam.ir.primitive import Primitive
from hornbeam.ir.types import TensorType

# What MLX computes for float64 with the digits of float32 only, or not at all.
_IMPRECISE = {
    "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "conv", "conv_input_grad", "cos", "cosh",
    "digamma", "erf", "erf_inv", "exp", "expm1", "lgamma", "log", "log1p", "logistic", "pow", "sin", "sinh",
    "tan", "tanh",
}  # fmt: skip


def by_numpy(node: Node) -> bool:
    """Return whether NumPy computes a node, in memory that it shares with MLX."""
    if node.name == "eig":
        return True
    return node.name in _IMPRECISE and isinstance(node.type, TensorType) and node.type.dtype == "float64"


@functools.cache
def from_reference(primitive: Primitive) -> Callable[..., Any]:
    """Return a primitive's reference as a function of arrays of MLX."""

    def compute(*args: Array, **params: Any) -> Any:
        results = primitive.reference(*map(np.asarray, args), **params)
        return tuple(map(as_mlx, results)) if isinstance(results, tuple) else as_mlx(results)

    return compute
