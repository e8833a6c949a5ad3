"""Functional models: the graph of calls between symbolic inputs and outputs, replayed on data."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from hornbeam import tree
from hornbeam._internal.naming import to_snake_case
from hornbeam.core.convert import as_tensor, cast
from hornbeam.core.indexing import reshape
from hornbeam.core.operation import Operation
from hornbeam.core.registry import exported
from hornbeam.core.symbolic import STRING, KerasTensor, SymbolicCall, holds_strings
from hornbeam.data.frames import frame_columns, is_frame
from hornbeam.ir.source_lines import located
from hornbeam.ir.types import ShapeError
from hornbeam.layers import InputLayer, Layer
from hornbeam.models.host import HostSubgraph, adjust_strings, strings_to_array, to_numpy
from hornbeam.models.model import Model, _takes_functional
from hornbeam.training.check_inputs import shape_hint
from hornbeam.training.host_inputs import HostInputs


class CallGraph:
    """The calls that lead from `inputs` to `outputs`, operands first, and their operations in Keras's order.

    Raises ValueError if an output depends on an input that is not listed, or if two layers have the same
    name.
    """

    def __init__(self, inputs: Sequence[KerasTensor], outputs: Sequence[KerasTensor], name: str) -> None:
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.name = name
        self._stop = {id(x) for x in inputs}
        self._seen_at: dict[int, int] = {}
        self.calls = self._in_order()
        self.operations = self._operations()
        self._check_names()

    def _key(self, call: SymbolicCall) -> int:
        """Layers are one operation however often they are called; every call of a function is one of its
        own."""
        return id(call.operation) if isinstance(call.operation, Operation) else id(call)

    def _in_order(self, masks: bool = False) -> list[SymbolicCall]:
        """Depth first from the outputs, without recursion: deep networks are deeper than Python's stack.

        masks: also what makes the masks, as far as that comes from the inputs.
        """
        self._seen_at = {}
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
            if call is None or isinstance(call.operation, InputLayer):
                if id(tensor) not in self._stop and not masks:
                    raise self._disconnected(tensor)
                if call is None or id(tensor) not in self._stop:
                    continue
            elif id(tensor) in self._stop:
                continue
            self._seen_at.setdefault(self._key(call), len(self._seen_at))
            stack.append((tensor, True))
            stack.extend((x, False) for x in reversed(_inputs_and_masks(call) if masks else call.inputs))
        return order

    def _disconnected(self, tensor: KerasTensor) -> ValueError:
        listed = ", ".join(x.name or repr(x) for x in self.inputs)
        return ValueError(
            f"model {self.name!r}: the outputs depend on {tensor!r}, which is not among the inputs "
            f"({listed}): add it to "
            "`inputs`, or leave out what uses it"
        )

    def _operations(self) -> list[SymbolicCall]:
        """One call for each operation: those farthest from the outputs first, then in the order of
        discovery.

        Where masks are handed to layers, the way that they come counts as well, as in Keras.
        """
        calls = self.calls
        if any(call.masks for call in calls):
            calls = self._in_order(masks=True)
        consumers: dict[int, int] = {}
        depth: dict[int, int] = {}
        first: dict[int, SymbolicCall] = {}
        inside = {id(call) for call in calls}
        for call in reversed(calls):
            key = self._key(call)
            depth[key] = max(depth.get(key, 0), consumers.get(id(call), 0))
            first[key] = call
            for x in _inputs_and_masks(call):
                if x.history is not None and id(x.history) in inside:
                    consumers[id(x.history)] = max(consumers.get(id(x.history), 0), depth[key] + 1)
        own = {self._key(call) for call in self.calls}
        for x in self.inputs:  # inputs that nothing uses are part of the model all the same
            if x.history is not None and isinstance(x.history.operation, InputLayer):
                key = self._key(x.history)
                own.add(key)
                if key not in depth:
                    depth[key], first[key], self._seen_at[key] = 0, x.history, -1
        order = sorted(depth, key=lambda key: (-depth[key], self._seen_at[key]))
        return [first[key] for key in order if key in own]

    @property
    def layers(self) -> list[Layer]:
        return [call.operation for call in self.operations if isinstance(call.operation, Layer)]

    @property
    def _named(self) -> list[Operation]:
        return [call.operation for call in self.operations if isinstance(call.operation, Operation)]

    def _check_names(self) -> None:
        names = [made.name for made in self._named]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(
                f"model {self.name!r} has two layers or operations with the name {twice!r}: give one of them "
                "another name"
            )

    def names(self) -> dict[int, str]:
        """Names of all operations; those of functions are made here, numbered around the layers' names."""
        taken = {made.name for made in self._named}
        found: dict[int, str] = {}
        for call in self.operations:
            if isinstance(call.operation, Operation):
                found[self._key(call)] = call.operation.name
                continue
            base = to_snake_case(re.sub(r"^get_?item$", "get_item", call.operation.__name__))
            name, count = base, 0
            while name in taken:
                count += 1
                name = f"{base}_{count}"
            taken.add(name)
            found[self._key(call)] = name
        return found

    def name_of(self, tensor: KerasTensor) -> str:
        """Name of the operation that made a tensor."""
        return tensor.name if tensor.history is None else self.names()[self._key(tensor.history)]

    def run(self, values: dict[int, Any]) -> list[Any]:
        """Replay the calls on values of the inputs, by id of the symbolic tensor. Returns the outputs."""

        self.replay([call for call in self.calls if not isinstance(call.operation, InputLayer)], values)
        return [values[id(x)] for x in self.outputs]

    def replay(self, calls: Sequence[SymbolicCall], values: dict[int, Any]) -> None:
        """Make some of the calls, and put what they give to the values."""

        def settle(x: Any) -> Any:
            return values[id(x)] if isinstance(x, KerasTensor) else x

        for call in calls:
            args, kwargs = tree.map_structure(settle, (call.args, call.kwargs))
            with located(call.place):
                result = call.operation(*args, **kwargs)
            for symbol, value in zip(tree.flatten(call.outputs), tree.flatten(result), strict=True):
                values[id(symbol)] = value


def _inputs_and_masks(call: SymbolicCall) -> list[KerasTensor]:
    return [*call.inputs, *call.masks]


@exported("keras.src.models.functional")
class Functional(Model):
    """A model given by symbolic inputs and outputs: `Model(inputs, outputs)`.

    inputs, outputs: a KerasTensor, or a list or dict of them. Inputs may be inner tensors of another model:
    then this one
    begins there. Raises ValueError if outputs depend on something that is not among the inputs.
    """

    _casts_inputs = False

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        trainable = kwargs.pop("trainable", True)
        Layer.__init__(self, name=name, **kwargs)
        for what, structure in (("inputs", inputs), ("outputs", outputs)):
            for leaf in tree.flatten(structure):
                if not isinstance(leaf, KerasTensor):
                    raise ValueError(
                        f"{what} of a functional model must be symbolic tensors (Input and what layers make "
                        f"of it), "
                        f"got {type(leaf).__name__}"
                    )
        if len({id(x) for x in tree.flatten(inputs)}) != len(tree.flatten(inputs)):
            raise ValueError(f"model {self.name!r}: an input is listed twice")
        self._graph = CallGraph(tree.flatten(inputs), tree.flatten(outputs), self.name)
        self._structure = _Structure(inputs, outputs)
        self._graph_layers = self._graph.layers
        self._host = HostSubgraph(self._graph)
        self.built = True
        self.supports_masking = True
        if not trainable:
            self.trainable = False

    # -- structure ---------------------------------------------------------------------------------

    @property
    def layers(self) -> list[Layer]:
        """The layers of the graph, those farthest from the outputs first."""
        return list(self._graph_layers)

    @layers.setter
    def layers(self, value: Any) -> None:
        raise AttributeError("`layers` of a model is found by itself and cannot be set: choose another name")

    @property
    def operations(self) -> list[Any]:
        """Layers and functions of the graph."""
        return [call.operation for call in self._graph.operations]

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs as a flat list."""
        return list(self._graph.inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs as a flat list."""
        return list(self._graph.outputs)

    @property
    def input(self) -> Any:
        """The symbolic inputs in their structure."""
        return self._structure.inputs

    @property
    def output(self) -> Any:
        """The symbolic outputs in their structure."""
        return self._structure.outputs

    @property
    def input_shape(self) -> Any:
        """Shapes of the inputs in their structure."""
        return tree.map_structure(lambda x: x.shape, self.input)

    @property
    def output_shape(self) -> Any:
        """Shapes of the outputs in their structure."""
        return tree.map_structure(lambda x: x.shape, self.output)

    @property
    def input_names(self) -> list[str]:
        """Names of the inputs."""
        return [self._graph.name_of(x) for x in self.inputs]

    @property
    def output_names(self) -> list[str]:
        """Names of the outputs: those of the layers that make them, or the keys of a dict."""
        if isinstance(self.output, dict):
            return [str(path[0]) for path, _ in tree.flatten_with_path(self.output)]
        return [self._graph.name_of(x) for x in self.outputs]

    @property
    def _symbolic_inputs(self) -> Any:
        return self._structure.inputs

    # -- calling -----------------------------------------------------------------------------------

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Replay the graph. Inputs may come as a list in order, or as a dict by name."""
        if isinstance(inputs, HostInputs):
            return tree.pack_sequence_as(self.output, self._host.run_compiled(inputs))
        tensors = match_inputs(inputs, self.input, self.name)
        masks = tree.flatten(mask) if mask is not None else [None] * len(tensors)
        values: dict[int, Any] = {}
        for symbol, tensor, given in zip(self.inputs, tensors, masks, strict=True):
            adjusted = adjust(tensor, symbol, self.name)
            if given is not None and adjusted is not None:
                adjusted._keras_mask = given
            values[id(symbol)] = adjusted
        return tree.pack_sequence_as(self.output, self._graph.run(values))

    def _compiled_inputs(self) -> Any:
        return self._host.symbols() if self._host else self._symbolic_inputs

    def _run_host_layers(self, x: Any) -> Any:
        if is_frame(x) and len(self.inputs) > 1:  # each input is a column
            columns = frame_columns(x)
            match_inputs(columns, self.input, self.name)
            x = {symbol.name: columns[symbol.name] for symbol in self.inputs if symbol.name in columns}
        if not self._host or isinstance(x, HostInputs):
            return x
        given = match_inputs(strings_to_array(x), self.input, self.name)
        pairs = zip(given, self.inputs, strict=True)
        return self._host.run([to_numpy(adjust(value, symbol, self.name)) for value, symbol in pairs])

    def compute_mask(self, inputs: Any, previous_mask: Any) -> Any:
        """None: the layers inside have put masks on the outputs."""
        return None

    # -- config ------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """Layers, their connections, inputs and outputs, in Keras 3's format."""
        from hornbeam.models.functional_config import functional_config

        if not _takes_functional(type(self)):  # a subclass that makes its graph in __init__
            return super().get_config()
        return functional_config(self)

    def get_build_config(self) -> dict[str, Any]:
        """A functional model is built by its graph."""
        return {"input_shape": None}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Nothing to do: a functional model is built by its graph."""


class _Structure:
    """Inputs and outputs as they were given; one object, so that tracking need not look into it."""

    def __init__(self, inputs: Any, outputs: Any) -> None:
        self.inputs = inputs
        self.outputs = outputs


_variants: dict[type, type] = {}


def functional_class(cls: type) -> type:
    """The class of a functional model that was asked for as `cls(inputs, outputs)`."""
    if cls is Model:
        return Functional
    if issubclass(cls, Functional):
        return cls
    if cls not in _variants:
        _variants[cls] = type(
            cls.__name__, (cls, Functional), {"_plain_class": cls, "__module__": cls.__module__}
        )
    return _variants[cls]


@exported("keras")
class Function(Operation):
    """The computation between symbolic inputs and outputs as a function; a model without training.

    inputs, outputs: a KerasTensor, or a list or dict of them.

    >>> x = hornbeam.Input((3,)); f = Function(x, hornbeam.ops.sum(x, axis=1))
    >>> f(np.array([[1.0, 2.0, 3.0]])).tolist()
    [6.0]
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        super().__init__(name)
        self._structure = _Structure(inputs, outputs)
        self._graph = CallGraph(tree.flatten(inputs), tree.flatten(outputs), self.name)

    @property
    def inputs(self) -> list[KerasTensor]:
        """The symbolic inputs as a flat list."""
        return list(self._graph.inputs)

    @property
    def outputs(self) -> list[KerasTensor]:
        """The symbolic outputs as a flat list."""
        return list(self._graph.outputs)

    @property
    def input(self) -> Any:
        """The symbolic inputs in their structure."""
        return self._structure.inputs

    @property
    def output(self) -> Any:
        """The symbolic outputs in their structure."""
        return self._structure.outputs

    @property
    def operations(self) -> list[Any]:
        """Layers and functions between inputs and outputs."""
        return [call.operation for call in self._graph.operations]

    def call(self, inputs: Any) -> Any:
        """The outputs for values of the inputs."""
        tensors = match_inputs(inputs, self.input, self.name)
        values = {id(s): adjust(t, s, self.name) for s, t in zip(self._graph.inputs, tensors, strict=True)}
        return tree.pack_sequence_as(self.output, self._graph.run(values))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Shapes of the outputs for inputs of the given shapes."""
        shapes = input_shape if isinstance(self.input, (list, tuple, dict)) else [input_shape]
        symbols = [KerasTensor(s, x.dtype) for s, x in zip(_shapes(shapes), self.inputs, strict=True)]
        made = self.compute_output_spec(tree.pack_sequence_as(self.input, symbols))
        return tree.map_structure(lambda x: x.shape, made)

    def get_config(self) -> dict[str, Any]:
        """Not there: raises NotImplementedError, since a `Model` of the same inputs and outputs has one."""
        raise NotImplementedError("a Function has no config: make a Model of its inputs and outputs")


def _shapes(structure: Any) -> list[Any]:
    return list(structure.values()) if isinstance(structure, dict) else list(structure)


# -- inputs ----------------------------------------------------------------------------------------


def match_inputs(inputs: Any, wanted: Any, name: str) -> list[Any]:
    """The given inputs in the order of the model's. Raises ValueError if names or their number do not
    match."""
    symbols = tree.flatten(wanted)
    if isinstance(inputs, dict):
        keys = sorted(wanted) if isinstance(wanted, dict) else [x.name for x in symbols]
        if all(key in inputs for key in keys):
            return [inputs[key] for key in keys]
        if not len(inputs) == len(symbols) == 1:
            raise ValueError(
                f"model {name!r} has the inputs {', '.join(map(str, keys))}, got "
                f"{', '.join(map(str, inputs))}"
            )
    given = tree.flatten(inputs)
    if len(given) != len(symbols):
        raise ValueError(f"model {name!r} has {len(symbols)} input(s), got {len(given)}")
    return given


def adjust(value: Any, symbol: KerasTensor, name: str) -> Any:
    """A value for a symbolic input: of its dtype, with a last axis of size 1 added or dropped where that is
    missing.

    Raises ShapeError if the shape is another.
    """
    if value is None:
        if symbol.history is not None and getattr(symbol.history.operation, "optional", False):
            return None
        raise ValueError(f"model {name!r}: input {symbol.name!r} is None")
    if symbol.dtype == STRING or holds_strings(value):
        return adjust_strings(value, symbol, name)
    tensor = as_tensor(value)
    shape, wanted = tuple(tensor.shape), tuple(symbol.shape)
    problem = shape_hint(shape, wanted)
    if problem or (wanted and wanted[0] is not None and shape[:1] != wanted[:1]):
        hint = problem or f"The batch size of this model is fixed to {wanted[0]}"
        raise ShapeError(f"model {name!r}: input {symbol.name!r} expects shape {wanted}, got {shape}. {hint}")
    mask = tensor._keras_mask
    if tensor.dtype != symbol.dtype:
        tensor = cast(tensor, symbol.dtype)
    if len(shape) != len(wanted):
        tensor = reshape(tensor, (*shape, 1) if len(shape) < len(wanted) else shape[:-1])
    if mask is not None and tensor is not value:
        tensor._keras_mask = mask
    return tensor


# -- configs ---------------------------------------------------------------------------------------


def is_functional_config(config: dict[str, Any]) -> bool:
    """True for what `Functional.get_config` gives."""
    return {"name", "layers", "input_layers", "output_layers"} <= set(config)


def functional_from_config(cls: type, config: dict[str, Any]) -> Any:
    """The functional model of class `cls` that a config describes."""
    from hornbeam.models.functional_config import rebuild

    inputs, outputs, options = rebuild(config)
    made: Callable[..., Any] = Functional if cls in (Model, Functional) else cls
    model = made(inputs=inputs, outputs=outputs, name=config.get("name"), **options)
    if not config.get("trainable", True):
        model.trainable = False
    return model


__all__ = ["CallGraph", "Function", "Functional"]
