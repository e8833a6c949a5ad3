"""The requests that run a model, under each of the protocols."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from hornbeam.serving import open_inference, tensorflow_serving, uploads
from hornbeam.serving.errors import RequestError
from hornbeam.serving.models import DEFAULT_SIGNATURE
from hornbeam.serving.repository import ServedModel, Version

Answer = tuple[list[tuple[bytes, bytes]], bytes]
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
    results = await version.batcher.submit(DEFAULT_SIGNATURE, request.inputs)
    return open_inference.render(request, results, version.name, version.number)


async def _predict(version: Version, body: bytes, headers: Mapping[bytes, bytes]) -> Answer:
    request = tensorflow_serving.parse(body, version.model.signatures)
    results = await version.batcher.submit(request.signature, request.inputs)
    return _JSON, tensorflow_serving.render(request, results)


async def _upload(version: Version, body: bytes, headers: Mapping[bytes, bytes]) -> Answer:
    # Decoding an image takes milliseconds, and Pillow lets other threads run meanwhile.
    inputs = await asyncio.to_thread(uploads.parse, body, headers.get(b"content-type", b""), version.model)
    results = await version.batcher.submit(DEFAULT_SIGNATURE, inputs)
    return _JSON, uploads.render(version.model, results)


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
