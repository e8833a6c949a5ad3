"""Host calls of table engines: functions of an engine's own library in graphs."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from hornbeam.errors import MissingPrimitiveError
from hornbeam.ir.interpret import where
from hornbeam.ir.node import Node


def check_library(engine: str, library: str, node: Node) -> None:
    """Raise MissingPrimitiveError for a `host_call` unless its library is the engine's."""
    fn = node.params["fn"]
    if fn.host.library != library:
        library = fn.host.library
        raise MissingPrimitiveError(
            f"{fn.label} contains code of {library}, which the {engine} engine cannot run{where(node)}: "
            f"select the engine that can, hornbeam.config.set_engine({library!r}) or engine={library!r}"
        )


class HostCalls:
    """Calls host functions, and saves what their gradients need.

    Residuals of a forward pass are kept as long as one of its results lives, and found by that result. If
    they are gone, the backward pass recomputes the forward pass.
    """

    def __init__(self) -> None:
        self._residuals: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def __call__(self, *arrays: Any, fn: Any) -> Any:
        if fn.wanted:
            positions = sorted(fn.wanted)
            outputs, tape = fn.host.follow(fn.compute, arrays, positions)
            for output in outputs:
                self._save(output, (fn, fn.wanted, tape))
        elif fn.source is not None:
            outputs = self._gradient(fn, arrays)
        else:
            outputs = fn.compute(*arrays)
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    def _save(self, output: Any, value: Any) -> None:
        key = id(output)
        residuals = self._residuals
        residuals[key] = weakref.ref(output, lambda _: residuals.pop(key, None)), value

    def _gradient(self, fn: Any, arrays: Sequence[Any]) -> Sequence[Any]:
        forward, known, wanted = fn.source
        count = len(arrays) - 1 - len(known)
        saved = self._residuals.get(id(arrays[count]))
        if saved is not None and saved[0]() is arrays[count]:
            function, positions, tape = saved[1]
            if function is forward and positions >= set(wanted):
                return tape(known, wanted, arrays[count + 1 :])
        return fn.compute(*arrays)
