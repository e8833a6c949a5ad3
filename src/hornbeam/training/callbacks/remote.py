"""Metrics sent to a server."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from hornbeam.core.registry import exported
from hornbeam.distribution.processes import is_first
from hornbeam.training.callbacks.base import Callback

# A server that does not answer must not hold training up.
TIMEOUT_SECONDS = 10


@exported("keras.callbacks")
class RemoteMonitor(Callback):
    """Sends the metrics of every epoch to a server, in an HTTP POST request.

    root, path: together the address. field: name of the form field that holds the JSON text; unused with
    send_as_json, which makes the JSON the body. headers: further HTTP headers. A server that cannot be
    reached is warned of, and training goes on.

    Raises ValueError for an address that does not begin with http:// or https://.

    >>> monitor = hornbeam.callbacks.RemoteMonitor(root="http://localhost:9000", send_as_json=True)
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: Mapping[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(root, str) or not root.startswith(("http://", "https://")):
            raise ValueError(f"root must begin with http:// or https://, got {root!r}")
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if not is_first():
            return
        # Takes a while to import, which only those pay who send something.
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        text = json.dumps({"epoch": epoch, **{name: _plain(x) for name, x in (logs or {}).items()}})
        if self.send_as_json:
            kind, body = "application/json", text.encode()
        else:
            kind, body = "application/x-www-form-urlencoded", urlencode({self.field: text}).encode()
        headers = {"Content-Type": kind, **(self.headers or {})}
        try:
            with urlopen(Request(self.root + self.path, body, headers), timeout=TIMEOUT_SECONDS) as answer:
                answer.read()
        except OSError as error:
            warnings.warn(f"RemoteMonitor could not send to {self.root}{self.path}: {error}", stacklevel=2)


def _plain(value: Any) -> Any:
    """A number, or lists of numbers, for JSON."""
    return np.asarray(value).tolist() if hasattr(value, "dtype") else value
