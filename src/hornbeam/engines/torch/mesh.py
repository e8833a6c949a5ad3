"""The PyTorch engine on a mesh: a process for each device, which computes on its own pieces.

A graph is cut by `ir/partition` for the layouts that its inputs have, once for each set of them. What
processes have to tell each other are nodes of the cut graph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from hornbeam.engines.base import BindingExecutable, Buffer, Engine, MeshEngine
from hornbeam.engines.mesh import Layout, Mesh, trimmed
from hornbeam.engines.torch import TorchEngine
from hornbeam.engines.torch.collectives import Line, lines, table
from hornbeam.engines.torch.elementwise import Tensor, carried, torch_dtype
from hornbeam.engines.torch.recurrent import RECURRENT
from hornbeam.ir.graph import Graph
from hornbeam.ir.partition import partition_for
from hornbeam.ir.primitive import PRIMITIVES


@dataclass(frozen=True, eq=False)
class Laid:
    """What this process has of a value, and the layout of the whole."""

    piece: Tensor
    layout: Layout = ()


@dataclass(frozen=True, eq=False)
class Rows:
    """Data in the memory of each process, of which steps take rows."""

    data: Tensor
    own: bool


class TorchMeshExecutable(BindingExecutable):
    """A graph, cut anew for every set of layouts."""

    def __init__(self, engine: TorchMeshEngine, graph: Graph) -> None:
        self._engine = engine
        self._graph = graph
        self._outputs = [torch_dtype(node.dtype) for node in graph.outputs]
        self._programs: dict[Any, tuple[Graph, list[Layout]]] = {}

    def run(
        self,
        inputs: Sequence[Laid],
        donate: Sequence[bool] | None = None,
        layouts: Sequence[Layout | None] | None = None,
    ) -> list[Buffer]:
        """See `MeshExecutable.run`."""
        wanted = None if layouts is None else tuple(layouts)
        graph, found = self._program(tuple(x.layout for x in inputs), wanted)
        with torch.no_grad():
            values = self._engine.evaluate(graph, [carried(x.piece) for x in inputs])
            pieces = [x.to(dtype).contiguous() for x, dtype in zip(values, self._outputs, strict=True)]
            return [Laid(_alone(x), layout) for x, layout in zip(pieces, found, strict=True)]

    def _program(
        self, ins: tuple[Layout, ...], wanted: tuple[Layout | None, ...] | None
    ) -> tuple[Graph, list[Layout]]:
        key = ins, wanted
        if key not in self._programs:
            engine = self._engine
            graph, found = partition_for(engine.axes, self._graph, ins, wanted, engine.kernels)
            self._programs[key] = graph, [trimmed(layout) for layout in found]
        return self._programs[key]

    def run_steps(
        self, state: Sequence[Laid], data: Sequence[Rows], indices: np.ndarray
    ) -> tuple[list[Buffer], list[Buffer]]:
        """See `MeshExecutable`."""
        current, logs, count = list(state), [], len(state)
        layouts = [x.layout for x in state] + [()] * (len(self._graph.outputs) - count)
        for rows in torch.from_numpy(np.ascontiguousarray(indices)).to(self._engine.device):
            outputs = self.run([*current, *(self._engine.taken(x, rows) for x in data)], layouts=layouts)
            current = outputs[:count]
            logs.append([x.piece for x in outputs[count:]])
        return current, [Laid(torch.stack(column)) for column in zip(*logs, strict=True)]


class TorchMeshEngine(TorchEngine, MeshEngine):
    """What `TorchEngine.on_mesh` gives. Raises ValueError for a mesh that is not a device of each process."""

    mesh: Mesh

    def __init__(self, base: TorchEngine, mesh: Mesh) -> None:
        super().__init__(str(base.device))
        self.base, self.mesh, self.name = base, mesh, base.name
        names = base.devices(mesh.devices[0].partition(":")[0])
        if sorted(mesh.devices) != sorted(names):
            raise ValueError(
                f"the mesh is made of {', '.join(mesh.devices)}; the torch engine computes on one device of "
                f"each process, here {', '.join(names)}: all have to take part, and `hornbeam launch --nproc "
                f"{mesh.size}` or torchrun starts as many processes as the mesh has devices"
            )
        self._number = mesh.devices.index(names[base.process[0]])
        ranks = [names.index(name) for name in mesh.devices]
        self.lines: dict[str, Line] = lines(mesh, ranks, self._number)
        self.table = {**self.table, **table(self.lines)}
        self.axes = dict(zip(mesh.axis_names, mesh.shape, strict=True))
        # Recurrent layers are cut in terms of their bodies.
        self.kernels = frozenset(
            name
            for name in self.table.keys() - RECURRENT.keys()
            if name in PRIMITIVES and PRIMITIVES[name].composite
        )

    @property
    def local(self) -> Engine:
        """See `Engine.local`."""
        return self.base

    @property
    def part(self) -> tuple[int, int]:
        """See `MeshEngine.part`."""
        batch = self.mesh.batch
        return (0, 1) if batch is None else (self.lines[batch].index, self.lines[batch].size)

    def on_mesh(self, mesh: Mesh) -> MeshEngine:
        """See `Engine.on_mesh`."""
        return self.base.on_mesh(mesh)

    def compile(self, graph: Graph) -> TorchMeshExecutable:
        self.check(graph)
        return TorchMeshExecutable(self, graph)

    def put(self, array: np.ndarray, layout: Layout = (), own: bool = False) -> Buffer:
        """See `MeshEngine.put`."""
        if own and self.part[1] > 1:
            piece = super().put(array)
            if not layout:
                assert self.mesh.batch is not None
                piece = self.lines[self.mesh.batch].all_gather(piece, 0)
            return Laid(piece, layout)
        where = self.mesh.piece(layout, array.shape, self._number)
        return Laid(super().put(np.array(array[where]) if layout else array), trimmed(layout))

    def borrow(self, x: Any) -> Buffer:
        """See `Engine.borrow`."""
        return Laid(super().borrow(x))

    def rows(self, array: np.ndarray, own: bool = False) -> Rows:
        """See `MeshEngine.rows`."""
        return Rows(super().put(array), own and self.part[1] > 1)

    def taken(self, data: Rows, rows: Tensor) -> Laid:
        """A batch: each process looks up its own rows only."""
        parts = self.part[1] if data.own else 1
        layout = self.mesh.batch_layout((len(rows) * parts, *data.data.shape[1:]))
        if layout and not data.own:
            rows = self.lines[self.mesh.batch].shard(rows, 0)  # type: ignore[index]
        return Laid(data.data[rows], layout)

    def lay(self, buffer: Laid, layout: Layout) -> Buffer:
        """See `MeshEngine.lay`."""
        layout = trimmed(layout)
        if buffer.layout == layout:
            return buffer
        piece = buffer.piece
        for dim, axis in enumerate(buffer.layout):
            if axis is not None and layout[dim : dim + 1] != (axis,):
                piece = self.lines[axis].all_gather(piece, dim)
        for dim, axis in enumerate(layout):
            if axis is not None and buffer.layout[dim : dim + 1] != (axis,):
                piece = self.lines[axis].shard(piece, dim)
        return Laid(_alone(piece.contiguous()), layout)

    def copy(self, buffer: Laid) -> Buffer:
        """See `Engine.copy`."""
        return Laid(buffer.piece.clone(), buffer.layout)

    def get(self, buffer: Laid) -> np.ndarray:
        """See `MeshEngine.get`."""
        return super().get(self.lay(buffer, ()).piece)


def _alone(x: Tensor) -> Tensor:
    """A tensor that does not hold more memory than it shows."""
    return x.clone() if x.untyped_storage().nbytes() > x.nbytes else x
