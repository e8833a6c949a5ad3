"""The server of the page."""

from __future__ import annotations

from collections.abc import Callable

import uvicorn

from hornbeam.serving.listening import bind, signals_end_the_server, url_of
from hornbeam.serving.watch.application import application
from hornbeam.serving.watch.watched import WatchedRuns

# Connections that wait to be accepted, all from this computer.
_BACKLOG = 100


def watch(runs: WatchedRuns, port: int, token: str | None, on_ready: Callable[[str], None]) -> None:
    """Show runs on 127.0.0.1 until the process gets SIGINT or SIGTERM.

    Args:
        runs: The runs.
        port: Port; 0 takes a free one.
        token: Token of requests that change something, None to refuse all of them.
        on_ready: Function of the server's URL, called when it accepts connections.

    Raises:
        OSError: If the address cannot be bound.
    """
    with bind("127.0.0.1", port) as listener:
        app = application(runs, token, lambda: server.should_exit)
        config = uvicorn.Config(
            app, ws="none", lifespan="on", log_config=None, access_log=False, server_header=False,
            proxy_headers=False, backlog=_BACKLOG, timeout_graceful_shutdown=2,
        )  # fmt: skip
        server = uvicorn.Server(config)
        listener.listen(_BACKLOG)
        on_ready(url_of(listener))
        with signals_end_the_server(server):
            server.run(sockets=[listener])
