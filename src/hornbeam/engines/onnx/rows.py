"""Generalize a model for three numbers of rows to batches of any size.

Graphs of Hornbeam have static shapes, so an emitted model does as well. Emitted for another number of rows it
has the same nodes with the same names; what differs are sizes in vectors of integers (shapes, bounds), each
of the form k * rows + c. Two models determine k and c, the third one verifies them; a few nodes then compute
such vectors from the size of an input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hornbeam.engines.onnx.emit import ModelProto, NodeProto, helper, onnx, onnx_type

# Primes, unlike the sizes that models have: equal vectors are one constant, and must be so in all three. And
# large enough for numbers of rows to be counted by nodes, see `_iota` in table.py.
SIZES = (1031, 1033, 1039)


class RowsError(ValueError):
    """The model depends on the number of rows in a way that ONNX cannot express."""


def any_rows(models: Sequence[ModelProto], free: Sequence[int]) -> ModelProto:
    """The model for any number of rows.

    Args:
        models: The models for SIZES.
        free: Indices of the inputs whose first size is the number of rows.

    Raises:
        RowsError: If the number of rows occurs elsewhere than in sizes and in sums or means over all rows.
    """
    first = models[0]
    for other in models[1:]:
        _same_nodes(first.graph.node, other.graph.node)
    tensors = [{t.name: t for t in model.graph.initializer} for model in models]
    if any(t.keys() != tensors[0].keys() for t in tensors[1:]):
        raise RowsError("it has other constants for another number of rows")
    model = ModelProto()
    model.CopyFrom(first)
    graph = model.graph
    del graph.initializer[:]
    before: list[NodeProto] = []
    names = _Names(graph)
    count = names.fresh("rows")
    source = helper.make_node("Shape", [graph.input[free[0]].name], [count], start=0, end=1)
    for name, tensor in tensors[0].items():
        values = [onnx.numpy_helper.to_array(t[name]) for t in tensors]
        if all(v.shape == values[0].shape and v.tobytes() == values[0].tobytes() for v in values[1:]):
            graph.initializer.append(tensor)
        elif (inferred := _inferred(graph.node, name, values)) is not None:
            graph.initializer.append(onnx.numpy_helper.from_array(inferred, name))
        else:
            before += _Computed(graph, name, values, count, names).nodes()
    nodes = [*([source] if before else []), *before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    _free_sizes(models, graph)
    return model


def _same_nodes(nodes: Sequence[NodeProto], others: Sequence[NodeProto]) -> None:
    """Raises RowsError unless the nodes differ at most in the sizes that bodies of loops note."""
    if len(nodes) != len(others):
        raise RowsError("it has other nodes for another number of rows")
    for node, other in zip(nodes, others, strict=True):
        bodies = [[a.g for a in n.attribute if a.type == a.GRAPH] for n in (node, other)]
        plain = [[a for a in n.attribute if a.type != a.GRAPH] for n in (node, other)]
        same = (node.op_type, list(node.input), list(node.output), len(bodies[0]), plain[0]) == (
            other.op_type, list(other.input), list(other.output), len(bodies[1]), plain[1],
        )  # fmt: skip
        if not same:
            raise RowsError(f"its node {node.op_type} differs for another number of rows")
        for body, other_body in zip(*bodies, strict=True):
            _same_nodes(body.node, other_body.node)


def _line(values: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray] | None:
    """k and c with value = k * rows + c for all three sizes, or None."""
    if values[0].dtype.kind not in "iu":
        return None
    a, b, c = (v.astype(object) for v in values)
    scale = (b - a) // (SIZES[1] - SIZES[0])
    offset = a - scale * SIZES[0]
    good = all(np.all(scale * size + offset == v) for size, v in zip(SIZES, (a, b, c), strict=True))
    return (np.asarray(scale, np.int64), np.asarray(offset, np.int64)) if good else None


def _inferred(nodes: Sequence[NodeProto], name: str, values: Sequence[np.ndarray]) -> np.ndarray | None:
    """A shape for Reshape with -1 for the size that depends on the rows, or None."""
    line = _line(values) if values[0].dtype == np.int64 and values[0].ndim == 1 else None
    if line is None or np.count_nonzero(line[0]) != 1 or not values[0].all():
        return None
    if any(name in node.input and node.op_type != "Reshape" for node in all_nodes(nodes)):
        return None
    return np.where(line[0] != 0, -1, values[0])


def all_nodes(nodes: Sequence[NodeProto]) -> list[NodeProto]:
    """The nodes, including those of nested graphs."""
    result = list(nodes)
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == attribute.GRAPH:
                result += all_nodes(attribute.g.node)
    return result


class _Names:
    """Makes names that a graph does not use."""

    def __init__(self, graph: Any) -> None:
        nodes = all_nodes(graph.node)
        self._taken = {name for node in nodes for name in (*node.input, *node.output)}
        bodies = [a.g for node in nodes for a in node.attribute if a.type == a.GRAPH]
        for part in (graph, *bodies):
            self._taken.update(x.name for x in (*part.input, *part.output, *part.initializer))

    def fresh(self, name: str) -> str:
        """`name`, with underscores appended until it is unique."""
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        return name


class _Computed:
    """Nodes that compute the constant `name` from the number of rows, the value `count`."""

    def __init__(
        self, graph: Any, name: str, values: Sequence[np.ndarray], count: str, names: _Names
    ) -> None:
        self._graph, self._name, self._values = graph, name, values
        self._count, self._names = count, names

    def nodes(self) -> list[NodeProto]:
        """The nodes; their constants are added to the graph."""
        values = self._values
        shapes = {v.shape for v in values}
        line = _line(values) if len(shapes) == 1 else None
        if line is not None and values[0].ndim <= 1:
            k, c = (self._constant(np.atleast_1d(part)) for part in line)
            part, wide = self._fresh(), self._fresh()
            nodes = [
                helper.make_node("Mul", [self._count, k], [part]),
                helper.make_node("Add", [part, c], [wide]),
            ]
            return [*nodes, *self._as(wide)]
        if len(shapes) == 1 and values[0].size == 1 and values[0].dtype.kind == "f":
            numbers = np.array([float(v.reshape(())) for v in values])
            sizes = np.array(SIZES, float)
            for operator, fixed in (("Mul", numbers / sizes), ("Div", numbers * sizes)):
                if np.allclose(fixed, fixed[0], rtol=1e-6, atol=0):
                    rows, wide = self._fresh(), self._fresh()
                    k = self._constant(np.array([fixed[0]], values[0].dtype))
                    order = [rows, k] if operator == "Mul" else [k, rows]
                    cast = self._cast(self._count, rows)
                    return [cast, helper.make_node(operator, order, [wide]), *self._as(wide)]
        raise RowsError(
            f"it has a constant of shape {values[0].shape} that differs for another number of rows"
        )

    def _fresh(self) -> str:
        return self._names.fresh(f"{self._name}_of_rows")

    def _constant(self, array: np.ndarray) -> str:
        name = self._fresh()
        self._graph.initializer.append(onnx.numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def _cast(self, source: str, target: str) -> NodeProto:
        return helper.make_node("Cast", [source], [target], to=onnx_type(self._values[0].dtype.name))

    def _as(self, wide: str) -> list[NodeProto]:
        """`wide`, a vector, in the dtype and rank of the constant."""
        cast = self._fresh()
        shape = self._constant(np.array(self._values[0].shape, np.int64))
        return [self._cast(wide, cast), helper.make_node("Reshape", [cast, shape], [self._name])]


def _free_sizes(models: Sequence[ModelProto], graph: Any) -> None:
    """Give sizes of inputs and outputs that depend on the number of rows names."""
    for kind in ("input", "output"):
        for index, value in enumerate(getattr(graph, kind)):
            for axis, size in enumerate(value.type.tensor_type.shape.dim):
                seen = [
                    getattr(m.graph, kind)[index].type.tensor_type.shape.dim[axis].dim_value for m in models
                ]
                if len(set(seen)) > 1:
                    size.Clear()
                    size.dim_param = "batch" if tuple(seen) == SIZES else f"size_{index}_{axis}"
    for node in all_nodes(graph.node):
        for attribute in node.attribute:
            for body in [attribute.g] if attribute.type == attribute.GRAPH else []:
                for value in (*body.input, *body.output):
                    value.type.tensor_type.ClearField("shape")
