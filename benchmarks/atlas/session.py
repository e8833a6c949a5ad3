"""A side of the atlas: a child process that is asked by JSON lines, and started anew if it ends."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from hornbeam.cli.bench.competitors import Competitor, environment_of

SIDES = Path(__file__).parent / "sides"
# A case may be compiled for long; a side that says nothing for longer hangs.
TIMEOUT = 600.0


class SideError(RuntimeError):
    """A side cannot compute a case."""


def engine_side(engine: str) -> Competitor:
    """Return Hornbeam on one of its engines."""
    script = str(SIDES / "hornbeam_side.py")
    return Competitor(f"hornbeam-{engine}", (sys.executable,), script, ("--engine", engine), ours=True)


def peer_side(text: str, compiled: bool) -> Competitor:
    """Parse `NAME=PYTHON` (with PyTorch) or `NAME=PYTHON:SCRIPT`. Raises ValueError for anything else."""
    name, equals, rest = text.partition("=")
    python, _, script = rest.partition(":")
    if not (name and equals and python):
        raise ValueError(f"a peer of the atlas must be NAME=PYTHON[:SCRIPT], got {text!r}")
    for path in (python, *[script] * bool(script)):
        if not Path(path).is_file():
            raise ValueError(f"peer {name!r}: no file {path}")
    arguments = ("--compile",) if compiled else ()
    return Competitor(name, (python,), script or str(SIDES / "torch_side.py"), arguments)


class Session:
    """A running side.

    Args:
        competitor: Name and command of the side.
        threads: Number of CPUs and threads; None for all.
        timeout: Seconds after which a request has failed.
    """

    def __init__(self, competitor: Competitor, threads: int | None = None, timeout: float = TIMEOUT) -> None:
        self.competitor = competitor
        self.threads = threads
        self.timeout = timeout
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._readers: list[threading.Thread] = []
        self._words: deque[str] = deque(maxlen=1)

    @property
    def name(self) -> str:
        """Name of the side."""
        return self.competitor.name

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return the answer; start the process if none runs.

        Raises:
            SideError: If the answer is an error, or the process ends or does not answer in time.
        """
        process = self._process or self._start()
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            line = self._answers.get(timeout=self.timeout)
        except BrokenPipeError:
            line = None
        except queue.Empty:
            self.close(kill=True)
            raise SideError(f"no answer in {self.timeout:.0f} s") from None
        if line is None:
            raise SideError(self._end())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise SideError(answer["error"])
        return answer

    def _start(self) -> subprocess.Popen[str]:
        restrict = None
        if self.threads is not None and hasattr(os, "sched_setaffinity"):
            cpus = sorted(os.sched_getaffinity(0))[: self.threads]
            restrict = lambda: os.sched_setaffinity(0, cpus)  # noqa: E731
        self._answers, self._words = queue.Queue(), deque(maxlen=1)
        self._process = process = subprocess.Popen(
            [*self.competitor.command, self.competitor.script, *self.competitor.arguments],
            env=environment_of(self.competitor, self.threads, None, time.time()),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=restrict,
        )
        sinks = ((process.stdout, self._answers.put), (process.stderr, self._remember))
        self._readers = [threading.Thread(target=_read, args=sink, daemon=True) for sink in sinks]
        for reader in self._readers:
            reader.start()
        return process

    def _remember(self, line: str | None) -> None:
        if line is not None and line.strip():
            self._words.append(line.strip())

    def _end(self) -> str:
        """Return the reason why the process has ended, with its last words."""
        assert self._process is not None
        status = self._process.wait()
        self.close()
        return ": ".join([f"the process ended with {status}", *self._words])

    def close(self, kill: bool = False) -> None:
        """End the process: by the end of its requests, or at once."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        if kill:
            process.kill()
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
        for reader in self._readers:
            reader.join()


def _read(pipe: IO[str], sink: Callable[[str | None], None]) -> None:
    """Pass lines on until the pipe is closed, then None."""
    with pipe:
        for line in pipe:
            sink(line)
    sink(None)
