"""The REST interface of TensorFlow Serving: `:predict` with rows ("instances") or columns ("inputs")."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from hornbeam._native import NumberArray
from hornbeam.serving import tensors
from hornbeam.serving.errors import RequestError
from hornbeam.serving.models import DEFAULT_SIGNATURE, Signature, TensorSpec, has_batch_axis
from hornbeam.serving.open_inference import check_complete, parse_json

# The name of the default signature in TensorFlow, which clients send.
SERVING_DEFAULT = "serving_default"


@dataclass(slots=True)
class PredictRequest:
    """Contents of a predict request: its inputs, its signature, and the format of the answer."""

    inputs: dict[str, np.ndarray]
    signature: str
    rows: bool


def parse(body: bytes, signatures: Mapping[str, Signature]) -> PredictRequest:
    """Read a predict request."""
    request = parse_json(body)
    name = request.get("signature_name", SERVING_DEFAULT)
    name = DEFAULT_SIGNATURE if name == SERVING_DEFAULT and name not in signatures else name
    if not isinstance(name, str) or name not in signatures:
        raise RequestError(400, f"no signature {name!r}: the model has {sorted(signatures)}")
    if ("instances" in request) == ("inputs" in request):
        raise RequestError(
            400, 'the body needs either "instances", a list of rows, or "inputs", a column each'
        )
    signature = signatures[name]
    rows = "instances" in request
    if rows and not has_batch_axis(signature):
        raise RequestError(400, f'signature {name!r} has no axis of samples: send "inputs"')
    columns = (
        _columns_of_rows(request["instances"], signature) if rows else _columns(request["inputs"], signature)
    )
    inputs = {}
    for spec in signature.inputs:
        values = _decoded(columns[spec.name]) if spec.dtype == "string" else columns[spec.name]
        shape = tensors.nested_shape(values)
        tensors.check_shape(spec, shape)
        inputs[spec.name] = tensors.from_values(spec, values, shape)
    check_complete(signature, inputs)
    return PredictRequest(inputs, name, rows)


def render(request: PredictRequest, results: Mapping[str, np.ndarray]) -> bytes:
    """Return the body of an answer, in the format of the request."""
    arrays = {name: tensors.to_json(array) for name, array in results.items()}
    only = next(iter(arrays.values())) if len(arrays) == 1 else None
    answer: dict[str, Any]
    if not request.rows:
        answer = {"outputs": arrays if only is None else only}
    elif only is not None:
        answer = {"predictions": only}
    else:
        count = len(next(iter(arrays.values())))
        answer = {"predictions": [{name: array[i] for name, array in arrays.items()} for i in range(count)]}
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def _columns_of_rows(instances: Any, signature: Signature) -> dict[str, Any]:
    if isinstance(instances, NumberArray):
        return {_only_input(signature).name: instances}
    if not isinstance(instances, list) or not instances:
        raise RequestError(400, '"instances" is a list with at least one row')
    names = [spec.name for spec in signature.inputs]
    named = isinstance(instances[0], dict) and "b64" not in instances[0]
    if not named:
        return {_only_input(signature).name: instances}
    for index, row in enumerate(instances):
        if not isinstance(row, dict) or set(row) != set(names):
            received = sorted(row) if isinstance(row, dict) else type(row).__name__
            raise RequestError(400, f"row {index} of instances has {received}, expected the inputs {names}")
    return {name: [row[name] for row in instances] for name in names}


def _columns(inputs: Any, signature: Signature) -> dict[str, Any]:
    names = [spec.name for spec in signature.inputs]
    if not isinstance(inputs, dict) or "b64" in inputs:
        return {_only_input(signature).name: inputs}
    if set(inputs) != set(names):
        raise RequestError(400, f'"inputs" has {sorted(inputs)}, expected {names}')
    return inputs


def _only_input(signature: Signature) -> TensorSpec:
    if len(signature.inputs) != 1:
        names = [spec.name for spec in signature.inputs]
        raise RequestError(400, f"the model has {len(names)} inputs: send an object with {names}")
    return signature.inputs[0]


def _decoded(values: Any) -> Any:
    """Replace `{"b64": ...}`, which TensorFlow Serving has for strings, by the string."""
    if isinstance(values, list):
        return [_decoded(value) for value in values]
    if not isinstance(values, dict):
        return values
    try:
        return base64.b64decode(values["b64"], validate=True).decode()
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise RequestError(
            400, 'an object in place of a string is {"b64": ...} with UTF-8 in base64'
        ) from None
