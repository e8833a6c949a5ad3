"""Functional models as configs, in Keras 3's format: layers, operations, and the calls that connect them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from hornbeam import tree
from hornbeam._internal.typing import Tree
from hornbeam.core.convert import as_tensor
from hornbeam.core.operation import Operation, inbound_calls
from hornbeam.core.operation_names import Split, class_name
from hornbeam.core.registry import deserialize, serialize
from hornbeam.core.symbolic import KerasTensor, SymbolicCall
from hornbeam.core.tensor import Tensor
from hornbeam.layers import InputLayer
from hornbeam.models.call_graph import CallGraph, GraphEnds
from hornbeam.models.model import Model
from hornbeam.ops.operation_classes import operation_class

if TYPE_CHECKING:
    from hornbeam.models.functional import Functional


def _is_functional(operation: Any) -> bool:
    return isinstance(operation, Model) and isinstance(operation, GraphEnds)


# -- writing ---------------------------------------------------------------------------------------


def functional_config(model: Functional) -> dict[str, Any]:
    """Return the config of a functional model. Raises TypeError for functions without a config."""
    graph = model._hb_graph
    names = graph.names()
    places = _places(graph, names)
    layers = []
    for call in graph.operations:
        if isinstance(call.callee, Operation):
            entry = serialize(call.callee)
            calls = [c for c in graph.calls if c.callee is call.callee]
            calls = [] if isinstance(call.callee, InputLayer) else _in_creation_order(call.callee, calls)
            entry["name"] = call.callee.name
            entry["inbound_nodes"] = [_node(c.args, c.kwargs, places) for c in calls]
        else:
            entry = _operation_entry(call, names[graph.key(call)], places)
        layers.append(entry)
    ends = {
        "input_layers": tree.map_structure(lambda x: _end(x, places), model.input),
        "output_layers": tree.map_structure(lambda x: _end(x, places), model.output),
    }
    return {"name": model.name, "trainable": model.trainable, "layers": layers, **ends}


def _in_creation_order(layer: Operation, calls: list[SymbolicCall]) -> list[SymbolicCall]:
    order = {id(call): index for index, call in enumerate(inbound_calls(layer))}
    return sorted(calls, key=lambda call: order.get(id(call), 0))


def _places(graph: CallGraph, names: dict[int, str]) -> dict[int, tuple[str, int, int]]:
    """Locate every symbolic tensor: name of the operation, number of its call, number of the output."""
    places: dict[int, tuple[str, int, int]] = {}
    grouped: dict[int, list[SymbolicCall]] = {}
    for call in graph.calls:
        grouped.setdefault(graph.key(call), []).append(call)
    for call in graph.operations:
        grouped.setdefault(graph.key(call), [call])
    for key, calls in grouped.items():
        operation = calls[0].callee
        ordered = _in_creation_order(operation, calls) if isinstance(operation, Operation) else calls
        for number, call in enumerate(ordered):
            for index, x in enumerate(tree.flatten(call.result)):
                places[id(x)] = (names[key], number, index)
    return places


def _end(x: KerasTensor, places: dict[int, tuple[str, int, int]]) -> list[Any]:
    """Return the place of an input or output: Keras counts a functional model's definition as a call."""
    name, number, index = places[id(x)]
    inner = x.history is not None and _is_functional(x.history.callee)
    return [name, number + 1 if inner else number, index]


def _node(args: Any, kwargs: dict[str, Any], places: dict[int, tuple[str, int, int]]) -> dict[str, Any]:
    return {
        "args": [_value(x, places) for x in args],
        "kwargs": {k: _value(x, places) for k, x in kwargs.items()},
    }


def _value(x: Tree, places: dict[int, tuple[str, int, int]]) -> Any:
    """Convert an argument of a call to plain values."""
    if isinstance(x, KerasTensor):
        history = list(places[id(x)])
        return {
            "class_name": "__keras_tensor__",
            "config": {"shape": list(x.shape), "dtype": x.dtype, "keras_history": history},
        }
    if isinstance(x, slice):
        return {"class_name": "__slice__", "config": {"start": x.start, "stop": x.stop, "step": x.step}}
    if x is Ellipsis:
        return {"class_name": "__ellipsis__", "config": {}}
    if isinstance(x, (list, tuple)):
        return [_value(part, places) for part in x]
    if isinstance(x, dict):
        return {key: _value(part, places) for key, part in x.items()}
    if isinstance(x, Tensor):
        return {"class_name": "__tensor__", "config": {"value": x.tolist(), "dtype": x.dtype}}
    return serialize(x)


def _operation_entry(
    call: SymbolicCall, name: str, places: dict[int, tuple[str, int, int]]
) -> dict[str, Any]:
    location = class_name(call.callee)
    if location is None:
        raise TypeError(
            f"a config cannot describe the function {call.callee.__name__!r} on symbolic tensors: put it "
            "into a layer (Lambda with a registered function, or a Layer of your own)"
        )
    split = Split(call.callee, call.args, call.kwargs)
    config = {key: _value(x, places) for key, x in split.config.items()}
    return {
        "module": location[0],
        "class_name": location[1],
        "config": {"name": name, **config},
        "registered_name": location[1],
        "name": name,
        "inbound_nodes": [_node(split.args, split.kwargs, places)],
    }


# -- reading ---------------------------------------------------------------------------------------


def rebuild(config: dict[str, Any]) -> tuple[Any, Any, dict[str, Any]]:
    """Return inputs, outputs and other constructor arguments from a config.

    Raises ValueError if the calls depend on each other in a circle or on layers that are missing.
    """
    makers = {entry.get("name") or entry["config"]["name"]: _maker(entry) for entry in config["layers"]}
    waiting = {
        name: [_modern_node(node) for node in entry["inbound_nodes"]]
        for name, entry in zip(makers, config["layers"], strict=True)
    }
    results: dict[tuple[str, int], list[Any]] = {}
    for name, operation in makers.items():
        if isinstance(operation, InputLayer):
            results[name, 0] = [operation.output]
            waiting[name] = []
    counts = dict.fromkeys(makers, 0)
    progress = True
    while progress and any(waiting.values()):
        progress = False
        for name, nodes in waiting.items():
            while nodes and all(key in results for key in _needed(nodes[0])):
                node = nodes.pop(0)
                args, kwargs = _filled(node, results)
                results[name, counts[name]] = tree.flatten(makers[name](*args, **kwargs))
                counts[name] += 1
                progress = True
    if any(waiting.values()):
        absent = {
            name: [position for position in _needed(nodes[0]) if position not in results]
            for name, nodes in waiting.items()
            if nodes
        }
        _raise_stuck(config["name"], absent)

    def end(location: Any) -> Any:
        name, number, index = location
        return _tensor((name, number - _is_functional(makers.get(name)), index), results)

    options = {key: value for key, value in config.items() if key not in _OWN_KEYS}
    return _ends(config["input_layers"], end), _ends(config["output_layers"], end), options


def _raise_stuck(model: str, absent: dict[str, list[tuple[str, int]]]) -> NoReturn:
    """Raise ValueError for layers whose inputs (`absent`) are missing, or wait for each other."""
    where = f"the config of model {model!r} cannot be built"
    for name, places in absent.items():
        missing = next((source for source, _ in places if source not in absent), None)
        if missing is not None:
            raise ValueError(f"{where}: {name} needs the output of {missing}, which is missing")
    raise ValueError(f"{where}: the layers {', '.join(absent)} wait for each other, in a loop")


def _modern_node(node: Any) -> dict[str, Any]:
    """Return a call as Keras 3 writes it. Keras 2 wrote a list of [layer, call, output, arguments]."""
    if isinstance(node, dict):
        return node
    tensors = [{"class_name": "__keras_tensor__", "config": {"keras_history": list(x[:3])}} for x in node]
    return {"args": tensors if len(tensors) == 1 else [tensors], "kwargs": dict(node[0][3])}


_OWN_KEYS = {"name", "trainable", "layers", "input_layers", "output_layers", "dtype"}


def _maker(entry: dict[str, Any]) -> Any:
    """Build the layer of an entry, or a function that applies its operation."""
    module = str(entry.get("module"))
    if not module.startswith("keras.src.ops."):
        return deserialize(
            {key: value for key, value in entry.items() if key not in ("name", "inbound_nodes")}
        )
    cls = operation_class(entry["class_name"])
    if cls is None:
        raise ValueError(
            f"the config uses the operation {entry['class_name']!r}, which Hornbeam does not have"
        )
    options = {key: _plain(value) for key, value in entry["config"].items() if key != "dtype_policy"}
    return cls(**options)


def _plain(value: Any) -> Any:
    return tuple(_plain(x) for x in value) if isinstance(value, list) else deserialize(value)


def _histories(part: Any) -> list[Any]:
    """List the `keras_history` entries in a call's arguments."""
    if isinstance(part, dict):
        if part.get("class_name") == "__keras_tensor__":
            return [part["config"]["keras_history"]]
        return [entry for value in part.values() for entry in _histories(value)]
    return [entry for value in part for entry in _histories(value)] if isinstance(part, list) else []


def _needed(node: dict[str, Any]) -> list[tuple[str, int]]:
    return [(name, number) for name, number, _ in _histories(node)]


def _tensor(location: Any, results: dict[tuple[str, int], list[Any]]) -> Any:
    name, number, index = location
    outputs = results.get((name, number))
    if outputs is None or index >= len(outputs):
        raise ValueError(
            f"the config names output {index} of call {number} of {name!r}, which does not exist"
        )
    return outputs[index]


def _filled(node: dict[str, Any], results: Any) -> tuple[list[Any], dict[str, Any]]:
    def fill(part: Any) -> Any:
        if isinstance(part, list):
            parts = [fill(x) for x in part]
            # A key of several slices was a tuple.
            return tuple(parts) if any(isinstance(x, slice) or x is Ellipsis for x in parts) else parts
        if not isinstance(part, dict):
            return part
        kind = part.get("class_name")
        if kind == "__keras_tensor__":
            return _tensor(part["config"]["keras_history"], results)
        if kind == "__slice__":
            return slice(*(part["config"][key] for key in ("start", "stop", "step")))
        if kind == "__ellipsis__":
            return Ellipsis
        if kind == "__tensor__":
            return as_tensor(part["config"]["value"], part["config"]["dtype"])
        if kind is not None:
            return deserialize(part)
        return {key: fill(value) for key, value in part.items()}

    args = [fill(x) for x in node["args"]]
    kwargs = {key: fill(value) for key, value in node["kwargs"].items()}
    return args, {key: value for key, value in kwargs.items() if not _only_none(key, value)}


def _only_none(key: str, value: Any) -> bool:
    """Return True for the absent masks of nested models, which Keras records."""
    return key == "mask" and all(x is None for x in tree.flatten(value))


def _ends(places: Any, tensor: Callable[[Any], Any]) -> Any:
    """Build the structure of inputs or outputs; a list of one place may be a place itself."""
    if isinstance(places, dict):
        return {key: _ends(value, tensor) for key, value in places.items()}
    if places and isinstance(places[0], str):
        return tensor(places)
    return type(places)(_ends(part, tensor) for part in places)
