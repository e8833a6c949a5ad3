"""Propagate placements through a graph, choose where sums are taken, and build the graph of a rank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.partition.collectives import COLLECTIVES
from hornbeam.ir.partition.layouts import (
    PARTIAL,
    UNCONSTRAINED,
    Context,
    LocalGraph,
    Placement,
    ShardingPlan,
    is_sharded,
    is_zero,
    shard_shape,
    shard_type,
)
from hornbeam.ir.partition.rules import ELEMENTWISE, RULES, reshaped_dim
from hornbeam.ir.primitive import PRIMITIVES, bind, constant, graph_param, zeros_like
from hornbeam.ir.scope import scope
from hornbeam.ir.trace import expanded, new_level
from hornbeam.ir.types import TensorType

if TYPE_CHECKING:
    pass


Requested = Sequence[Placement] | None
# The composite that is an identity and tells along which mesh axes a value is to be sharded.
SHARDING_CONSTRAINT = "sharding_constraint"
REPEATABLE = ELEMENTWISE | {"broadcast", "reshape", "transpose"}


class MeshAxis:
    """A mesh axis, with a cache of the graphs that were partitioned for it."""

    def __init__(self, name: str, size: int, kernels: frozenset[str]) -> None:
        self.name = name
        self.size = size
        self.kernels = kernels
        self._cache: dict[Any, LocalGraph] = {}

    def partition(
        self, graph: Graph, ins: Sequence[Placement], out_placements: Requested, partial: bool
    ) -> LocalGraph:
        """Partition a graph or body; see `Context.partition`."""
        key = (graph, tuple(ins), None if out_placements is None else tuple(out_placements), partial)
        if key not in self._cache:
            self._cache[key] = _partition(self, graph, ins, out_placements, partial)
        return self._cache[key]

    def collective(self, name: str, x: Node, **params: Any) -> Node:
        """Apply a collective of this axis."""
        return bind(COLLECTIVES[name], x, axis=self.name, size=self.size, **params)


def _partition(
    axis: MeshAxis, graph: Graph, ins: Sequence[Placement], out_placements: Requested, partial: bool
) -> LocalGraph:
    graph = expanded(graph, lambda node: node.name not in axis.kernels and node.name != SHARDING_CONSTRAINT)
    while True:
        rewrite = Rewrite(axis, graph, ins, out_placements, partial)
        rewrite.propagate()
        if not rewrite.communicating:
            return rewrite.build()
        graph = expanded(graph, rewrite.communicating.__contains__)


class Rewrite(Context):
    """The partitioning of one graph for one axis.

    Attributes:
        placements: Placement of each value.
        plans: Plan of each node.
        reduced_at: Placement of each partial sum after the reduction that is inserted behind it.
        communicating: Composites to be inlined, since their ranks communicate inside.
    """

    def __init__(
        self, axis: MeshAxis, graph: Graph, ins: Sequence[Placement], out_placements: Requested, partial: bool
    ) -> None:
        self.axis, self.size, self.graph = axis, axis.size, graph
        self.ins, self.requested, self.partial = tuple(ins), out_placements, partial
        self.plans: dict[Node, ShardingPlan] = {}
        self.placements: dict[Node, Any] = {}
        self.reduced_at: dict[Node, Placement] = {}
        self.communicating: set[Node] = set()
        self.bytes_to_move = _bytes_to_move(graph)
        self._elementwise_of_inputs: set[Node] = set()  # sharded, and computed from inputs element by element
        self._replicated: set[Node] = set()  # not requested as shards
        self._values: dict[tuple[Node, Any], Node] = {}

    def partition(
        self, body: Graph, ins: Sequence[Placement], out_placements: Requested = None, partial: bool = False
    ) -> LocalGraph:
        return self.axis.partition(body, ins, out_placements, partial)

    # -- placements --------------------------------------------------------------------------

    def propagate(self) -> None:
        """Find the placements of all values, and take sums where they are smallest."""
        self._propagate_once()
        self._replicated = {
            node for node, wish in self._requested_placements().items() if not is_sharded(wish)
        }
        while True:
            self._propagate_once()
            reductions = self._reductions_to_take()
            if not reductions:
                return
            self.reduced_at.update(reductions)

    def _propagate_once(self) -> None:
        placed = zip(self.graph.inputs, self.ins, strict=True)
        self.placements = {node: self._reduced(node, placement) for node, placement in placed}
        self._elementwise_of_inputs = {
            node for node, placement in self.placements.items() if is_sharded(placement)
        }
        for node in self.graph.nodes:
            plan = self.plans[node] = self._plan(node, tuple(self.placements[x] for x in node.inputs))
            self.placements[node] = self._reduced(node, plan.out)
            if isinstance(plan.out, int) and node.name in REPEATABLE:
                sources = [x for x in node.inputs if self.placements[x] is not None]
                if self._elementwise_of_inputs.issuperset(sources) and sum(map(_bytes, sources)) <= _bytes(
                    node
                ):
                    self._elementwise_of_inputs.add(node)

    def _reduced(self, node: Node, placement: Any) -> Any:
        """Return the placement of a value after an inserted reduction."""
        return self.reduced_at.get(node, PARTIAL) if placement == PARTIAL else placement

    def _plan(self, node: Node, ins: tuple[Any, ...]) -> ShardingPlan:
        if node.name == "project":
            return ShardingPlan(ins, ins[0][node.params["index"]])
        if node.name == SHARDING_CONSTRAINT:
            return self._constraint_plan(node, ins)
        replicated = ShardingPlan(
            (None,) * len(ins), (None,) * len(node.type) if isinstance(node.type, tuple) else None
        )
        if all(p is None for p in ins):
            return replicated
        if node.primitive is not None and node.primitive.composite:
            return self._composite_plan(node, ins) or replicated
        if node in self._replicated and node.name in ELEMENTWISE:
            sharded = [x for x, p in zip(node.inputs, ins, strict=True) if is_sharded(p)]
            if 0 < len(sharded) < len(ins) and self._elementwise_of_inputs.issuperset(sharded):
                return replicated  # inputs are gathered in one call, this value would take another
        rule = RULES.get(node.name)
        return (rule(node, ins, self) if rule else None) or replicated

    def _constraint_plan(self, node: Node, ins: tuple[Placement, ...]) -> ShardingPlan:
        """Follow a sharding constraint; keep the placement on axes that it does not name."""
        axes = node.params["axes"]
        dim = axes.index(self.axis.name) if self.axis.name in axes else None
        if dim is None or node.shape[dim] % self.size:
            return ShardingPlan(ins, ins[0])
        return ShardingPlan((dim,), dim)

    def _composite_plan(self, node: Node, ins: tuple[Placement, ...]) -> ShardingPlan | None:
        """Keep a composite if ranks compute it without communication."""
        local = self.partition(node.params["body"], ins)
        if not local.is_local:
            self.communicating.add(node)
            return None
        out = local.placements if isinstance(node.type, tuple) else local.placements[0]
        return ShardingPlan(ins, out, {"body": local.graph})

    def _reductions_to_take(self) -> dict[Node, Placement]:
        """Return the partial sums to reduce, each where it is smallest, with their new placements."""
        wishes = self._requested_placements()
        demanded = {
            node
            for node, placement in zip(self.graph.outputs, self._out_placements(), strict=True)
            if self.placements[node] == PARTIAL and placement != PARTIAL
        }
        readers: dict[Node, list[Node]] = {}
        for node in self.graph.nodes:
            if node.name == "project":
                continue
            for x, placement in zip(node.inputs, self.plans[node].ins, strict=True):
                if self.placements[x] == PARTIAL:
                    if placement != PARTIAL or isinstance(node.type, tuple):
                        demanded.add(x)
                    readers.setdefault(x, []).append(node)
        cheapest: dict[Node, frozenset[Node]] = {}
        for node in reversed((*self.graph.inputs, *self.graph.nodes)):
            if self.placements[node] != PARTIAL:
                continue
            later = frozenset[Node]().union(*(cheapest.get(r, frozenset()) for r in readers.get(node, ())))
            sent = sum(_bytes(other) for other in later)
            here = node in demanded or (later and _bytes(node) < sent)
            cheapest[node] = frozenset((node,)) if here else later
        return {node: wishes.get(node) for node, nodes in cheapest.items() if nodes == frozenset((node,))}

    def _requested_placements(self) -> dict[Node, Placement]:
        """Return the dimension along which all readers that care request a value, None if they disagree."""
        wishes: dict[Node, Placement] = {}
        for node, placement in zip(self.graph.outputs, self._out_placements(), strict=True):
            wishes[node] = placement if wishes.get(node, placement) == placement else None
        for node in reversed(self.graph.nodes):
            if node.name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or"):
                continue
            for x, placement in zip(node.inputs, self.plans[node].ins, strict=True):
                wish: Placement = placement if is_sharded(placement) else None
                other_sharded = any(is_sharded(self.placements[y]) for y in node.inputs if y is not x)
                if node.name in REPEATABLE and not (is_sharded(placement) and other_sharded):
                    if node not in wishes:
                        continue
                    wish = self._operand_placement(node, wishes[node])
                wishes[x] = wish if wishes.get(x, wish) == wish else None
        return wishes

    def _operand_placement(self, node: Node, placement: Placement) -> Placement:
        """Return the placement of a repeatable operation's operand that gives the result a placement."""
        if not isinstance(placement, int) or node.name in ELEMENTWISE:
            return placement
        if node.name == "transpose":
            return node.params["perm"][placement]
        shape = node.inputs[0].shape
        if node.name == "reshape":
            return reshaped_dim(node.shape, shape, placement, self.size)
        dims = node.params["dims"]
        return (
            dims.index(placement)
            if placement in dims and shape[dims.index(placement)] == node.shape[placement]
            else None
        )

    def _out_placements(self) -> Sequence[Placement]:
        """Return the final placements of the outputs."""
        natural = [self.placements[node] for node in self.graph.outputs]
        free = [None if p == PARTIAL and not self.partial else p for p in natural]
        if self.requested is None:
            return free
        return [p if want == UNCONSTRAINED else want for p, want in zip(free, self.requested, strict=True)]

    # -- graph of a rank -----------------------------------------------------------------------------

    def build(self) -> LocalGraph:
        """Build the graph that each rank runs."""
        with new_level() as level:
            inputs = []
            for node, placement in zip(self.graph.inputs, self.ins, strict=True):
                shard = shard_type(node.type, placement, self.size)  # type: ignore[arg-type]
                local = placeholder(shard, level)
                inputs.append(local)
                self._values.setdefault((node, placement), local)
            for node in self.graph.nodes:
                with scope(node.scope):
                    self._emit(node)
            placements = tuple(self._out_placements())
            outputs = [self._value_at(x, p) for x, p in zip(self.graph.outputs, placements, strict=True)]
        placed = zip(self.graph.inputs, self.ins, strict=True)
        gathered = (i for i, (x, p) in enumerate(placed) if is_sharded(p) and (x, None) in self._values)
        return LocalGraph(Graph(inputs, outputs).copy(), placements, frozenset(gathered))

    def _emit(self, node: Node) -> None:
        """Compute a node's value with the placement of its plan, and reduce it if that is inserted here."""
        plan = self.plans[node]
        operands = [self._value_at(x, p) for x, p in zip(node.inputs, plan.ins, strict=True)]
        assert node.primitive is not None
        if node.name == SHARDING_CONSTRAINT:
            value = self._emit_constraint(node, operands[0])
        else:
            value = bind(node.primitive, *operands, **{**node.params, **plan.params})
        if plan.reduced is not None:
            value = self.axis.collective("all_reduce", value, how=plan.reduced)
        self._values[node, plan.out] = value
        if self.placements[node] != plan.out:
            self._value_at(node, self.placements[node])

    def _emit_constraint(self, node: Node, operand: Node) -> Node:
        """Drop this axis from a constraint, and keep it for the others."""
        axes = tuple(None if name == self.axis.name else name for name in node.params["axes"])
        if not any(axes):
            return operand
        same = placeholder(operand.type, operand.level + 1)  # type: ignore[arg-type]
        assert node.primitive is not None
        return bind(node.primitive, operand, axes=axes, body=Graph([same], [same]))

    def _value_at(self, node: Node, placement: Any) -> Node:
        """Return a value with a placement."""
        known = self._values.get((node, placement))
        if known is None:
            known = self._recomputed(node, placement) or self._redistributed(node, placement)
            self._values[node, placement] = known
        return known

    def _recomputed(self, node: Node, placement: Placement) -> Node | None:
        """Recompute a value with another placement, if that is cheaper than communication.

        That holds for values that are computed from few bytes, and for those that are requested replicated of
        inputs that are gathered anyway.
        """
        gathered = placement is None and node in self._elementwise_of_inputs and node not in self.graph.inputs
        cheap = self.bytes_to_move[node] < _bytes(node) and PARTIAL not in (placement, self.placements[node])
        if not cheap and not gathered:
            return None
        params: dict[str, Any] = {}
        ins: list[Placement] = [placement] * len(node.inputs)
        if gathered:
            pass
        elif node.name == "broadcast":
            dims, shape = node.params["dims"], node.inputs[0].shape
            unchanged = [d for d, n in zip(dims, shape, strict=True) if n == node.shape[d]]
            ins = [dims.index(placement) if placement in unchanged else None]
            params["shape"] = shard_shape(node.shape, placement, self.size)
        elif node.name == "iota" and placement != node.params["axis"]:
            params["shape"] = shard_shape(node.shape, placement, self.size)
        elif node.name not in ELEMENTWISE:
            return None
        operands = [self._value_at(x, p) for x, p in zip(node.inputs, ins, strict=True)]
        assert node.primitive is not None
        return bind(node.primitive, *operands, **{**node.params, **params})

    def _redistributed(self, node: Node, after: Placement) -> Node:
        """Redistribute a value to a placement by a collective."""
        before = self.placements[node]
        if (node, before) not in self._values:  # a partial sum, reduced here
            before = PARTIAL
        if after == PARTIAL:
            return self._as_partial(node)
        if is_sharded(before) and is_sharded(after):
            return self.axis.collective("shard", self._value_at(node, None), dim=after)
        value = self._values[node, before]
        if before is None:
            return self.axis.collective("shard", value, dim=after)
        if before != PARTIAL:
            return self.axis.collective("all_gather", value, dim=before)
        if after is None:
            return self.axis.collective("all_reduce", value, how="sum")
        return self.axis.collective("reduce_scatter", value, dim=after)

    def _as_partial(self, node: Node) -> Node:
        """Turn a replicated value into a partial sum: the first rank has it, others have zeros."""
        value = self._value_at(node, None)
        if is_zero(node):
            return value
        numbers = bind(PRIMITIVES["iota"], dtype="int32", shape=(self.size,), axis=0)
        index = bind(PRIMITIVES["reshape"], self.axis.collective("shard", numbers, dim=0), shape=())
        first = bind(PRIMITIVES["eq"], index, constant(0, "int32"))
        where = first if not value.shape else bind(PRIMITIVES["broadcast"], first, shape=value.shape, dims=())
        return bind(PRIMITIVES["select"], where, value, zeros_like(value))


def _bytes(node: Node) -> int:
    return node.type.nbytes if isinstance(node.type, TensorType) else 0


def _bytes_to_move(graph: Graph) -> dict[Node, int]:
    """Compute `Context.bytes_to_move`."""
    result: dict[Node, int] = {node: _bytes(node) for node in graph.inputs}
    for node in graph.nodes:
        if node.name in ("iota", "constant"):
            result[node] = 0
        elif node.name == "random_bits":
            result[node] = 8
        elif node.name == "broadcast" or node.name in ELEMENTWISE:
            result[node] = min(_bytes(node), max(result[x] for x in node.inputs))
        else:
            result[node] = _bytes(node)
    return result


def nested(graph: Graph) -> Iterable[Graph]:
    """Yield a graph and all bodies in it."""
    yield graph
    for node in graph.nodes:
        for body in graph_param(node.params):
            yield from nested(body)
