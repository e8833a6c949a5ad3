"""The requests that run a model, under each of the protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hornbeam._internal.input_statistics import INDICES, difference, unknown_index
from hornbeam.serving import logs, open_inference, tensorflow_serving, uploads
from hornbeam.serving.batcher import Arrays
from hornbeam.serving.errors import RequestError
from hornbeam.serving.models import DEFAULT_SIGNATURE
from hornbeam.serving.repository import ServedModel, Version

Headers = list[tuple[bytes, bytes]]
Answer = tuple[Headers, bytes]
Handler = Callable[[Version, bytes, Mapping[bytes, bytes]], Awaitable[Answer]]

_JSON = [(b"content-type", open_inference.JSON)]


@dataclass(frozen=True)
class Endpoint:
    """A path that runs a model: its newest version, or a named one."""

    protocol: str
    handler: Handler
    served: ServedModel
    number: str | None = None

    async def answer(self, body: bytes, headers: Mapping[bytes, bytes]) -> Answer:
        """Return the headers and the body of the answer to a request.

        Raises:
            RequestError: If the request is refused.
        """
        version = self.served.newest if self.number is None else self.served.versions.get(self.number)
        if version is None:
            raise RequestError(404, f"version {self.number} of {self.served.source.name!r} was removed")
        return await self.handler(version, body, headers)


async def _infer(version: Version, body: bytes, headers: Mapping[bytes, bytes]) -> Answer:
    request = open_inference.parse(body, headers, version.model.signatures[DEFAULT_SIGNATURE])
    results = await _run(version, DEFAULT_SIGNATURE, request.inputs)
    kept, answer = open_inference.render(request, results, version.name, version.number)
    return [*kept, *_remarks(version, request.inputs)], answer


async def _predict(version: Version, body: bytes, headers: Mapping[bytes, bytes]) -> Answer:
    request = tensorflow_serving.parse(body, version.model.signatures)
    results = await _run(version, request.signature, request.inputs)
    return [*_JSON, *_remarks(version, request.inputs)], tensorflow_serving.render(request, results)


async def _upload(version: Version, body: bytes, headers: Mapping[bytes, bytes]) -> Answer:
    # Decoding an image takes milliseconds, and Pillow lets other threads run meanwhile.
    upload = await asyncio.to_thread(uploads.parse, body, headers.get(b"content-type", b""), version.model)
    results = await _run(version, DEFAULT_SIGNATURE, upload.inputs)
    return [*_JSON, *_remarks(version, upload.inputs)], uploads.render(version.model, results, upload)


async def _run(version: Version, signature: str, inputs: Arrays) -> Arrays:
    error = unknown_index(version.model.metadata.get(INDICES), inputs)
    if error is not None:
        raise RequestError(400, error)
    return await version.batcher.submit(signature, inputs)


def _remarks(version: Version, inputs: Mapping[str, np.ndarray]) -> Headers:
    """Return the header of an answer to inputs that are unlike those of the training; log the first."""
    text = difference(version.training_inputs, inputs)
    if text is None:
        return []
    if not version.remarked:
        version.remarked = True
        logs.warning("inputs unlike those of the training", model=version.name, reason=text)
    return [(b"x-hornbeam-warning", text.encode("ascii", "backslashreplace"))]


def endpoints(models: Mapping[str, ServedModel]) -> dict[str, Endpoint]:
    """Return the endpoints of all models by path."""
    paths: dict[str, Endpoint] = {}
    for name, served in models.items():
        for number in (None, *served.versions):
            version = "" if number is None else f"/versions/{number}"
            for path, protocol, handler in (
                (f"/v2/models/{name}{version}/infer", "v2", _infer),
                (f"/v1/models/{name}{version}:predict", "v1", _predict),
                (f"/models/{name}{version}/upload", "upload", _upload),
            ):
                paths[path] = Endpoint(protocol, handler, served, number)
    return paths
