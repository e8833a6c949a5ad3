"""Functions of elements, traced once for each element structure and replayed without Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.jit import may_return_views, trace_function
from hornbeam.core.tensor import Tensor
from hornbeam.data import elements as e
from hornbeam.data.pipeline.purity import is_pure
from hornbeam.engines import current_engine
from hornbeam.engines.base import Engine, Executable
from hornbeam.ir.complex_pairs import has_complex
from hornbeam.ir.types import HornbeamTypeError, TensorType, dtype_name

# Maximum number of element signatures that are traced: more of them do not pay for a trace each.
MAX_TRACES = 16


class CompiledFunction(NamedTuple):
    """Executable of a traced function, and a function that packs its outputs into the result."""

    executable: Executable
    engine: Engine
    copies: bool
    pack: Callable[[list[Any]], Any]

    def run(self, parts: list[Any]) -> Tree:
        """Return the result for the parts of an element, in the order of `tree.flatten`."""
        arrays = [np.array(part) if self.copies else np.asarray(part) for part in parts]
        outputs = self.executable.run([self.engine.put(array) for array in arrays])
        return self.pack([self.engine.get(value) for value in outputs])


class Replay:
    """Compiled versions of a pure function, by element signature."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._compiled: dict[Any, CompiledFunction | None] = {}

    @staticmethod
    def of(function: Callable[..., Any]) -> Replay | None:
        """Return a Replay for a pure function, None for others."""
        return Replay(function) if is_pure(function) else None

    def compiled(self, element: Tree, parts: list[Any]) -> CompiledFunction | None:
        """Return the compiled function for the signature of an element, None if it has to be called."""
        if any(not isinstance(part, (np.ndarray, np.generic)) or part.dtype == object for part in parts):
            return None
        signature = (*((part.shape, part.dtype) for part in parts), e.describe_structure(element))
        if signature not in self._compiled:
            traceable = len(self._compiled) < MAX_TRACES
            self._compiled[signature] = _compile(self.function, element) if traceable else None
        return self._compiled[signature]


def _compile(function: Callable[..., Any], element: Tree) -> CompiledFunction | None:
    """Trace and compile. None if tracing needs a value, or for variables, captured tensors and complex
    numbers."""
    types = e.map_parts(lambda part: TensorType(part.shape, dtype_name(part.dtype)), element)
    try:
        arguments = list(types) if isinstance(types, tuple) else [types]
        traced = trace_function(lambda *parts: e.list_as_tuple(function(*parts)), arguments)
        pack = _packing(traced.result)
    except Exception:  # calling the function raises it again, with the index of the element
        return None
    if traced.variables or traced.captured or traced.updated or has_complex(traced.graph):
        return None
    engine = current_engine()
    return CompiledFunction(engine.executable(traced.graph), engine, may_return_views(traced.graph), pack)


def _packing(result: Tree) -> Callable[[list[Any]], Any]:
    """Return a function that packs outputs like `result`. Raises HornbeamTypeError unless all are tensors."""
    for part in e.flatten_parts(result):
        if not isinstance(part, Tensor):
            raise HornbeamTypeError(f"only tensors are replayed, got {type(part).__name__}")

    def pack(outputs: list[Any]) -> Tree:
        return tree.pack_sequence_as(result, [array if array.ndim else array[()] for array in outputs])

    return pack if tree.is_nested(result) else _single_output


def _single_output(outputs: list[Any]) -> Any:
    return outputs[0] if outputs[0].ndim else outputs[0][()]
