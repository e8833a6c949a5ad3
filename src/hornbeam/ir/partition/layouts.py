"""Where a value is on one mesh axis, and the plan of how a node is computed there."""

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
# Said of an output that may be where it comes out.
ANYWHERE = "anywhere"
# None: every member has the whole value. A number: each has a piece along that dimension. PARTIAL: the value
# is the sum of what they have.
Place = int | str | None


@dataclass(frozen=True)
class Plan:
    """How a node is computed: with its operands at `ins` the result is at `out` (one for each result).

    params: those that change, because they speak of shapes. reduced: what the members' results are combined
    by at once ("max", ...), where that is no sum.
    """

    ins: tuple[Place, ...]
    out: Place | tuple[Place, ...]
    params: dict[str, Any] = field(default_factory=dict)
    reduced: str | None = None


@dataclass(frozen=True)
class Cut:
    """A graph as one member runs it, and where its outputs are. gathered: numbers of the inputs that came in
    pieces and were needed whole."""

    graph: Graph
    places: tuple[Place, ...]
    gathered: frozenset[int] = frozenset()

    @property
    def quiet(self) -> bool:
        """Whether nobody needs anybody in it."""
        return PARTIAL not in self.places and not talks(self.graph)


class Context:
    """What a rule may ask: how many members there are, how a body is cut, and about how many bytes a value is
    made of, seen through what only repeats and transforms elements.
    """

    size: int
    work: dict[Node, int]

    def cut(
        self, body: Graph, ins: Sequence[Place], wanted: Sequence[Place] | None = None, partial: bool = False
    ) -> Cut:
        """A body, with inputs at `ins` and outputs at `wanted`; without that wherever they come out, as sums
        only if `partial`."""
        raise NotImplementedError


Rule = Callable[[Node, tuple[Place, ...], Context], "Plan | None"]


def talks(graph: Graph) -> bool:
    """Whether a graph has collectives."""
    return any(
        node.name in COLLECTIVES
        or any(talks(value) for value in node.params.values() if isinstance(value, Graph))
        for node in graph.nodes
    )


def is_dim(place: Place) -> bool:
    """Whether a place is a dimension."""
    return isinstance(place, int)


def piece(shape: Sequence[int], place: Place, size: int) -> tuple[int, ...]:
    """The shape of what a member has of a value of `shape`."""
    return tuple(n // size if d == place else n for d, n in enumerate(shape))


def piece_type(type: TensorType, place: Place, size: int) -> TensorType:
    return TensorType(piece(type.shape, place, size), type.dtype)


def is_zero(node: Node) -> bool:
    """Whether a node is a constant of zeros, which are the sum of zeros."""
    if not is_constant(node):
        return False
    while node.name != "constant" and node.inputs:
        node = node.inputs[0]
    return node.name == "constant" and not any(node.params["data"])
