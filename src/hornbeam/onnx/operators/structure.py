"""ONNX graphs as plain JSON values, and the rules that a graph has to keep before any of it runs.

A graph is {"opset", "inputs", "outputs", "weights", "constants", "nodes"}, and has "domains", versions of
other sets of operators by their names, if it is from a file:

    inputs, outputs   [{"name", "dtype", "shape"}], None for an unknown size (or a whole shape, of outputs);
                      in "axes" names of unknown sizes, None for the others
    weights           [{"name", "dtype", "shape", "trainable"}]: arrays that are stored outside the graph
    constants         {name: {"dtype", "shape", "data"}}: small arrays, as base64 of little-endian bytes;
                      of strings as a list
    nodes             [{"op", "name", "inputs", "outputs", "attributes"}], "" for an omitted input

Attributes are numbers, strings, lists of them, arrays like the constants, and, for control flow, graphs
{"inputs", "outputs", "constants", "nodes"} whose inputs and outputs are names.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam.core.symbolic import STRING
from hornbeam.errors import GraphError
from hornbeam.ir.types import DTYPES, numpy_dtype
from hornbeam.onnx.operators.vocabulary import OPERATORS, object_array

# Versions of the operator set whose differences are implemented.
OLDEST, NEWEST = 1, 28
MAX_RANK = 32
# Largest array in a graph: larger ones are weights.
MAX_CONSTANT_BYTES = 1 << 16


def pack_array(array: np.ndarray, dtype: str) -> dict[str, Any]:
    """Encode an array as JSON values."""
    if dtype == STRING:
        return {"dtype": dtype, "shape": list(array.shape), "data": array.reshape(-1).tolist()}
    data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(data).decode()}


def unpack_array(value: Any) -> np.ndarray:
    """Decode the array that `pack_array` encoded. Raises GraphError."""
    shape = check_shape(value)
    sizes, text = [size for size in shape if size is not None], value.get("data")
    if value["dtype"] == STRING:
        is_text = isinstance(text, list) and all(isinstance(s, str) for s in text)
        if not is_text or None in shape or math.prod(sizes) != len(text):
            raise GraphError(f"an array of strings has a list of as many as its shape {shape} says")
        return object_array(text, sizes)
    dtype = numpy_dtype(value["dtype"])
    if not isinstance(text, str) or len(text) > 2 * MAX_CONSTANT_BYTES:
        raise GraphError(f"an array in a graph takes at most {MAX_CONSTANT_BYTES} bytes")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise GraphError(f"an array is not base64: {error}") from None
    if None in shape or math.prod(sizes) * dtype.itemsize != len(data):
        raise GraphError(f"an array of shape {shape} has {len(data)} bytes")
    if dtype.kind == "b" and any(byte > 1 for byte in data):
        raise GraphError("an array of bools has other values than 0 and 1")
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(sizes)


def check_shape(value: Any) -> tuple[int | None, ...]:
    """Return the shape of a tensor with a known dtype. Raises GraphError."""
    if not isinstance(value, dict) or value.get("dtype") not in (*DTYPES, STRING):
        raise GraphError(f"a tensor needs one of the dtypes {', '.join(DTYPES)}, got {value!r:.80}")
    shape = value.get("shape")
    if not isinstance(shape, (list, tuple)) or len(shape) > MAX_RANK:
        raise GraphError(f"a shape is a list of at most {MAX_RANK} sizes, got {shape!r:.80}")
    if any(size is not None and (type(size) is not int or not 0 <= size < 1 << 40) for size in shape):
        raise GraphError(f"sizes are integers of at least 0, got {shape!r:.80}")
    return tuple(shape)


def max_depth() -> int:
    """Return the largest number of nested graphs."""
    return current_budget().nesting // 25


def check_operators(graph: Any) -> None:
    """Raise GraphError with all operators that the table does not contain, those of branches included."""
    nodes = [node for part, _ in graphs_in(graph) for node in list_of_dicts(part, "nodes")]
    missing = sorted({str(node.get("op")) for node in nodes if node.get("op") not in OPERATORS})
    if any(name.startswith("com.microsoft.nchwc::") for name in missing):
        raise GraphError(
            "ONNX Runtime optimized this file for one kind of processor (com.microsoft.nchwc): let it "
            "save the model with graph_optimization_level ORT_ENABLE_EXTENDED at most"
        )
    if missing:
        raise GraphError(
            f"the file uses operators that are not supported: {', '.join(missing)}. "
            "Export the part of the model before them, or express them by operators of the standard set"
        )


def graphs_in(graph: Any) -> Iterator[tuple[Any, int]]:
    """Yield a graph and those among its attributes, with their depths. Raises GraphError."""
    parts = [(graph, 1)]
    count = 0
    while parts:
        part, depth = parts.pop()
        nodes = list_of_dicts(part, "nodes")
        count += len(nodes)
        max_nodes = 10 * current_budget().members
        if count > max_nodes or depth > max_depth():
            raise GraphError(
                f"a graph has at most {max_nodes} nodes and {max_depth()} levels of nested graphs: "
                "hornbeam.saving.budget(members=..., nesting=...) raises the limits for a trusted file"
            )
        yield part, depth
        for node in nodes:
            attributes = node.get("attributes")
            if not isinstance(attributes, dict):
                raise GraphError("a node has a dict of attributes")
            parts.extend((x["graph"], depth + 1) for x in attributes.values() if is_graph(x))


def is_graph(attribute: Any) -> bool:
    """True if an attribute is a graph."""
    return isinstance(attribute, dict) and "graph" in attribute


def list_of_dicts(part: Any, key: str) -> list[dict[str, Any]]:
    """Return the list of dicts under a key. Raises GraphError."""
    items = part.get(key) if isinstance(part, dict) else None
    if not isinstance(items, (list, tuple)) or not all(isinstance(x, dict) for x in items):
        raise GraphError(f"a graph has a list of {key}")
    return list(items)


def check(graph: Any) -> None:
    """Raise GraphError unless the graph keeps all rules.

    Operators are supported, names are unique, and no value is used before it is computed (so no cycles).
    """
    opset = graph.get("opset") if isinstance(graph, dict) else None
    if type(opset) is not int or not OLDEST <= opset <= NEWEST:
        raise GraphError(
            f"operator sets {OLDEST} to {NEWEST} are read, this file uses {opset}: "
            "convert it, for example with onnx.version_converter"
        )
    check_operators(graph)
    defined: set[str] = set()
    for kind in ("inputs", "weights"):
        for entry in list_of_dicts(graph, kind):
            check_shape(entry)
            _define(defined, entry.get("name"))
    for entry in list_of_dicts(graph, "outputs"):
        if entry.get("shape") is not None:
            check_shape(entry)
    _check_part(graph, defined, [x.get("name") for x in list_of_dicts(graph, "outputs")])


def _define(defined: set[str], name: Any) -> None:
    if not isinstance(name, str) or not name or name in defined:
        raise GraphError(f"names of tensors must be unique, {name!r:.80} is not")
    defined.add(name)


def _check_part(part: Any, defined: set[str], outputs: list[Any]) -> None:
    constants = part.get("constants")
    if not isinstance(constants, dict):
        raise GraphError("a graph has a dict of constants")
    for name, value in constants.items():
        unpack_array(value)
        _define(defined, name)
    for node in list_of_dicts(part, "nodes"):
        inputs, outputs_of_node = _names(node, "inputs"), _names(node, "outputs")
        for name in inputs:
            _check_defined(defined, name, node)
        for attribute in node["attributes"].values():
            if is_graph(attribute):
                inner, own = attribute["graph"], set[str]()
                for name in inner.get("inputs", ()):
                    _define(own, name)  # may hide a name outside, as Paddle writes loops
                _check_part(inner, defined | own, list(inner.get("outputs", ())))
            elif isinstance(attribute, dict):
                unpack_array(attribute)
        for name in outputs_of_node:
            _define(defined, name)
    for name in outputs:
        _check_defined(defined, name, {"op": "the graph's outputs"})
    if not outputs:
        raise GraphError("a graph has outputs")


def _names(node: dict[str, Any], key: str) -> list[str]:
    """Return the names of a node's inputs or outputs, without omitted ones."""
    names = node.get(key)
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise GraphError(f"a node has a list of names of its {key}")
    return [name for name in names if name]


def _check_defined(defined: set[str], name: Any, node: dict[str, Any]) -> None:
    if name not in defined:
        raise GraphError(
            f"{node['op']} uses {name!r:.80}, which no node before it computes: "
            "it is missing, or the graph has a cycle"
        )
