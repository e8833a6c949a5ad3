"""The reference engine: NumPy, one node at a time. The specification that every engine is tested against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hornbeam.engines.base import Buffer, Engine, Executable, SteppingExecutable
from hornbeam.engines.host import check_library
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.primitive import graph_param
from hornbeam.ir.types import TensorType, numpy_dtype


class ReferenceExecutable(SteppingExecutable):
    def __init__(self, engine: ReferenceEngine, graph: Graph) -> None:
        self.engine = engine
        self.graph = graph

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        outputs = reference(self.graph, inputs)
        return [_exact(value, node.type) for value, node in zip(outputs, self.graph.outputs, strict=True)]


class ReferenceEngine(Engine):
    """Engine that interprets graphs by the primitives' NumPy references. Exact and slow."""

    name = "reference"

    def compile(self, graph: Graph) -> Executable:
        self.check(graph)
        return ReferenceExecutable(self, graph)

    def check(self, graph: Graph) -> None:
        """Raise MissingPrimitiveError for code of another library."""
        for node in graph.nodes:
            if node.name == "host_call":
                check_library(self.name, self.library, node)
            for body in graph_param(node.params):
                self.check(body)

    def put(self, array: np.ndarray) -> Buffer:
        return np.asarray(array)

    def get(self, buffer: Buffer) -> np.ndarray:
        array = buffer.view()
        array.flags.writeable = False
        return array


def _exact(value: object, type: object) -> np.ndarray:
    """Return a value as an array, after checking that the reference follows its type rule."""
    assert isinstance(type, TensorType)
    array = np.asarray(value)
    if array.shape != type.shape or array.dtype != numpy_dtype(type.dtype):
        raise AssertionError(f"the reference returned {array.dtype}{array.shape}, but the type rule {type}")
    return array
