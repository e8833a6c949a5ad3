"""SPMD partitioning: rewrite the graph of a whole step to the graph that each rank of a mesh axis runs.

Every value is replicated on all ranks, sharded along a dimension, or a partial sum (the terms of a sum that
is still to be taken). A table of rules (`rules.py`) propagates these placements through each primitive; the
rewrite (`rewrite.py`) inserts collectives where a value is not placed as an operation needs it. Sums are
taken late and once, and small ones are joined (`buckets.py`). A mesh of n axes takes n runs of the pass. All
ranks run the same graph: collectives alone depend on the rank.

Source: Xu et al. 2021, GSPMD: General and Scalable Parallelization for ML Computation Graphs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hornbeam.ir.graph import Graph
from hornbeam.ir.partition.buckets import bucketed
from hornbeam.ir.partition.layouts import PARTIAL as PARTIAL
from hornbeam.ir.partition.layouts import UNCONSTRAINED as UNCONSTRAINED
from hornbeam.ir.partition.layouts import LocalGraph as LocalGraph
from hornbeam.ir.partition.layouts import Placement as Placement
from hornbeam.ir.partition.rewrite import MeshAxis

__all__ = ["PARTIAL", "UNCONSTRAINED", "LocalGraph", "Placement", "partition", "partition_for"]

# The mesh axis along which each dimension is sharded; missing dimensions are replicated.
Layout = tuple[str | None, ...]


def partition(
    graph: Graph,
    in_placements: Sequence[Placement],
    axis: str,
    size: int,
    *,
    out_placements: Sequence[Placement] | None = None,
    kernels: Iterable[str] = (),
) -> LocalGraph:
    """Partition `graph` for the `size` ranks of the mesh axis `axis`.

    Args:
        graph: Graph of global values.
        in_placements: Placement of each input: None for replicated, or the sharded dimension, which `size`
            divides.
        axis: Name of the mesh axis.
        size: Number of ranks on it.
        out_placements: Placement of each output. By default any (UNCONSTRAINED), with all sums taken.
        kernels: Composites that the engine implements. Others are inlined, and so are these where their ranks
            would communicate inside.

    Returns:
        The graph that each rank runs, with the placements of its outputs.
    """
    local = MeshAxis(axis, size, frozenset(kernels)).partition(graph, in_placements, out_placements, False)
    return LocalGraph(bucketed(local.graph), local.placements)


def partition_for(
    axes: Mapping[str, int],
    graph: Graph,
    in_layouts: Sequence[Layout],
    out_layouts: Sequence[Layout | None] | None = None,
    kernels: Iterable[str] = (),
) -> tuple[Graph, list[Layout]]:
    """Partition `graph` for all axes of a mesh.

    Args:
        axes: Names and sizes of the mesh axes.
        graph: Graph of global values.
        in_layouts: Layout of each input.
        out_layouts: Layout of each output, None for any.
        kernels: Composites that the engine implements.

    Returns:
        The graph that each device runs, and the layouts of its outputs.
    """
    sharded: list[dict[int, str]] = [{} for _ in graph.outputs]
    for axis, size in axes.items():
        ins = [_placement(layout, axis) for layout in in_layouts]
        layouts = out_layouts or [None] * len(sharded)
        outs = [UNCONSTRAINED if layout is None else _placement(layout, axis) for layout in layouts]
        local = partition(graph, ins, axis, size, out_placements=outs, kernels=kernels)
        # A dimension that is sharded along another axis already stays replicated along this one.
        twice = [
            p in dims if isinstance(p, int) else False
            for p, dims in zip(local.placements, sharded, strict=True)
        ]
        if any(twice):
            outs = [None if t else p for p, t in zip(local.placements, twice, strict=True)]
            local = partition(graph, ins, axis, size, out_placements=outs, kernels=kernels)
        for dims, placement in zip(sharded, local.placements, strict=True):
            if isinstance(placement, int):
                dims[placement] = axis
        graph = local.graph
    return graph, [tuple(dims.get(d) for d in range(max(dims, default=-1) + 1)) for dims in sharded]


def _placement(layout: Layout, axis: str) -> Placement:
    return layout.index(axis) if axis in layout else None
