"""What the processes of a mesh axis compute together, by torch.distributed: gloo on CPUs, NCCL on GPUs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist

from hornbeam.engines.mesh import Mesh
from hornbeam.engines.table import Table
from hornbeam.engines.torch.elementwise import Tensor

# Sums of these are taken in wider types.
_WIDE = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.int8: torch.int32,
    torch.int16: torch.int32,
    torch.bool: torch.uint8,
}
_HOW = {"sum": "SUM", "prod": "PRODUCT", "max": "MAX", "min": "MIN"}


class Line:
    """The processes along one axis of a mesh, of which this one is number `index` of `size`."""

    def __init__(self, group: Any, ranks: Sequence[int], index: int) -> None:
        self.group, self.size, self.index = group, len(ranks), index
        # PyTorch counts by rank; the mesh may not.
        self._order = [sorted(ranks).index(rank) for rank in ranks]

    def all_reduce(self, x: Tensor, how: str) -> Tensor:
        """The combination of what all have."""
        if self.size == 1:
            return x
        if how in ("max", "min") and x.is_floating_point():  # MAX of gloo loses NaN
            found = self.all_gather(x[None], 0)
            return torch.amax(found, 0) if how == "max" else torch.amin(found, 0)
        y = x.to(_WIDE[x.dtype]) if x.dtype in _WIDE else x.clone(memory_format=torch.contiguous_format)
        y = y.contiguous()
        dist.all_reduce(y, getattr(dist.ReduceOp, _HOW[how]), group=self.group)
        return y.to(x.dtype)

    def all_gather(self, x: Tensor, dim: int) -> Tensor:
        """The pieces of all, one after the other."""
        if self.size == 1:
            return x
        raw = x.contiguous().reshape(-1).view(torch.uint8)
        found = [torch.empty_like(raw) for _ in range(self.size)]
        dist.all_gather(found, raw, group=self.group)
        parts = [found[place].view(x.dtype).reshape(x.shape) for place in self._order]
        return torch.cat(parts, dim)

    def reduce_scatter(self, x: Tensor, dim: int) -> Tensor:
        """This process's piece of the sum. Each gets what belongs to it from all, and adds in their order."""
        if self.size == 1:
            return x
        wide = x.to(_WIDE[x.dtype]) if x.dtype in _WIDE else x
        pieces = wide.movedim(dim, 0).reshape(self.size, x.shape[dim] // self.size, -1)
        places = [self._order.index(place) for place in range(self.size)]
        given = pieces if places == list(range(self.size)) else pieces[places]
        shape = x.movedim(dim, 0).shape
        if x.device.type == "cuda":
            total = torch.empty_like(given[0], memory_format=torch.contiguous_format)
            dist.reduce_scatter_tensor(total, given.contiguous(), group=self.group)
        else:
            found = torch.empty_like(given, memory_format=torch.contiguous_format)
            dist.all_to_all_single(found, given.contiguous(), group=self.group)
            total = found[self._order].sum(0, dtype=found.dtype)
        return total.reshape(shape[0] // self.size, *shape[1:]).movedim(0, dim).to(x.dtype)

    def shard(self, x: Tensor, dim: int) -> Tensor:
        """This process's piece of what all have."""
        width = x.shape[dim] // self.size
        return x.narrow(dim, self.index * width, width)


def lines(mesh: Mesh, ranks: Sequence[int], number: int) -> dict[str, Line]:
    """The line of device `number` along every axis. `ranks` are the processes of the mesh's devices.

    All processes call it together: groups are made in one order.
    """
    found: dict[str, Line] = {}
    places = [mesh.coordinates(n) for n in range(mesh.size)]
    for axis in mesh.axis_names:
        rows: dict[Any, list[int]] = {}
        for n, place in enumerate(places):
            rows.setdefault(tuple(at for name, at in place.items() if name != axis), []).append(n)
        for row in rows.values():
            members = [ranks[n] for n in row]
            group = dist.new_group(members) if len(row) > 1 else None
            if number in row:
                found[axis] = Line(group, members, row.index(number))
    return found


def table(found: dict[str, Line]) -> Table:
    """Collectives for the table of an engine on a mesh."""

    def along(method: Callable[..., Tensor]) -> Callable[..., Tensor]:
        return lambda x, *, axis, size, **params: method(found[axis], x, **params)

    return {
        "all_reduce": along(Line.all_reduce),
        "all_gather": along(Line.all_gather),
        "reduce_scatter": along(Line.reduce_scatter),
        "shard": along(Line.shard),
    }
