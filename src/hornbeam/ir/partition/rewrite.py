"""The walk: finds out where all values are and where sums are best taken, and builds the new graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node, placeholder
from hornbeam.ir.partition.collectives import COLLECTIVES
from hornbeam.ir.partition.layouts import (
    ANYWHERE,
    PARTIAL,
    Context,
    Cut,
    Place,
    Plan,
    is_dim,
    is_zero,
    piece,
    piece_type,
)
from hornbeam.ir.partition.rules import ELEMENTWISE, RULES, reshaped_dim
from hornbeam.ir.primitive import PRIMITIVES, bind, constant, graph_param, zeros_like
from hornbeam.ir.scope import scope
from hornbeam.ir.trace import inline, new_level
from hornbeam.ir.types import TensorType

Wanted = Sequence[Place] | None
# The composite that does nothing but say along which mesh axes a value is to be cut.
HINT = "laid"
REPEATABLE = ELEMENTWISE | {"broadcast", "reshape", "transpose"}


class Axis:
    """A mesh axis and what has been cut for it: bodies are found again."""

    def __init__(self, name: str, size: int, kernels: frozenset[str]) -> None:
        self.name = name
        self.size = size
        self.kernels = kernels
        self._cuts: dict[Any, Cut] = {}

    def cut(self, graph: Graph, ins: Sequence[Place], wanted: Wanted, partial: bool) -> Cut:
        """See `Context.cut`."""
        key = (graph, tuple(ins), None if wanted is None else tuple(wanted), partial)
        if key not in self._cuts:
            self._cuts[key] = _cut(self, graph, ins, wanted, partial)
        return self._cuts[key]

    def send(self, name: str, x: Node, **params: Any) -> Node:
        """A collective on this axis."""
        return bind(COLLECTIVES[name], x, axis=self.name, size=self.size, **params)


def _cut(axis: Axis, graph: Graph, ins: Sequence[Place], wanted: Wanted, partial: bool) -> Cut:
    graph = expanded(graph, lambda node: node.name not in axis.kernels and node.name != HINT)
    while True:
        rewrite = Rewrite(axis, graph, ins, wanted, partial)
        rewrite.settle()
        if not rewrite.loud:
            return rewrite.build()
        graph = expanded(graph, rewrite.loud.__contains__)


def expanded(graph: Graph, which: Any) -> Graph:
    """The graph with the bodies of some composites in their place."""

    def within(node: Node) -> bool:
        return node.primitive is not None and node.primitive.composite and which(node)

    if not any(within(node) for node in graph.nodes):
        return graph
    known: dict[Node, Any] = {node: node for node in graph.inputs}
    for node in graph.nodes:
        operands = [known[x] for x in node.inputs]
        with scope(node.scope):
            if within(node):
                found = inline(expanded(node.params["body"], which), operands)
                known[node] = found if isinstance(node.type, tuple) else found[0]
            elif node.name == "project" and isinstance(operands[0], tuple):
                known[node] = operands[0][node.params["index"]]
            elif node.primitive is not None:
                known[node] = bind(node.primitive, *operands, **node.params)
    return Graph(graph.inputs, [known[node] for node in graph.outputs])


class Rewrite(Context):
    """One graph on one axis, for inputs at `ins`.

    `places` says where each value is; `late` where sums are taken that a plan has left open; `loud` are
    composites that cannot stay whole, because their members need each other inside.
    """

    def __init__(self, axis: Axis, graph: Graph, ins: Sequence[Place], wanted: Wanted, partial: bool) -> None:
        self.axis, self.size, self.graph = axis, axis.size, graph
        self.ins, self.wanted, self.partial = tuple(ins), wanted, partial
        self.plans: dict[Node, Plan] = {}
        self.places: dict[Node, Any] = {}
        self.late: dict[Node, Place] = {}
        self.loud: set[Node] = set()
        self.work = _work(graph)
        self._near: set[Node] = set()  # in pieces, and made of nothing but inputs, element by element
        self._whole: set[Node] = set()  # not wanted in pieces
        self._made: dict[tuple[Node, Any], Node] = {}

    def cut(self, body: Graph, ins: Sequence[Place], wanted: Wanted = None, partial: bool = False) -> Cut:
        return self.axis.cut(body, ins, wanted, partial)

    # -- where things are --------------------------------------------------------------------------

    def settle(self) -> None:
        """Find places for all values, and take sums where that is least."""
        self._place()
        self._whole = {node for node, wish in self._wishes().items() if not is_dim(wish)}
        while True:
            self._place()
            found = self._sums_to_take()
            if not found:
                return
            self.late.update(found)

    def _place(self) -> None:
        came = zip(self.graph.inputs, self.ins, strict=True)
        self.places = {node: self._taken(node, place) for node, place in came}
        self._near = {node for node, place in self.places.items() if is_dim(place)}
        for node in self.graph.nodes:
            plan = self.plans[node] = self._plan(node, tuple(self.places[x] for x in node.inputs))
            self.places[node] = self._taken(node, plan.out)
            if isinstance(plan.out, int) and node.name in REPEATABLE:
                sources = [x for x in node.inputs if self.places[x] is not None]
                if self._near.issuperset(sources) and sum(map(_bytes, sources)) <= _bytes(node):
                    self._near.add(node)

    def _taken(self, node: Node, place: Any) -> Any:
        """Where a value is that was made at `place`."""
        return self.late.get(node, PARTIAL) if place == PARTIAL else place

    def _plan(self, node: Node, ins: tuple[Any, ...]) -> Plan:
        if node.name == "project":
            return Plan(ins, ins[0][node.params["index"]])
        if node.name == HINT:
            return self._hint(node, ins)
        whole = Plan((None,) * len(ins), (None,) * len(node.type) if isinstance(node.type, tuple) else None)
        if all(p is None for p in ins):
            return whole
        if node.primitive is not None and node.primitive.composite:
            return self._kernel(node, ins) or whole
        if node in self._whole and node.name in ELEMENTWISE:
            cut = [x for x, p in zip(node.inputs, ins, strict=True) if is_dim(p)]
            if 0 < len(cut) < len(ins) and self._near.issuperset(cut):
                return whole  # inputs are gathered together, and this would have to be gathered alone
        rule = RULES.get(node.name)
        return (rule(node, ins, self) if rule else None) or whole

    def _hint(self, node: Node, ins: tuple[Place, ...]) -> Plan:
        """Where somebody wants a value; as it is on axes of which nothing was said."""
        axes = node.params["axes"]
        dim = axes.index(self.axis.name) if self.axis.name in axes else None
        if dim is None or node.shape[dim] % self.size:
            return Plan(ins, ins[0])
        return Plan((dim,), dim)

    def _kernel(self, node: Node, ins: tuple[Place, ...]) -> Plan | None:
        """A composite stays one if each member can do its part alone."""
        cut = self.cut(node.params["body"], ins)
        if not cut.quiet:
            self.loud.add(node)
            return None
        out = cut.places if isinstance(node.type, tuple) else cut.places[0]
        return Plan(ins, out, {"body": cut.graph})

    def _sums_to_take(self) -> dict[Node, Place]:
        """Open sums that somebody wants, each at the point on its way where the least is sent; and whether a
        member needs the whole of it, or a piece."""
        wishes = self._wishes()
        demanded = {
            node
            for node, place in zip(self.graph.outputs, self._out_places(), strict=True)
            if self.places[node] == PARTIAL and place != PARTIAL
        }
        readers: dict[Node, list[Node]] = {}
        for node in self.graph.nodes:
            if node.name == "project":
                continue
            for x, place in zip(node.inputs, self.plans[node].ins, strict=True):
                if self.places[x] == PARTIAL:
                    if place != PARTIAL or isinstance(node.type, tuple):
                        demanded.add(x)
                    readers.setdefault(x, []).append(node)
        where: dict[Node, frozenset[Node]] = {}
        for node in reversed((*self.graph.inputs, *self.graph.nodes)):
            if self.places[node] != PARTIAL:
                continue
            ahead = frozenset[Node]().union(*(where.get(r, frozenset()) for r in readers.get(node, ())))
            sent = sum(_bytes(other) for other in ahead)
            here = node in demanded or (ahead and _bytes(node) < sent)
            where[node] = frozenset((node,)) if here else ahead
        return {node: wishes.get(node) for node, found in where.items() if found == frozenset((node,))}

    def _wishes(self) -> dict[Node, Place]:
        """The dimension along which all that mind want a value in pieces; None if some want it whole."""
        wishes: dict[Node, Place] = {}
        for node, place in zip(self.graph.outputs, self._out_places(), strict=True):
            wishes[node] = place if wishes.get(node, place) == place else None
        for node in reversed(self.graph.nodes):
            if node.name in ("reduce_sum", "reduce_max", "reduce_min", "reduce_and", "reduce_or"):
                continue
            for x, place in zip(node.inputs, self.plans[node].ins, strict=True):
                wish: Place = place if is_dim(place) else None
                beside = any(is_dim(self.places[y]) for y in node.inputs if y is not x)
                if node.name in REPEATABLE and not (is_dim(place) and beside):
                    if node not in wishes:
                        continue
                    wish = self._before(node, wishes[node])
                wishes[x] = wish if wishes.get(x, wish) == wish else None
        return wishes

    def _before(self, node: Node, place: Place) -> Place:
        """Where the operand of something repeatable is cut if the result is at a place."""
        if not isinstance(place, int) or node.name in ELEMENTWISE:
            return place
        if node.name == "transpose":
            return node.params["perm"][place]
        shape = node.inputs[0].shape
        if node.name == "reshape":
            return reshaped_dim(node.shape, shape, place, self.size)
        dims = node.params["dims"]
        return dims.index(place) if place in dims and shape[dims.index(place)] == node.shape[place] else None

    def _out_places(self) -> Sequence[Place]:
        """Where the outputs are to be, at last."""
        found = [self.places[node] for node in self.graph.outputs]
        free = [None if p == PARTIAL and not self.partial else p for p in found]
        if self.wanted is None:
            return free
        return [p if want == ANYWHERE else want for p, want in zip(free, self.wanted, strict=True)]

    # -- the new graph -----------------------------------------------------------------------------

    def build(self) -> Cut:
        """The graph of one member."""
        with new_level() as level:
            inputs = []
            for node, place in zip(self.graph.inputs, self.ins, strict=True):
                made = placeholder(piece_type(node.type, place, self.size), level)  # type: ignore[arg-type]
                inputs.append(made)
                self._made.setdefault((node, place), made)
            for node in self.graph.nodes:
                with scope(node.scope):
                    self._natural(node)
            places = tuple(self._out_places())
            outputs = [self._at(x, p) for x, p in zip(self.graph.outputs, places, strict=True)]
        came = zip(self.graph.inputs, self.ins, strict=True)
        gathered = (i for i, (x, p) in enumerate(came) if is_dim(p) and (x, None) in self._made)
        return Cut(Graph(inputs, outputs).copy(), places, frozenset(gathered))

    def _natural(self, node: Node) -> None:
        """Make a node's value where its plan leaves it, and where an open sum is taken."""
        plan = self.plans[node]
        operands = [self._at(x, p) for x, p in zip(node.inputs, plan.ins, strict=True)]
        assert node.primitive is not None
        if node.name == HINT:
            made = self._hinted(node, operands[0])
        else:
            made = bind(node.primitive, *operands, **{**node.params, **plan.params})
        if plan.reduced is not None:
            made = self.axis.send("all_reduce", made, how=plan.reduced)
        self._made[node, plan.out] = made
        if self.places[node] != plan.out:
            self._at(node, self.places[node])

    def _hinted(self, node: Node, operand: Node) -> Node:
        """A value that has been cut along this axis; what is said of others is still to be done."""
        axes = tuple(None if name == self.axis.name else name for name in node.params["axes"])
        if not any(axes):
            return operand
        same = placeholder(operand.type, operand.level + 1)  # type: ignore[arg-type]
        assert node.primitive is not None
        return bind(node.primitive, operand, axes=axes, body=Graph([same], [same]))

    def _at(self, node: Node, place: Any) -> Node:
        """A value at a place."""
        known = self._made.get((node, place))
        if known is None:
            known = self._again(node, place) or self._moved(node, place)
            self._made[node, place] = known
        return known

    def _again(self, node: Node, place: Place) -> Node | None:
        """A value made once more where it is wanted, if that is less work than to move it: what is made of
        little, or what is wanted whole of inputs that others want whole too."""
        gathered = place is None and node in self._near and node not in self.graph.inputs
        little = self.work[node] < _bytes(node) and PARTIAL not in (place, self.places[node])
        if not little and not gathered:
            return None
        params: dict[str, Any] = {}
        ins: list[Place] = [place] * len(node.inputs)
        if gathered:
            pass
        elif node.name == "broadcast":
            dims, shape = node.params["dims"], node.inputs[0].shape
            kept = [d for d, n in zip(dims, shape, strict=True) if n == node.shape[d]]
            ins = [dims.index(place) if place in kept else None]
            params["shape"] = piece(node.shape, place, self.size)
        elif node.name == "iota" and place != node.params["axis"]:
            params["shape"] = piece(node.shape, place, self.size)
        elif node.name not in ELEMENTWISE:
            return None
        operands = [self._at(x, p) for x, p in zip(node.inputs, ins, strict=True)]
        assert node.primitive is not None
        return bind(node.primitive, *operands, **{**node.params, **params})

    def _moved(self, node: Node, after: Place) -> Node:
        """A value from where it was made to a place."""
        before = self.places[node]
        if (node, before) not in self._made:  # an open sum, which is taken here
            before = PARTIAL
        if after == PARTIAL:
            return self._as_sum(node)
        if is_dim(before) and is_dim(after):
            return self.axis.send("shard", self._at(node, None), dim=after)
        value = self._made[node, before]
        if before is None:
            return self.axis.send("shard", value, dim=after)
        if before != PARTIAL:
            return self.axis.send("all_gather", value, dim=before)
        if after is None:
            return self.axis.send("all_reduce", value, how="sum")
        return self.axis.send("reduce_scatter", value, dim=after)

    def _as_sum(self, node: Node) -> Node:
        """A whole value as the sum of itself and nothing: the first member has it."""
        value = self._at(node, None)
        if is_zero(node):
            return value
        numbers = bind(PRIMITIVES["iota"], dtype="int32", shape=(self.size,), axis=0)
        mine = bind(PRIMITIVES["reshape"], self.axis.send("shard", numbers, dim=0), shape=())
        first = bind(PRIMITIVES["eq"], mine, constant(0, "int32"))
        where = first if not value.shape else bind(PRIMITIVES["broadcast"], first, shape=value.shape, dims=())
        return bind(PRIMITIVES["select"], where, value, zeros_like(value))


def _bytes(node: Node) -> int:
    return node.type.nbytes if isinstance(node.type, TensorType) else 0


def _work(graph: Graph) -> dict[Node, int]:
    """See `Context.work`."""
    found: dict[Node, int] = {node: _bytes(node) for node in graph.inputs}
    for node in graph.nodes:
        if node.name in ("iota", "constant"):
            found[node] = 0
        elif node.name == "random_bits":
            found[node] = 8
        elif node.name == "broadcast" or node.name in ELEMENTWISE:
            found[node] = min(_bytes(node), max(found[x] for x in node.inputs))
        else:
            found[node] = _bytes(node)
    return found


def nested(graph: Graph) -> Iterable[Graph]:
    """A graph and the bodies in it."""
    yield graph
    for node in graph.nodes:
        for body in graph_param(node.params):
            yield from nested(body)
