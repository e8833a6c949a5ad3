"""`hornbeam launch`: a script in several processes that compute together.

Each gets the variables that torchrun sets: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and
MASTER_PORT, which `hornbeam.distribution` reads.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, TextIO

# How long processes may take that are told to stop: because another one was lost, which they may be waiting
# for, or by the user, when they may have a checkpoint to write. And how often is looked.
LOST_SECONDS = 3.0
USER_SECONDS = 30.0
_LOOK = 0.05


def launch(
    command: Sequence[str],
    processes: int,
    *,
    machines: int = 1,
    machine: int = 0,
    address: str | None = None,
    engine: str | None = None,
) -> int:
    """Run `command` in `processes` processes on this machine and return the exit status of the job.

    machines, machine: how many machines run the same, and the number of this one; address: "host:port" on
    machine 0, where all meet, by default a free port of this machine. engine: HORNBEAM_ENGINE for all.

    Lines of output begin with the process's number. When a process ends badly the others are stopped, and a
    message says which one it was and how it ended; the status is its status, or 128 + the signal's number.

    Raises ValueError for several machines without an address, and on Windows.
    """
    if os.name == "nt":
        raise ValueError("processes are started on Linux and macOS only")
    if machines > 1 and address is None:
        raise ValueError("several machines need --address HOST:PORT of the first one")
    host, _, port = (address or f"127.0.0.1:{_free_port()}").rpartition(":")
    shared = {"MASTER_ADDR": host, "MASTER_PORT": port, "WORLD_SIZE": str(processes * machines)}
    shared |= {"LOCAL_WORLD_SIZE": str(processes), "PYTHONUNBUFFERED": "1"}
    shared["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(
        max((os.cpu_count() or 1) // processes, 1)
    )
    if engine:
        shared["HORNBEAM_ENGINE"] = engine
    first = machine * processes
    workers: list[Worker] = []
    try:
        with _told() as told:  # from the first process on: none may be left behind
            for n in range(processes):
                local = {"RANK": str(first + n), "LOCAL_RANK": str(n)}
                workers.append(Worker(command, first + n, {**shared, **local}))
            failed = _wait(workers, told)
        if told:
            stop(workers, USER_SECONDS, told[0])
            return 128 + told[0]
    finally:
        stop(workers, LOST_SECONDS)
    for worker in workers:
        worker.finish()
    if failed is None:
        return 0
    others = "; the others were stopped" if processes * machines > 1 else ""
    print(
        f"hornbeam launch: process {failed.rank} {failed.end}{others}. What was trained since the last "
        "backup is lost: with the callback BackupAndRestore(folder) the same command, with as many processes "
        "or another number, goes on from there",
        file=sys.stderr,
    )
    return failed.status


class Worker:
    """One process, whose output is written out line by line."""

    def __init__(self, command: Sequence[str], rank: int, environment: Mapping[str, str]) -> None:
        self.rank = rank
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that what it starts is stopped with it
        )
        pairs = [(self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr)]
        self._readers = [threading.Thread(target=self._copy, args=pair, daemon=True) for pair in pairs]
        for reader in self._readers:
            reader.start()

    def _copy(self, source: BinaryIO, target: TextIO) -> None:
        for line in source:
            text = line.decode(errors="replace").rstrip("\n")
            # One write a line: print() makes two, between which another process may come.
            target.write(f"[{self.rank}] {text}\n")
            target.flush()

    def finish(self) -> None:
        """Write out what is left."""
        for reader in self._readers:
            reader.join(LOST_SECONDS)

    def send(self, number: int) -> None:
        """Send a signal to the process and to those that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    @property
    def status(self) -> int:
        """The exit status as a shell gives it."""
        code = self.process.returncode
        return 128 - code if code < 0 else code

    @property
    def end(self) -> str:
        """How the process ended, in words."""
        code = self.process.returncode
        if code >= 0:
            return f"ended with exit status {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "no name"
        return f"was killed by signal {-code} ({name})"


def _wait(workers: Sequence[Worker], told: Sequence[int]) -> Worker | None:
    """Until all have ended well, or one has not, which is returned, or a signal is in `told`."""
    left = list(workers)
    while left and not told:
        for worker in list(left):
            code = worker.process.poll()
            if code:
                # Others may have ended because of the one that was lost: that one was killed, they gave up.
                ended = [w for w in left if w.process.poll()]
                return next((w for w in ended if w.process.returncode < 0), worker)
            if code == 0:
                left.remove(worker)
        time.sleep(_LOOK)
    return None


def stop(workers: Sequence[Worker], seconds: float, number: int = signal.SIGTERM) -> None:
    """Ask all that still run to end; after `seconds`, or a second Ctrl-C, make them."""
    running = [worker for worker in workers if worker.process.poll() is None]
    for worker in running:
        worker.send(number)
    deadline = time.monotonic() + seconds
    for worker in running:
        try:
            worker.process.wait(max(deadline - time.monotonic(), 0.01))
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            deadline = 0.0
            worker.send(signal.SIGKILL)
            worker.process.wait()


@contextlib.contextmanager
def _told() -> Iterator[list[int]]:
    """Inside, SIGINT and SIGTERM are put into the list, so that whoever stops the launcher stops its
    processes. Nothing is raised: a process that is just being started would be left behind."""
    told: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield told
        return

    def note(number: int, frame: object) -> None:
        told.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
