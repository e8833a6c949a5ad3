"""Functions of elements, traced once for each form of element and replayed without Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from hornbeam import tree
from hornbeam.core.jit import _may_be_views, trace_function
from hornbeam.core.tensor import Tensor
from hornbeam.data import elements as e
from hornbeam.data.pipeline.purity import is_pure
from hornbeam.engines import current_engine
from hornbeam.engines.base import Engine, Executable
from hornbeam.ir.types import HornbeamTypeError, TensorType, dtype_name

# Elements of more forms than this are not worth a trace each.
MOST = 16


class Tape(NamedTuple):
    """A traced function: compiled, and how its result is put together from the outputs."""

    executable: Executable
    engine: Engine
    copies: bool
    pack: Callable[[list[Any]], Any]

    def run(self, parts: list[Any]) -> Any:
        """The function's result for the parts of an element, in the order of `tree.flatten`."""
        arrays = [np.array(part) if self.copies else np.asarray(part) for part in parts]
        outputs = self.executable.run([self.engine.put(array) for array in arrays])
        return self.pack([self.engine.get(value) for value in outputs])


class Replay:
    """`function` by tapes, where its code shows that they give what calling it gives."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self._tapes: dict[Any, Tape | None] = {}

    @staticmethod
    def of(function: Callable[..., Any]) -> Replay | None:
        """One for a function that can be replayed, None for others."""
        return Replay(function) if is_pure(function) else None

    def tape(self, element: Any, parts: list[Any]) -> Tape | None:
        """The tape for an element's form; None where the function has to be called."""
        if any(not isinstance(part, (np.ndarray, np.generic)) or part.dtype == object for part in parts):
            return None
        form = (*((part.shape, part.dtype) for part in parts), e.form_of(element))
        if form not in self._tapes:
            self._tapes[form] = _traced(self.function, element) if len(self._tapes) < MOST else None
        return self._tapes[form]


def _traced(function: Callable[..., Any], element: Any) -> Tape | None:
    """A tape, or None where a value is needed while tracing, or variables or other values take part."""
    types = e.each(lambda part: TensorType(part.shape, dtype_name(part.dtype)), element)
    try:
        traced = trace_function(function, list(types) if isinstance(types, tuple) else [types])
        pack = _packing(traced.result)
    except Exception:  # whatever it is, calling the function shows it, with the element's number
        return None
    if traced.variables or traced.captured or traced.updated:
        return None
    engine = current_engine()
    return Tape(engine.executable(traced.graph), engine, _may_be_views(traced.graph), pack)


def _packing(result: Any) -> Callable[[list[Any]], Any]:
    """From outputs to an element like `result`. Raises HornbeamTypeError for what is not made of tensors."""
    for part in e.parts_of(result):
        if not isinstance(part, Tensor):
            raise HornbeamTypeError(f"only tensors are replayed, got {type(part).__name__}")

    def pack(outputs: list[Any]) -> Any:
        return tree.pack_sequence_as(result, [array if array.ndim else array[()] for array in outputs])

    return pack if tree.is_nested(result) else _only


def _only(outputs: list[Any]) -> Any:
    return outputs[0] if outputs[0].ndim else outputs[0][()]
