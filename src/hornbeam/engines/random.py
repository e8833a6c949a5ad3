"""Random bits by the native kernel, for CPU engines whose library would take 150 passes over memory."""

from __future__ import annotations

import functools

import numpy as np

from hornbeam.engines.native import NativeEngine
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import TensorType

# One for all CPU engines.
_native = functools.cache(NativeEngine)


def random_bits(key: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    """Compute the primitive `random_bits`: uint32 words from a key of shape (2,), uint32."""
    native = _native()
    key_node = placeholder(TensorType((2,), "uint32"), 0)
    executable = native.executable(Graph([key_node], [PRIMITIVES["random_bits"](key_node, shape=shape)]))
    return native.get(executable.run([native.put(key)])[0])
