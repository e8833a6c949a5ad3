"""A hub in memory: the part of the Hugging Face Hub's HTTP interface that its library uses for models."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_writer"
# Repository -> revision -> path -> content; commits are named by their number.
repositories: dict[str, dict[str, dict[str, bytes]]] = {}


class Hub(BaseHTTPRequestHandler):
    """Answers of the hub."""

    def _answer(self, status: int, body: Any = None, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, {"error": code}, X_Error_Code=code, X_Error_Message=code)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._refuse(403, "Forbidden")
        if self.path == "/api/repos/create":
            request = json.loads(body)
            name = "/".join(filter(None, (request.get("organization"), request["name"])))
            if name in repositories:
                return self._answer(409, {"error": "exists", "url": f"/{name}"})
            repositories[name] = {"main": {}}
            return self._answer(200, {"url": f"http://{self.headers['Host']}/{name}", "name": name})
        match = re.fullmatch(
            r"/api/models/([^/]+/[^/]+)/(preupload|commit)/(.+)", self.path.partition("?")[0]
        )
        if match is None:
            return self._answer(200, {})
        name, action, revision = match.groups()
        if action == "preupload":
            paths = [entry["path"] for entry in json.loads(body)["files"]]
            entries = [
                {"path": x, "uploadMode": "regular", "shouldIgnore": False, "oid": None} for x in paths
            ]
            return self._answer(200, {"files": entries})
        files = dict(repositories[name].get(revision, {}))
        for line in body.splitlines():
            operation = json.loads(line)
            if operation["key"] == "file":
                files[operation["value"]["path"]] = base64.b64decode(operation["value"]["content"])
        repositories[name] |= {revision: files, commit_of(files): files}
        url = f"http://{self.headers['Host']}/{name}/commit/{commit_of(files)}"
        return self._answer(200, {"commitUrl": url, "commitOid": commit_of(files), "success": True})

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/api/models")
        match = re.fullmatch(r"/([^/]+/[^/]+)(?:/(revision|tree|resolve)/([^/]+)(?:/(.*))?)?", path)
        if match is None:
            return self._answer(200, {})
        name, action, revision, file = match.groups()
        if name not in repositories:
            return self._refuse(404, "RepoNotFound")
        files = repositories[name].get(revision or "main")
        if files is None:
            return self._refuse(404, "RevisionNotFound")
        commit = commit_of(files)
        if action == "resolve":
            if file not in files:
                return self._refuse(404, "EntryNotFound")
            tag = hashlib.sha1(files[file]).hexdigest()
            return self._answer(200, files[file], X_Repo_Commit=commit, ETag=f'"{tag}"')
        if action == "tree":
            entries = [
                {"type": "file", "path": x, "size": len(y), "oid": hashlib.sha1(y).hexdigest()}
                for x, y in files.items()
            ]
            return self._answer(200, entries, X_Repo_Commit=commit)
        siblings = [{"rfilename": x} for x in files]
        return self._answer(
            200, {"id": name, "sha": commit, "siblings": siblings, "private": False, "tags": []}
        )

    def log_message(self, format: str, *arguments: Any) -> None:
        """Print nothing."""


def commit_of(files: dict[str, bytes]) -> str:
    """The name of a commit, by its contents."""
    return hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()


@contextmanager
def serving() -> Iterator[str]:
    """Serve an empty hub inside a `with` block, and yield its address."""
    repositories.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
