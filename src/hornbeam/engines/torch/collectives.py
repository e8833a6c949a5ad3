"""Collectives of a mesh axis by torch.distributed: gloo on CPUs, NCCL and XCCL on GPUs.

Tensors of devices for which PyTorch has no backend travel through the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from hornbeam.engines.mesh import Mesh
from hornbeam.engines.table import Table
from hornbeam.engines.torch.devices import backend
from hornbeam.engines.torch.elementwise import Tensor

# Dtypes in which sums are accumulated.
_WIDE = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.int8: torch.int32,
    torch.int16: torch.int32,
    torch.bool: torch.uint8,
}
_HOW = {"sum": "SUM", "prod": "PRODUCT", "max": "MAX", "min": "MIN"}


class ProcessGroup:
    """The processes along one axis of a mesh; this one has the index `index` of `size`."""

    def __init__(self, group: Any, ranks: Sequence[int], index: int) -> None:
        self.group, self.size, self.index = group, len(ranks), index
        # PyTorch orders by rank, the mesh possibly not.
        self._order = [sorted(ranks).index(rank) for rank in ranks]

    def all_reduce(self, x: Tensor, how: str) -> Tensor:
        """Combine the values of all."""
        if self.size == 1:
            return x
        if how in ("max", "min") and x.is_floating_point():  # MAX of gloo loses NaN
            stacked = self.all_gather(x[None], 0)
            return torch.amax(stacked, 0) if how == "max" else torch.amin(stacked, 0)
        y = x.to(_WIDE[x.dtype]) if x.dtype in _WIDE else x.clone(memory_format=torch.contiguous_format)
        y = _sendable(y.contiguous())
        dist.all_reduce(y, getattr(dist.ReduceOp, _HOW[how]), group=self.group)
        return y.to(x.device).to(x.dtype)

    def all_gather(self, x: Tensor, dim: int) -> Tensor:
        """Concatenate the shards of all."""
        if self.size == 1:
            return x
        raw = _sendable(x.contiguous().reshape(-1)).view(torch.uint8)
        shards = [torch.empty_like(raw) for _ in range(self.size)]
        dist.all_gather(shards, raw, group=self.group)
        return torch.cat([shards[i].view(x.dtype).reshape(x.shape) for i in self._order], dim).to(x.device)

    def reduce_scatter(self, x: Tensor, dim: int) -> Tensor:
        """Sum the values of all, and return this process's shard. Each adds the others' terms in their
        order."""
        if self.size == 1:
            return x
        wide = x.to(_WIDE[x.dtype]) if x.dtype in _WIDE else x
        shards = wide.movedim(dim, 0).reshape(self.size, x.shape[dim] // self.size, -1)
        order = [self._order.index(i) for i in range(self.size)]
        sent = _sendable(shards if order == list(range(self.size)) else shards[order])
        shape = x.movedim(dim, 0).shape
        if backend(x.device.type):
            total = torch.empty_like(sent[0], memory_format=torch.contiguous_format)
            dist.reduce_scatter_tensor(total, sent.contiguous(), group=self.group)
        else:
            received = torch.empty_like(sent, memory_format=torch.contiguous_format)
            dist.all_to_all_single(received, sent.contiguous(), group=self.group)
            total = received[self._order].sum(0, dtype=received.dtype)
        total = total.to(x.device).reshape(shape[0] // self.size, *shape[1:])
        return total.movedim(0, dim).to(x.dtype)

    def shard(self, x: Tensor, dim: int) -> Tensor:
        """Return this process's shard of a replicated value."""
        width = x.shape[dim] // self.size
        return x.narrow(dim, self.index * width, width)


def _sendable(x: Tensor) -> Tensor:
    return x if backend(x.device.type) else x.cpu()


def groups_of(mesh: Mesh, ranks: Sequence[int], number: int) -> dict[str, ProcessGroup]:
    """Create the groups of device `number` along every axis. `ranks` are the processes of the mesh's devices.

    All processes call it together, so that groups are created in one order.
    """
    groups: dict[str, ProcessGroup] = {}
    coordinates = [mesh.coordinates(n) for n in range(mesh.size)]
    for axis in mesh.axis_names:
        rows: dict[Any, list[int]] = {}
        for n, position in enumerate(coordinates):
            others = tuple(i for name, i in position.items() if name != axis)
            rows.setdefault(others, []).append(n)
        for row in rows.values():
            members = [ranks[n] for n in row]
            group = dist.new_group(members) if len(row) > 1 else None
            if number in row:
                groups[axis] = ProcessGroup(group, members, row.index(number))
    return groups


def table(groups: dict[str, ProcessGroup]) -> Table:
    """Build the collectives of an engine's table."""

    def along(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda x, *, axis, size, **params: method(groups[axis], x, **params)

    return {
        "all_reduce": along(ProcessGroup.all_reduce),
        "all_gather": along(ProcessGroup.all_gather),
        "reduce_scatter": along(ProcessGroup.reduce_scatter),
        "shard": along(ProcessGroup.shard),
    }
