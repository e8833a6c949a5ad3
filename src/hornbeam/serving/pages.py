"""All that runs no model: health, metadata, metrics, OpenAPI, and the page to try the models."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hornbeam import __version__
from hornbeam.serving import openapi, tensors
from hornbeam.serving.answers import error_answer, file_view, json_answer, not_routed
from hornbeam.serving.errors import RequestError
from hornbeam.serving.metrics import CONTENT_TYPE, Metrics
from hornbeam.serving.models import DEFAULT_SIGNATURE, Signature, TensorSpec
from hornbeam.serving.repository import Repository, ServedModel, Version
from hornbeam.serving.tensorflow_serving import SERVING_DEFAULT
from hornbeam.serving.uploads import kind_of
from hornbeam.web import WIDGETS

# Numbers of TensorFlow's types, by which its clients know them.
_TENSORFLOW_TYPES = {
    "float32": "DT_FLOAT", "float64": "DT_DOUBLE", "int32": "DT_INT32", "uint8": "DT_UINT8",
    "int16": "DT_INT16", "int8": "DT_INT8", "string": "DT_STRING", "int64": "DT_INT64", "bool": "DT_BOOL",
    "bfloat16": "DT_BFLOAT16", "uint16": "DT_UINT16", "float16": "DT_HALF", "uint32": "DT_UINT32",
    "uint64": "DT_UINT64",
}  # fmt: skip


def pages(repository: Repository, metrics: Metrics) -> Starlette:
    """Return the application for all paths that run no model."""
    views = _Views(repository, metrics)
    model, version = "/models/{model}", "/models/{model}/versions/{version}"
    routes = [
        Route("/v2", views.server),
        Route("/v2/health/live", views.healthy),
        Route("/v2/health/ready", views.healthy),
        Route("/v2/repository/index", views.index, methods=["GET", "POST"]),
        *(Route(f"/v2{path}", views.metadata) for path in (model, version)),
        *(Route(f"/v2{path}/ready", views.model_ready) for path in (model, version)),
        *(Route(f"/v1{path}", views.status) for path in (model, version)),
        *(Route(f"/v1{path}/metadata", views.tensorflow_metadata) for path in (model, version)),
        *(
            Route(question, views.no_endpoint, methods=["POST"])
            for path in (model, version)
            for question in (f"/v2{path}/infer", f"/v1{path}:predict", f"{path}/upload")
        ),
        Route("/metrics", views.metrics),
        Route("/openapi.json", views.openapi),
        Route("/docs", file_view("docs.html")),
        Route("/", file_view("serve.html")),
        Route("/favicon.ico", file_view("icon.svg")),
        *(Route(f"/web/{name}", file_view(name)) for name in ("page.css", *WIDGETS, "serve.js", "docs.js")),
    ]
    handlers: dict[Any, Any] = {RequestError: error_answer, HTTPException: not_routed("/docs lists what is")}
    return Starlette(routes=routes, exception_handlers=handlers)


class _Views:
    """The answers, from the state of the repository when they are asked for."""

    def __init__(self, repository: Repository, metrics: Metrics) -> None:
        self._repository = repository
        self._metrics = metrics

    async def server(self, request: Request) -> Response:
        extensions = ["binary_tensor_data", "model_repository"]
        return json_answer({"name": "hornbeam", "version": __version__, "extensions": extensions})

    async def healthy(self, request: Request) -> Response:
        """Models are loaded before the server listens, so it is ready when it lives."""
        return json_answer({"live": True, "ready": True})

    async def index(self, request: Request) -> Response:
        return json_answer([
            {"name": name, "version": number, "state": "READY", "reason": ""}
            for name, served in self._repository.models.items()
            for number in served.versions
        ])  # fmt: skip

    async def metadata(self, request: Request) -> Response:
        served, version = self._named(request)
        signature = version.model.signatures[DEFAULT_SIGNATURE]
        about = version.model.metadata
        return json_answer({
            "name": served.source.name,
            "versions": list(served.versions),
            "platform": "hornbeam",
            "inputs": [_tensor(spec) for spec in signature.inputs],
            "outputs": [_tensor(spec) for spec in signature.outputs],
            "parameters": {
                **{key: value for key, value in about.items() if key != "preprocessing"},
                "inputs": {spec.name: kind_of(version.model, spec) for spec in signature.inputs},
            },
        })  # fmt: skip

    async def model_ready(self, request: Request) -> Response:
        served, _ = self._named(request)
        return json_answer({"name": served.source.name, "ready": True})

    async def status(self, request: Request) -> Response:
        served, version = self._named(request)
        numbers = [version.number] if "version" in request.path_params else list(served.versions)
        ok = {"error_code": "OK", "error_message": ""}
        states = [{"version": number, "state": "AVAILABLE", "status": ok} for number in reversed(numbers)]
        return json_answer({"model_version_status": states})

    async def tensorflow_metadata(self, request: Request) -> Response:
        served, version = self._named(request)
        definitions = {
            SERVING_DEFAULT if name == DEFAULT_SIGNATURE else name: _signature_def(signature)
            for name, signature in version.model.signatures.items()
        }
        spec = {"name": served.source.name, "signature_name": "", "version": version.number}
        return json_answer(
            {"model_spec": spec, "metadata": {"signature_def": {"signature_def": definitions}}}
        )

    async def metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        return json_answer(openapi.document(self._repository.models))

    async def no_endpoint(self, request: Request) -> Response:
        """Refuse a question to a model or a version that is not here."""
        self._named(request)
        raise HTTPException(404)

    def _named(self, request: Request) -> tuple[ServedModel, Version]:
        """Return the model and the version that the path names."""
        name, number = request.path_params["model"], request.path_params.get("version")
        served = self._repository.models.get(name)
        if served is None:
            raise RequestError(404, f"no model is named {name!r}: here are {list(self._repository.models)}")
        if number is None:
            return served, served.newest
        if number not in served.versions:
            raise RequestError(
                404, f"model {name!r} has no version {number!r}: it has {list(served.versions)}"
            )
        return served, served.versions[number]


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    shape = [-1 if size is None else size for size in spec.shape]
    return {"name": spec.name, "datatype": tensors.datatype(spec), "shape": shape}


def _signature_def(signature: Signature) -> dict[str, Any]:
    return {
        "inputs": {spec.name: _tensor_info(spec) for spec in signature.inputs},
        "outputs": {spec.name: _tensor_info(spec) for spec in signature.outputs},
        "method_name": "tensorflow/serving/predict",
    }


def _tensor_info(spec: TensorSpec) -> dict[str, Any]:
    sizes = [{"size": str(-1 if size is None else size), "name": ""} for size in spec.shape]
    shape = {"dim": sizes, "unknown_rank": False}
    return {"dtype": _TENSORFLOW_TYPES[spec.dtype], "tensor_shape": shape, "name": spec.name}
