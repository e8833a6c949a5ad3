"""The ASGI application.

Requests that run a model are answered here, without a framework: routing, request and response objects of one
would take as long as all the rest. All other paths belong to `pages`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from contextlib import suppress
from typing import Any

import orjson

from hornbeam.serving import logs
from hornbeam.serving.errors import RequestError
from hornbeam.serving.guard import Deadline, DisconnectedError, Guard, Receive, headers_of
from hornbeam.serving.inference import Answer, Endpoint, endpoints
from hornbeam.serving.metrics import Metrics
from hornbeam.serving.pages import pages
from hornbeam.serving.repository import Repository
from hornbeam.serving.settings import Settings

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

# Seconds in which the rest of a body that is too large is thrown away, so that its client reads the answer.
_DRAIN_SECONDS = 1.0


class Application:
    """Answers requests for the models of a repository."""

    def __init__(self, repository: Repository, settings: Settings, metrics: Metrics) -> None:
        self._repository = repository
        self._settings = settings
        self._guard = Guard(settings)
        self._endpoints = endpoints(repository.models)
        self._pages = pages(repository, metrics)
        # Functions whose coroutines run as long as the server.
        self.jobs: list[Callable[[], Coroutine[Any, Any, None]]] = []
        if settings.reload_seconds:
            self.jobs.append(self._reload)
        metrics.open_requests.set_function(lambda: self._guard.open_requests)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, or start and stop with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        path: str = scope["path"]
        endpoint = self._endpoints.get(path)
        start = time.perf_counter()
        status = 200
        try:
            headers = headers_of(scope["headers"])
            self._guard.check_client(path, headers)
            if endpoint is None:
                await self._pages(scope, receive, send)
                return
            answer_headers, body = await self._answer(endpoint, scope, receive, headers)
        except DisconnectedError:
            status = 499  # nginx's status for it
        except RequestError as error:
            status = error.status
            await self._refuse(error, scope, receive, send)
        except Exception:
            status = 500
            logs.failure("request failed", path=path)
            await _send(send, 500, _JSON, _error_body("the model failed: the server's log has the reason"))
        else:
            await _send(send, 200, answer_headers, body)
        if endpoint is not None:
            seconds = time.perf_counter() - start
            endpoint.served.metrics.request(endpoint.protocol, status, seconds)
            if self._settings.log_requests:
                logs.info("request", path=path, status=status, ms=round(seconds * 1000, 3))

    async def _answer(
        self, endpoint: Endpoint, scope: Message, receive: Receive, headers: Mapping[bytes, bytes]
    ) -> Answer:
        if scope["method"] != "POST":
            raise RequestError(405, f"{scope['path']} takes POST, got {scope['method']}", {"Allow": "POST"})
        self._guard.enter()
        try:
            with Deadline(self._settings.timeout) as deadline:
                body = await self._guard.read_body(receive, headers)
                deadline.is_read = True
                return await endpoint.answer(body, headers)
        finally:
            self._guard.leave()

    async def _refuse(self, error: RequestError, scope: Message, receive: Receive, send: Send) -> None:
        if error.close:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(_drain(receive), _DRAIN_SECONDS)
        if error.status != 429:  # an overloaded server has better to do
            logs.warning("request refused", path=scope["path"], status=error.status, reason=error.message)
        headers = [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
        if error.close:
            headers.append((b"connection", b"close"))
        await _send(send, error.status, [*_JSON, *headers], _error_body(error.message))

    # -- start and stop --------------------------------------------------------------------------------------

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        tasks = [asyncio.create_task(job()) for job in self.jobs]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in tasks:
            task.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _reload(self) -> None:
        while True:
            await asyncio.sleep(self._settings.reload_seconds)
            try:
                if await self._repository.refresh():
                    self._endpoints = endpoints(self._repository.models)
            except OSError as error:
                logs.warning("files not read", reason=str(error))


_JSON = [(b"content-type", b"application/json")]


def _error_body(message: str) -> bytes:
    return orjson.dumps({"error": message})


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


async def _drain(receive: Receive) -> None:
    more = True
    while more:
        message = await receive()
        more = message["type"] == "http.request" and message.get("more_body", False)
