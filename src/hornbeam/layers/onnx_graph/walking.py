"""Runs an ONNX graph on tensors: node by node, with channels last wherever convolutions want them so.

Three kinds of values go from node to node. An array has been known since before the model runs: constants,
and what is computed of shapes alone, which NumPy does at once. A `Last` is a tensor whose channels, axis 1 in
the file, have been moved to the end; they move back where an operator needs them in their place. All others
are tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node, topological
from hornbeam.layers.onnx_graph.structure import is_graph, unpacked
from hornbeam.layers.onnx_graph.vocabulary import ANY, LAST, OPERATORS, Call, GraphError, Operator

# Results of more elements than this are computed when the model runs, known or not; and so are all others,
# once so many are known.
MAX_KNOWN, MAX_ALL_KNOWN = 1 << 14, 1 << 22


@dataclass(frozen=True)
class Last:
    """A tensor (batch, *spatial, channels) that stands for (batch, channels, *spatial)."""

    tensor: Tensor

    def plain(self) -> Tensor:
        rank = len(self.tensor.shape)
        return ops.transpose(self.tensor, (0, rank - 1, *range(1, rank - 1)))


def moved(x: Any) -> Tensor:
    """The tensor with its channels at the end."""
    if isinstance(x, Last):
        return x.tensor
    tensor = as_tensor(x)
    rank = len(tensor.shape)
    return ops.transpose(tensor, (0, *range(2, rank), 1)) if rank > 2 else tensor


def plain(x: Any) -> Any:
    """The value with its axes as in the file."""
    return x.plain() if isinstance(x, Last) else x


def run_graph(graph: Mapping[str, Any], values: dict[str, Any]) -> list[Any]:
    """The outputs of a graph, given the values of its inputs and weights."""
    names = [output["name"] for output in graph["outputs"]]
    return [as_tensor(x) for x in Walk(graph["opset"]).run(graph, names, values)]


class Walk:
    """One walk through a graph, and through the graphs in it."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._known = 0

    def run(self, part: Mapping[str, Any], outputs: Sequence[str], values: dict[str, Any]) -> list[Any]:
        """The values of `outputs`; `values` are those that are there already, and get those of all nodes."""
        values.update((name, unpacked(value)) for name, value in part["constants"].items())

        def branch(inner: Any, *given: Any) -> list[Any]:
            graph = inner["graph"]
            own = dict(zip(graph.get("inputs", ()), given, strict=True))
            return self.run(graph, graph["outputs"], {**values, **own})

        for node in part["nodes"]:
            inputs = [values[name] if name else None for name in node["inputs"]]
            attributes = {
                key: unpacked(x) if isinstance(x, dict) and not is_graph(x) else x
                for key, x in node["attributes"].items()
            }
            call = Call(node["op"], attributes, len(node["outputs"]), self._opset, branch)
            with _explained(node):
                results = self._apply(OPERATORS[call.op], call, inputs)
                if len(results) < call.outputs:
                    raise GraphError(f"only the first {len(results)} outputs are there")
            values.update((name, x) for name, x in zip(node["outputs"], results, strict=False) if name)
        return [plain(values[name]) for name in outputs]

    def _apply(self, operator: Operator, call: Call, inputs: list[Any]) -> tuple[Any, ...]:
        """The results of one node."""
        known = all(x is None or isinstance(x, np.ndarray) for x in inputs)
        if known and not any(map(is_graph, call.attributes.values())):
            return tuple(self._settled(x) for x in _results(operator.compute(call, *inputs)))
        if operator.layout == LAST:
            if inputs[0] is not None and len(moved(inputs[0]).shape) > 2:
                first, *rest = _results(operator.compute(call, moved(inputs[0]), *map(plain, inputs[1:])))
                return Last(first), *rest
        elif operator.layout == ANY and (work := _together(inputs)) is not None:
            return tuple(Last(x) for x in _results(operator.compute(call, *work)))
        return _results(operator.compute(call, *map(plain, inputs)))

    def _settled(self, x: Any) -> Any:
        """A result of known operands as an array, if it is small."""
        if isinstance(x, Tensor):
            x = known_value(x.node) if x.node.level <= 0 and self._known < MAX_ALL_KNOWN else x
        if isinstance(x, np.ndarray):
            self._known += x.size
        return x


@contextmanager
def _explained(node: Mapping[str, Any]) -> Iterator[None]:
    """Errors that pass through say, once, in which node they came up."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "onnx_node"):
            error.onnx_node = node["name"]  # type: ignore[attr-defined]
            text = error.args[0] if error.args and isinstance(error.args[0], str) else repr(error)
            error.args = (f"{text}\n  in the ONNX operator {node['op']} (node {node['name']!r:.80})",)
        raise


def _results(found: Any) -> tuple[Any, ...]:
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def _together(inputs: Sequence[Any]) -> list[Any] | None:
    """The inputs of an operator that broadcasts, all with channels last, if one of them has them so."""
    ranks = [len(x.tensor.shape) for x in inputs if isinstance(x, Last)]
    if not ranks or any(x is not None and _rank(x) > max(ranks) for x in inputs) or min(ranks) < max(ranks):
        return None
    return [_aligned(x, ranks[0]) for x in inputs]


def _rank(x: Any) -> int:
    return len(x.tensor.shape if isinstance(x, Last) else x.shape)


def _aligned(x: Any, rank: int) -> Any:
    if x is None or isinstance(x, Last) or _rank(x) == 0:
        return x.tensor if isinstance(x, Last) else x
    tensor = as_tensor(x)
    return moved(ops.reshape(tensor, (1,) * (rank - len(tensor.shape)) + tuple(tensor.shape)))


def known_value(node: Node) -> Any:
    """The value of a node that depends on no data: an array, or a tensor where it would be large."""
    order = topological([node], [])
    if any(_size(n) > MAX_KNOWN for n in order):
        return Tensor(node)
    leaves = [n for n in order if n.primitive is None]
    if any(n.value is None or n.value[0] is not None for n in leaves):
        return Tensor(node)
    (array,) = reference(Graph(leaves, [node]), [n.value[1] for n in leaves])
    return np.asarray(array)


def _size(node: Node) -> int:
    types = node.type if isinstance(node.type, tuple) else (node.type,)
    return max(t.size for t in types)
