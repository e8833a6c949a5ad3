"""The callback that sends metrics to a server."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from hornbeam._internal.warn import warn_user
from hornbeam.core.registry import exported
from hornbeam.distribution.processes import is_first
from hornbeam.training.callbacks.base import Callback

# A server that does not answer must not delay training.
TIMEOUT_SECONDS = 10


@exported("keras.callbacks")
class RemoteMonitor(Callback):
    """Send the metrics of every epoch to a server, in an HTTP POST request.

    A server that cannot be reached causes a warning, and training continues.

    Args:
        root: First part of the address, with http:// or https://.
        path: Second part of the address.
        field: Name of the form field that holds the JSON text, unused with send_as_json.
        headers: Further HTTP headers.
        send_as_json: Send the JSON text as the body.

    Raises:
        ValueError: For an address that does not begin with http:// or https://.

    Example:
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
        # Slow to import, and needed by this callback alone.
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
            warn_user(f"RemoteMonitor could not send to {self.root}{self.path}: {error}")


def _plain(value: Any) -> Any:
    """Convert to a number, or lists of several, for JSON."""
    if not hasattr(value, "dtype"):
        return value
    array = np.asarray(value)
    return array.item() if array.size == 1 else array.tolist()
