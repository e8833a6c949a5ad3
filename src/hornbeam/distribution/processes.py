"""The processes of a distributed job, and what only the first of them does."""

from __future__ import annotations

import hashlib

import numpy as np

from hornbeam import random
from hornbeam._internal.terminal import print_wrapped
from hornbeam._internal.validation import check_int
from hornbeam.core.registry import exported
from hornbeam.engines import current_engine
from hornbeam.engines.mesh import Job, job_from_environment

__all__ = ["agreed", "initialize", "is_first", "join_job", "print_once", "slowest", "wait_for_all"]


@exported("keras.distribution")
def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Join a distributed job. All processes call it before anything else is computed.

    Without arguments the job is read from the environment: KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES
    and _PROCESS_ID, or the variables of `hornbeam launch` and torchrun (MASTER_ADDR, MASTER_PORT, WORLD_SIZE,
    RANK); on a TPU slice the engine detects it. `DataParallel` and `ModelParallel` join the job of the
    environment by themselves. Without a job this process computes alone.

    All processes draw the same random numbers afterwards: unless their states agree already, as after
    `set_random_seed`, the first process sends a seed to all.

    Args:
        job_addresses: "host:port" of the first process, or of all, joined by commas, of which the first
            counts.
        num_processes: Number of processes.
        process_id: Index of this process, from 0.

    Raises:
        ValueError: If arguments are missing or contradict each other.
        NotImplementedError: If the engine computes in one process only.
        RuntimeError: If something was computed before.

    Example:
        >>> hornbeam.distribution.initialize("10.0.0.1:1234", num_processes=2, process_id=0)  # doctest: +SKIP
    """
    if job_addresses is None and num_processes is None and process_id is None:
        job = job_from_environment()
        _join(Job() if job is None else job)
        return
    known = job_from_environment() or Job()
    addresses = [part.strip() for part in (job_addresses or known.address or "").split(",")]
    count = known.count if num_processes is None else check_int("num_processes", num_processes, 1)
    index = known.index if process_id is None else check_int("process_id", process_id, 0)
    if len(addresses) > 1 and count is not None and count != len(addresses):
        raise ValueError(f"job_addresses has {len(addresses)} processes, but num_processes is {count}")
    if count is None or index is None or not all(addresses[0].rpartition(":")[::2]):
        raise ValueError(
            "initialize() needs job_addresses='host:port', num_processes and process_id, as arguments or "
            f"from the environment; got {addresses[0] or None!r}, {count} and {index}"
        )
    if index >= count:
        raise ValueError(f"process_id counts from 0 to num_processes - 1 = {count - 1}, got {index}")
    if count > 1:
        _join(Job(addresses[0], count, index, known.local))


def join_job() -> None:
    """Join the job of the environment, if it has one that was not joined yet."""
    job = job_from_environment()
    if job is not None and current_engine().process[1] == 1:
        _join(job)


def _join(job: Job) -> None:
    current_engine().join(job)
    fingerprint = np.frombuffer(hashlib.sha256(_random_state()).digest()[:8], np.int32)
    if (current_engine().exchange(fingerprint) != fingerprint).any():
        seed = current_engine().exchange(np.array(random.make_default_seed(), np.int32))[0]
        random.set_random_seed(int(seed))


def _random_state() -> bytes:
    """Return the state on which the next random numbers depend."""
    return repr((random.default_state(), random.global_seed_generator().state.tolist())).encode()


# -- what only one process does ------------------------------------------------------------------------------


def is_first() -> bool:
    """Return whether this process prints and writes for all: the first of a job, or one without a job."""
    return current_engine().process[0] == 0


def wait_for_all() -> None:
    """Wait until all processes of the job have called this function."""
    agreed(True)


def print_once(text: str) -> None:
    """Print a text, once for all processes. Lines that do not fit the terminal break between words."""
    if is_first():
        print_wrapped(text, indent="  ")


def slowest(seconds: float) -> float:
    """Return the largest of all processes' times, in seconds."""
    engine = current_engine()
    return float(engine.exchange(np.array(seconds)).max()) if engine.process[1] > 1 else seconds


def agreed(good: bool) -> bool:
    """Return whether `good` is true in all processes of the job. Each waits for the others."""
    engine = current_engine()
    return bool(engine.exchange(np.array(good, np.int32)).all()) if engine.process[1] > 1 else good
