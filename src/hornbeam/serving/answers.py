"""Answers of all servers: JSON, files of pages, and errors."""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from hornbeam.serving.errors import RequestError
from hornbeam.web import read

View = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, HTTPException], Awaitable[Response]]

# Of the pages; nothing is loaded from elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src 'self' blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return an answer of JSON."""
    return Response(orjson.dumps(value), status, headers, media_type="application/json")


async def error_answer(request: Request, error: RequestError) -> Response:
    """Answer a request that was refused."""
    return json_answer({"error": error.message}, error.status, error.headers)


def not_routed(advice: str) -> Handler:
    """Return the handler of requests for a path or a method that the server does not have."""

    async def answer(request: Request, error: HTTPException) -> Response:
        path, headers = request.url.path, dict(error.headers or {})
        if error.status_code == 405:
            message = f"{path} takes {headers.get('Allow', 'another method')}, got {request.method}"
        else:
            message = f"nothing is at {path}: {advice}"
        return json_answer({"error": message}, error.status_code, headers)

    return answer


def file_view(name: str) -> View:
    """Return the view of a file of `hornbeam.web`, which is read once."""
    content = read(name)
    media = mimetypes.guess_type(name)[0] or "application/octet-stream"
    headers = {
        "Content-Security-Policy": POLICY,
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }

    async def view(request: Request) -> Response:
        return Response(content, headers=headers, media_type=media)

    return view
