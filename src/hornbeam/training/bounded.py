"""A dict of limited size, for compiled steps."""

from __future__ import annotations

import threading
from typing import Any


class Bounded(dict[Any, Any]):
    """A dict that drops its oldest entries, so that ever-changing shapes do not fill the memory."""

    limit = 64

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def __setitem__(self, key: object, value: object) -> None:
        with self._lock:
            super().__setitem__(key, value)
            while len(self) > self.limit:
                self.pop(next(iter(self)))
