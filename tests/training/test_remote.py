"""Metrics sent to a server that listens on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs

import numpy as np
import pytest

from hornbeam import callbacks


class Server(HTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.got: list[tuple[str, str, str]] = []

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.got.append((self.path, self.headers["X-Token"] or self.headers["Content-Type"], body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as result:
        thread = threading.Thread(target=result.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield result
        result.shutdown()
        thread.join()


def test_as_a_form_and_as_json(server: Server) -> None:
    logs = {"loss": np.float32(0.5), "per_class": np.array([1.0, 2.0])}
    callbacks.RemoteMonitor(server.root, headers={"X-Token": "secret"}).on_epoch_end(1, logs)
    callbacks.RemoteMonitor(server.root, "/epoch", send_as_json=True).on_epoch_end(
        2, {"loss": 0.25, "one": np.ones(1)}
    )
    (path, token, form), (json_path, kind, text) = server.got
    assert (path, token, json_path, kind) == (
        "/publish/epoch/end/", "secret", "/epoch", "application/json",
    )  # fmt: skip
    assert json.loads(parse_qs(form)["data"][0]) == {"epoch": 1, "loss": 0.5, "per_class": [1.0, 2.0]}
    assert json.loads(text) == {"epoch": 2, "loss": 0.25, "one": 1.0}


def test_a_server_that_is_not_there() -> None:
    with pytest.warns(UserWarning, match="could not send to http://127.0.0.1:9/"):
        callbacks.RemoteMonitor("http://127.0.0.1:9").on_epoch_end(0, {"loss": 1.0})
    with pytest.raises(ValueError, match="must begin with http"):
        callbacks.RemoteMonitor("file:///etc")
