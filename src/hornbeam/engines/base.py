"""What an engine is: it compiles a graph once and runs it many times, on buffers that it owns."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from hornbeam.ir.graph import Graph
from hornbeam.ir.trace import uncollected

Buffer = Any
# From the inputs that are not bound to outputs.
Bound = Callable[[Sequence[Buffer]], list[Buffer]]


class MissingPrimitiveError(NotImplementedError):
    """A graph asks for something that the engine does not have."""


class Executable(Protocol):
    """A compiled graph. Immutable, so that several threads may run it at once."""

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """The graph's outputs. Inputs marked in `donate` are given away: their memory may be reused."""
        ...

    def bind(self, weights: Sequence[Buffer]) -> Bound:
        """The executable with its first inputs given, for many runs. What can be made of them beforehand
        is."""
        ...

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run once for every row of `indices`, (steps, batch) int64.

        The graph's inputs are the state, then one batch for each array of `data` (its rows at the indices);
        its outputs are the new state, then logs. State is donated. Returns the last state and the logs
        stacked to (steps, ...).
        """
        ...


class Engine(ABC):
    """A way to run graphs. `name` is what users select it by."""

    name: str
    cache_size = 256

    def __init__(self) -> None:
        self._executables: dict[tuple, Executable] = {}
        self._lock = threading.Lock()
        # What was compiled since a profile was begun, by the structure of its graph.
        self._profiled: dict[tuple, Executable] | None = None

    @property
    def threads(self) -> int:
        """How many threads work on one run."""
        return 1

    def check(self, graph: Graph) -> None:  # noqa: B027  (an engine may lack nothing)
        """Raises MissingPrimitiveError for the first thing in a graph that the engine lacks."""

    @abstractmethod
    def compile(self, graph: Graph) -> Executable:
        """Compile a closed graph."""

    @abstractmethod
    def put(self, array: np.ndarray) -> Buffer:
        """A buffer with the array's values. It may borrow the array, which nobody writes to from then on."""

    def borrow(self, x: Any) -> Buffer:
        """A buffer on the memory of an array with `__dlpack__`, or with its values where it cannot be."""
        return self.put(np.from_dlpack(x))

    @abstractmethod
    def get(self, buffer: Buffer) -> np.ndarray:
        """The buffer's values as a (read-only) array, without a copy where the engine can."""

    def multiplies(self, dtype: str) -> bool:
        """Whether the machine multiplies this float dtype itself; else working in it takes longer than in
        float32, though less memory."""
        return True

    def compile_profiled(self, graph: Graph) -> Executable:
        """`compile`, for an executable whose `profile()` says where its time went."""
        raise NotImplementedError(f"the {self.name} engine keeps no profiles; the native one does")

    def roof(self) -> dict[str, Any] | None:
        """Peaks of the machine as this engine sees it (see `_native.roof`), or None if it cannot tell."""
        return None

    @contextmanager
    def profiling(self) -> Iterator[dict[tuple, Executable]]:
        """What is compiled inside keeps a profile, and is found in the dictionary."""
        if self._profiled is not None:
            raise RuntimeError("a profile is being made already")
        self._profiled = {}
        try:
            yield self._profiled
        finally:
            self._profiled = None

    def executable(self, graph: Graph) -> Executable:
        """`compile`, remembered by the graph's structure."""
        with uncollected():
            return self._executable(graph)

    def _executable(self, graph: Graph) -> Executable:
        key = graph.structure
        profiled = self._profiled
        if profiled is not None:
            if key not in profiled:
                profiled[key] = self.compile_profiled(graph.frozen())
            return profiled[key]
        found = self.compiled(key)
        if found is not None:
            return found
        found = self.compile(graph.frozen())
        with self._lock:
            self._executables[key] = found
            while len(self._executables) > self.cache_size:
                del self._executables[next(iter(self._executables))]
        return found

    def compiled(self, structure: tuple) -> Executable | None:
        """What is remembered for a structure (see `Graph.structure`)."""
        return self._executables.get(structure)


class BindingExecutable:
    """`bind` in terms of `run`, for engines that have nothing better."""

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        raise NotImplementedError(f"{type(self).__name__} must define run")

    def bind(self, weights: Sequence[Buffer]) -> Bound:
        """See `Executable.bind`. Nothing is made beforehand."""
        given = list(weights)
        return lambda inputs: self.run([*given, *inputs])


class SteppingExecutable(BindingExecutable):
    """`run_steps` in terms of `run`, for engines that have nothing better."""

    engine: Engine

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        arrays = [self.engine.get(buffer) for buffer in data]
        current, logs = list(state), []
        for rows in indices:
            batch = [self.engine.put(np.ascontiguousarray(array[rows])) for array in arrays]
            outputs = self.run([*current, *batch])
            current = outputs[: len(current)]
            logs.append([self.engine.get(value) for value in outputs[len(current) :]])
        stacked = [self.engine.put(np.stack(column)) for column in zip(*logs, strict=True)]
        return current, stacked
