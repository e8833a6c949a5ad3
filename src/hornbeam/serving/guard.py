"""Limits on requests: who may send them, how many and how large they are, and how long they take."""

from __future__ import annotations

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from types import TracebackType
from typing import Any

from hornbeam.serving.errors import RequestError, overloaded
from hornbeam.serving.settings import MEGABYTE, Settings, is_loopback

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

# What a load balancer asks, and the pages: they show nothing of the models without a token.
_OPEN = ("/v2/health/", "/web/")
_OPEN_PAGES = {"/", "/docs", "/favicon.ico"}
# Headers that decide who may do what, or what a body means.
_SINGLE = (
    b"host", b"origin", b"sec-fetch-site", b"authorization", b"content-type", b"content-encoding",
    b"inference-header-content-length",
)  # fmt: skip


class DisconnectedError(Exception):
    """The client is gone: no answer is needed."""


def headers_of(pairs: Sequence[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return headers by name. Raises `RequestError` if one that checks rely on comes twice."""
    headers = dict(pairs)
    if len(headers) < len(pairs):
        names = [name for name, _ in pairs]
        for name in _SINGLE:
            if names.count(name) > 1:
                raise RequestError(400, f"the header {name.decode()} comes twice: send one", close=True)
    return headers


def check_loopback(host: bytes, advice: str) -> None:
    """Raise a `RequestError` unless the header `Host` names this computer."""
    name = re.sub(r":\d*$", "", host.decode("latin-1"))
    if not is_loopback(name.strip("[]")):
        raise RequestError(403, f"host {name!r} is not this computer: {advice}")


def check_page(headers: Mapping[bytes, bytes], advice: str) -> None:
    """Raise a `RequestError` if a browser sends the request for a page of another server.

    Browsers name the page in `Origin` whenever it sends a form or fetches from elsewhere. Behind a proxy
    that changes `Host`, `Sec-Fetch-Site`, which no page can set, tells that the page is our own.
    """
    origin = headers.get(b"origin")
    if origin is None or headers.get(b"sec-fetch-site") == b"same-origin":
        return
    if origin.partition(b"://")[2] != headers.get(b"host", b""):
        raise RequestError(403, f"{origin.decode('latin-1')} is another page: {advice}", close=True)


class Guard:
    """Checks requests before work starts.

    Without a token the server is on a loopback address, and answers only requests for a loopback name: a web
    page that lets its own name resolve to this computer (DNS rebinding) must not reach it, nor may a page
    of another server let it compute.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._token = f"Bearer {settings.token}".encode() if settings.token else None
        self._hosts: set[bytes] = set()
        self._bytes = 0
        self.open_requests = 0

    def check_client(self, path: str, headers: Mapping[bytes, bytes]) -> None:
        """Raise a `RequestError` unless the client may send requests."""
        if self._token is None:
            self._check_host(headers.get(b"host", b""))
            check_page(headers, "pages of other servers need a server with a token")
        elif not hmac.compare_digest(headers.get(b"authorization", b""), self._token):
            if path in _OPEN_PAGES or path.startswith(_OPEN):
                return
            raise RequestError(
                401,
                "a token is needed: send the header Authorization: Bearer TOKEN, with the token that the "
                "server printed at its start",
                {"WWW-Authenticate": "Bearer"},
            )

    def _check_host(self, host: bytes) -> None:
        if host not in self._hosts:
            check_loopback(host, "use 127.0.0.1, or serve with --host and a token")
            if len(self._hosts) < 100:
                self._hosts.add(host)

    def enter(self) -> None:
        """Count a request in, or raise a `RequestError` if too many are in progress."""
        if self.open_requests >= self._settings.max_requests:
            raise overloaded(f"{self.open_requests} requests are in progress: try again", 1)
        self.open_requests += 1

    def leave(self) -> None:
        """Count a request out."""
        self.open_requests -= 1

    async def read_body(self, receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
        """Read the body of a request.

        Raises:
            RequestError: With 413 if it is larger than allowed, or 415 if it is compressed.
            DisconnectedError: If the client goes before its end.
        """
        encoding = headers.get(b"content-encoding", b"identity")
        if encoding != b"identity":
            raise RequestError(415, f"a body with Content-Encoding {encoding.decode('latin-1')} is not read")
        announced = headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._settings.max_body:
            raise self._too_large()
        message = await receive()
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        if not message.get("more_body"):
            body: bytes = message.get("body", b"")
            if len(body) > self._settings.max_body:
                raise self._too_large()
            return body
        return await self._read_more(receive, bytearray(message.get("body", b"")))

    async def _read_more(self, receive: Receive, body: bytearray) -> bytes:
        counted = 0
        try:
            more = True
            while more:
                if len(body) > self._settings.max_body:
                    raise self._too_large()
                self._bytes += len(body) - counted
                counted = len(body)
                if self._bytes > self._settings.max_bodies:
                    error = overloaded("the bodies of all requests in progress are too large: try again", 1)
                    error.close = True
                    raise error
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise DisconnectedError
                body += message.get("body", b"")
                more = message.get("more_body", False)
            return bytes(body)
        finally:
            self._bytes -= counted

    def _too_large(self) -> RequestError:
        limit = self._settings.max_body / MEGABYTE
        return RequestError(
            413, f"the body is larger than {limit:g} MB: send less, or serve with --max-body-mb", close=True
        )


class Deadline:
    """Context that cancels the current task after some seconds, which raises a `RequestError`.

    `asyncio.timeout` of Python 3.11 for 3.10.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_over = False
        self.is_read = False

    def __enter__(self) -> Deadline:
        self._task = asyncio.current_task()
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)
        return self

    def _expire(self) -> None:
        self._is_over = True
        if self._task is not None:
            self._task.cancel()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        if not self._is_over or kind is not asyncio.CancelledError:
            return
        if self.is_read:
            raise overloaded(f"no answer within {self._seconds:g} s: try again", self._seconds) from None
        raise RequestError(
            408, f"the request did not arrive within {self._seconds:g} s: send it faster", close=True
        ) from None
