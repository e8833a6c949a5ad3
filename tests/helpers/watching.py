"""`hornbeam watch` as a process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx


@dataclass
class Watching:
    """A server, its address and its token."""

    folder: Path
    process: subprocess.Popen[str]
    address: str
    token: str | None

    @contextmanager
    def events(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """Give the events of the server: kind and content."""
        import httpx

        with httpx.stream("GET", f"{self.address}/api/events", timeout=20) as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            yield self._parsed(answer.iter_lines())

    @staticmethod
    def _parsed(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
        kind = ""
        for line in lines:
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)

    def send(
        self,
        method: str,
        action: str,
        body: Any = None,
        *,
        run: str = "one",
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Send what the page sends, by default with its token."""
        import httpx

        own = {"Authorization": f"Bearer {self.token}"} if headers is None else headers
        return httpx.request(method, f"{self.address}/api/runs/{run}/{action}", json=body, headers=own)


@contextmanager
def watching(folder: Path, *options: str) -> Iterator[Watching]:
    """Run the command on a free port."""
    command = [sys.executable, "-m", "hornbeam", "watch", str(folder), "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            match = re.search(r"(http://[\d.:]+)/(?:#token=(\S+))?$", line.strip())
            assert match, line + (process.stderr.read() if process.stderr else "")
            yield Watching(folder, process, *match.groups())
        finally:
            process.terminate()
