"""Logs that cannot be written end no training."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hornbeam._internal.warn import warn_user


class LogFailures:
    """Warns, once, of a log that cannot be written: the training is worth more than its log.

    Args:
        callback: Name of the callback that writes the log.
    """

    def __init__(self, callback: str) -> None:
        self._callback = callback
        self._warned = False

    @contextmanager
    def caught(self, path: str | os.PathLike[str] | None) -> Iterator[None]:
        """Warn of an OSError of the block, such as that of a full disk."""
        try:
            yield
        except OSError as error:
            if not self._warned:
                self._warned = True
                warn_user(
                    f"{self._callback}: {path} could not be written ({error}). The training continues, and "
                    "its record has gaps",
                    RuntimeWarning,
                )
