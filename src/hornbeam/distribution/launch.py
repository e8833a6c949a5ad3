"""`hornbeam launch`: run a script in several processes of one job.

Each process gets the environment variables of torchrun: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE,
MASTER_ADDR and MASTER_PORT, which `hornbeam.distribution` reads.
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

from hornbeam import _native

# Seconds that processes get to stop: after another one was lost, for which they may wait, and after a signal
# of the user, when they may write a checkpoint. And the interval of polling.
LOST_SECONDS = 3.0
USER_SECONDS = 30.0
_POLL_SECONDS = 0.05


def launch(
    command: Sequence[str],
    processes: int,
    *,
    machines: int = 1,
    machine: int = 0,
    address: str | None = None,
    engine: str | None = None,
) -> int:
    """Run a command in several processes on this machine.

    Lines of output begin with the rank of the process. When a process fails, the others are stopped and a
    message tells which one failed and how.

    Args:
        command: Program and arguments.
        processes: Number of processes on this machine.
        machines: Number of machines that run the job.
        machine: Index of this machine.
        address: "host:port" of the coordinator on machine 0, by default a free port of this machine.
        engine: HORNBEAM_ENGINE of all processes.

    Returns:
        Exit status of the job: that of the process that failed, or 128 plus the number of the signal.

    Raises:
        ValueError: For several machines without an address, and on Windows.
    """
    if os.name == "nt":
        raise ValueError("hornbeam launch works on Linux and macOS only")
    if machines > 1 and address is None:
        raise ValueError("several machines need --address HOST:PORT of the first one")
    host, _, port = (address or f"127.0.0.1:{_free_port()}").rpartition(":")
    shared = {"MASTER_ADDR": host, "MASTER_PORT": port, "WORLD_SIZE": str(processes * machines)}
    shared |= {"LOCAL_WORLD_SIZE": str(processes), "PYTHONUNBUFFERED": "1"}
    shared["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS") or str(
        max(_native.available_cpus() // processes, 1)
    )
    if engine:
        shared["HORNBEAM_ENGINE"] = engine
    first = machine * processes
    workers: list[Worker] = []
    try:
        with _recorded_signals() as signals:  # from the first process on: none may be left behind
            for n in range(processes):
                local = {"RANK": str(first + n), "LOCAL_RANK": str(n)}
                workers.append(Worker(command, first + n, {**shared, **local}))
            failed = _wait(workers, signals)
        if signals:
            stop(workers, USER_SECONDS, signals[0])
            return 128 + signals[0]
    finally:
        stop(workers, LOST_SECONDS)
    for worker in workers:
        worker.finish()
    if failed is None:
        return 0
    others = "; the others were stopped" if processes * machines > 1 else ""
    print(
        f"hornbeam launch: process {failed.rank} {failed.end}{others}. The training since the last "
        "backup is lost. With the callback BackupAndRestore(folder) the same command resumes from it, "
        "with any number of processes.",
        file=sys.stderr,
    )
    return failed.status


class Worker:
    """One process, whose output is copied line by line."""

    def __init__(self, command: Sequence[str], rank: int, environment: Mapping[str, str]) -> None:
        self.rank = rank
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # so that its own children are stopped with it
        )
        pairs = [(self.process.stdout, sys.stdout), (self.process.stderr, sys.stderr)]
        self._readers = [threading.Thread(target=self._copy, args=pair, daemon=True) for pair in pairs]
        for reader in self._readers:
            reader.start()

    def _copy(self, source: BinaryIO, target: TextIO) -> None:
        for line in source:
            text = line.decode(errors="replace").rstrip("\n")
            # One write per line: print() makes two, between which another process may write.
            target.write(f"[{self.rank}] {text}\n")
            target.flush()

    def finish(self) -> None:
        """Copy the rest of the output."""
        for reader in self._readers:
            reader.join(LOST_SECONDS)

    def send(self, number: int) -> None:
        """Send a signal to the process and its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    @property
    def status(self) -> int:
        """Exit status as in a shell."""
        code = self.process.returncode
        return 128 - code if code < 0 else code

    @property
    def end(self) -> str:
        """Description of the process's end."""
        code = self.process.returncode
        if code >= 0:
            return f"ended with exit status {code}"
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "no name"
        return f"was killed by signal {-code} ({name})"


def _wait(workers: Sequence[Worker], signals: Sequence[int]) -> Worker | None:
    """Wait until all succeed, one fails (which is returned), or a signal arrives."""
    running = list(workers)
    while running and not signals:
        for worker in list(running):
            code = worker.process.poll()
            if code:
                # Others may have failed because of the one that was lost: prefer one that was killed.
                ended = [w for w in running if w.process.poll()]
                return next((w for w in ended if w.process.returncode < 0), worker)
            if code == 0:
                running.remove(worker)
        time.sleep(_POLL_SECONDS)
    return None


def stop(workers: Sequence[Worker], seconds: float, number: int = signal.SIGTERM) -> None:
    """Send a signal to all running processes; kill them after `seconds`, or at a second Ctrl-C."""
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
def _recorded_signals() -> Iterator[list[int]]:
    """Record SIGINT and SIGTERM in a list, so that stopping the launcher stops its processes.

    Nothing is raised: a process that is just being started would be left behind.
    """
    signals: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield signals
        return

    def record(number: int, frame: object) -> None:
        signals.append(number)

    before = {number: signal.signal(number, record) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield signals
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
