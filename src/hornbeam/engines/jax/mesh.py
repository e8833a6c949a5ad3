"""The JAX engine on a mesh: arrays carry shardings, and `jax.jit` cuts a graph into what each device does.

The processes of a job run the same programs in the same order; each holds the pieces of its own devices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax import numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

from hornbeam.engines.base import Buffer, Engine, MeshEngine
from hornbeam.engines.jax import JaxEngine, JaxExecutable, control, donated
from hornbeam.engines.mesh import Layout, Mesh
from hornbeam.engines.table import TableEngine
from hornbeam.ir.graph import Graph


class Rows:
    """Data in the memory of each process, of which steps take rows."""

    def __init__(self, array: np.ndarray, own: bool) -> None:
        self.array = array
        self.own = own


class JaxMeshExecutable(JaxExecutable):
    """A graph as one XLA program for every set of donated inputs and layouts of the outputs."""

    _engine: JaxMeshEngine

    def __init__(self, engine: JaxMeshEngine, graph: Graph) -> None:
        super().__init__(engine, graph)
        dependent = set(graph.inputs)
        for node in graph.nodes:
            if not dependent.isdisjoint(node.inputs):
                dependent.add(node)
        # Outputs that JAX lays out by their operands; those without any it would leave on one device.
        self._free = [node in dependent for node in graph.outputs]
        self._laid: dict[Any, Callable[..., list[Buffer]]] = {}

    def run(
        self,
        inputs: Sequence[Buffer],
        donate: Sequence[bool] | None = None,
        layouts: Sequence[Layout | None] | None = None,
    ) -> list[Buffer]:
        """See `MeshExecutable.run`."""
        given = layouts or [None] * len(self._free)
        wanted = [
            None if layout is None and free else self._engine.sharding(layout or ())
            for layout, free in zip(given, self._free, strict=True)
        ]
        with jax.enable_x64(True):
            return self._program(donated(inputs, donate), wanted)(*inputs)

    def _program(self, wanted: tuple[int, ...], outputs: list[Any]) -> Callable[..., list[Buffer]]:
        key = wanted, tuple(outputs)
        program = self._laid.get(key)
        if program is None:
            program = self._laid[key] = jax.jit(self._compute, donate_argnums=wanted, out_shardings=outputs)
        return program

    def run_steps(
        self, state: Sequence[Buffer], data: Sequence[Rows], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """See `MeshExecutable`. The state is given away; JAX queues the steps."""
        count, engine = len(state), self._engine
        whole = [engine.sharding(())] * (len(self._graph.outputs) - count)
        program = self._program(tuple(range(count)), [*(x.sharding for x in state), *whole])
        current, logs = list(state), []
        with jax.enable_x64(True):
            for rows in indices:
                outputs = program(*current, *(engine.taken(part, rows) for part in data))
                current = outputs[:count]
                logs.append(outputs[count:])
            return current, [jnp.stack(column) for column in zip(*logs, strict=True)]


class JaxMeshEngine(TableEngine, MeshEngine):
    """What `JaxEngine.on_mesh` gives. Raises ValueError for a mesh of devices that JAX does not see."""

    library = "jax"

    def __init__(self, base: JaxEngine, mesh: Mesh) -> None:
        super().__init__()
        seen = {f"{device.platform}:{device.id}": device for device in jax.devices()}
        if any(name not in seen for name in mesh.devices):  # not of the best kind
            kinds = {name.partition(":")[0] for name in mesh.devices}
            seen = {f"{d.platform}:{d.id}": d for kind in kinds for d in jax.devices(kind)}
        unknown = [name for name in mesh.devices if name not in seen]
        if unknown:
            raise ValueError(f"the mesh has {unknown[0]!r}, JAX sees {', '.join(seen)}")
        self.base, self.mesh, self.name = base, mesh, base.name
        self.table = {**base.table, **control(self.evaluate), "sharding_constraint": self._constrained}
        self._devices = [seen[name] for name in mesh.devices]
        if self.process[1] > 1 and len({device.process_index for device in self._devices}) < self.process[1]:
            raise ValueError(
                f"the mesh has devices of some of the {self.process[1]} processes only: all take part"
            )
        self._mesh = jax.sharding.Mesh(np.array(self._devices).reshape(mesh.shape), mesh.axis_names)
        self._shardings: dict[Layout, NamedSharding] = {}
        self._part = self._found_part()

    @property
    def local(self) -> Engine:
        """See `Engine.local`."""
        return self.base

    @property
    def process(self) -> tuple[int, int]:
        """See `Engine.process`."""
        return self.base.process

    @property
    def part(self) -> tuple[int, int]:
        """See `MeshEngine.part`."""
        return self._part

    def _found_part(self) -> tuple[int, int]:
        if self.mesh.batch is None:
            return 0, 1
        rows: dict[int, set[int]] = {}
        for number, device in enumerate(self._devices):
            rows.setdefault(device.process_index, set()).add(self.mesh.coordinates(number)[self.mesh.batch])
        parts = sorted({tuple(sorted(taken)) for taken in rows.values()})
        if sum(map(len, parts)) > self.mesh.length(self.mesh.batch):
            raise ValueError(
                f"the processes hold overlapping parts of the batch, {parts}: order the devices of the mesh "
                "so that each process has a part for itself, or all of a part"
            )
        return parts.index(tuple(sorted(rows[self.process[0]]))), len(parts)

    def devices(self, kind: str | None = None) -> list[str]:
        """See `Engine.devices`."""
        return self.base.devices(kind)

    def exchange(self, array: np.ndarray) -> np.ndarray:
        """See `Engine.exchange`."""
        return self.base.exchange(array)

    def on_mesh(self, mesh: Mesh) -> MeshEngine:
        """See `Engine.on_mesh`."""
        return self.base.on_mesh(mesh)

    def multiplies(self, dtype: str) -> bool:
        """See `Engine.multiplies`."""
        return self.base.multiplies(dtype)

    def compile(self, graph: Graph) -> JaxMeshExecutable:
        self.check(graph)
        return JaxMeshExecutable(self, graph)

    def sharding(self, layout: Layout) -> NamedSharding:
        """The layout in JAX's words."""
        found = self._shardings.get(layout)
        if found is None:
            found = self._shardings[layout] = NamedSharding(self._mesh, PartitionSpec(*layout))
        return found

    def _constrained(self, x: Buffer, *, axes: Layout, **_: Any) -> Buffer:
        return jax.lax.with_sharding_constraint(x, self.sharding(axes))

    def put(self, array: np.ndarray, layout: Layout = (), own: bool = False) -> Buffer:
        """See `MeshEngine.put`."""
        if own and self._part[1] > 1:
            if layout:
                with jax.enable_x64(True):
                    return jax.make_array_from_process_local_data(self.sharding(layout), array)
            array = self._joined(array)
        return self._made(array.shape, layout, lambda index: array[index])

    def _joined(self, array: np.ndarray) -> np.ndarray:
        """The rows of all parts, from every process's own."""
        numbers, arrays = self.exchange(np.array(self._part[0])), self.exchange(array)
        first = [int(np.flatnonzero(numbers == part)[0]) for part in range(self._part[1])]
        return np.concatenate([arrays[process] for process in first])

    def _made(self, shape: Any, layout: Layout, piece: Callable[[Any], np.ndarray]) -> Buffer:
        with jax.enable_x64(True):
            return jax.make_array_from_callback(
                tuple(shape), self.sharding(layout), lambda index: np.asarray(piece(index), order="C")
            )

    def rows(self, array: np.ndarray, own: bool = False) -> Rows:
        """See `MeshEngine.rows`. The data stay where they are; batches go to the devices as they are made."""
        return Rows(array, own)

    def taken(self, data: Rows, rows: np.ndarray) -> Buffer:
        """A batch: each process looks up the rows of its own devices only."""
        array = data.array
        parts = self._part[1] if data.own else 1
        shape = (len(rows) * parts, *array.shape[1:])
        layout = self.mesh.batch_layout(shape)
        if parts > 1:
            return self.put(array[rows], layout, own=True)
        return self._made(shape, layout, lambda index: array[rows[index[0]]])

    def lay(self, buffer: Buffer, layout: Layout) -> Buffer:
        """See `MeshEngine.lay`."""
        wanted = self.sharding(layout)
        if buffer.sharding.is_equivalent_to(wanted, buffer.ndim):
            return buffer
        with jax.enable_x64(True):
            return jax.jit(lambda x: x, out_shardings=wanted)(buffer)

    def copy(self, buffer: Buffer) -> Buffer:
        """See `Engine.copy`."""
        with jax.enable_x64(True):
            return jnp.copy(buffer)

    def get(self, buffer: Buffer) -> np.ndarray:
        """See `MeshEngine.get`."""
        if not buffer.is_fully_addressable:
            buffer = self.lay(buffer, ()).addressable_data(0)
        array = np.asarray(buffer)
        array.flags.writeable = False
        return array
