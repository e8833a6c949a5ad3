"""The Open Inference Protocol, version 2, over HTTP: infer requests with JSON and binary tensors.

A binary tensor's bytes follow the JSON of the body, whose length is in `Inference-Header-Content-Length`
(the extension "binary tensor data" of the protocol).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from hornbeam._native import NumberArray, read_json
from hornbeam.serving import tensors
from hornbeam.serving.errors import RequestError
from hornbeam.serving.models import Signature, TensorSpec

JSON, BINARY = b"application/json", b"application/octet-stream"


@dataclass(slots=True)
class InferRequest:
    """Contents of an infer request: its inputs, and the outputs with whether each comes as bytes."""

    inputs: dict[str, np.ndarray]
    outputs: dict[str, bool]
    id: str | None


def parse(body: bytes, headers: Mapping[bytes, bytes], signature: Signature) -> InferRequest:
    """Read an infer request."""
    header_length = headers.get(b"inference-header-content-length")
    document, binary = _split(body, header_length)
    request = parse_json(document)
    reader = _BinaryReader(binary)
    inputs: dict[str, np.ndarray] = {}
    specs = {spec.name: spec for spec in signature.inputs}
    for tensor in _objects(request, "inputs"):
        spec = _spec(specs, tensor)
        if spec.name in inputs:
            raise RequestError(400, f"input {spec.name!r} came twice")
        inputs[spec.name] = _array(spec, tensor, reader)
    check_complete(signature, inputs)
    reader.check_end()
    identifier = request.get("id")
    if identifier is not None and not isinstance(identifier, str):
        raise RequestError(400, f"id is a string, got {identifier!r}")
    return InferRequest(inputs, _requested(request, signature), identifier)


def parse_json(document: bytes) -> dict[str, Any]:
    """Read a body that is a JSON object, with its arrays of numbers as `NumberArray`."""
    try:
        request = read_json(document)
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    if not isinstance(request, dict):
        raise RequestError(400, "the body is not a JSON object")
    return request


def check_complete(signature: Signature, inputs: Mapping[str, np.ndarray]) -> None:
    """Raise a `RequestError` unless all inputs came, with the same number of samples."""
    missing = [spec.name for spec in signature.inputs if spec.name not in inputs]
    if missing:
        raise RequestError(400, f"inputs {missing} are missing: the model needs {_names(signature.inputs)}")
    if len(inputs) > 1:
        rows = {len(inputs[spec.name]) for spec in signature.inputs if spec.shape and spec.shape[0] is None}
        if len(rows) > 1:
            raise RequestError(400, f"inputs have different numbers of samples: {sorted(rows)}")


def render(
    request: InferRequest, results: Mapping[str, np.ndarray], name: str, version: str
) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Return the headers and the body of an answer."""
    described: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for output, as_bytes in request.outputs.items():
        array = results[output]
        tensor: dict[str, Any] = {
            "name": output,
            "datatype": tensors.array_datatype(array.dtype),
            "shape": array.shape,
        }
        if as_bytes:
            binary.append(tensors.to_bytes(array))
            tensor["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            tensor["data"] = tensors.to_json(array.reshape(-1))
        described.append(tensor)
    answer: dict[str, Any] = {"model_name": name, "model_version": version, "outputs": described}
    if request.id is not None:
        answer["id"] = request.id
    document = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    if not binary:
        return [(b"content-type", JSON)], document
    header = (b"inference-header-content-length", str(len(document)).encode())
    return [(b"content-type", BINARY), header], b"".join((document, *binary))


# -- parts of a request --------------------------------------------------------------------------------------


def _split(body: bytes, header_length: bytes | None) -> tuple[bytes, memoryview]:
    if header_length is None:
        return body, memoryview(b"")
    # Python refuses to convert thousands of digits.
    if not header_length.isdigit() or len(header_length) > 18 or int(header_length) > len(body):
        raise RequestError(
            400,
            f"Inference-Header-Content-Length is {header_length[:20].decode('latin-1')!r}: expected the "
            f"bytes of JSON at the start of the body, which has {len(body)} bytes",
        )
    size = int(header_length)
    return body[:size], memoryview(body)[size:]


class _BinaryReader:
    """The bytes after the JSON, in the order of the tensors that they belong to."""

    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._at = 0

    def take(self, name: str, size: Any) -> memoryview:
        left = len(self._data) - self._at
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= left:
            raise RequestError(
                400, f"input {name!r}: binary_data_size is {size!r}, {left} bytes are left after the JSON"
            )
        self._at += size
        return self._data[self._at - size : self._at]

    def check_end(self) -> None:
        left = len(self._data) - self._at
        if left:
            raise RequestError(400, f"{left} bytes after the JSON belong to no input")


def _objects(request: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    items = request.get(key)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise RequestError(400, f'the body needs "{key}": a list of objects, one for each tensor')
    return items


def _spec(specs: Mapping[str, TensorSpec], tensor: Mapping[str, Any]) -> TensorSpec:
    name = tensor.get("name")
    spec = specs.get(name) if isinstance(name, str) else None
    if spec is None:
        raise RequestError(400, f"no input is named {name!r}: the model has {_names(specs.values())}")
    expected, received = tensors.datatype(spec), tensor.get("datatype")
    if received != expected:
        raise RequestError(400, f"input {name!r}: datatype {received!r}, expected {expected!r}")
    return spec


def _array(spec: TensorSpec, tensor: Mapping[str, Any], reader: _BinaryReader) -> np.ndarray:
    sizes = tensor.get("shape")
    sizes = sizes.tolist() if isinstance(sizes, NumberArray) else sizes
    if not isinstance(sizes, list) or not all(type(size) is int for size in sizes):
        raise RequestError(400, f"input {spec.name!r}: shape is a list of integers, got {sizes!r}")
    shape = tuple(sizes)
    tensors.check_shape(spec, shape)
    parameters = _parameters(tensor, spec.name)
    if "binary_data_size" in parameters:
        if "data" in tensor:
            raise RequestError(400, f"input {spec.name!r} has both data and binary_data_size")
        return tensors.from_bytes(spec, reader.take(spec.name, parameters["binary_data_size"]), shape)
    if "data" not in tensor:
        raise RequestError(400, f"input {spec.name!r} has neither data nor parameters.binary_data_size")
    return tensors.from_values(spec, tensor["data"], shape)


def _requested(request: Mapping[str, Any], signature: Signature) -> dict[str, bool]:
    """Return the outputs that a request names, or all, with whether each is asked for as bytes."""
    default = _flag(_parameters(request, "request"), "binary_data_output")
    known = [spec.name for spec in signature.outputs]
    if not request.get("outputs"):
        return dict.fromkeys(known, default)
    outputs = {}
    for tensor in _objects(request, "outputs"):
        name = tensor.get("name")
        if name not in known:
            raise RequestError(400, f"no output is named {name!r}: the model has {known}")
        outputs[str(name)] = _flag(_parameters(tensor, str(name)), "binary_data", default)
    return outputs


def _parameters(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    parameters = item.get("parameters")
    if parameters is None:
        return {}
    if not isinstance(parameters, dict):
        raise RequestError(400, f"{name}: parameters is an object, got {parameters!r}")
    return parameters


def _flag(parameters: Mapping[str, Any], key: str, default: bool = False) -> bool:
    value = parameters.get(key, default)
    if not isinstance(value, bool):
        raise RequestError(400, f"parameters.{key} is true or false, got {value!r}")
    return value


def _names(specs: Any) -> list[str]:
    return [spec.name for spec in specs]
