"""The PyTorch engine on a mesh: one process per device, which computes on its shards.

A graph is partitioned by `ir/partition`, once for each set of input layouts. Communication between processes
is by collectives in the partitioned graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hornbeam._internal.terminal import command
from hornbeam._internal.typing import SupportsDLPack
from hornbeam.engines.base import BindingExecutable, Buffer, Engine, MeshEngine
from hornbeam.engines.mesh import Layout, Mesh, trimmed
from hornbeam.engines.torch import TorchEngine
from hornbeam.engines.torch.collectives import ProcessGroup, groups_of, table
from hornbeam.engines.torch.elementwise import Tensor, torch_dtype
from hornbeam.engines.torch.recurrent import RECURRENT
from hornbeam.ir.graph import Graph
from hornbeam.ir.partition import partition_for
from hornbeam.ir.primitive import PRIMITIVES


@dataclass(frozen=True, eq=False)
class ShardedTensor:
    """This process's shard of a value, and the layout."""

    shard: Tensor
    layout: Layout = ()


@dataclass(frozen=True, eq=False)
class TorchMeshRows:
    """Data in the memory of each process, from which steps gather rows."""

    data: Tensor
    per_process: bool


class TorchMeshExecutable(BindingExecutable):
    """A graph, partitioned for every set of layouts."""

    def __init__(self, engine: TorchMeshEngine, graph: Graph) -> None:
        self._engine = engine
        self._graph = graph
        self._outputs = [torch_dtype(node.dtype) for node in graph.outputs]
        self._programs: dict[Any, tuple[Graph, list[Layout]]] = {}

    def run(
        self,
        inputs: Sequence[ShardedTensor],
        donate: Sequence[bool] | None = None,
        layouts: Sequence[Layout | None] | None = None,
    ) -> list[Buffer]:
        """See `MeshExecutable.run`."""
        requested = None if layouts is None else tuple(layouts)
        graph, out_layouts = self._program(tuple(x.layout for x in inputs), requested)
        with torch.no_grad():
            values = self._engine.evaluate(graph, self._engine.entered([x.shard for x in inputs]))
            shards = self._engine.left(values, self._outputs)
            return [ShardedTensor(_compact(x), layout) for x, layout in zip(shards, out_layouts, strict=True)]

    def _program(
        self, ins: tuple[Layout, ...], requested: tuple[Layout | None, ...] | None
    ) -> tuple[Graph, list[Layout]]:
        key = ins, requested
        if key not in self._programs:
            engine = self._engine
            graph, out_layouts = partition_for(engine.axes, self._graph, ins, requested, engine.kernels)
            self._programs[key] = graph, [trimmed(layout) for layout in out_layouts]
        return self._programs[key]

    def run_steps(
        self, state: Sequence[ShardedTensor], data: Sequence[TorchMeshRows], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """Run steps; see `MeshExecutable`."""
        current, logs, count = list(state), [], len(state)
        layouts = [x.layout for x in state] + [()] * (len(self._graph.outputs) - count)
        for rows in torch.from_numpy(np.ascontiguousarray(indices)).to(self._engine.device):
            outputs = self.run([*current, *(self._engine.gather(x, rows) for x in data)], layouts=layouts)
            current = outputs[:count]
            logs.append([x.shard for x in outputs[count:]])
        return current, [ShardedTensor(torch.stack(column)) for column in zip(*logs, strict=True)]


class TorchMeshEngine(TorchEngine, MeshEngine):
    """Engine of `TorchEngine.on_mesh`.

    Raises:
        ValueError: Unless the mesh consists of one device of each process.
    """

    mesh: Mesh

    def __init__(self, base: TorchEngine, mesh: Mesh) -> None:
        super().__init__(str(base.device))
        self.base, self.mesh, self.name = base, mesh, base.name
        names = base.devices(mesh.devices[0].partition(":")[0])
        if sorted(mesh.devices) != sorted(names):
            raise ValueError(
                f"the mesh has {', '.join(mesh.devices)}; the torch engine computes on one device of "
                f"each process, here {', '.join(names)}: all have to take part. "
                f"`{command('launch', '--nproc', str(mesh.size))}` or torchrun starts as many processes "
                "as the mesh has devices."
            )
        self._number = mesh.devices.index(names[base.process[0]])
        ranks = [names.index(name) for name in mesh.devices]
        self.groups: dict[str, ProcessGroup] = groups_of(mesh, ranks, self._number)
        self.table = {**self.table, **table(self.groups)}
        self.axes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
        # Recurrent layers are partitioned by their bodies.
        self.kernels = frozenset(
            name
            for name in self.table.keys() - RECURRENT.keys()
            if name in PRIMITIVES and PRIMITIVES[name].composite
        )

    @property
    def local_engine(self) -> Engine:
        """See `Engine.local_engine`."""
        return self.base

    @property
    def data_shard(self) -> tuple[int, int]:
        """See `MeshEngine.data_shard`."""
        batch = self.mesh.batch
        return (0, 1) if batch is None else (self.groups[batch].index, self.groups[batch].size)

    def on_mesh(self, mesh: Mesh) -> MeshEngine:
        """See `Engine.on_mesh`."""
        return self.base.on_mesh(mesh)

    def compile(self, graph: Graph) -> TorchMeshExecutable:
        self.check(graph)
        return TorchMeshExecutable(self, graph)

    def put(self, array: np.ndarray, layout: Layout = (), per_process: bool = False) -> Buffer:
        """See `MeshEngine.put`."""
        if per_process and self.data_shard[1] > 1:
            shard = super().put(array)
            if not layout:
                assert self.mesh.batch is not None
                shard = self.groups[self.mesh.batch].all_gather(shard, 0)
            return ShardedTensor(shard, layout)
        slices = self.mesh.shard_slices(layout, array.shape, self._number)
        return ShardedTensor(super().put(np.array(array[slices]) if layout else array), trimmed(layout))

    def borrow(self, x: SupportsDLPack) -> Buffer:
        """See `Engine.borrow`."""
        return ShardedTensor(super().borrow(x))

    def rows(self, array: np.ndarray, per_process: bool = False) -> TorchMeshRows:
        """See `MeshEngine.rows`."""
        return TorchMeshRows(super().put(array), per_process and self.data_shard[1] > 1)

    def gather(self, data: TorchMeshRows, rows: Tensor) -> ShardedTensor:
        """Gather a batch; each process reads its own rows only."""
        parts = self.data_shard[1] if data.per_process else 1
        layout = self.mesh.batch_layout((len(rows) * parts, *data.data.shape[1:]))
        if layout and not data.per_process:
            rows = self.groups[self.mesh.batch].shard(rows, 0)  # type: ignore[index]
        return ShardedTensor(data.data[rows.to(data.data.device)], layout)

    def redistribute(self, buffer: ShardedTensor, layout: Layout) -> Buffer:
        """See `MeshEngine.redistribute`."""
        layout = trimmed(layout)
        if buffer.layout == layout:
            return buffer
        shard = buffer.shard
        for dim, axis in enumerate(buffer.layout):
            if axis is not None and layout[dim : dim + 1] != (axis,):
                shard = self.groups[axis].all_gather(shard, dim)
        for dim, axis in enumerate(layout):
            if axis is not None and buffer.layout[dim : dim + 1] != (axis,):
                shard = self.groups[axis].shard(shard, dim)
        return ShardedTensor(_compact(shard.contiguous()), layout)

    def copy(self, buffer: ShardedTensor) -> Buffer:
        """See `Engine.copy`."""
        return ShardedTensor(buffer.shard.clone(), buffer.layout)

    def get(self, buffer: ShardedTensor) -> np.ndarray:
        """See `MeshEngine.get`."""
        return super().get(self.redistribute(buffer, ()).shard)


def _compact(x: Tensor) -> Tensor:
    """Return a tensor that keeps no more memory alive than it needs."""
    return x.clone() if x.untyped_storage().nbytes() > x.nbytes else x
