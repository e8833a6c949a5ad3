"""Graph of the calls between symbolic inputs and outputs, and its replay on data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hornbeam import tree
from hornbeam._internal.naming import to_snake_case
from hornbeam._internal.typing import Tree
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.function_operation import FunctionOperation
from hornbeam.core.indexing import reshape
from hornbeam.core.keras_names import Computed
from hornbeam.core.operation import Operation
from hornbeam.core.symbolic import STRING, KerasTensor, SymbolicCall, holds_strings
from hornbeam.core.tensor import copy_mask
from hornbeam.core.typing import TensorLike
from hornbeam.ir.source_lines import located
from hornbeam.ir.types import ShapeError
from hornbeam.layers import InputLayer, Layer
from hornbeam.models.host import adjust_strings
from hornbeam.training.check_inputs import check_order, shape_hint


class CallGraph:
    """Calls that lead from `inputs` to `outputs`, operands first, and their operations in Keras's order.

    Raises ValueError if an output depends on an input that is not listed, or if two layers have the same
    name.
    """

    def __init__(self, inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor], name: str) -> None:
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.name = name
        self._input_ids = {id(x) for x in inputs}
        self._discovered: dict[int, int] = {}
        self.calls = self._in_order()
        self.operations = self._operations()
        self._check_names()

    def key(self, call: SymbolicCall) -> int:
        """Identify an operation: all calls of a layer are one, each call of a function is another."""
        return id(call.callee) if isinstance(call.callee, Operation) else id(call)

    def _in_order(self, masks: bool = False) -> list[SymbolicCall]:
        """Order calls depth first from the outputs, without recursion, for networks deeper than the stack.

        masks: also follow the calls that compute masks, as far as they depend on the inputs.
        """
        self._discovered = {}
        done: set[int] = set()
        order: list[SymbolicCall] = []
        stack: list[tuple[KerasTensor, bool]] = [(x, False) for x in reversed(self.outputs)]
        while stack:
            tensor, expanded = stack.pop()
            call = tensor.history
            if call is not None and id(call) in done:
                continue
            if call is not None and expanded:
                done.add(id(call))
                order.append(call)
                continue
            if call is None or isinstance(call.callee, InputLayer):
                if id(tensor) not in self._input_ids and not masks:
                    raise self._disconnected(tensor)
                if call is None or id(tensor) not in self._input_ids:
                    continue
            elif id(tensor) in self._input_ids:
                continue
            self._discovered.setdefault(self.key(call), len(self._discovered))
            stack.append((tensor, True))
            stack.extend((x, False) for x in reversed(_inputs_and_masks(call) if masks else call.inputs))
        return order

    def _disconnected(self, tensor: KerasTensor) -> ValueError:
        listed = ", ".join(x.name or repr(x) for x in self.inputs)
        return ValueError(
            f"model {self.name!r}: the outputs depend on {tensor!r}, which is not among the inputs "
            f"({listed}): add it to `inputs`, or omit what uses it"
        )

    def _operations(self) -> list[SymbolicCall]:
        """List one call of each operation: those farthest from the outputs first, then in order of discovery.

        Where layers receive masks, the path of the masks counts as well, as in Keras.
        """
        calls = self.calls
        if any(call.masks for call in calls):
            calls = self._in_order(masks=True)
        consumers: dict[int, int] = {}
        depth: dict[int, int] = {}
        first: dict[int, SymbolicCall] = {}
        inside = {id(call) for call in calls}
        for call in reversed(calls):
            key = self.key(call)
            depth[key] = max(depth.get(key, 0), consumers.get(id(call), 0))
            first[key] = call
            for x in _inputs_and_masks(call):
                if x.history is not None and id(x.history) in inside:
                    consumers[id(x.history)] = max(consumers.get(id(x.history), 0), depth[key] + 1)
        members = {self.key(call) for call in self.calls}
        for x in self.inputs:  # unused inputs are part of the model all the same
            if x.history is not None and isinstance(x.history.callee, InputLayer):
                key = self.key(x.history)
                members.add(key)
                if key not in depth:
                    depth[key], first[key], self._discovered[key] = 0, x.history, -1
        order = sorted(depth, key=lambda key: (-depth[key], self._discovered[key]))
        return [first[key] for key in order if key in members]

    @property
    def layers(self) -> list[Layer]:
        return [call.callee for call in self.operations if isinstance(call.callee, Layer)]

    @property
    def _named(self) -> list[Operation]:
        return [call.callee for call in self.operations if isinstance(call.callee, Operation)]

    def _check_names(self) -> None:
        names = [operation.name for operation in self._named]
        duplicate = next((name for name in names if names.count(name) > 1), None)
        if duplicate is not None:
            raise ValueError(
                f"model {self.name!r} has two layers or operations with the name {duplicate!r}: give one of "
                "them another name"
            )

    def names(self) -> dict[int, str]:
        """Name all operations. Functions get names here, numbered around those of the layers."""
        used = {operation.name for operation in self._named}
        names: dict[int, str] = {}
        for call in self.operations:
            if isinstance(call.callee, Operation):
                names[self.key(call)] = call.callee.name
                continue
            base = to_snake_case(re.sub(r"^get_?item$", "get_item", call.callee.__name__))
            name, count = base, 0
            while name in used:
                count += 1
                name = f"{base}_{count}"
            used.add(name)
            names[self.key(call)] = name
        return names

    def name_of(self, tensor: KerasTensor) -> str:
        """Return the name of the operation that computes a tensor."""
        if tensor.history is None:
            return tensor.name
        callee = tensor.history.callee
        return callee.name if isinstance(callee, Operation) else self.names()[self.key(tensor.history)]

    def run(self, values: dict[int, Any]) -> list[Any]:
        """Replay all calls. values: of the inputs, by id of the symbolic tensor. Returns the outputs."""
        self.replay([call for call in self.calls if not isinstance(call.callee, InputLayer)], values)
        return [values[id(x)] for x in self.outputs]

    def replay(self, calls: Sequence[SymbolicCall], values: dict[int, Any]) -> None:
        """Replay some of the calls, and add their results to the values."""

        def resolve(x: Tree) -> Any:
            return values[id(x)] if isinstance(x, KerasTensor) else x

        for call in calls:
            args, kwargs = tree.map_structure(resolve, (call.args, call.kwargs))
            with located(call.place):
                result = call.callee(*args, **kwargs)
            for symbol, value in zip(tree.flatten(call.result), tree.flatten(result), strict=True):
                values[id(symbol)] = value


def _inputs_and_masks(call: SymbolicCall) -> list[KerasTensor]:
    return [*call.inputs, *call.masks]


def with_input_layers(inputs: Tree, outputs: Tree, name: str) -> tuple[Tree, Tree]:
    """Return the ends of a graph in which every input is that of an `InputLayer`.

    Calls behind an inner tensor are copied: the layers and the tensors of the graph around stay as they are.
    """
    flat = tree.flatten(inputs)
    new: dict[int, KerasTensor] = {}
    for tensor in flat:
        history = tensor.history
        if history is not None and not isinstance(history.callee, InputLayer):
            new[id(tensor)] = InputLayer(batch_shape=tensor.shape, dtype=tensor.dtype).output
    if not new:
        return inputs, outputs

    def moved(x: Tree) -> Any:
        return new.get(id(x), x)

    for call in CallGraph(flat, tree.flatten(outputs), name).calls:
        if not any(id(x) in new for x in call.inputs):
            continue
        copy = SymbolicCall(call.callee, *tree.map_structure(moved, (call.args, call.kwargs)))
        copy.masks, copy.place = [moved(x) for x in call.masks], call.place
        copy.result = tree.map_structure(_alike, call.result)
        pairs = zip(tree.flatten(call.result), tree.flatten(copy.result), strict=True)
        for index, (old, tensor) in enumerate(pairs):
            if isinstance(tensor, KerasTensor):
                new[id(old)] = tensor
                tensor.history, tensor.output_index = copy, index
    return tree.map_structure(moved, inputs), tree.map_structure(moved, outputs)


def _alike(x: Tree) -> Any:
    """Return a symbolic tensor of the same type, and anything else as it is."""
    if not isinstance(x, KerasTensor):
        return x
    tensor = KerasTensor(x.shape, x.dtype, name=x.name)
    copy_mask(x, tensor)
    return tensor


class GraphEnds:
    """Inputs and outputs of an object that is given by a graph of calls: a functional model or a Function."""

    def _set_graph(self, inputs: Tree, outputs: Tree, name: str) -> None:
        self._hb_structure = _Structure(inputs, outputs)
        self._hb_graph = CallGraph(tree.flatten(inputs), tree.flatten(outputs), name)

    @property
    def inputs(self) -> list[KerasTensor]:
        """Symbolic inputs as a flat list."""
        return list(self._hb_graph.inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """Symbolic outputs as a flat list."""
        return list(self._hb_graph.outputs)

    @property
    def input(self) -> Tree:
        """Symbolic inputs in their structure."""
        return self._hb_structure.inputs

    @property
    def output(self) -> Tree:
        """Symbolic outputs in their structure."""
        return self._hb_structure.outputs

    @property
    def operations(self) -> list[Any]:
        """Layers and functions between inputs and outputs, each with its name in the graph."""
        graph, names = self._hb_graph, self._hb_graph.names()
        for call in graph.operations:
            if isinstance(call.operation, FunctionOperation):
                call.operation.name = names[graph.key(call)]
        return [call.operation for call in graph.operations]

    # Names that are private in Keras.
    _inputs = Computed(lambda model: model.inputs)
    _outputs = Computed(lambda model: model.outputs)
    _inputs_struct = Computed(lambda model: model.input)
    _outputs_struct = Computed(lambda model: model.output)
    _operations = Computed(lambda model: model.operations)
    _nodes = Computed(lambda model: _named_calls(model))
    _nodes_by_depth = Computed(lambda model: _by_depth(_named_calls(model)))


def _named_calls(model: GraphEnds) -> list[SymbolicCall]:
    """Return the calls of a model, whose operations have their names in its graph."""
    return list(model._hb_graph.calls) if model.operations else []


def _by_depth(calls: Sequence[SymbolicCall]) -> dict[int, list[SymbolicCall]]:
    """Group calls, operands first, by the number of calls after them on the longest way to an output."""
    depths: dict[int, int] = {}
    groups: dict[int, list[SymbolicCall]] = {}
    for call in reversed(calls):
        depth = depths.setdefault(id(call), 0)
        groups.setdefault(depth, []).insert(0, call)
        for parent in call.parent_nodes:
            depths[id(parent)] = max(depths.get(id(parent), 0), depth + 1)
    return groups


class _Structure:
    """Nested inputs and outputs; in one object, so that tracking need not look into it."""

    def __init__(self, inputs: Tree, outputs: Tree) -> None:
        self.inputs = inputs
        self.outputs = outputs


# -- inputs ----------------------------------------------------------------------------------------


def match_inputs(inputs: Tree, expected: Tree, name: str) -> list[Any]:
    """Return the inputs in the order of the model's.

    Raises ValueError if names or number do not match. The warning policy decides about a list where names in
    a dict decide.
    """
    symbols = tree.flatten(expected)
    if isinstance(inputs, dict):
        keys = sorted(expected) if isinstance(expected, dict) else [x.name for x in symbols]
        if all(key in inputs for key in keys):
            return tree.flatten([inputs[key] for key in keys])
        if not len(inputs) == len(symbols) == 1:
            raise ValueError(
                f"model {name!r} has the inputs {', '.join(map(str, keys))}, got "
                f"{', '.join(map(str, inputs))}"
            )
    flat = tree.flatten(inputs)
    if len(flat) != len(symbols):
        raise ValueError(f"model {name!r} has {len(symbols)} input(s), got {len(flat)}")
    check_order(inputs, expected, f"model {name!r}")
    return flat


def adjust(value: TensorLike | None, symbol: KerasTensor, name: str) -> Tree:
    """Convert a value for a symbolic input: to its dtype, with a last axis of size 1 added or dropped.

    Raises ShapeError for any other difference of shapes.
    """
    if value is None:
        if symbol.history is not None and getattr(symbol.history.callee, "optional", False):
            return None
        raise ValueError(f"model {name!r}: input {symbol.name!r} is None")
    if symbol.dtype == STRING or holds_strings(value):
        return adjust_strings(value, symbol, name)
    tensor = as_tensor(value)
    shape, expected = tuple(tensor.shape), tuple(symbol.shape)
    hint = shape_hint(shape, expected)  # the batch size of an Input is no condition
    if hint:
        where = f"model {name!r}: input {symbol.name!r}"
        raise ShapeError(f"{where} expects shape {expected}, got {shape}. {hint}")
    before = tensor
    if tensor.dtype != symbol.dtype:
        tensor = cast(tensor, symbol.dtype)
    if len(shape) != len(expected):
        tensor = reshape(tensor, (*shape, 1) if len(shape) < len(expected) else shape[:-1])
    if tensor is not before:
        copy_mask(before, tensor)
    return tensor
