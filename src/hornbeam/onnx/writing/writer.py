"""Writes ONNX files for people: ONNX's own operators, one layout, names of layers, nothing computed twice.

The emitter of the ONNX Runtime engine writes primitive by primitive. Here the rules in `rules/` are asked
first whether ONNX has an operator for what a node stands for, and only what they read is written. Values that
depend on weights alone are computed now, and are part of the file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from hornbeam.export.patterns import MatchContext, first_found, planned
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import Node
from hornbeam.ir.types import numpy_dtype
from hornbeam.onnx.emitter.emit import Emitter, bodies_of, needed_nodes, reads, rename
from hornbeam.onnx.emitter.kernels import NodeProto, onnx
from hornbeam.onnx.emitter.table import MAKERS, TABLE
from hornbeam.onnx.emitter.values import Order, Value, ordered
from hornbeam.onnx.writing.rules import FOR_ANY_DTYPE, KEPT_NORMALIZATION, RULES, Match

# Operators on weights that are computed now.
_COMPUTED: dict[str, Callable[..., np.ndarray]] = {
    "Add": np.add,
    "Cast": lambda x, to: x,
    "Concat": lambda *xs, axis: np.concatenate(xs, axis),
    "Expand": np.broadcast_to,
    "GreaterOrEqual": np.greater_equal,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mul": np.multiply,
    "Reshape": lambda x, shape, allowzero=0: x.reshape(shape),
    "Slice": lambda x, *bounds: x[_slices(x, *bounds)],
    "Transpose": lambda x, perm: x.transpose(perm),
}
# Those that only move elements: the result is called as the weight was.
_MOVES = ("Concat", "Reshape", "Slice", "Transpose")
# An array is repeated in the file up to this number of elements.
_MOST_REPEATED = 1 << 12


def _slices(
    x: np.ndarray, starts: np.ndarray, stops: np.ndarray, axes: np.ndarray, steps: np.ndarray
) -> tuple[slice, ...]:
    slices = [slice(None)] * x.ndim
    for start, stop, axis, step in zip(starts, stops, axes, steps, strict=True):
        slices[axis] = slice(start, None if stop < -x.shape[axis] else stop, step)
    return tuple(slices)


class FileWriter(Emitter):
    """Emitter of a file.

    Args:
        model: Name of the model.
        opset: Version of the operators.
        channels_first: Inputs and outputs of rank 4 and 5 are (batch, channels, ...) in the file.
        keep_normalization: Batch normalizations keep their own weights.
    """

    def __init__(
        self, model: str, opset: int, channels_first: bool = False, keep_normalization: bool = False
    ) -> None:
        super().__init__(TABLE, MAKERS, opset)
        self._model = model
        self._channels_first = channels_first
        self._rules = {**RULES, **KEPT_NORMALIZATION} if keep_normalization else RULES
        self._layer = ""
        self._depth = 0
        self._names: set[str] = set()
        # Arrays that were moved only: the weight that each one was.
        self._origins: dict[str, str] = {}

    @property
    def prefers_bits(self) -> bool:
        """False: that is for speed on one runtime."""
        return False

    def outside_order(self, rank: int) -> Order:
        """The order of the axes of the model's inputs and outputs."""
        return (0, rank - 1, *range(1, rank - 1)) if self._channels_first and rank in (4, 5) else None

    # -- names -----------------------------------------------------------------------------------------------

    def new_name(self, kind: str) -> str:
        """The layer's name and the operator's, with a number if that exists."""
        return self._unique(f"{self._layer}/{kind}" if self._layer else kind)

    def _unique(self, base: str) -> str:
        name, count = base, 0
        while name in self._names or name in self._reserved:
            count += 1
            name = f"{base}_{count}"
        self._names.add(name)
        return name

    # -- known values ----------------------------------------------------------------------------------------

    def initializer(self, array: np.ndarray, dtype: str, name: str) -> Value:
        """An initializer with all of its elements."""
        name = self._unique(name)
        self.arrays[name] = array, dtype
        return Value(self, name, dtype, array.shape, array.shape)

    def known_output(
        self, operator: str, inputs: Sequence[Value | None], dtype: str, attributes: Mapping[str, Any]
    ) -> Value | None:
        """Return what a node would compute, if that is known."""
        arrays = [self.arrays[x.name][0] for x in inputs if x is not None and x.name in self.arrays]
        is_large = operator == "Expand" and arrays and np.prod(arrays[-1]) > _MOST_REPEATED
        if operator not in _COMPUTED or len(arrays) < len(inputs) or is_large:
            return None
        key = (operator, *(x.name for x in inputs if x is not None), dtype, str(attributes))
        if key not in self._constants:
            array = np.asarray(_COMPUTED[operator](*arrays, **attributes), numpy_dtype(dtype))
            origin = self._origins.get(inputs[0].name, inputs[0].name)  # type: ignore[union-attr]
            value = self._constants[key] = self.initializer(array, dtype, origin)
            if operator in _MOVES:
                self._origins[value.name] = origin
        return self._constants[key]

    # -- nodes -----------------------------------------------------------------------------------------------

    def walk(self, graph: Graph, args: Sequence[Value]) -> list[Value]:
        """The outputs of `graph`. Only what they need is written."""
        arrays = {
            node: self.arrays[x.name][0]
            for node, x in zip(graph.inputs, args, strict=True)
            if x.name in self.arrays and x.order is None and x.stored_shape == x.shape
        }
        context = MatchContext(graph, arrays, opset=self.opset)
        values: dict[Node, Any] = dict(zip(graph.inputs, args, strict=True))
        self._depth += 1
        if self._depth == 1:
            values.update(self._images(context, values))
        for node, match in planned(context, values, lambda node: self._match(context, node)):
            if self._depth == 1:
                layer = node.scope if match is None or match.layer is None else match.layer
                self._layer = layer.removeprefix(f"{self._model}/")
            if match is not None:
                values[node] = match.write(*(values[x] for x in match.inputs))
            elif context.is_computed(node):
                values[node] = self._computed_value(context, node, values)
            else:
                values[node] = self._write_node(node, [values[x] for x in node.inputs])
        self._depth -= 1
        return [values[node] for node in graph.outputs]

    def _images(self, context: MatchContext, values: dict[Node, Any]) -> dict[Node, Value]:
        """Inputs that convolutions and pools see, channels first before all operations on their elements."""
        images = {}
        for node in context.graph.inputs:
            if node not in context.known and _is_image(context, node):
                self._layer = values[node].name
                order = (0, node.rank - 1, *range(1, node.rank - 1))
                images[node] = ordered(values[node], order)
        return images

    def _match(self, context: MatchContext, node: Node) -> Match | None:
        rules = self._rules.get(node.name)
        if rules is None:
            return None
        types = node.type if isinstance(node.type, tuple) else (node.type,)
        is_written = types[0].dtype == "float32" or node.name in FOR_ANY_DTYPE
        return first_found(context, node, rules) if is_written else None

    def _computed_value(self, context: MatchContext, node: Node, values: dict[Node, Any]) -> Value:
        array = context.array(node)
        assert array is not None
        sources = context.sources(node)
        if not sources:
            return self.constant(array, node.dtype)
        like = next((x for x in sources if x.shape and x.type.size == array.size), sources[0])  # type: ignore[union-attr]
        name = values[like].name
        is_moved = node.name in ("reshape", "slice", "transpose")
        value = self.initializer(array, node.dtype, name if is_moved else f"{name}_folded")
        if is_moved:
            self._origins[value.name] = name
        return value

    def _write_node(self, node: Node, operands: list[Any]) -> Any:
        write = self.lower(node)
        if write is not None:
            return write(*operands, **node.params)
        outputs = self.walk(node.params["body"], operands)
        return tuple(outputs) if isinstance(node.type, tuple) else outputs[0]

    # -- the finished model ----------------------------------------------------------------------------------

    def finished_nodes(self, nodes: list[NodeProto]) -> list[NodeProto]:
        """The nodes that the outputs need, with names."""
        needed = needed_nodes(nodes, self._reserved - set(self.arrays))
        read = {name for node in needed for name in reads(node)}
        self.arrays = {name: array for name, array in self.arrays.items() if name in read}
        self._name_weights(needed)
        for node in needed:
            node.name = node.output[0]
        self._check_version(needed)
        return needed

    def _check_version(self, nodes: list[NodeProto]) -> None:
        """Raise NotImplementedError for an operator that came after this version of them."""
        for node in nodes:
            if not onnx.defs.has(node.op_type, self.opset):
                raise NotImplementedError(
                    f"{node.name} needs the operator {node.op_type}, which is not in version {self.opset} of "
                    "ONNX's operators: export with a larger opset_version"
                )
            for body in bodies_of(node):
                self._check_version(body.node)

    def _name_weights(self, nodes: list[NodeProto]) -> None:
        """Give moved weights the names of the weights, where those are not in the file themselves."""
        names: dict[str, str] = {}
        for moved, origin in self._origins.items():
            if moved in self.arrays and origin not in self.arrays and origin not in names.values():
                names[moved] = origin
        self.arrays = {names.get(name, name): array for name, array in self.arrays.items()}
        rename(nodes, names)


# Operations on elements, which may come between an image and the first window.
_PER_ELEMENT = {"add", "sub", "mul", "div", "neg", "max", "min", "convert", "pad"}
_WINDOWS = {"conv", "max_pool", "sum_pool"}


def _is_image(context: MatchContext, node: Node) -> bool:
    """True for an input of which nothing but windows is read, at most after operations on its elements."""
    stack, seen, windows = [node], {node}, 0
    while stack:
        x = stack.pop()
        readers = context.readers.get(x, [])
        windows += sum(y.name in _WINDOWS for y in readers)
        others = [y for y in readers if y.name not in _WINDOWS]
        if any(y is x or y.name not in _PER_ELEMENT or y.rank != node.rank for y in others):
            return False
        stack += [y for y in others if y not in seen]
        seen.update(others)
    return windows > 0
