"""Execution of ONNX graphs on tensors: node by node, with channels last where convolutions need them.

Three kinds of values pass between nodes. An array is known before the model runs: constants and values
computed from shapes alone, which NumPy computes at once. Strings are arrays of objects, always known. A
`ChannelsLast` is a tensor whose channels, axis 1 in the file, were moved to the end; they are moved back for
operators that need them in their place. A `Dequantized` is computed where an operator needs its floats; those
in `ON_LEVELS` take its levels. All others are tensors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hornbeam import ops
from hornbeam.core.convert import as_tensor
from hornbeam.core.jit import jit
from hornbeam.core.symbolic import holds_strings
from hornbeam.core.tensor import Tensor
from hornbeam.errors import GraphError, ValueNeededError
from hornbeam.ir.graph import Graph
from hornbeam.ir.interpret import reference
from hornbeam.ir.node import Node, topological
from hornbeam.ir.primitive import SIZE
from hornbeam.ir.trace import current_level
from hornbeam.ir.types import is_float
from hornbeam.onnx.operators.strings import ON_NUMBERS, Later, as_numbers, as_strings, is_text, text_array
from hornbeam.onnx.operators.structure import is_graph, unpack_array
from hornbeam.onnx.operators.vocabulary import (
    ANY,
    LAST,
    ON_LEVELS,
    ONE,
    OPERATORS,
    Attributes,
    Call,
    OnnxOperator,
)

# Attributes that results do not depend on: hints, a declaration, and settings of training.
WITHOUT_EFFECT = {"consumed_inputs", "is_test", "momentum", "ratio", "seed", "sorted", "stash_type"}

# Limits on the elements of a known result and of all known results; others are computed when the model runs.
MAX_KNOWN, MAX_ALL_KNOWN = 1 << 14, 1 << 22


@dataclass(frozen=True)
class ChannelsLast:
    """A tensor (batch, *spatial, channels) for the value (batch, channels, *spatial)."""

    tensor: Tensor

    def plain(self) -> Tensor:
        rank = len(self.tensor.shape)
        return ops.transpose(self.tensor, (0, rank - 1, *range(1, rank - 1)))


@dataclass(frozen=True)
class Dequantized:
    """A result of DequantizeLinear that is not computed yet."""

    call: Call
    inputs: list[Any]
    floats: Callable[[], Any]

    def is_scaled_along(self, axis: int | None) -> bool:
        """True for bytes with one scale, or with one for each index of an axis."""
        levels, scale = self.inputs[:2]
        tensor = levels.tensor if isinstance(levels, ChannelsLast) else levels
        rank = len(tensor.shape)
        is_along = axis is not None and _rank(scale) == 1 and (self.call.get("axis", 1) - axis) % rank == 0
        return str(tensor.dtype) in ("int8", "uint8") and (is_along or math.prod(scale.shape) == 1)


def channels_last(x: Any) -> Tensor:
    """Return the tensor with its channels at the end."""
    if isinstance(x, ChannelsLast):
        return x.tensor
    tensor = as_tensor(x)
    rank = len(tensor.shape)
    return ops.transpose(tensor, (0, *range(2, rank), 1)) if rank > 2 else tensor


def plain(x: Any) -> Any:
    """Return the value with its axes as in the file."""
    x = x.floats() if isinstance(x, Dequantized) else x
    return x.plain() if isinstance(x, ChannelsLast) else x


def run_graph(graph: Mapping[str, Any], values: dict[str, Any]) -> list[Any]:
    """Compute the outputs of a graph from the values of its inputs and weights."""
    names = [output["name"] for output in graph["outputs"]]
    values = {name: text_array(x) if holds_strings(x) else x for name, x in values.items()}
    results = GraphRunner(graph["opset"]).run(graph, names, values)
    return [x if is_text(x) else as_tensor(x) for x in results]


class TextRun:
    """Runs a graph with strings or dicts at its ends, compiled from numbers to numbers where it can be."""

    def __init__(self, run: Callable[..., list[Any]]) -> None:
        self._run = run
        self._compiled: Callable[..., list[Any]] | None = jit(self._numbers)
        self._objects: list[Later | None] = []

    def __call__(self, *inputs: Any) -> list[Any]:
        if self._compiled is not None and not any(map(holds_strings, inputs)):
            try:
                numbers = self._compiled(*inputs)
            except (TypeError, ValueNeededError):  # strings in it are made of the data
                self._compiled = None
            else:
                pairs = zip(numbers, self._objects, strict=True)
                return [x if later is None else later.objects(x.numpy()) for x, later in pairs]
        return self._run(*inputs)

    def _numbers(self, *inputs: Any) -> list[Any]:
        results = self._run(*inputs)
        self._objects = [replace(x, numbers=None) if isinstance(x, Later) else None for x in results]
        return [x.numbers if isinstance(x, Later) else x for x in results]


class GraphRunner:
    """One execution of a graph and of the graphs in it."""

    def __init__(self, opset: int) -> None:
        self._opset = opset
        self._known_size = 0

    def run(self, part: Mapping[str, Any], outputs: Sequence[str], values: dict[str, Any]) -> list[Any]:
        """Compute `outputs`. `values` are the known values, to which those of all nodes are added."""
        values.update((name, unpack_array(value)) for name, value in part["constants"].items())

        def branch(inner: Any, *arguments: Any) -> list[Any]:
            graph = inner["graph"]
            inputs = dict(zip(graph.get("inputs", ()), arguments, strict=True))
            return self.run(graph, graph["outputs"], {**values, **inputs})

        for node in part["nodes"]:
            inputs = [values[name] if name else None for name in node["inputs"]]
            attributes = Attributes(
                {
                    key: unpack_array(x) if isinstance(x, dict) and not is_graph(x) else x
                    for key, x in node["attributes"].items()
                }
            )
            call = Call(node["op"], attributes, len(node["outputs"]), self._opset, branch)
            with _error_context(node):
                results = self._apply(OPERATORS[call.op], call, aligned_before_7(call, inputs))
                if len(results) < call.outputs:
                    raise GraphError(f"only the first {len(results)} outputs are supported")
                if unread := set(attributes) - attributes.read - WITHOUT_EFFECT:
                    raise GraphError(f"attributes that are not supported: {', '.join(sorted(unread))}")
            values.update((name, x) for name, x in zip(node["outputs"], results, strict=False) if name)
        return [plain(values[name]) for name in outputs]

    def _apply(self, operator: OnnxOperator, call: Call, inputs: list[Any]) -> tuple[Any, ...]:
        """Compute the results of one node."""
        if call.op in ON_NUMBERS and any(map(is_text, inputs)):
            table, numbers = as_numbers(inputs)
            return as_strings(call.op, table, self._apply(operator, call, numbers))
        if "DequantizeLinear" in call.op and not any(map(call.get, ("block_size", "output_dtype"), (0, 0))):
            call.get("axis")
            return (Dequantized(call, inputs, lambda: self._computed(operator, call, inputs)[0]),)
        if call.op in ON_LEVELS and _are_levels(call, inputs):
            levels = [x for part in inputs[:2] for x in [*part.inputs, None][:3]]
            operator, inputs = ON_LEVELS[call.op], [*levels, *inputs[2:]]
        inputs = [x.floats() if isinstance(x, Dequantized) else x for x in inputs]
        return self._computed(operator, call, inputs)

    def _computed(self, operator: OnnxOperator, call: Call, inputs: list[Any]) -> tuple[Any, ...]:
        is_known = all(x is None or isinstance(x, np.ndarray) for x in inputs)
        if is_known and not any(map(is_graph, call.attributes.values())):
            return tuple(self._evaluate(x) for x in operator.apply(call, inputs))
        if operator.layout == ANY:
            inputs = _with_literals(inputs)
        if operator.layout == LAST:
            if inputs[0] is not None and len(channels_last(inputs[0]).shape) > 2:
                first, *others = operator.apply(call, [channels_last(inputs[0]), *map(plain, inputs[1:])])
                return ChannelsLast(first), *others
        elif _is_elementwise(operator, inputs) and (aligned := _to_channels_last(inputs)) is not None:
            return tuple(ChannelsLast(x) for x in operator.apply(call, aligned))
        return operator.apply(call, [plain(x) for x in inputs])

    def _evaluate(self, x: Any) -> Any:
        """Convert a result of known operands to an array if it is small."""
        if isinstance(x, Tensor):
            x = known_value(x.node) if x.node.level <= 0 and self._known_size < MAX_ALL_KNOWN else x
        if isinstance(x, np.ndarray) and x.dtype != object:
            self._known_size += x.size
        return x


@contextmanager
def _error_context(node: Mapping[str, Any]) -> Iterator[None]:
    """Append the node to the message of an error, once."""
    try:
        yield
    except Exception as error:
        if not hasattr(error, "onnx_node"):
            error.onnx_node = node["name"]  # type: ignore[attr-defined]
            text = error.args[0] if error.args and isinstance(error.args[0], str) else repr(error)
            error.args = (f"{text}\n  in the ONNX operator {node['op']} (node {node['name']!r:.80})",)
        raise


def _to_channels_last(inputs: Sequence[Any]) -> list[Any] | None:
    """Convert the inputs of a broadcasting operator to channels last if one of them is, else return None."""
    ranks = [len(x.tensor.shape) for x in inputs if isinstance(x, ChannelsLast)]
    if not ranks or any(x is not None and _rank(x) > max(ranks) for x in inputs) or min(ranks) < max(ranks):
        return None
    return [_align(x, ranks[0]) for x in inputs]


def _with_literals(inputs: Sequence[Any]) -> list[Any]:
    """Return the operands with arrays of one number as scalars, which are literals of the compiled graph.

    An array would be captured as large as the result that it is broadcast to.
    """
    rank = max((_rank(x) for x in inputs if x is not None and not isinstance(x, np.ndarray)), default=0)
    return [
        x.reshape(()) if isinstance(x, np.ndarray) and x.size == 1 and x.ndim <= rank else x for x in inputs
    ]


def aligned_before_7(call: Call, inputs: list[Any]) -> list[Any]:
    """Return the inputs of an operator; before version 7 a second one may begin at an axis of the first."""
    if call.opset >= 7 or len(inputs) != 2:
        return inputs
    x, y = inputs
    axis = 1 if call.op == "PRelu" else call.get("axis") if call.get("broadcast", 0) else None
    if axis is None or _rank(y) == 0 or (call.op == "PRelu" and _rank(y) != 1):
        return inputs
    tensor = as_tensor(plain(y))
    return [x, ops.reshape(tensor, (*tensor.shape, *[1] * max(_rank(x) - axis - len(tensor.shape), 0)))]


def _are_levels(call: Call, inputs: Sequence[Any]) -> bool:
    """True if the first two inputs are bytes, and scales can be applied after the product."""
    axis = {"Conv": 0, "MatMul": -1}.get(call.op, 0 if call.attributes.get("transB", 0) else 1)
    x, w = inputs[:2]
    are_both = isinstance(x, Dequantized) and isinstance(w, Dequantized)
    return are_both and x.is_scaled_along(None) and w.is_scaled_along(axis)


def _is_elementwise(operator: OnnxOperator, inputs: Sequence[Any]) -> bool:
    is_one = operator.layout == ONE and all(x is None or math.prod(x.shape) == 1 for x in inputs[1:])
    return operator.layout == ANY or is_one


def _rank(x: Any) -> int:
    return len(x.tensor.shape if isinstance(x, ChannelsLast) else x.shape)


def _align(x: Any, rank: int) -> Any:
    if x is None or isinstance(x, ChannelsLast) or _rank(x) == 0:
        return x.tensor if isinstance(x, ChannelsLast) else x
    tensor = as_tensor(x)
    return channels_last(ops.reshape(tensor, (1,) * (rank - len(tensor.shape)) + tuple(tensor.shape)))


def known_value(node: Node) -> Any:
    """Return the value of a node that depends on no data: an array, or a tensor if it would be large."""
    order = topological([node], [])
    if any(n.primitive is SIZE or _size(n) > MAX_KNOWN for n in order):
        return Tensor(node)
    leaves = [n for n in order if n.primitive is None]
    if any(n.value is None or n.value[0] is not None for n in leaves):
        return Tensor(node)
    (array,) = reference(Graph(leaves, [node]), [n.value[1] for n in leaves])
    return np.asarray(array)


def integers_of_trace(x: Any) -> Any:
    """Return integers that a trace is made for as an array, since shapes may follow from them."""
    if not current_level() or not isinstance(x, Tensor) or x.node.level > 0 or is_float(x.dtype):
        return x
    return known_value(x.node)


def _size(node: Node) -> int:
    types = node.type if isinstance(node.type, tuple) else (node.type,)
    return max(t.size for t in types)
