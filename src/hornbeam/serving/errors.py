"""Errors that clients get as answers other than 200: a status, and a message that says what to do."""

from __future__ import annotations


class RequestError(Exception):
    """A request that is refused.

    Args:
        status: HTTP status, 4xx for what the client can change, 5xx for what it cannot.
        message: What was expected, what came, and the likely fix.
        headers: Further headers of the answer, such as `Retry-After`.
        close: Whether the connection is closed after the answer, as its body was not read to the end.
    """

    def __init__(
        self, status: int, message: str, headers: dict[str, str] | None = None, *, close: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}
        self.close = close


def overloaded(message: str, seconds: float) -> RequestError:
    """Return a 429 that asks the client to come back after some seconds."""
    return RequestError(429, message, {"Retry-After": str(max(1, round(seconds)))})
