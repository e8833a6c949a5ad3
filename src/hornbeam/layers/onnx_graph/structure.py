"""An ONNX graph as plain JSON values, and the rules that such a graph has to keep before anything of it runs.

A graph is {"opset", "inputs", "outputs", "weights", "constants", "nodes"}:

    inputs, outputs   [{"name", "dtype", "shape"}], None for an unknown size (or the whole shape, of outputs)
    weights           [{"name", "dtype", "shape", "trainable"}]: arrays that are kept beside the graph
    constants         {name: {"dtype", "shape", "data"}}: small arrays, as base64 of little-endian bytes
    nodes             [{"op", "name", "inputs", "outputs", "attributes"}], "" for an input that is left out

Attributes are numbers, strings, lists of them, arrays like the constants, and, of control flow, graphs
{"inputs", "outputs", "constants", "nodes"} whose names of inputs and outputs are plain.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from hornbeam._internal.limits import current_budget
from hornbeam.ir.types import DTYPES, numpy_dtype
from hornbeam.layers.onnx_graph.vocabulary import OPERATORS, GraphError

# Versions of the operator set that the table knows the differences of.
OLDEST, NEWEST = 7, 28
MAX_RANK = 32
# Arrays of a graph: what is larger is a weight.
MAX_CONSTANT_BYTES = 1 << 16


def packed(array: np.ndarray, dtype: str) -> dict[str, Any]:
    """An array as JSON values."""
    data = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return {"dtype": dtype, "shape": list(array.shape), "data": base64.b64encode(data).decode()}


def unpacked(value: Any) -> np.ndarray:
    """The array that `packed` wrote. Raises GraphError."""
    shape = checked_shape(value)
    dtype = numpy_dtype(value["dtype"])
    text = value.get("data")
    if not isinstance(text, str) or len(text) > 2 * MAX_CONSTANT_BYTES:
        raise GraphError(f"an array inside of a graph takes at most {MAX_CONSTANT_BYTES} bytes")
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise GraphError(f"an array is not base64: {error}") from None
    sizes = [size for size in shape if size is not None]
    if None in shape or math.prod(sizes) * dtype.itemsize != len(data):
        raise GraphError(f"an array says that it has shape {shape}, and has {len(data)} bytes")
    if dtype.kind == "b" and any(byte > 1 for byte in data):
        raise GraphError("an array of bools has other values than 0 and 1")
    return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype).reshape(sizes)


def checked_shape(value: Any) -> tuple[int | None, ...]:
    """The shape of something that has a known dtype. Raises GraphError."""
    if not isinstance(value, dict) or value.get("dtype") not in DTYPES:
        raise GraphError(f"a tensor needs a dtype out of {', '.join(DTYPES)}, got {value!r:.80}")
    shape = value.get("shape")
    if not isinstance(shape, (list, tuple)) or len(shape) > MAX_RANK:
        raise GraphError(f"a shape is a list of at most {MAX_RANK} sizes, got {shape!r:.80}")
    if any(size is not None and (type(size) is not int or not 0 <= size < 1 << 40) for size in shape):
        raise GraphError(f"sizes are whole numbers from 0 on, got {shape!r:.80}")
    return tuple(shape)


def max_depth() -> int:
    """How many graphs may be inside of each other."""
    return current_budget().nesting // 25


def check_operators(graph: Any) -> None:
    """Raises GraphError that names all operators which the table does not have, those of branches too."""
    nodes = [node for part, _ in graphs_in(graph) for node in listed(part, "nodes")]
    missing = sorted({str(node.get("op")) for node in nodes if node.get("op") not in OPERATORS})
    if missing:
        raise GraphError(
            f"the file uses operators that Hornbeam does not have: {', '.join(missing)}. Export the part of "
            "the model in front of them, or write them with operators of the standard set"
        )


def graphs_in(graph: Any) -> Iterator[tuple[Any, int]]:
    """A graph and those among its attributes, with their depths. Raises GraphError."""
    parts = [(graph, 1)]
    count = 0
    while parts:
        part, depth = parts.pop()
        nodes = listed(part, "nodes")
        count += len(nodes)
        most = 10 * current_budget().members
        if count > most or depth > max_depth():
            raise GraphError(
                f"a graph has at most {most} nodes, and at most {max_depth()} levels of graphs in graphs: "
                "hornbeam.saving.budget(members=..., nesting=...) raises the limits for a file that you trust"
            )
        yield part, depth
        for node in nodes:
            attributes = node.get("attributes")
            if not isinstance(attributes, dict):
                raise GraphError("a node has a dict of attributes")
            parts.extend((x["graph"], depth + 1) for x in attributes.values() if is_graph(x))


def is_graph(attribute: Any) -> bool:
    """Whether an attribute is a graph."""
    return isinstance(attribute, dict) and "graph" in attribute


def listed(part: Any, key: str) -> list[dict[str, Any]]:
    """A list of dicts. Raises GraphError."""
    found = part.get(key) if isinstance(part, dict) else None
    if not isinstance(found, (list, tuple)) or not all(isinstance(x, dict) for x in found):
        raise GraphError(f"a graph has a list of {key}")
    return list(found)


def check(graph: Any) -> None:
    """Raises GraphError unless the graph keeps all rules: operators that are there, names that are given
    once, and nothing that is used before it is made (so no cycles).
    """
    opset = graph.get("opset") if isinstance(graph, dict) else None
    if type(opset) is not int or not OLDEST <= opset <= NEWEST:
        raise GraphError(
            f"operator sets {OLDEST} to {NEWEST} are read, this file uses {opset}: convert it, such as with "
            "onnx.version_converter"
        )
    check_operators(graph)
    given: set[str] = set()
    for kind in ("inputs", "weights"):
        for entry in listed(graph, kind):
            checked_shape(entry)
            _give(given, entry.get("name"))
    for entry in listed(graph, "outputs"):
        if entry.get("shape") is not None:
            checked_shape(entry)
    _check_part(graph, given, [x.get("name") for x in listed(graph, "outputs")])


def _give(given: set[str], name: Any) -> None:
    if not isinstance(name, str) or not name or name in given:
        raise GraphError(f"every tensor has a name that is given once; {name!r:.80} is not")
    given.add(name)


def _check_part(part: Any, given: set[str], outputs: list[Any]) -> None:
    constants = part.get("constants")
    if not isinstance(constants, dict):
        raise GraphError("a graph has a dict of constants")
    for name, value in constants.items():
        unpacked(value)
        _give(given, name)
    for node in listed(part, "nodes"):
        inputs, made = _names(node, "inputs"), _names(node, "outputs")
        for name in inputs:
            _known(given, name, node)
        for attribute in node["attributes"].values():
            if is_graph(attribute):
                inner, own = attribute["graph"], set(given)
                for name in inner.get("inputs", ()):
                    _give(own, name)
                _check_part(inner, own, list(inner.get("outputs", ())))
            elif isinstance(attribute, dict):
                unpacked(attribute)
        for name in made:
            _give(given, name)
    for name in outputs:
        _known(given, name, {"op": "the graph's outputs"})
    if not outputs:
        raise GraphError("a graph has outputs")


def _names(node: dict[str, Any], key: str) -> list[str]:
    """Names of what a node takes or makes, without those that are left out."""
    names = node.get(key)
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise GraphError(f"a node has a list of names of its {key}")
    return [name for name in names if name]


def _known(given: set[str], name: Any, node: dict[str, Any]) -> None:
    if name not in given:
        raise GraphError(
            f"{node['op']} uses {name!r:.80}, which nothing before it makes: it is missing, or the graph "
            "goes in a circle"
        )
