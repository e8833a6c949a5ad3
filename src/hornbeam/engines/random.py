"""Random bits by our own kernel, for engines on CPUs whose library takes 150 passes over memory for them."""

from __future__ import annotations

import numpy as np

from hornbeam.engines import get_engine
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.primitive import PRIMITIVES
from hornbeam.ir.types import TensorType


def random_bits(key: np.ndarray, *, shape: tuple[int, ...]) -> np.ndarray:
    """uint32 words as the primitive `random_bits` defines them; the key is (2,) uint32."""
    native = get_engine("native")
    given = placeholder(TensorType((2,), "uint32"), 0)
    executable = native.executable(Graph([given], [PRIMITIVES["random_bits"](given, shape=shape)]))
    return native.get(executable.run([native.put(key)])[0])
