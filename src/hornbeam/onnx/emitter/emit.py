"""Writes a graph as an ONNX model: values that stand for tensors of the model, and the nodes between them.

The shared evaluator walks a graph with `Value`s in the place of arrays; every operation on one appends a
node, and equal nodes are written once.

ONNX Runtime's CPU kernels take some dtypes only. `KERNELS` says which; an operator on any other computes in a
dtype that holds it exactly (16-bit floats in float32, rounded once; integers in wider ones, wrapped).

Sizes may be symbols (`ir/sizes.py`): nodes compute them from the shapes of the inputs. Since `n != 1` is
false for an unknown size, what has to hold for all of its values is asked with `==` and `not`.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import run
from hornbeam.ir.interpret import where as place_of
from hornbeam.ir.node import Node
from hornbeam.ir.sizes import axes_of_symbols, evaluate, is_unknown, symbols_of, text_of
from hornbeam.ir.types import Shape, TensorType
from hornbeam.onnx.emitter.kernels import GraphProto, ModelProto, NodeProto, NoKernelError, helper, onnx_type
from hornbeam.onnx.emitter.moves import concatenate
from hornbeam.onnx.emitter.values import BIT_CASTS, Order, Value, broadcast, elementwise

OPSET = 28
Functions = Mapping[str, Callable[..., Any]]


def _located(write: Callable[..., Any], node: Node) -> Callable[..., Any]:
    """`write`, whose refusals say, once, where the node comes from."""

    def located(*operands: Any, **params: Any) -> Any:
        try:
            return write(*operands, **params)
        except NoKernelError as error:
            raise NotImplementedError(f"{error}{place_of(node)}") from None

    return located


@dataclass
class Scope:
    """One graph of the model: its nodes and inputs, the names of their outputs, and outputs by what they
    compute."""

    nodes: list[NodeProto] = field(default_factory=list)
    inputs: frozenset[str] = frozenset()
    defined: set[str] = field(default_factory=set)
    known: dict[tuple[Any, ...], Value] = field(default_factory=dict)


class Emitter:
    """Collects the nodes of one model.

    Args:
        table: A function for every primitive.
        makers: Functions that also take the emitter, because they have no operand or walk a graph.
        opset: Version of the operators.

    Attributes:
        arrays: Array and dtype of each initializer.
        reshaped: For results of Reshape, what they were reshaped from, and its shape in the file.
    """

    def __init__(self, table: Functions, makers: Functions, opset: int = OPSET) -> None:
        self._table, self._makers, self.opset = table, makers, opset
        self._count = 0
        self._constants: dict[tuple[Any, ...], Value] = {}
        self._zeros: set[str] = set()
        self.arrays: dict[str, tuple[np.ndarray, str]] = {}
        self._scopes: list[Scope] = []
        self.reshaped: dict[str, tuple[Value, Shape]] = {}
        self._reserved: frozenset[str] = frozenset()
        # The input and its axis whose size a symbol is.
        self._symbols: dict[str, tuple[Value, int]] = {}

    def lower(self, node: Node) -> Callable[..., Any] | None:
        """The function that writes a node, or None for a composite to walk."""
        maker = self._makers.get(node.name)
        write = self._table.get(node.name) if maker is None else functools.partial(maker, self)
        return None if write is None else _located(write, node)

    def walk(self, graph: Graph, args: Sequence[Value]) -> list[Value]:
        """The outputs of `graph`, its nodes written into the current scope."""
        return run(graph, args, self.lower)

    def constant(self, array: np.ndarray, dtype: str) -> Value:
        """An initializer, shared by equal arrays. If all elements are equal, one is stored."""
        array = np.asarray(array)
        bits = array.tobytes()
        if array.size > 1 and bits == bits[: array.itemsize] * array.size:
            return broadcast(self.constant(array.reshape(-1)[0], dtype), array.shape, ())
        key = (dtype, array.shape, bits)
        if key not in self._constants:
            value = self.fresh("constant", dtype, array.shape)
            self._constants[key] = value
            if not any(bits):
                self._zeros.add(value.name)
            self.arrays[value.name] = array, dtype
        return self._constants[key]

    def is_zero(self, x: Value) -> bool:
        """True if all bits of x are known to be 0."""
        return x.name in self._zeros

    def ints(self, numbers: Sequence[int]) -> Value:
        """A vector of int64 with all its elements stored, as ONNX requires for shapes, axes and bounds."""
        if any(map(is_unknown, numbers)):
            return self._computed(numbers)
        return self.vector(np.array(numbers, np.int64), "int64")

    def vector(self, array: np.ndarray, dtype: str) -> Value:
        """An array with all its elements stored; `constant` would store one if all are equal."""
        key = ("vector", dtype, array.shape, array.tobytes())
        if key not in self._constants:
            self._constants[key] = self.fresh("constant", dtype, array.shape)
            self.arrays[self._constants[key].name] = array, dtype
        return self._constants[key]

    def _computed(self, numbers: Sequence[int]) -> Value:
        """A vector of int64 with sizes that are not known."""
        parts: list[Value] = []
        for unknown, group in itertools.groupby(numbers, is_unknown):
            sizes = list(group)
            parts += map(self.size, sizes) if unknown else [self.ints(sizes)]
        return parts[0] if len(parts) == 1 else concatenate(parts, 0)

    def size(self, size: Any) -> Value:
        """A size that is not known, as an int64 vector of one element."""
        values = {}
        for name in symbols_of(size):
            array, axis = self._symbols[name]
            position = array.axes.index(axis)
            values[name] = self.node("Shape", [array], "int64", (1,), start=position, end=position + 1)
        return evaluate(size, values, _CHOICES)

    @property
    def prefers_bits(self) -> bool:
        """True to select by arithmetic on bits, which ONNX Runtime computes faster than its own operators."""
        return self.opset >= BIT_CASTS

    def fresh(self, kind: str, dtype: str, shape: Shape, stored_shape: Shape | None = None) -> Value:
        """A value with a new name. kind: the operator that computes it, "constant", "input" or "argument"."""
        name = self.new_name(kind)
        return Value(self, name, dtype, shape, shape if stored_shape is None else stored_shape)

    def new_name(self, kind: str) -> str:
        """A name that no value has."""
        self._count += 1
        while f"v{self._count}" in self._reserved:
            self._count += 1
        return f"v{self._count}"

    def nodes(
        self, operator: str, inputs: Sequence[Value | None], types: Sequence[TensorType], **attributes: Any
    ) -> tuple[Value, ...]:
        """The outputs of a new node of plain operands (None: an omitted input)."""
        names = ["" if x is None else x.contiguous().name for x in inputs]
        outputs = [self.fresh(operator, t.dtype, t.shape) for t in types]
        self._add(helper.make_node(operator, names, [x.name for x in outputs], **attributes))
        return tuple(outputs)

    def node(
        self,
        operator: str,
        inputs: Sequence[Value | None],
        dtype: str,
        shape: Shape,
        stored_shape: Shape | None = None,
        order: Order = None,
        **attributes: Any,
    ) -> Value:
        """The output of a node; the operands are taken as they are stored. Equal nodes are written once."""
        known = self.known_output(operator, inputs, dtype, attributes)
        if known is not None:
            stored_shape = shape if stored_shape is None else stored_shape
            return Value(self, known.name, dtype, shape, stored_shape, order)
        names = ["" if x is None else x.name for x in inputs]
        key = (operator, *names, dtype, str(attributes))
        for scope in reversed(self._scopes):
            if key in scope.known:  # its shape may differ, by repeating the stored elements otherwise
                known = scope.known[key]
                stored_shape = known.stored_shape if stored_shape is None else stored_shape
                return Value(self, known.name, dtype, shape, stored_shape, order)
        out = replace(self.fresh(operator, dtype, shape, stored_shape), order=order)
        self._add(helper.make_node(operator, names, [out.name], **attributes))
        self._scopes[-1].known[key] = out
        return out

    def _add(self, node: NodeProto) -> None:
        self._scopes[-1].nodes.append(node)
        self._scopes[-1].defined.update(node.output)

    @contextmanager
    def _scope(self) -> Iterator[Scope]:
        self._scopes.append(Scope())
        try:
            yield self._scopes[-1]
        finally:
            self._scopes.pop()

    @contextmanager
    def where_defined(self, x: Value) -> Iterator[None]:
        """Write nodes into the graph that computes x: outside of the body of a loop that reads it."""
        scopes = self._scopes
        depths = (i for i, scope in enumerate(scopes) if x.name in scope.defined or x.name in scope.inputs)
        self._scopes = scopes[: next(depths, 0) + 1]
        try:
            yield
        finally:
            self._scopes = scopes

    def _returned(
        self, values: Sequence[Value], order_of: Callable[[int], Order] = lambda rank: None
    ) -> list[Value]:
        """Values as outputs, which must be computed in the scope and have distinct names."""
        outputs: dict[str, Value] = {}
        for x in values:
            x = x.contiguous(order_of(x.rank))
            if x.name not in self._scopes[-1].defined or x.name in outputs:
                copy = self.fresh("Identity", x.dtype, x.shape)
                self._add(helper.make_node("Identity", [x.name], [copy.name]))
                x = replace(copy, order=x.order)
            outputs[x.name] = x
        return list(outputs.values())

    def subgraph(
        self, types: Sequence[TensorType], build: Callable[..., Sequence[Value]]
    ) -> tuple[GraphProto, list[TensorType]]:
        """A nested graph, which can use outer values, and the types of its outputs."""
        args = [self.fresh("argument", t.dtype, t.shape) for t in types]
        with self._scope() as scope:
            scope.inputs = frozenset(x.name for x in args)
            outputs = self._returned(build(*args))
        subgraph = helper.make_graph(scope.nodes, f"g{self._count}", _infos(args), _infos(outputs))
        return subgraph, [x.type for x in outputs]

    def scan(
        self,
        carry: Sequence[Value],
        xs: Sequence[Value],
        step: Callable[..., Sequence[Value]],
        reverse: bool = False,
    ) -> tuple[Value, ...]:
        """The last carry, and all other results of `step(*carry, *slices)` for the slices of xs, stacked."""
        length, count = xs[0].shape[0], len(carry)
        slices = [TensorType(x.shape[1:], x.dtype) for x in xs]
        body, types = self.subgraph([*(x.type for x in carry), *slices], step)
        stacked = [TensorType((length, *t.shape), t.dtype) for t in types[count:]]
        order = {"scan_input_directions": [int(reverse)] * len(xs)}
        if stacked:
            order["scan_output_directions"] = [int(reverse)] * len(stacked)
        return self.nodes(
            "Scan", [*carry, *xs], [*types[:count], *stacked], body=body, num_scan_inputs=len(xs), **order
        )

    def model(
        self,
        graph: Graph,
        weights: Sequence[tuple[str, np.ndarray, str]] = (),
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
    ) -> ModelProto:
        """`graph` as a model, its inputs and outputs in the graph's order.

        Unknown sizes are those of inputs, and what is computed from them.

        Args:
            graph: The graph.
            weights: (name, array, dtype) of the first inputs, which become part of the model.
            inputs: Names of the other inputs, by default numbers.
            outputs: Names of the outputs, by default numbers.

        Raises:
            ValueError: If a name is repeated.
        """
        count = len(weights)
        names = [*(name for name, _, _ in weights), *inputs, *outputs]
        self._reserved = frozenset(names)
        if len(self._reserved) != len(names):
            raise ValueError(f"names of values must be unique, got {sorted(names)}")
        args = [self.fresh("input", n.dtype, n.shape) for n in graph.inputs]
        for i, (name, array, dtype) in enumerate(weights):
            args[i] = replace(args[i], name=name)
            self.arrays[name] = array, dtype
        for i in range(count, len(args)):
            args[i] = replace(args[i], order=self.outside_order(args[i].rank))
        for i, name in enumerate(inputs, count):
            args[i] = replace(args[i], name=name)
        axes = axes_of_symbols(x.shape for x in args)
        self._symbols = {name: (args[i], axis) for name, (i, axis) in axes.items()}
        with self._scope() as scope:
            results = self._returned(self.walk(graph, args), self.outside_order)
        if outputs:
            rename(scope.nodes, {x.name: name for x, name in zip(results, outputs, strict=True)})
            results = [replace(x, name=name) for x, name in zip(results, outputs, strict=True)]
        nodes = self.finished_nodes(scope.nodes)
        initializers = [
            helper.make_tensor(name, onnx_type(dtype), array.shape, array.tobytes(), raw=True)
            for name, (array, dtype) in self.arrays.items()
        ]
        ends = _infos(args[count:]), _infos(results)
        proto = helper.make_graph(nodes, "hornbeam", *ends, initializer=initializers)
        versions = [helper.make_opsetid("", self.opset)]
        return helper.make_model(
            proto,
            opset_imports=versions,
            producer_name="hornbeam",
            ir_version=helper.find_min_ir_version_for(versions),
        )

    def outside_order(self, rank: int) -> Order:
        """The order of the axes of the model's inputs and outputs."""
        return None

    def known_output(
        self, operator: str, inputs: Sequence[Value | None], dtype: str, attributes: Mapping[str, Any]
    ) -> Value | None:
        """Return what a node would compute, or None to write the node."""
        return None

    def finished_nodes(self, nodes: list[NodeProto]) -> list[NodeProto]:
        """The nodes of the model as they are to be written."""
        return nodes


def bodies_of(node: NodeProto) -> list[GraphProto]:
    """The graphs among the attributes of a node."""
    return [a.g for a in node.attribute if a.type == a.GRAPH]


def reads(node: NodeProto) -> Iterator[str]:
    """Yield the names of all values that a node, and the bodies in it, read."""
    yield from node.input
    for body in bodies_of(node):
        yield from (x.name for x in body.output)
        for inner in body.node:
            yield from reads(inner)


def needed_nodes(nodes: Sequence[NodeProto], names: Iterable[str]) -> list[NodeProto]:
    """The nodes that values of some names need."""
    needed: list[NodeProto] = []
    read = set(names)
    for node in reversed(nodes):
        if read.intersection(node.output):
            needed.append(node)
            read.update(reads(node))
    return needed[::-1]


def rename(nodes: Iterable[NodeProto], names: Mapping[str, str]) -> None:
    """Give values other names, in the bodies of nodes too."""
    for node in nodes:
        for ends in (node.input, node.output):
            for i, name in enumerate(ends):
                ends[i] = names.get(name, name)
        for body in bodies_of(node):
            rename(body.node, names)


def _infos(values: Sequence[Value]) -> list[Any]:
    shapes = [[text_of(n) if is_unknown(n) else n for n in (x.shape[a] for a in x.axes)] for x in values]
    return [
        helper.make_tensor_value_info(x.name, onnx_type(x.dtype), shape)
        for x, shape in zip(values, shapes, strict=True)
    ]


_CHOICES = {name: functools.partial(elementwise, name.capitalize()) for name in ("min", "max")}
