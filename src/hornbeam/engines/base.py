"""Interfaces of engines: compile a graph once, and run it many times on buffers that the engine owns."""

from __future__ import annotations

import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from hornbeam._internal.typing import SupportsDLPack
from hornbeam.engines.mesh import Job, Layout, Mesh
from hornbeam.ir.complex_pairs import lower
from hornbeam.ir.graph import Graph
from hornbeam.ir.trace import gc_paused

if TYPE_CHECKING:
    from hornbeam.primitives.host import Host


Buffer = Any
# Maps the inputs that are not bound to outputs.
Bound = Callable[[Sequence[Buffer]], list[Buffer]]


class Executable(Protocol):
    """A compiled graph. Immutable: several threads may run it at once."""

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        """Compute the outputs. The memory of inputs marked in `donate` may be reused. It may be shorter."""
        ...

    def bind(self, weights: Sequence[Buffer]) -> Bound:
        """Fix the first inputs for many runs. What depends on them alone is computed once."""
        ...

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Buffer], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run one step for every row of `indices`.

        Args:
            state: First inputs of the graph, and its first outputs. Donated.
            data: Arrays, of which each step takes the rows at its indices as further inputs.
            indices: int64 of shape (steps, batch).

        Returns:
            The last state, and the other outputs (logs) stacked to (steps, ...).
        """
        ...


_SINGLE_DEVICE = (
    "runs in one process on one device. Several devices or processes need the jax or the torch engine: "
    'hornbeam.config.set_engine("jax"), or HORNBEAM_ENGINE=jax'
)


class Engine(ABC):
    """Base class of engines, which compile and run graphs.

    Attributes:
        name: Name by which users select it.
        library: Library whose functions it runs in graphs (`primitives/host.py`), by the name of its engine.
        cache_size: Number of compiled graphs that are cached.
        plans_memory: It respects `Graph.memory_budget`.
        mesh: Devices it runs on, if there are several.
        multiplies_int8: True if products of int8 that a graph converts to float32 run on the integers.
    """

    name: str
    library = ""
    cache_size = 256
    plans_memory = False
    mesh: Mesh | None = None
    multiplies_int8 = False

    def __repr__(self) -> str:
        return f"<engine {self.name}>"

    def __init__(self) -> None:
        self._executables: dict[tuple[Any, ...], Executable] = {}
        self._lock = threading.Lock()
        # Graphs compiled since a profile began, by structure.
        self._profiled: dict[tuple[Any, ...], Executable] | None = None

    @property
    def threads(self) -> int:
        """Number of threads of one run."""
        return 1

    def check(self, graph: Graph) -> None:  # noqa: B027  (an engine may lack nothing)
        """Raise MissingPrimitiveError for the first operation of a graph that the engine does not implement.

        Args:
            graph: Graph to check.
        """

    @property
    def host(self) -> Host:
        """Interface to functions of its library (see `primitives/host.py`)."""
        raise NotImplementedError(f"the {self.name} engine runs no functions of other libraries in graphs")

    @abstractmethod
    def compile(self, graph: Graph) -> Executable:
        """Compile a closed graph.

        Args:
            graph: Graph without captured values or complex numbers (see `ir/complex_pairs.py`).
        """

    @abstractmethod
    def put(self, array: np.ndarray) -> Buffer:
        """Create a buffer with the values of an array, which may be borrowed: do not write to it afterwards.

        Args:
            array: C-contiguous or strided array.
        """

    def borrow(self, x: SupportsDLPack) -> Buffer:
        """Create a buffer on the memory of an array with `__dlpack__`, or a copy where that is not possible.

        Args:
            x: Array of any library that supports DLPack.
        """
        return self.put(np.from_dlpack(x))

    @abstractmethod
    def get(self, buffer: Buffer) -> np.ndarray:
        """Return a buffer's values as a read-only array, without a copy where possible.

        Args:
            buffer: Buffer of this engine.
        """

    def copy(self, buffer: Buffer) -> Buffer:
        """Copy a buffer.

        Args:
            buffer: Buffer of this engine.
        """
        return self.put(np.array(self.get(buffer)))

    @property
    def local_engine(self) -> Engine:
        """Engine for what each process computes by itself, such as its data: the one below a mesh."""
        return self

    @property
    def process(self) -> tuple[int, int]:
        """Index of this process, and the number of processes of the job."""
        return 0, 1

    def devices(self, kind: str | None = None) -> list[str]:
        """List the devices of all processes, such as "cpu:0" or "gpu:1".

        Args:
            kind: "cpu", "gpu" or "tpu"; by default the best kind available.

        Raises:
            RuntimeError: If the engine has no device of the kind.
        """
        if kind not in (None, "cpu"):
            raise RuntimeError(f"the {self.name} engine runs on the CPU, it has no {kind}")
        return ["cpu:0"]

    def allow_host_tracing(self) -> None:
        """Let the transformations of the engine's library trace its executables (`interop.register_jax`).

        Raises:
            NotImplementedError: If the library has none.
        """
        raise NotImplementedError(f"the library of the {self.name} engine traces no functions")

    def join(self, job: Job) -> None:
        """Join a job of several processes. All processes call it, before anything is computed.

        Args:
            job: The job. `Job()` is the one that the engine's library detects, or this process alone. Joining
                the same job again has no effect.

        Raises:
            RuntimeError: If something was computed before, or another job was joined.
        """
        if job.count not in (None, 1):
            raise NotImplementedError(f"the {self.name} engine {_SINGLE_DEVICE}")

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """Gather an array from every process, and wait for all of them.

        Args:
            array: Array of the same shape in all processes.

        Returns:
            Array of shape (processes, ...).
        """
        return array[None]

    def on_mesh(self, mesh: Mesh) -> MeshEngine:
        """Return the engine that runs every graph on all devices of a mesh; the same one for equal meshes.

        Args:
            mesh: Devices of this engine.

        Raises:
            ValueError: If the mesh has devices that are not this engine's.
        """
        raise NotImplementedError(f"the {self.name} engine {_SINGLE_DEVICE}")

    def has_native_arithmetic(self, dtype: str) -> bool:
        """Return whether the hardware computes in a float dtype; else it is slower than float32.

        Args:
            dtype: "float16", "bfloat16", "float32" or "float64".
        """
        return True

    def compile_profiled(self, graph: Graph) -> Executable:
        """Compile a graph to an executable that measures itself: `profile()` returns times per instruction.

        Args:
            graph: Graph without captured values.
        """
        raise NotImplementedError(f"the {self.name} engine has no profiles; the native engine has")

    def peak(self) -> dict[str, Any] | None:
        """Return the peaks of `_native.machine_peaks`, None if the engine does not measure them."""
        return None

    @contextmanager
    def profiling(self) -> Iterator[dict[tuple[Any, ...], Executable]]:
        """Profile what is compiled inside; yields the dictionary of its executables.

        Raises:
            RuntimeError: If another profile is running.
        """
        if self._profiled is not None:
            raise RuntimeError("another profile is running: finish it first")
        self._profiled = {}
        try:
            yield self._profiled
        finally:
            self._profiled = None

    def executable(self, graph: Graph) -> Executable:
        """Compile a graph, with a cache by structure.

        Args:
            graph: Graph without captured values.
        """
        with gc_paused():
            return self._executable(graph)

    def _executable(self, graph: Graph) -> Executable:
        key, budget = graph.structure, graph.memory_budget
        if budget is not None:
            if not self.plans_memory:
                raise NotImplementedError(
                    f"memory_budget needs an engine that plans its memory, which the {self.name} engine does "
                    'not: use the native engine (hornbeam.config.set_engine("native")), or recompute layers '
                    "with hornbeam.checkpoint"
                )
            key = (*key, "memory_budget", budget)
        profiled = self._profiled
        if profiled is not None:
            if key not in profiled:
                profiled[key] = self.compile_profiled(_lowered(graph))
            return profiled[key]
        executable = self.compiled(key)
        if executable is not None:
            return executable
        executable = self.compile(_lowered(graph))
        with self._lock:
            self._executables[key] = executable
            while len(self._executables) > self.cache_size:
                del self._executables[next(iter(self._executables))]
        return executable

    def compiled(self, structure: tuple[Any, ...]) -> Executable | None:
        """Return the cached executable of a structure (see `Graph.structure`).

        Args:
            structure: Key of a graph.
        """
        return self._executables.get(structure)


def _lowered(graph: Graph) -> Graph:
    """Return a graph without complex values, on nodes of its own, with the same memory budget."""
    lowered = lower(graph).copy()
    lowered.memory_budget = graph.memory_budget
    return lowered


class MeshExecutable(Executable, Protocol):
    """A graph of global values for all devices of a mesh.

    `run_steps` keeps the layouts of the state. Its data are `MeshEngine.rows`; batches have
    `Mesh.batch_layout`.
    """

    def run(
        self,
        inputs: Sequence[Buffer],
        donate: Sequence[bool] | None = None,
        layouts: Sequence[Layout | None] | None = None,
    ) -> list[Buffer]:
        """Compute the outputs, as `Executable.run`. layouts: of the outputs, None for any."""
        ...


class MeshEngine(Engine):
    """An engine on several devices, of one or several processes that make the same calls in the same order.

    Buffers know their layouts. Values and shapes are global, except in `per_process` data.
    """

    mesh: Mesh

    @property
    @abstractmethod
    def data_shard(self) -> tuple[int, int]:
        """Index of this process's shard of a batch, and the number of shards.

        There are as many shards as processes, unless some share one or each has the whole batch.
        """

    @abstractmethod
    def put(self, array: np.ndarray, layout: Layout = (), per_process: bool = False) -> Buffer:
        """Create a buffer with a layout.

        Args:
            array: The global value, in every process.
            layout: Its layout.
            per_process: The array has the rows of this process's `data_shard` instead, equally many in all
                processes, and the buffer the rows of all.
        """

    @abstractmethod
    def rows(self, array: np.ndarray, per_process: bool = False) -> Buffer:
        """Create data from which `run_steps` gathers batches.

        Args:
            array: The data.
            per_process: Indices refer to this process's data, and a batch has the rows of all processes.
        """

    @abstractmethod
    def redistribute(self, buffer: Buffer, layout: Layout) -> Buffer:
        """Return a buffer with another layout; the same one if it has it already.

        Args:
            buffer: Buffer of this engine.
            layout: The requested layout.
        """

    @abstractmethod
    def get(self, buffer: Buffer) -> np.ndarray:
        """Return the global value. If it is sharded over processes, all of them call it together.

        Args:
            buffer: Buffer of this engine.
        """


def exit_on_uncaught_error() -> None:
    """Let uncaught errors end this process at once.

    Otherwise libraries wait at exit for the other processes of the job, which wait for this one.
    """
    show = sys.excepthook

    def exit_now(*error: Any) -> None:
        show(*error)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(1)

    sys.excepthook = exit_now


class BindingExecutable:
    """Default `bind` in terms of `run`."""

    def run(self, inputs: Sequence[Buffer], donate: Sequence[bool] | None = None) -> list[Buffer]:
        raise NotImplementedError(f"{type(self).__name__} must define run")

    def bind(self, weights: Sequence[Buffer]) -> Bound:
        """Fix the first inputs; nothing is precomputed."""
        first = list(weights)
        return lambda inputs: self.run([*first, *inputs])


class SteppingExecutable(BindingExecutable):
    """Default `run_steps` in terms of `run`."""

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
