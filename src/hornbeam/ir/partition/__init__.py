"""From the graph of a whole step to what one member of a mesh axis computes.

Every value is whole on each member, in pieces along a dimension, or the sum of what the members have. A table
of rules (`rules.py`) says for each primitive what becomes of that; the walk (`rewrite.py`) puts collectives
where a value is not as somebody needs it. Sums are taken late and once, many small ones together
(`buckets.py`). A mesh of n axes is n runs of the pass. The result is the same graph for all members: what
differs between them is behind the collectives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from hornbeam.ir.graph import Graph
from hornbeam.ir.partition.buckets import bucketed
from hornbeam.ir.partition.layouts import ANYWHERE as ANYWHERE
from hornbeam.ir.partition.layouts import PARTIAL as PARTIAL
from hornbeam.ir.partition.layouts import Cut as Cut
from hornbeam.ir.partition.layouts import Place as Place
from hornbeam.ir.partition.rewrite import Axis

__all__ = ["ANYWHERE", "PARTIAL", "Cut", "Place", "partition", "partition_for"]

# The mesh axis along which each dimension is cut; dimensions beyond its end are whole.
Layout = tuple[str | None, ...]


def partition(
    graph: Graph,
    ins: Sequence[Place],
    axis: str,
    size: int,
    *,
    wanted: Sequence[Place] | None = None,
    kernels: Iterable[str] = (),
) -> Cut:
    """What each of `size` members along the mesh axis `axis` computes of `graph`.

    ins: where the inputs are: None for a whole value on every member, a number for pieces along that
    dimension, which `size` divides. wanted: where outputs are to be, by default wherever they come out
    (ANYWHERE), but with all sums taken. kernels: composites that the engine has; others are replaced by their
    bodies, and so are these where members need each other inside.
    """
    cut = Axis(axis, size, frozenset(kernels)).cut(graph, ins, wanted, False)
    return Cut(bucketed(cut.graph), cut.places)


def partition_for(
    axes: Mapping[str, int],
    graph: Graph,
    ins: Sequence[Layout],
    wanted: Sequence[Layout | None] | None = None,
    kernels: Iterable[str] = (),
) -> tuple[Graph, list[Layout]]:
    """What each device of a mesh computes of `graph`, and the layouts of the outputs.

    axes: names and lengths of the mesh axes. ins, wanted: layouts of inputs and outputs; None for wherever an
    output comes out.
    """
    found: list[dict[int, str]] = [{} for _ in graph.outputs]
    for axis, size in axes.items():
        here = [_place(layout, axis) for layout in ins]
        aims = [ANYWHERE if want is None else _place(want, axis) for want in wanted or [None] * len(found)]
        cut = partition(graph, here, axis, size, wanted=aims, kernels=kernels)
        # A dimension that another axis cuts already is left whole on this one.
        taken = [isinstance(p, int) and p in dims for p, dims in zip(cut.places, found, strict=True)]
        if any(taken):
            aims = [None if twice else p for p, twice in zip(cut.places, taken, strict=True)]
            cut = partition(graph, here, axis, size, wanted=aims, kernels=kernels)
        for dims, place in zip(found, cut.places, strict=True):
            if isinstance(place, int):
                dims[place] = axis
        graph = cut.graph
    return graph, [tuple(dims.get(d) for d in range(max(dims, default=-1) + 1)) for dims in found]


def _place(layout: Layout, axis: str) -> Place:
    return layout.index(axis) if axis in layout else None
