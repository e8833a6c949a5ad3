"""The ASGI application: the page, the runs, their changes as server-sent events, notes, and stops."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from hornbeam.errors import RunError
from hornbeam.insight.runs.comparing import differences
from hornbeam.insight.runs.reading import Run
from hornbeam.insight.runs.steering import MOST_CHARACTERS, request_stop, write_notes
from hornbeam.serving.answers import error_answer, file_view, json_answer, not_routed
from hornbeam.serving.errors import RequestError
from hornbeam.serving.guard import check_loopback, check_page, headers_of
from hornbeam.serving.watch.watched import Change, WatchedRuns
from hornbeam.web import WATCH

# Seconds between two looks at the folder while a page is open, at least and at most.
_LEAST_PAUSE, _MOST_PAUSE = 0.25, 1.0
# The pause by the time that a look takes: trainings need the processors.
_RELATIVE_PAUSE = 9
# Seconds between signs of life of the server.
_SIGN_SECONDS = 15.0
# Changes that a page may lag behind before it is told to load all runs again.
_MOST_CHANGES = 1000
_MOST_COMPARED = 12

Changes = asyncio.Queue["bytes | None"]


def application(
    runs: WatchedRuns, token: str | None = None, is_ending: Callable[[], bool] = lambda: False
) -> Starlette:
    """Return the application.

    Args:
        runs: The runs.
        token: Token of requests that change something, None to refuse all of them.
        is_ending: Function that tells whether the server is about to stop; streams of events end then.
    """
    views = _Views(runs, token, is_ending)
    routes = [
        Route("/", file_view("watch.html")),
        Route("/favicon.ico", file_view("icon.svg")),
        *(Route(f"/web/{name}", file_view(name)) for name in ("page.css", "watch.css", *WATCH)),
        Route("/api/events", views.events),
        Route("/api/compare", views.compare),
        Route("/api/runs/{run}/history", views.history),
        Route("/api/runs/{run}/notes", views.write_notes, methods=["PUT"]),
        Route("/api/runs/{run}/stop", views.stop, methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {RequestError: error_answer, HTTPException: not_routed("the page is at /")}

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(views.look_again())
        yield
        task.cancel()

    inner = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    inner.add_middleware(_LocalOnly)
    return inner


class _LocalOnly:
    """Answers requests for a loopback name alone, of the page itself or of programs.

    A web page that lets its own name resolve to this computer (DNS rebinding) must not read the runs.
    """

    def __init__(self, app: Callable[..., Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            try:
                headers = headers_of(scope["headers"])
                check_loopback(headers.get(b"host", b""), "use 127.0.0.1")
                check_page(headers, "use the address that hornbeam watch printed")
            except RequestError as error:
                await (await error_answer(Request(scope), error))(scope, receive, send)
                return
        await self._app(scope, receive, send)


class _Views:
    """The answers."""

    def __init__(self, runs: WatchedRuns, token: str | None, is_ending: Callable[[], bool]) -> None:
        self._runs = runs
        self._token = f"Bearer {token}".encode() if token else None
        self._is_ending = is_ending
        self._pages: set[Changes] = set()
        self._lock = asyncio.Lock()

    # -- what is shown ---------------------------------------------------------------------------------------

    async def history(self, request: Request) -> Response:
        """Answer with the epochs and the metrics of a run; numbers that JSON lacks are null."""
        run = self._named(request.path_params["run"])
        return json_answer({"epochs": [line["epoch"] for line in run.epochs], "metrics": run.history})

    async def compare(self, request: Request) -> Response:
        """Answer with what differs between the runs `?run=A&run=B`."""
        names = request.query_params.getlist("run")
        if not 2 <= len(names) <= _MOST_COMPARED:
            raise RequestError(400, f"2 to {_MOST_COMPARED} runs can be compared, got {len(names)}")
        for name in names:
            self._named(name)

        def rows() -> list[tuple[str, ...]]:
            return list(differences(*map(self._runs.complete, names)))

        try:
            return json_answer({"runs": names, "rows": await asyncio.to_thread(rows)})
        except (RunError, OSError) as error:
            raise RequestError(409, str(error)) from None

    async def events(self, request: Request) -> Response:
        """Send all records, then every change as it comes."""
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        return StreamingResponse(self._stream(), headers=headers, media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[bytes]:
        changes: Changes = asyncio.Queue()
        async with self._lock:  # a change is in the list or in the queue
            self._publish(await asyncio.to_thread(self._runs.refresh))
            start = self._everything()
            self._pages.add(changes)
        try:
            yield start
            while (message := await changes.get()) is not None:
                yield message
        finally:
            self._pages.discard(changes)

    def _everything(self) -> bytes:
        runs = self._runs
        lists = {"folder": runs.shown_folder, "runs": runs.records, "errors": runs.errors}
        return _event("runs", {**lists, "control": self._token is not None})

    def _publish(self, changes: list[Change]) -> None:
        messages = [_message(change) for change in changes]
        if any(change.record is None for change in changes):  # it is rare, and concerns the errors too
            messages = [self._everything()]
        for page in list(self._pages):
            if page.qsize() + len(messages) < _MOST_CHANGES:
                for message in messages:
                    page.put_nowait(message)
            else:  # its stream ends, and it asks for a new one
                self._pages.discard(page)
                page.put_nowait(None)

    async def look_again(self) -> None:
        """Look at the folder as long as a page is open."""
        async with self._lock:  # the first page need not wait for all files
            await asyncio.to_thread(self._runs.refresh)
        pause, last_sign = _LEAST_PAUSE, time.monotonic()
        while not self._is_ending():
            await asyncio.sleep(pause)
            if not self._pages:
                continue
            start = time.monotonic()
            async with self._lock:
                self._publish(await asyncio.to_thread(self._runs.refresh))
            pause = min(max(_LEAST_PAUSE, _RELATIVE_PAUSE * (time.monotonic() - start)), _MOST_PAUSE)
            if start - last_sign >= _SIGN_SECONDS:
                last_sign = start
                self._send(b": \n\n")
        self._send(None)

    def _send(self, message: bytes | None) -> None:
        for page in self._pages:
            page.put_nowait(message)

    # -- what is changed -------------------------------------------------------------------------------------

    async def write_notes(self, request: Request) -> Response:
        """Replace the notes of a run by `text`, if they are still `before`."""
        self._check_control(request)
        name = self._named(request.path_params["run"]).path.name
        body = await _json_body(request)
        text, before = body.get("text"), body.get("before")
        if not isinstance(text, str) or not isinstance(before, str):
            raise RequestError(400, "expected a JSON object with the texts text and before")
        try:
            await asyncio.to_thread(write_notes, self._runs.folder / name, text, before)
        except (RunError, OSError) as error:
            raise RequestError(409, str(error)) from None
        return json_answer({"notes": text})

    async def stop(self, request: Request) -> Response:
        """Ask a running training to stop."""
        self._check_control(request)
        run = self._named(request.path_params["run"])
        record = next(each for each in self._runs.records if each["run"] == run.path.name)
        if record["state"] != "running":
            raise RequestError(409, f"{run.path.name} does not run: it is {record['state']}")
        try:
            request_stop(run.path)
        except OSError as error:
            raise RequestError(409, str(error)) from None
        return json_answer({"stopping": True})

    def _check_control(self, request: Request) -> None:
        """Refuse what would change something, unless it has the token."""
        if self._token is None:
            raise RequestError(403, "this page is read-only: start it by hornbeam watch --control")
        if not hmac.compare_digest(request.headers.get("authorization", "").encode("latin-1"), self._token):
            raise RequestError(401, "no valid token: open the address that hornbeam watch printed")

    def _named(self, name: str) -> Run:
        run = self._runs.run(name)
        if run is None:
            raise RequestError(404, f"no run is named {name!r}: was its folder removed?")
        return run


def _message(change: Change) -> bytes:
    lines = [{"epoch": line["epoch"], "logs": line["logs"]} for line in change.epochs]
    return _event("run", {"record": change.record, "first": change.first, "epochs": lines})


def _event(kind: str, value: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), orjson.dumps(value))


async def _json_body(request: Request) -> dict[str, Any]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > 8 * MOST_CHARACTERS:
            raise RequestError(413, f"notes have at most {MOST_CHARACTERS:,} characters", close=True)
    try:
        value = orjson.loads(body)
    except ValueError as error:
        raise RequestError(400, f"the body is not JSON: {error}") from None
    return value if isinstance(value, dict) else {}
