"""Structured logs: one JSON object per line, or a line of text on a terminal."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import Any, TextIO

_LOGGER = logging.getLogger("hornbeam.serving")


class _Formatter(logging.Formatter):
    """Formats records with their fields, as JSON or as text."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__()
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        fields: dict[str, Any] = getattr(record, "fields", {})
        time = datetime.fromtimestamp(record.created, timezone.utc)
        message = record.getMessage()
        if record.exc_info:
            fields = {**fields, "traceback": self.formatException(record.exc_info)}
        if self._as_json:
            head = {"time": time.isoformat(timespec="milliseconds"), "level": record.levelname.lower()}
            return json.dumps({**head, "event": message, **fields}, default=str)
        text = "  ".join(f"{key}={value}" for key, value in fields.items())
        return f"{time.astimezone():%H:%M:%S}  {message}  {text}".rstrip()


def configure(stream: TextIO | None = None) -> None:
    """Write the server's events, and warnings of uvicorn, to a stream (by default to stderr)."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_Formatter(as_json=not stream.isatty()))
    for name, level in (("hornbeam.serving", logging.INFO), ("uvicorn.error", logging.ERROR)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(level)


def info(event: str, **fields: Any) -> None:
    """Log an event with its fields."""
    _LOGGER.info(event, extra={"fields": fields})


def warning(event: str, **fields: Any) -> None:
    """Log an event that someone may have to look at."""
    _LOGGER.warning(event, extra={"fields": fields})


def failure(event: str, **fields: Any) -> None:
    """Log the error that is handled, with its traceback."""
    _LOGGER.error(event, exc_info=True, extra={"fields": fields})
