"""What an engine is: it compiles a graph once and runs it many times, on buffers that it owns."""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from hornbeam.engines.mesh import Job, Layout, Mesh
from hornbeam.ir.graph import Graph
from hornbeam.ir.trace import gc_paused

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


_ALONE = (
    "runs in one process on one device. Several devices or processes need the jax or the torch engine: "
    'hornbeam.config.set_engine("jax"), or HORNBEAM_ENGINE=jax'
)


class Engine(ABC):
    """A way to run graphs. `name` is what users select it by."""

    name: str
    # The library whose own code (`primitives/host.py`) it runs, by the name of its engine.
    library = ""
    cache_size = 256
    # What it runs on, if that is several devices.
    mesh: Mesh | None = None

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

    @property
    def host(self) -> Any:
        """What its library says of functions of its own (see `primitives/host.py`)."""
        raise NotImplementedError(f"the {self.name} engine runs no code but the graph's")

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

    def copy(self, buffer: Buffer) -> Buffer:
        """A buffer with the same values that nobody else sees."""
        return self.put(np.array(self.get(buffer)))

    @property
    def local(self) -> Engine:
        """The engine for what each process computes by itself, such as its data: this one, or that under a
        mesh."""
        return self

    @property
    def process(self) -> tuple[int, int]:
        """The number of this process, and how many compute together."""
        return 0, 1

    def devices(self, kind: str | None = None) -> list[str]:
        """Names ("cpu:0", "gpu:1") of the devices of all processes: those of `kind`, or of the best kind.
        Raises RuntimeError for a kind that is not there."""
        if kind not in (None, "cpu"):
            raise RuntimeError(f"the {self.name} engine runs on the CPU, it has no {kind}")
        return ["cpu:0"]

    def join(self, job: Job) -> None:
        """Compute together with the other processes of a job from here on. All call it, before anything is
        computed; joining the same job again changes nothing. `Job()` is that which the engine's library
        finds, or this process alone if it finds none.

        Raises RuntimeError if it is too late or there is another job.
        """
        if job.count not in (None, 1):
            raise NotImplementedError(f"the {self.name} engine {_ALONE}")

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """The array of every process, (processes, ...). All call it at the same point, with one shape; none
        goes on before all have."""
        return array[None]

    def on_mesh(self, mesh: Mesh) -> MeshEngine:
        """An engine that runs every graph on all devices of the mesh; the same for the same mesh.

        Raises ValueError for a mesh that is not made of this engine's devices.
        """
        raise NotImplementedError(f"the {self.name} engine {_ALONE}")

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
        with gc_paused():
            return self._executable(graph)

    def _executable(self, graph: Graph) -> Executable:
        key = graph.structure
        profiled = self._profiled
        if profiled is not None:
            if key not in profiled:
                profiled[key] = self.compile_profiled(graph.copy())
            return profiled[key]
        found = self.compiled(key)
        if found is not None:
            return found
        found = self.compile(graph.copy())
        with self._lock:
            self._executables[key] = found
            while len(self._executables) > self.cache_size:
                del self._executables[next(iter(self._executables))]
        return found

    def compiled(self, structure: tuple) -> Executable | None:
        """What is remembered for a structure (see `Graph.structure`)."""
        return self._executables.get(structure)


class MeshExecutable(Executable, Protocol):
    """A graph for all devices of a mesh. Shapes in the graph are those of whole values.

    `run_steps` keeps the layouts of the state; its data are `MeshEngine.rows`, and every batch is laid out as
    `Mesh.batch_layout` says.
    """

    def run(
        self,
        inputs: Sequence[Buffer],
        donate: Sequence[bool] | None = None,
        layouts: Sequence[Layout | None] | None = None,
    ) -> list[Buffer]:
        """As `Executable.run`. layouts: of the outputs, None for those that may have any."""
        ...


class MeshEngine(Engine):
    """An engine on several devices, maybe of several processes, which all make the same calls in the same
    order. Buffers know their layouts; values and shapes are whole ones everywhere but in `own` data.
    """

    mesh: Mesh

    @property
    @abstractmethod
    def part(self) -> tuple[int, int]:
        """Which part of a batch the devices of this process have, and how many parts there are: as many as
        processes, unless some share a part (or each has the whole batch)."""

    @abstractmethod
    def put(self, array: np.ndarray, layout: Layout = (), own: bool = False) -> Buffer:
        """A buffer laid out as `layout` says. Every process gives the whole array, and keeps its pieces.

        own: it gives the rows of its `part` instead, an equal number in all processes, and the buffer has
        the rows of all parts.
        """

    @abstractmethod
    def rows(self, array: np.ndarray, own: bool = False) -> Buffer:
        """Data that `run_steps` takes batches of by row number. own: row numbers are those of the process's
        own data, and a batch is made of the rows that each process took."""

    @abstractmethod
    def lay(self, buffer: Buffer, layout: Layout) -> Buffer:
        """The buffer in another layout; itself if it has that."""

    @abstractmethod
    def get(self, buffer: Buffer) -> np.ndarray:
        """The whole value. Where the pieces are in several processes all have to call it together."""


def leave_on_errors() -> None:
    """An error that nobody catches ends this process at once, as its job has to hear: left to themselves,
    libraries wait at the exit for the other processes, which wait for this one."""
    show = sys.excepthook

    def leave(*error: Any) -> None:
        show(*error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    sys.excepthook = leave


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
