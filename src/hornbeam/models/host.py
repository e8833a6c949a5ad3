"""Part of a model that runs on the host: its layers for strings, and the calls before them.

The graph of calls is cut in two. Calls that lead to a layer that works in NumPy run on the data as they
arrive; the compiled part begins with the tensors at the cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.symbolic import STRING, KerasTensor, SymbolicCall, holds_strings, sample_of
from hornbeam.core.tensor import Tensor
from hornbeam.ir.types import HornbeamTypeError, ShapeError
from hornbeam.layers import InputLayer, Layer
from hornbeam.layers.weights import flatten_layers
from hornbeam.training.check_inputs import shape_hint
from hornbeam.training.host_inputs import HostInputs

if TYPE_CHECKING:
    from hornbeam.models.call_graph import CallGraph

# Rows that run at once: vectors of a large vocabulary need much memory.
CHUNK = 2048


def host_layers(layer: object) -> list[Layer]:
    """List those of a layer, and of the layers inside of it, that work on the host."""
    parts = flatten_layers(layer) if isinstance(layer, Layer) else ()
    return [part for part in parts if getattr(part, "on_host", False)]


def has_host_layers(layer: object) -> bool:
    """Return whether a layer, or one inside of it, works on the host."""
    return bool(host_layers(layer))


def _needs_host(call: SymbolicCall) -> bool:
    if isinstance(call.callee, InputLayer):
        return False
    ends = [*call.inputs, *tree.flatten(call.result)]
    return has_host_layers(call.callee) or any(isinstance(x, KerasTensor) and x.dtype == STRING for x in ends)


def expanded(calls: Sequence[SymbolicCall]) -> list[SymbolicCall]:
    """Replace calls of models that work on the host and are trained by the calls inside of them."""
    result: list[SymbolicCall] = []
    for call in calls:
        inner = getattr(call.callee, "_hb_inner_graph", lambda: None)()
        trained = isinstance(call.callee, Layer) and call.callee.trainable_weights
        mixed = inner is not None and trained and has_host_layers(call.callee)
        shapes = [] if inner is None else [len(x.shape) for x in inner.inputs]
        if not mixed or shapes != [len(x.shape) for x in call.inputs]:
            result.append(call)
            continue
        assert inner is not None
        new: dict[int, Any] = {id(x): value for x, value in zip(inner.inputs, call.inputs, strict=True)}
        outer = tree.flatten(call.result)
        new.update((id(x), value) for x, value in zip(inner.outputs, outer, strict=True))
        result += expanded(
            [_moved(part, new) for part in inner.calls if not isinstance(part.callee, InputLayer)]
        )
    return result


def _moved(call: SymbolicCall, new: dict[int, Any]) -> SymbolicCall:
    """Return the same call on other symbolic tensors, and add its outputs to `new`."""

    def replaced(x: Tree) -> Any:
        if not isinstance(x, KerasTensor):
            return x
        return new.setdefault(id(x), KerasTensor(x.shape, x.dtype, name=x.name))

    copy = SymbolicCall(call.callee, *tree.map_structure(replaced, (call.args, call.kwargs)))
    copy.masks, copy.place = list(call.masks), call.place
    copy.result = tree.map_structure(replaced, call.result)
    return copy


class HostSubgraph:
    """Cut of a graph of calls in a host part and a compiled part. It is false if the former is empty.

    graph: a CallGraph. calls: its calls, those of models inside of it expanded where parts of them run on the
    host. host: ids of the calls that run on the host. cut: the symbolic tensors between the parts.
    """

    def __init__(self, graph: CallGraph) -> None:
        self.graph = graph
        self.calls = expanded(graph.calls)
        self.host = self._calls_before_host_layers()
        self.cut = self._tensors_at_the_cut()

    def _calls_before_host_layers(self) -> set[int]:
        calls: set[int] = set()
        needed: set[int] = set()
        for call in reversed(self.calls):
            if _needs_host(call) or any(id(x) in needed for x in tree.flatten(call.result)):
                calls.add(id(call))
                needed.update(id(x) for x in call.inputs)
        return calls

    def _tensors_at_the_cut(self) -> list[KerasTensor]:
        """List what the compiled part reads: inputs, and outputs of the host part."""
        known = {id(x) for x in self.graph.inputs}
        known |= {id(x) for call in self._calls(True) for x in tree.flatten(call.result)}
        read = [x for call in self._calls(False) for x in call.inputs]
        return list({id(x): x for x in [*read, *self.graph.outputs] if id(x) in known}.values())

    def _calls(self, on_host: bool) -> list[SymbolicCall]:
        return [
            call
            for call in self.calls
            if (id(call) in self.host) == on_host and not isinstance(call.callee, InputLayer)
        ]

    def __bool__(self) -> bool:
        return bool(self.host)

    def boundary(self) -> HostInputs:
        """Return the symbolic tensors at the cut."""
        return HostInputs(enumerate(self.cut))

    def check(self) -> None:
        """Raise ValueError if the host part holds trainable weights, or computes strings."""
        where = f"model {self.graph.name!r}"
        for call in self._calls(True):
            if isinstance(call.callee, Layer) and call.callee.trainable_weights:
                raise ValueError(
                    f"{where}: {call.callee.describe()} has trainable weights, and holds or feeds a layer "
                    "that works on the host, before the compiled part: it cannot be trained. Put that layer "
                    "first in the outer model, or apply it to the data and to the results of predict()"
                )
        if any(x.dtype == STRING for x in self.cut):
            raise ValueError(f"{where} gives strings: call it on arrays, model(x); predict() gives numbers")

    def run(self, values: list[Any]) -> HostInputs:
        """Compute the arrays at the cut from values of the graph's inputs."""
        self.check()
        count = len(values[0]) if len(values) and values[0] is not None else 0
        fixed_shapes = all(None not in x.shape[1:] for x in self.cut)
        if not fixed_shapes or count <= CHUNK:
            return self._run_chunk(values)
        parts = [
            self._run_chunk([None if v is None else v[start : start + CHUNK] for v in values])
            for start in range(0, count, CHUNK)
        ]
        return HostInputs({key: np.concatenate([part[key] for part in parts]) for key in parts[0]})

    def _run_chunk(self, values: list[Any]) -> HostInputs:
        known = {id(x): value for x, value in zip(self.graph.inputs, values, strict=True)}
        self.graph.replay(self._calls(True), known)
        return HostInputs({i: np.asarray(known[id(x)], dtype=x.dtype) for i, x in enumerate(self.cut)})

    def run_compiled(self, inputs: HostInputs) -> list[Any]:
        """Compute the outputs of the graph from the arrays at the cut."""
        known = {id(x): inputs[i] for i, x in enumerate(self.cut)}
        self.graph.replay(self._calls(False), known)
        return [known[id(x)] for x in self.graph.outputs]


def strings_to_array(x: Tree) -> Tree:
    """Convert a list of strings to one array; return anything else unchanged."""
    if isinstance(x, (list, tuple)) and x:
        leaves = tree.flatten(x)
        if all(isinstance(leaf, (str, bytes)) for leaf in leaves):
            return np.array(x, object)
    return x


def to_numpy(x: Tree) -> Tree:
    """Convert one input of the user's to a NumPy array; None stays None."""
    if isinstance(x, Tensor) or x is None:
        return x if x is None else x.numpy()
    return np.asarray(x.to_numpy() if hasattr(x, "to_numpy") else x)


def adjust_strings(value: Tree, symbol: KerasTensor, name: str) -> Tree:
    """Fit an array of strings to a symbolic input: add or drop a last axis of size 1.

    Raises HornbeamTypeError if only one of the two is of strings, ShapeError for any other difference of
    shapes.
    """
    if not isinstance(value, KerasTensor):
        value = to_numpy(value)
    shape = value.shape
    where = f"model {name!r}: input {symbol.name!r}"
    if not holds_strings(value):
        raise HornbeamTypeError(f"{where} takes strings, got {value.dtype}")
    if symbol.dtype != STRING:
        raise HornbeamTypeError(
            f"{where} takes {symbol.dtype}, got strings ({sample_of(value)}): declare it "
            'Input(..., dtype="string")'
        )
    hint = shape_hint(tuple(shape), tuple(symbol.shape))
    if hint:
        raise ShapeError(f"{where} expects shape {symbol.shape}, got {tuple(shape)}. {hint}")
    if len(shape) == len(symbol.shape) or isinstance(value, KerasTensor):
        return value
    return value[..., None] if len(shape) < len(symbol.shape) else value[..., 0]
