"""The server: loads the models, binds its address, and runs until it is stopped."""

from __future__ import annotations

import asyncio
import gc
import os
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
from hornbeam.serving.listening import bind, signals_end_the_server, url_of
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
    listener = bind(settings.host, settings.port)
    sys.setswitchinterval(_SWITCH_SECONDS)
    metrics = Metrics()
    with listener, ThreadPoolExecutor(_native.available_cpus(), thread_name_prefix="model") as executor:
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
        listener.listen(_BACKLOG)
        logs.info("server ready", url=url_of(listener), seconds=round(time.perf_counter() - start, 3))
        on_ready(url_of(listener))
        server = uvicorn.Server(config)

        async def watch_connections() -> None:
            while True:
                await asyncio.sleep(1)
                close_stalled(server.server_state.connections, settings.timeout)

        application.jobs.append(watch_connections)
        with signals_end_the_server(server), _single_threaded():
            server.run(sockets=[listener])
        logs.info("server stopped", requests=server.server_state.total_requests)


@contextmanager
def _single_threaded() -> Iterator[None]:
    """Keep runs of the event loop on its thread: they are brief, and other threads would spin after each."""
    _native.set_single_threaded(True)
    try:
        yield
    finally:
        _native.set_single_threaded(False)


def _raise_file_limit() -> None:
    """Allow as many open connections as the system lets this process have."""
    if os.name == "nt":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
