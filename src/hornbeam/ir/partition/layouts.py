"""Placements of values on one mesh axis, and plans of how nodes are computed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.partition.collectives import COLLECTIVES
from hornbeam.ir.trace import is_constant
from hornbeam.ir.types import TensorType

PARTIAL = "partial"
# Of an output: any placement will do.
UNCONSTRAINED = "anywhere"
# None: replicated, every rank has the whole value. A number: sharded along that dimension. PARTIAL: the value
# is the sum of what the ranks have.
Placement = int | str | None


@dataclass(frozen=True)
class ShardingPlan:
    """Placements of a node's operands and results.

    Attributes:
        ins: Placement of each operand.
        out: Placement of the result, or of each of them.
        params: Parameters that change, since they contain shapes.
        reduced: Reduction by which the ranks' results are combined at once ("max", ...), if it is not a sum.
    """

    ins: tuple[Placement, ...]
    out: Placement | tuple[Placement, ...]
    params: dict[str, Any] = field(default_factory=dict)
    reduced: str | None = None


@dataclass(frozen=True)
class LocalGraph:
    """A graph as each rank runs it.

    Attributes:
        graph: Graph of local values.
        placements: Placement of each output.
        gathered: Indices of the sharded inputs that were gathered.
    """

    graph: Graph
    placements: tuple[Placement, ...]
    gathered: frozenset[int] = frozenset()

    @property
    def is_local(self) -> bool:
        """True if ranks run it without communication."""
        return PARTIAL not in self.placements and not has_collectives(self.graph)


class Context:
    """Information for rules.

    Attributes:
        size: Number of ranks.
        bytes_to_move: Approximate number of bytes from which a value can be recomputed, looking through
            operations that repeat or transform elements.
    """

    size: int
    bytes_to_move: dict[Node, int]

    def partition(
        self,
        body: Graph,
        ins: Sequence[Placement],
        out_placements: Sequence[Placement] | None = None,
        partial: bool = False,
    ) -> LocalGraph:
        """Partition a body.

        Args:
            body: Graph of a composite or of control flow.
            ins: Placements of its inputs.
            out_placements: Placements of its outputs; None for any, partial sums only if `partial`.
            partial: Whether outputs may be partial sums.
        """
        raise NotImplementedError


Rule = Callable[[Node, tuple[Placement, ...], Context], "ShardingPlan | None"]


def has_collectives(graph: Graph) -> bool:
    """Return whether a graph contains collectives."""
    return any(
        node.name in COLLECTIVES
        or any(has_collectives(value) for value in node.params.values() if isinstance(value, Graph))
        for node in graph.nodes
    )


def is_sharded(placement: Placement) -> bool:
    """Return whether a placement is a dimension."""
    return isinstance(placement, int)


def shard_shape(shape: Sequence[int], placement: Placement, size: int) -> tuple[int, ...]:
    """Return the shape of a rank's shard of a value of `shape`."""
    return tuple(n // size if d == placement else n for d, n in enumerate(shape))


def shard_type(type: TensorType, placement: Placement, size: int) -> TensorType:
    return TensorType(shard_shape(type.shape, placement, size), type.dtype)


def is_zero(node: Node) -> bool:
    """Return whether a node is a constant of zeros, which is a partial sum as well."""
    if not is_constant(node):
        return False
    while node.name != "constant" and node.inputs:
        node = node.inputs[0]
    return node.name == "constant" and not any(node.params["data"])
