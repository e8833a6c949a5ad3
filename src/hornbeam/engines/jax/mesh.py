"""The JAX engine on a mesh: arrays carry shardings, and `jax.jit` partitions a graph for the devices.

The processes of a job run the same programs in the same order; each holds the shards of its devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from hornbeam.engines.base import Buffer, Engine, MeshEngine
from hornbeam.engines.jax import JaxEngine, JaxExecutable, donated
from hornbeam.engines.jax.control import control
from hornbeam.engines.mesh import Layout, Mesh
from hornbeam.engines.table import TableEngine
from hornbeam.ir.graph import Graph


class JaxMeshRows:
    """Data in the memory of each process, from which steps gather rows."""

    def __init__(self, array: np.ndarray, per_process: bool) -> None:
        self.array = array
        self.per_process = per_process


class JaxMeshExecutable(JaxExecutable):
    """A graph as one XLA program for every set of donated inputs and output layouts."""

    _engine: JaxMeshEngine

    def __init__(self, engine: JaxMeshEngine, graph: Graph) -> None:
        super().__init__(engine, graph)
        dependent = set(graph.inputs)
        for node in graph.nodes:
            if not dependent.isdisjoint(node.inputs):
                dependent.add(node)
        # Outputs whose layout JAX infers from inputs; others it would leave on one device.
        self._free = [node in dependent for node in graph.outputs]
        self._programs: dict[Any, Callable[..., list[Buffer]]] = {}

    def run(
        self,
        inputs: Sequence[Buffer],
        donate: Sequence[bool] | None = None,
        layouts: Sequence[Layout | None] | None = None,
    ) -> list[Buffer]:
        """See `MeshExecutable.run`."""
        requested = layouts or [None] * len(self._free)
        shardings = [
            None if layout is None and free else self._engine.sharding(layout or ())
            for layout, free in zip(requested, self._free, strict=True)
        ]
        with jax.enable_x64(True):
            return self._program(donated(inputs, donate), shardings)(*inputs)

    def _program(self, donate: tuple[int, ...], outputs: list[Any]) -> Callable[..., list[Buffer]]:
        key = donate, tuple(outputs)
        program = self._programs.get(key)
        if program is None:
            program = self._programs[key] = jax.jit(
                self._compute, donate_argnums=donate, out_shardings=outputs
            )
        return program

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[JaxMeshRows], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run steps; see `MeshExecutable`. The state is donated; JAX queues the steps."""
        count, engine = len(state), self._engine
        replicated = [engine.sharding(())] * (len(self._graph.outputs) - count)
        program = self._program(tuple(range(count)), [*(x.sharding for x in state), *replicated])
        current, logs = list(state), []
        with jax.enable_x64(True):
            for rows in indices:
                outputs = program(*current, *(engine.gather(rows_of_data, rows) for rows_of_data in data))
                current = outputs[:count]
                logs.append(outputs[count:])
            return current, [jnp.stack(column) for column in zip(*logs, strict=True)]


class JaxMeshEngine(TableEngine, MeshEngine):
    """Engine of `JaxEngine.on_mesh`.

    Raises:
        ValueError: If JAX does not see the devices of the mesh.
    """

    library = "jax"

    def __init__(self, base: JaxEngine, mesh: Mesh) -> None:
        super().__init__()
        visible = {f"{device.platform}:{device.id}": device for device in jax.devices()}
        if any(name not in visible for name in mesh.devices):  # not of the best kind
            kinds = {name.partition(":")[0] for name in mesh.devices}
            visible = {f"{d.platform}:{d.id}": d for kind in kinds for d in jax.devices(kind)}
        unknown = [name for name in mesh.devices if name not in visible]
        if unknown:
            raise ValueError(f"the mesh has {unknown[0]!r}, JAX sees {', '.join(visible)}")
        self.base, self.mesh, self.name = base, mesh, base.name
        self.table = {**base.table, **control(self.evaluate), "sharding_constraint": self._constrained}
        self._devices = [visible[name] for name in mesh.devices]
        if self.process[1] > 1 and len({device.process_index for device in self._devices}) < self.process[1]:
            raise ValueError(
                f"the mesh has devices of some of the {self.process[1]} processes only: all have to take part"
            )
        self._mesh = jax.sharding.Mesh(np.array(self._devices).reshape(mesh.shape), mesh.axis_names)
        self._shardings: dict[Layout, NamedSharding] = {}
        self._data_shard = self._find_data_shard()

    @property
    def local_engine(self) -> Engine:
        """See `Engine.local_engine`."""
        return self.base

    @property
    def process(self) -> tuple[int, int]:
        """See `Engine.process`."""
        return self.base.process

    @property
    def data_shard(self) -> tuple[int, int]:
        """See `MeshEngine.data_shard`."""
        return self._data_shard

    def _find_data_shard(self) -> tuple[int, int]:
        if self.mesh.batch is None:
            return 0, 1
        rows: dict[int, set[int]] = {}
        for number, device in enumerate(self._devices):
            rows.setdefault(device.process_index, set()).add(self.mesh.coordinates(number)[self.mesh.batch])
        shards = sorted({tuple(sorted(indices)) for indices in rows.values()})
        if sum(map(len, shards)) > self.mesh.axis_size(self.mesh.batch):
            raise ValueError(
                f"the processes have overlapping shards of the batch, {shards}: order the devices of the "
                "mesh so that each process has a shard of its own, or shares a whole one"
            )
        return shards.index(tuple(sorted(rows[self.process[0]]))), len(shards)

    def devices(self, kind: str | None = None) -> list[str]:
        """See `Engine.devices`."""
        return self.base.devices(kind)

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """See `Engine.exchange`."""
        return self.base.exchange(array)

    def on_mesh(self, mesh: Mesh) -> MeshEngine:
        """See `Engine.on_mesh`."""
        return self.base.on_mesh(mesh)

    def has_native_arithmetic(self, dtype: str) -> bool:
        """See `Engine.has_native_arithmetic`."""
        return self.base.has_native_arithmetic(dtype)

    def compile(self, graph: Graph) -> JaxMeshExecutable:
        self.check(graph)
        return JaxMeshExecutable(self, graph)

    def sharding(self, layout: Layout) -> NamedSharding:
        """Convert a layout to a sharding of JAX."""
        sharding = self._shardings.get(layout)
        if sharding is None:
            sharding = self._shardings[layout] = NamedSharding(self._mesh, PartitionSpec(*layout))
        return sharding

    def _constrained(self, x: Buffer, *, axes: Layout, **_: Any) -> Buffer:
        return jax.lax.with_sharding_constraint(x, self.sharding(axes))

    def put(self, array: np.ndarray, layout: Layout = (), per_process: bool = False) -> Buffer:
        """See `MeshEngine.put`."""
        if per_process and self._data_shard[1] > 1:
            if layout:
                with jax.enable_x64(True):
                    return jax.make_array_from_process_local_data(self.sharding(layout), array)
            array = self._gather_rows(array)
        return self._from_callback(array.shape, layout, lambda index: array[index])

    def _gather_rows(self, array: np.ndarray) -> np.ndarray:
        """Gather the rows of all shards from the processes."""
        numbers, arrays = self.exchange(np.array(self._data_shard[0])), self.exchange(array)
        first = [int(np.flatnonzero(numbers == part)[0]) for part in range(self._data_shard[1])]
        return np.concatenate([arrays[process] for process in first])

    def _from_callback(self, shape: Any, layout: Layout, shard: Callable[[Any], np.ndarray]) -> Buffer:
        with jax.enable_x64(True):
            return jax.make_array_from_callback(
                tuple(shape), self.sharding(layout), lambda index: np.asarray(shard(index), order="C")
            )

    def rows(self, array: np.ndarray, per_process: bool = False) -> JaxMeshRows:
        """See `MeshEngine.rows`. The data stay in place; batches are copied to the devices."""
        return JaxMeshRows(array, per_process)

    def gather(self, data: JaxMeshRows, rows: np.ndarray) -> Buffer:
        """Gather a batch; each process reads the rows of its own devices only."""
        array = data.array
        shards = self._data_shard[1] if data.per_process else 1
        shape = (len(rows) * shards, *array.shape[1:])
        layout = self.mesh.batch_layout(shape)
        if shards > 1:
            return self.put(array[rows], layout, per_process=True)
        return self._from_callback(shape, layout, lambda index: array[rows[index[0]]])

    def redistribute(self, buffer: Buffer, layout: Layout) -> Buffer:
        """See `MeshEngine.redistribute`."""
        sharding = self.sharding(layout)
        if buffer.sharding.is_equivalent_to(sharding, buffer.ndim):
            return buffer
        with jax.enable_x64(True):
            return jax.jit(lambda x: x, out_shardings=sharding)(buffer)

    def copy(self, buffer: Buffer) -> Buffer:
        """See `Engine.copy`."""
        with jax.enable_x64(True):
            return jnp.copy(buffer)

    def get(self, buffer: Buffer) -> np.ndarray:
        """See `MeshEngine.get`."""
        if not buffer.is_fully_addressable:
            buffer = self.redistribute(buffer, ()).addressable_data(0)
        array = np.asarray(buffer)
        array.flags.writeable = False
        return array
