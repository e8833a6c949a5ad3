"""Addresses of servers, and the signals that end them."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to an address, port 0 to a free one.

    Raises:
        OSError: If the address cannot be bound; its text names it.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    if os.name != "nt":  # there it would allow two servers on one port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise OSError(error.errno, f"port {port} of {host}: {error.strerror}") from None
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address of a bound socket for browsers."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextmanager
def signals_end_the_server(server: uvicorn.Server) -> Iterator[None]:
    """Let a signal end the server also before uvicorn listens for it.

    uvicorn raises a signal once more after it has stopped, which then changes nothing.
    """
    signals = signal.SIGINT, signal.SIGTERM
    previous = [signal.signal(number, server.handle_exit) for number in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)
