"""Parsed ONNX files: the graph as plain values, and the arrays of weights, within limits."""

from __future__ import annotations

import math
import os
import re
import stat
from collections.abc import Mapping
from typing import Any

import numpy as np

from hornbeam._internal.plain_files import PLAINLY
from hornbeam.core.symbolic import STRING
from hornbeam.errors import GraphError, ModelFileError
from hornbeam.ir.types import is_float, numpy_dtype
from hornbeam.onnx.operators.elementwise import dtype_of
from hornbeam.onnx.operators.structure import (
    MAX_CONSTANT_BYTES,
    NEWEST,
    check_operators,
    graphs_in,
    max_depth,
    pack_array,
)
from hornbeam.onnx.operators.vocabulary import OPERATORS, object_array
from hornbeam.onnx.reading.functions import Functions
from hornbeam.onnx.reading.wire import read_model
from hornbeam.saving.files import SizeBudget, how_to_raise

MAX_RANK = 32
# Arrays of no more elements are part of the graph unless they are trained: sizes, axes, scales, bounds.
SMALL = {"float": 16, "integer": 4096}
# Larger values are not weights but markers, such as those that a mask adds to scores.
LARGEST_WEIGHT = 1e4

# Number of operators between an array and its use as a weight, such as reshapes.
THROUGH = 8

_STANDARD = ("", "ai.onnx")
_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _STRINGS = range(1, 9)
_EXTERNAL = 1
# Codes of dtypes: numbers of four bits, without and with a sign, which are stored in pairs as bytes.
_FOUR_BITS, _BYTES = (21, 22), 2


class OnnxSource:
    """A parsed file, which becomes the graph of an `OnnxGraph` and arrays of weights."""

    def __init__(self, data: bytes, path: str) -> None:
        model, stored = read_model(data), len(data)
        self._folder = os.path.dirname(path) or "."
        self._room = SizeBudget(stored)
        self._counted: set[tuple[int, int]] = set()  # files whose size is counted
        self._few_bits: set[str] = set()  # arrays that are stored with four bits for a number
        self._large: dict[str, np.ndarray] = {}  # arrays of branches, which become weights
        self.weights: dict[str, np.ndarray] = {}
        if "graph" not in model:
            raise ModelFileError("not an ONNX file: it holds no graph")
        self._graph = model["graph"]
        self.name = self._graph.get("name", "")
        imports = [(x.get("domain", ""), x.get("version", 0)) for x in model["opset_import"]]
        self._domains = {domain: version for domain, version in imports if domain not in _STANDARD}
        versions = {version for domain, version in imports if domain in _STANDARD}
        if not any(x.get("domain", "") in _STANDARD for x in self._graph["node"]):
            versions = versions or {NEWEST}  # of a file that uses none of them
        if len(versions) != 1:
            raise ModelFileError("the file does not say, once, which version of the operators it uses")
        (self._opset,) = versions
        self._functions = Functions(model["functions"], self._opset)

    def graph(self) -> dict[str, Any]:
        """The graph as plain values; arrays that it does not hold itself are `weights` then."""
        graph = self._graph
        part, arrays = self._part(graph, 1)
        check_operators(part)
        inputs = [x for x in graph["input"] if x.get("name") not in arrays]
        if not inputs:
            raise ModelFileError("the graph has no inputs, so there is nothing to predict from")
        ends = {
            "inputs": [_declared(x, "input") for x in inputs],
            "outputs": [_declared(x, "output") for x in graph["output"]],
        }
        on_host = any(x["dtype"] == STRING for each in ends.values() for x in each)
        self._place(part, arrays, set() if on_host else _trained(part, arrays))
        return {"opset": self._opset, "domains": self._domains, **ends, **part}

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays of the graph."""
        return self._part(self._graph, 1)[1]

    def inspected(self) -> tuple[dict[str, Any], list[str], dict[str, np.ndarray]]:
        """The graph of nodes, declarations of inputs and outputs as text, and the arrays."""
        part, arrays = self._part(self._graph, 1)
        names = [x.get("name", "") for x in self._graph["input"]]
        part["inputs"] = [name for name in names if name not in arrays]
        ends = []
        for role in ("input", "output"):
            for value in self._graph[role]:
                if value.get("name") in arrays:
                    continue
                try:
                    declared = _declared(value, role)
                    shape = "any shape" if declared["shape"] is None else tuple(declared["shape"])
                    ends.append(f"the {role} {declared['name']}  {declared['dtype']} {shape}")
                except ModelFileError as error:
                    ends.append(f"the {role} {value.get('name', '')}: {error}")
        return part, ends, arrays

    def _initializers(self, graph: Mapping[str, Any]) -> dict[str, np.ndarray]:
        if graph["sparse_initializer"]:
            raise ModelFileError("sparse arrays are not supported: save the model with dense ones")
        arrays: dict[str, np.ndarray] = {}
        for tensor in graph["initializer"]:
            name = tensor.get("name", "")
            if name in arrays or not name:
                raise ModelFileError(f"two arrays are called {name!r:.80}, or one has no name")
            arrays[name] = self._array(tensor)
        return arrays

    def _place(self, part: dict[str, Any], arrays: Mapping[str, np.ndarray], trained: set[str]) -> None:
        """Make each array a trainable weight, a fixed weight, or a constant of the graph."""
        used = _used(part) | {x.get("name", "") for x in self._graph["output"]}
        part["weights"] = []
        for name, array in arrays.items():
            dtype = str(array.dtype)
            if name not in used:
                continue
            is_text = array.dtype == object
            # Zeros of quantized numbers are vectors of bytes, which have to be known.
            is_data = is_float(dtype) or dtype == "int32" or (dtype.endswith("int8") and array.ndim > 1)
            most = array.size if is_text else SMALL["float" if is_data else "integer"]
            if name in trained or array.size > most:
                part["weights"].append(
                    {"name": name, "dtype": dtype, "shape": list(array.shape), "trainable": name in trained}
                )
                self.weights[name] = array
            else:
                part["constants"][name] = pack_array(array, STRING if is_text else dtype)

    def _part(self, graph: Mapping[str, Any], depth: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The nodes of a graph, and its arrays: its initializers, and what its `Constant`s say."""
        if depth > max_depth():
            raise ModelFileError(f"graphs are nested more than {max_depth()} deep. {how_to_raise('nesting')}")
        arrays = self._initializers(graph)
        nodes = []
        for node in self._functions.expanded(graph["node"]):
            op, domain = node.get("op_type", ""), node.get("domain", "")
            attributes = {x.get("name", ""): self._attribute(x, depth) for x in node["attribute"]}
            if len(attributes) != len(node["attribute"]):
                raise ModelFileError(f"a node {op!r:.80} has two attributes of one name")
            if op == "Constant" and domain in _STANDARD and len(node["output"]) == 1:
                name = node["output"][0]
                if name in arrays:
                    raise ModelFileError(f"two arrays are called {name!r:.80}")
                arrays[name] = _constant(attributes)
                continue
            nodes.append(
                {
                    "op": op if domain in _STANDARD else f"{domain}::{op}",
                    "name": node.get("name", ""),
                    "inputs": node["input"],
                    "outputs": node["output"],
                    "attributes": {
                        key: _small(x) if isinstance(x, np.ndarray) else x for key, x in attributes.items()
                    },
                }
            )
        for node in nodes:
            if self._few_bits & set(node["inputs"]) and "DequantizeLinear" not in node["op"]:
                raise ModelFileError(
                    f"arrays of four bits are read for DequantizeLinear, not for {node['op']}"
                )
        return {"constants": {}, "nodes": nodes}, {**arrays, **(self._large if depth == 1 else {})}

    def _branch(self, graph: Mapping[str, Any], depth: int) -> dict[str, Any]:
        part, arrays = self._part(graph, depth)
        for name, array in arrays.items():
            if array.nbytes <= MAX_CONSTANT_BYTES:
                part["constants"][name] = _small(array)
                continue
            # A weight of the whole graph; names of branches need not differ.
            outer = f"{name}/{len(self._large)}"
            self._large[outer] = array
            parameters = {"inputs": [outer], "outputs": [name], "attributes": {}}
            part["nodes"].insert(0, {"op": "Identity", "name": "", **parameters})
        names = {key: [x.get("name", "") for x in graph[key[:-1]]] for key in ("inputs", "outputs")}
        return {"graph": {**part, **names}}

    def _attribute(self, attribute: Mapping[str, Any], depth: int) -> Any:
        kind = attribute.get("type", 0)
        if kind == _FLOAT:
            return float(attribute.get("f", 0.0))
        if kind == _INT:
            return attribute.get("i", 0)
        if kind == _STRING:
            return _text(attribute.get("s", b""))
        if kind == _TENSOR and "t" in attribute:
            return self._array(attribute["t"])
        if kind == _GRAPH and "g" in attribute:
            return self._branch(attribute["g"], depth + 1)
        if kind == _FLOATS:
            return attribute["floats"]
        if kind == _INTS:
            return attribute["ints"]
        if kind == _STRINGS:
            return [_text(x) for x in attribute["strings"]]
        raise ModelFileError(f"the attribute {attribute.get('name', '')!r:.80} is of a kind that is not read")

    # -- arrays ----------------------------------------------------------------------------------------------

    def _array(self, tensor: Mapping[str, Any]) -> np.ndarray:
        """The array of a tensor; what it says of its size is checked before anything is allocated."""
        name, shape = tensor.get("name", ""), tuple(tensor["dims"])
        if (code := tensor.get("data_type", 0)) in _FOUR_BITS and all(n >= 0 for n in shape):
            size = math.prod(shape)
            packed = self._array({**tensor, "data_type": _BYTES, "dims": [-(-size // 2)]})
            self._room.take(f"the array {name!r:.80}", size, size)
            self._few_bits.add(name)
            levels = np.stack([packed & 15, packed >> 4], -1).reshape(-1)[:size].reshape(shape)
            return (levels ^ 8).astype("int8") - np.int8(8) if code == _FOUR_BITS[1] else levels
        try:
            dtype_name = dtype_of(tensor.get("data_type", 0))
            dtype = np.dtype(object) if dtype_name == STRING else numpy_dtype(dtype_name)
        except GraphError as error:
            raise ModelFileError(f"the array {name!r:.80}: {error}") from None
        if len(shape) > MAX_RANK or any(n < 0 for n in shape):
            raise ModelFileError(f"the array {name!r:.80} has the shape {shape}")
        if "segment" in tensor:
            raise ModelFileError(f"the array {name!r:.80} is cut into segments, which are not read")
        size = math.prod(shape)
        nbytes = size * dtype.itemsize
        if tensor.get("data_location", 0) == _EXTERNAL:
            data: Any = self._external(name, tensor["external_data"], size, nbytes)
        else:
            if tensor["external_data"]:
                raise ModelFileError(f"the array {name!r:.80} is both in the file and beside it")
            self._room.take(f"the array {name!r:.80}", size, nbytes)
            if dtype.kind == "O" and len(tensor["string_data"]) == size:
                return object_array([_text(x) for x in tensor["string_data"]], shape)
            if "raw_data" not in tensor:
                return _from_numbers(name, tensor, dtype, shape)
            data = tensor["raw_data"]
        if len(data) != nbytes or dtype.kind == "O":
            raise ModelFileError(
                f"the array {name!r:.80} says that it has shape {shape}, and has {len(data)} bytes"
            )
        if dtype.kind == "b" and size and np.frombuffer(data, np.uint8).max() > 1:
            raise ModelFileError(f"the array {name!r:.80} of bools has other values than 0 and 1")
        return np.frombuffer(data, dtype.newbyteorder("<")).astype(dtype, copy=False).reshape(shape)

    def _external(self, name: str, entries: list[Mapping[str, str]], size: int, nbytes: int) -> bytes:
        """Bytes of external data, which must be in a plain file in the model's folder."""
        keys = {x.get("key", ""): x.get("value", "") for x in entries}
        if len(keys) != len(entries):
            raise ModelFileError(f"the array {name!r:.80} gives its location twice")
        location = keys.get("location", "")
        if not location or location in (".", "..") or re.search(r"[/\\:\0]", location):
            raise ModelFileError(
                f"the array {name!r:.80} lies in {location!r:.80}: data beside a model is a plain file "
                "in its own folder"
            )
        defaults = {"offset": 0, "length": nbytes}
        offset, length = (_natural(keys.get(key, str(number)), key) for key, number in defaults.items())
        if length != nbytes:
            raise ModelFileError(f"the array {name!r:.80} needs {nbytes} bytes, and is said to have {length}")
        path = os.path.join(self._folder, location)
        try:
            _check_plain(os.lstat(path), location)  # not even opened otherwise
            handle = os.open(path, PLAINLY)
        except OSError as error:
            raise ModelFileError(
                f"the array {name!r:.80} lies in {location!r:.80}, which does not exist, or is a link: "
                f"{error.strerror}"
            ) from None
        try:
            about = os.fstat(handle)
            _check_plain(about, location)
            if offset + length > about.st_size:
                raise ModelFileError(
                    f"the array {name!r:.80} needs bytes up to {offset + length} of {location!r:.80}, "
                    f"which has {about.st_size}"
                )
            if (about.st_dev, about.st_ino) not in self._counted:
                self._counted.add((about.st_dev, about.st_ino))
                self._room.grow(about.st_size)
            self._room.take(f"the array {name!r:.80}", size, nbytes)
            with os.fdopen(handle, "rb", closefd=False) as file:
                file.seek(offset)
                return file.read(length)
        finally:
            os.close(handle)


def _check_plain(about: os.stat_result, location: str) -> None:
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        raise ModelFileError(
            f"{location!r:.80} beside the model is not a plain file: links are not followed, copy it"
        )


def _natural(text: str, key: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ModelFileError(f"the {key} of data beside the model is {text!r:.80}, which is not a number")
    return int(text)


# Field with the elements of a dtype unless they are raw bytes; 16-bit floats are bits in int32_data.
_FIELDS = {
    "float32": "float_data",
    "float64": "double_data",
    "int64": "int64_data",
    "uint32": "uint64_data",
    "uint64": "uint64_data",
}


def _from_numbers(
    name: str, tensor: Mapping[str, Any], dtype: np.dtype, shape: tuple[int, ...]
) -> np.ndarray:
    parts = [np.atleast_1d(x) for x in tensor[_FIELDS.get(str(dtype), "int32_data")]]
    values = np.concatenate(parts) if parts else np.zeros(0, dtype)
    if values.size != math.prod(shape):
        raise ModelFileError(
            f"the array {name!r:.80} says that it has shape {shape}, and has {values.size} numbers"
        )
    if str(dtype) in ("float16", "bfloat16"):
        return values.astype(np.uint16).view(dtype).reshape(shape)
    return values.astype(dtype).reshape(shape)


def _small(array: np.ndarray) -> dict[str, Any]:
    """An array as a part of the graph."""
    if array.nbytes > MAX_CONSTANT_BYTES:
        raise ModelFileError(
            f"an array inside of a node takes {array.nbytes} bytes, more than {MAX_CONSTANT_BYTES}: save "
            "large arrays as initializers of the graph"
        )
    return pack_array(array, STRING if array.dtype == object else str(array.dtype))


def _constant(attributes: Mapping[str, Any]) -> np.ndarray:
    """The array of a `Constant`, which has one of several attributes."""
    dtypes: dict[str, Any] = {
        "value_float": "float32",
        "value_floats": "float32",
        "value_int": "int64",
        "value_ints": "int64",
        "value_string": object,
        "value_strings": object,
    }
    for key, value in attributes.items():
        if key == "value" and isinstance(value, np.ndarray):
            return value
        if key in dtypes and isinstance(value, (int, float, str, list)):
            return np.array(value, dtypes[key])
    raise ModelFileError(f"a constant is written as {', '.join(attributes) or 'nothing'}, which is not read")


def _text(data: Any) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise ModelFileError("an attribute is not a text") from None


def _elements(value: Mapping[str, Any]) -> dict[str, Any]:
    """The type of the elements of a sequence."""
    kind: dict[str, Any] = value.get("type", {}).get("sequence_type", {}).get("elem_type", {})
    return kind


def _declared(value: Mapping[str, Any], role: str) -> dict[str, Any]:
    """Name, dtype and shape of an input or output."""
    name, kind = value.get("name", ""), value.get("type", {}).get("tensor_type")
    if kind is None and role == "output" and "map_type" in _elements(value):
        return {"name": name, "dtype": STRING, "shape": [None]}  # an array of dicts, as ZipMap makes it
    if kind is None:
        raise ModelFileError(
            f"the {role} {name!r:.80} is not a tensor: sequences, maps and optional values are not supported"
        )
    shape = axes = None
    if "shape" in kind:  # some exporters write -1 for sizes that are not known
        shape = [size if (size := x.get("dim_value", 0)) > 0 else None for x in kind["shape"]["dim"]]
        axes = [x.get("dim_param") for x in kind["shape"]["dim"]]
    if shape is None and role == "input":
        raise ModelFileError(f"the input {name!r:.80} does not say how many axes it has")
    try:
        return {"name": name, "dtype": dtype_of(kind.get("elem_type", 0)), "shape": shape, "axes": axes}
    except GraphError as error:
        raise ModelFileError(f"the {role} {name!r:.80}: {error}") from None


# -- trainable weights ---------------------------------------------------------------------------------------


def _used(part: Mapping[str, Any]) -> set[str]:
    """Names of all inputs of nodes, in branches too."""
    names: set[str] = set()
    for each, _ in graphs_in(part):
        names.update(each.get("outputs", ()))
        names.update(name for node in each["nodes"] for name in node["inputs"])
    return names


def _trained(part: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> set[str]:
    """Names of the float arrays that operators use as weights, also transposed, reshaped, sliced or
    concatenated; not of those that an operator has to know, such as scales of an image.
    """
    nodes = [node for each, _ in graphs_in(part) for node in each["nodes"]]
    uses = [
        (OPERATORS[node["op"]], at, name) for node in nodes for at, name in enumerate(node["inputs"]) if name
    ]
    weights = _sources(nodes, {name for operator, at, name in uses if at in operator.weights})
    known = _sources(nodes, {name for operator, at, name in uses if 0 < operator.tensors <= at})
    return {name for name in weights - known if name in arrays and _is_weight(arrays[name])}


def _sources(nodes: list[Any], names: set[str]) -> set[str]:
    """Names, and those of what is passed through to them."""
    through: dict[str, set[str]] = {}  # branches may have equal names
    for node in nodes:
        for name in node["outputs"]:
            through.setdefault(name, set()).update(node["inputs"][: OPERATORS[node["op"]].through])
    level = names
    for _ in range(THROUGH):
        level = {x for name in level for x in through.get(name, ())} - names
        names = names | level
    return names


def _is_weight(array: np.ndarray) -> bool:
    """True if an array looks trained: single numbers are part of formulas."""
    if not is_float(str(array.dtype)) or array.size < 2:
        return False
    return bool(np.isfinite(array).all()) and float(np.abs(array).max()) < LARGEST_WEIGHT
