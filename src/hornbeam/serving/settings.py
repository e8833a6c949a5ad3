"""Settings of a server, and their defaults."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field

from hornbeam.serving.batcher import BatchLimits

MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Settings:
    """Settings of a server.

    Args:
        host: Address to bind to.
        port: Port; 0 takes a free one.
        token: Bearer token that requests need, or None.
        batch: Limits of batches and queues, of each model.
        max_body: Bytes of a request's body.
        max_bodies: Bytes of the bodies of all requests in progress.
        max_requests: Requests in progress; those beyond are refused with 429.
        timeout: Seconds for a request: to arrive, and to be answered.
        reload_seconds: Seconds between two looks at the files; 0 for none.
        grace: Seconds for requests in progress to end when the server is stopped.
        log_requests: Whether each request is logged, instead of refused ones alone.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    batch: BatchLimits = field(default_factory=BatchLimits)
    max_body: int = 16 * MEGABYTE
    max_bodies: int = 256 * MEGABYTE
    max_requests: int = 1024
    timeout: float = 30.0
    reload_seconds: float = 1.0
    grace: float = 10.0
    log_requests: bool = False


def is_loopback(host: str) -> bool:
    """Return whether an address can only be reached from this computer."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
