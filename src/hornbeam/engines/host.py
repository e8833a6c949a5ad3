"""Running code of an engine's own library: what table engines put under "host_call"."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from hornbeam.engines.base import MissingPrimitiveError
from hornbeam.ir.interpret import where
from hornbeam.ir.node import Node


def refuse_foreign(engine: str, library: str, node: Node) -> None:
    """Raises MissingPrimitiveError for a `host_call` unless it is of the library, that of the engine."""
    fn = node.params["fn"]
    if fn.host.library != library:
        library = fn.host.library
        raise MissingPrimitiveError(
            f"{fn.label} holds code of {library}, which the {engine} engine does not run{where(node)}: "
            f"choose the engine that does, hornbeam.config.set_engine({library!r}) or engine={library!r}"
        )


class HostCalls:
    """Calls host functions. What the way back needs is kept for as long as a result of the way forward lives,
    and found by that result; where it is not found, the way forward is computed again.
    """

    def __init__(self) -> None:
        self._kept: dict[int, tuple[weakref.ref[Any], Any]] = {}

    def __call__(self, *arrays: Any, fn: Any) -> Any:
        if fn.wanted:
            positions = sorted(fn.wanted)
            outputs, tape = fn.host.follow(fn.compute, arrays, positions)
            for output in outputs:
                self._keep(output, (fn, fn.wanted, tape))
        elif fn.source is not None:
            outputs = self._slopes(fn, arrays)
        else:
            outputs = fn.compute(*arrays)
        return tuple(outputs) if len(outputs) > 1 else outputs[0]

    def _keep(self, output: Any, value: Any) -> None:
        key = id(output)
        kept = self._kept
        kept[key] = weakref.ref(output, lambda _: kept.pop(key, None)), value

    def _slopes(self, fn: Any, arrays: Sequence[Any]) -> Sequence[Any]:
        forward, known, wanted = fn.source
        count = len(arrays) - 1 - len(known)
        found = self._kept.get(id(arrays[count]))
        if found is not None and found[0]() is arrays[count]:
            function, positions, tape = found[1]
            if function is forward and positions >= set(wanted):
                return tape(known, wanted, arrays[count + 1 :])
        return fn.compute(*arrays)
