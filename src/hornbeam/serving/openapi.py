"""The OpenAPI description of what a server answers, generated from the signatures of its models."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hornbeam import __version__
from hornbeam.serving import tensors
from hornbeam.serving.models import DEFAULT_SIGNATURE, TensorSpec, has_batch_axis
from hornbeam.serving.repository import ServedModel
from hornbeam.serving.uploads import upload_spec

# Examples with more values would fill the page.
_MAX_EXAMPLE = 1000
_ERRORS = {
    "400": "The request does not fit the model; the sentence says how.",
    "401": "A bearer token is needed.",
    "403": "The Host header is not a name of this computer.",
    "405": "The method is not POST.",
    "408": "The request did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is compressed, or of another type than the model takes.",
    "429": "Too many requests wait. Retry-After has the seconds after which to try again.",
    "500": "The model failed.",
}


def document(models: Mapping[str, ServedModel]) -> dict[str, Any]:
    """Return the description as OpenAPI 3.1."""
    paths = _general_paths()
    for name, served in models.items():
        paths |= _model_paths(name, served)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hornbeam serve", "version": __version__},
        "paths": paths,
        "components": {
            "schemas": {"Error": _object({"error": {"type": "string"}})},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }


def _general_paths() -> dict[str, Any]:
    index = _operation("The models and their versions", "server", answer={"type": "array"})
    return {
        "/v2": {"get": _operation("The server's name, version and extensions", "server")},
        "/v2/health/live": {"get": _operation("Whether the server runs", "server")},
        "/v2/health/ready": {"get": _operation("Whether the models are loaded", "server")},
        "/v2/repository/index": {"get": index, "post": index},
        "/metrics": {
            "get": _operation("Counters and histograms, for Prometheus", "server", media="text/plain")
        },
    }


def _model_paths(name: str, served: ServedModel) -> dict[str, Any]:
    model = served.newest.model
    signature = model.signatures[DEFAULT_SIGNATURE]
    paths = {
        f"/v2/models/{name}": {"get": _operation("Metadata of the newest version", name)},
        f"/v2/models/{name}/infer": {
            "post": _operation(
                "Predict, with tensors of the Open Inference Protocol",
                name,
                body={"application/json": _infer_body(signature.inputs)},
                answer=_infer_answer(signature.outputs),
            )
        },
        f"/v1/models/{name}:predict": {
            "post": _operation(
                "Predict, as TensorFlow Serving",
                name,
                body={"application/json": _predict_body(signature.inputs, rows=has_batch_axis(signature))},
                answer={"type": "object"},
            )
        },
    }
    target = upload_spec(model)
    if target is not None:
        media = "text/plain" if target[1]["kind"] == "text" else "image/png"
        body = {media: {"schema": {"type": "string", "contentMediaType": media}}}
        paths[f"/models/{name}/upload"] = {
            "post": _operation(f"Predict, from an uploaded {target[1]['kind']}", name, body=body)
        }
    return paths


def _operation(
    summary: str,
    tag: str,
    *,
    body: dict[str, Any] | None = None,
    answer: dict[str, Any] | None = None,
    media: str = "application/json",
) -> dict[str, Any]:
    content = {media: {"schema": answer or {"type": "object" if "json" in media else "string"}}}
    responses: dict[str, Any] = {"200": {"description": "The answer.", "content": content}}
    codes = _ERRORS if body else {"401": _ERRORS["401"], "403": _ERRORS["403"]}
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses |= {code: {"description": text, "content": error} for code, text in codes.items()}
    operation: dict[str, Any] = {"summary": summary, "tags": [tag], "responses": responses}
    if body:
        operation["requestBody"] = {"required": True, "content": body}
    return operation


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or list(properties)}


def _values(spec: TensorSpec) -> dict[str, Any]:
    if spec.dtype in ("string", "bool"):
        return {"type": "string" if spec.dtype == "string" else "boolean"}
    return {"type": "number" if "float" in spec.dtype else "integer"}


def _tensor_schema(spec: TensorSpec) -> dict[str, Any]:
    sizes = [{"type": "integer", "minimum": 1} if size is None else {"const": size} for size in spec.shape]
    return _object(
        {
            "name": {"const": spec.name},
            "datatype": {"const": tensors.datatype(spec)},
            "shape": {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)},
            "data": {"type": "array", "items": _values(spec), "description": "Values in row-major order."},
        }
    )


def _infer_body(inputs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    schemas = [_tensor_schema(spec) for spec in inputs]
    tensors_schema = {
        "type": "array", "prefixItems": schemas, "minItems": len(schemas), "maxItems": len(schemas)
    }  # fmt: skip
    schema = _object({"inputs": tensors_schema, "id": {"type": ["string", "null"]}}, ["inputs"])
    sizes = [_example_shape(spec) for spec in inputs]
    if sum(map(math.prod, sizes)) > _MAX_EXAMPLE:
        return {"schema": schema}
    example = {
        "inputs": [
            {
                "name": spec.name,
                "datatype": tensors.datatype(spec),
                "shape": shape,
                "data": [_example(spec)] * math.prod(shape),
            }
            for spec, shape in zip(inputs, sizes, strict=True)
        ]
    }
    return {"schema": schema, "example": example}


def _infer_answer(outputs: tuple[TensorSpec, ...]) -> dict[str, Any]:
    text = {"type": "string"}
    return _object(
        {
            "model_name": text,
            "model_version": text,
            "id": text,
            "outputs": {"type": "array", "items": {"anyOf": [_output_schema(spec) for spec in outputs]}},
        },
        ["model_name", "model_version", "outputs"],
    )


def _output_schema(spec: TensorSpec) -> dict[str, Any]:
    schema = _tensor_schema(spec)
    rank = len(spec.shape)
    schema["properties"]["shape"] = {
        "type": "array", "items": {"type": "integer"}, "minItems": rank, "maxItems": rank
    }  # fmt: skip
    # NaN and infinite values are null in JSON.
    schema["properties"]["data"]["items"] = {"anyOf": [_values(spec), {"type": "null"}]}
    return schema


def _predict_body(inputs: tuple[TensorSpec, ...], *, rows: bool) -> dict[str, Any]:
    if not rows:
        return {"schema": _object({"inputs": {}})}
    return {"schema": _object({"instances": {"type": "array", "minItems": 1}})}


def _example_shape(spec: TensorSpec) -> list[int]:
    return [1 if axis == 0 or size is None else size for axis, size in enumerate(spec.shape)]


def _example(spec: TensorSpec) -> Any:
    return {"string": "text", "bool": False}.get(spec.dtype, 0)
