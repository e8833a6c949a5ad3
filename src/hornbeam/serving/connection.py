"""Connections that cannot be held open by clients that send no request."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Bytes of a request line and its headers.
_MAX_HEAD = 64 << 10


class Connection(HttpToolsProtocol):
    """uvicorn's connection, with limits on the size of a request's head and on the time it takes."""

    # Time since which the head of a request is awaited; None while a request is answered.
    head_since: float | None = None
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self.head_since = time.monotonic()

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        super().on_message_begin()
        self.head_since = time.monotonic()
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Stop waiting: the application has limits of its own."""
        self.head_since = None
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it came already."""
        if not self.pipeline:
            self.head_since = time.monotonic()
            self._head_bytes = 0
        super().on_response_complete()

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too large."""
        super().data_received(data)
        if self.head_since is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD:
                self.refuse(b"431 Request Header Fields Too Large", f"a head has at most {_MAX_HEAD} bytes")

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP like all else that is refused."""
        self.refuse(b"400 Bad Request", "the request is not HTTP/1.1: is it for https, or another protocol?")

    def refuse(self, status: bytes, message: str) -> None:
        """Answer without the application, and close."""
        body = orjson.dumps({"error": message})
        head = [b"HTTP/1.1 " + status, b"content-type: application/json", b"content-length: %d" % len(body)]
        self.transport.write(b"\r\n".join([*head, b"connection: close", b"", body]))
        self.transport.close()


def close_stalled(connections: Iterable[Any], seconds: float) -> None:
    """Close connections on which no request came for so many seconds, or whose client reads no answer."""
    limit = time.monotonic() - seconds
    for connection in list(connections):
        since = connection.head_since
        if since is None or since > limit:
            continue
        if connection.transport.is_closing():  # it still has bytes to send
            connection.transport.abort()
        else:
            connection.refuse(b"408 Request Timeout", f"no request came within {seconds:g} s")
