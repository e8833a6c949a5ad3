"""The server: loads the models, binds its address, and runs until it is stopped."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from hornbeam import _native
from hornbeam.serving import logs
from hornbeam.serving.application import Application
from hornbeam.serving.connection import Connection, close_stalled
from hornbeam.serving.metrics import Metrics
from hornbeam.serving.models import RunnableModel
from hornbeam.serving.repository import Repository, Source
from hornbeam.serving.settings import Settings

# Connections that wait to be accepted.
_BACKLOG = 2048
# Python's default of 5 ms, for which a thread may compute in Python while the event loop waits for it.
_SWITCH_SECONDS = 0.0005


def serve(
    sources: Sequence[Source],
    settings: Settings,
    load_model: Callable[[Path], RunnableModel],
    *,
    on_ready: Callable[[str], None] = lambda url: None,
) -> None:
    """Serve models until the process gets SIGINT or SIGTERM; requests in progress are answered first.

    Args:
        sources: The models.
        settings: The settings.
        load_model: Function that reads a model's file.
        on_ready: Function of the server's URL, called before the first request.

    Raises:
        OSError: If the address cannot be bound.
        ModelFileError: If a model cannot be loaded.
    """
    start = time.perf_counter()
    _raise_file_limit()
    listener = _bind(settings)
    sys.setswitchinterval(_SWITCH_SECONDS)
    metrics = Metrics()
    with listener, ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="model") as executor:
        repository = Repository(sources, metrics, settings.batch, executor, load_model)
        application = Application(repository, settings, metrics)
        # What lives as long as the process need not be looked at by each collection.
        gc.collect()
        gc.freeze()
        config = uvicorn.Config(
            application,
            http=Connection,
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_graceful_shutdown=max(1, round(settings.grace)),
        )
        url = _url(listener)
        listener.listen(_BACKLOG)
        logs.info("server ready", url=url, seconds=round(time.perf_counter() - start, 3))
        on_ready(url)
        server = uvicorn.Server(config)

        async def watch_connections() -> None:
            while True:
                await asyncio.sleep(1)
                close_stalled(server.server_state.connections, settings.timeout)

        application.jobs.append(watch_connections)
        with _signals_end_the_server(), _single_threaded():
            server.run(sockets=[listener])
        logs.info("server stopped", requests=server.server_state.total_requests)


@contextmanager
def _signals_end_the_server() -> Iterator[None]:
    """Do nothing on a signal that uvicorn raises once more after it has stopped: it was asked to."""
    signals = signal.SIGINT, signal.SIGTERM
    previous = [signal.signal(number, lambda number, frame: None) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Keep runs of the event loop on its thread: they are brief, and other threads would spin after each."""
    _native.set_single_threaded(True)
    try:
        yield
    finally:
        _native.set_single_threaded(False)


def _bind(settings: Settings) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(
        settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name != "nt":  # there it would allow two servers on one port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"port {settings.port} of {settings.host}: {error.strerror}") from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _raise_file_limit() -> None:
    """Allow as many open connections as the system lets this process have."""
    if os.name == "nt":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
