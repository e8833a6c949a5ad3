"""The processes that compute together, and what only the first of them does."""

from __future__ import annotations

import hashlib

import numpy as np

from hornbeam import random
from hornbeam._internal.validation import check_int
from hornbeam.core.registry import exported
from hornbeam.engines import current_engine
from hornbeam.engines.mesh import Job, job_of

__all__ = ["agreed", "initialize", "is_first", "join_job", "say", "slowest", "wait_for_all"]


@exported("keras.distribution")
def initialize(
    job_addresses: str | None = None, num_processes: int | None = None, process_id: int | None = None
) -> None:
    """Compute together with the other processes of a job. All call it before anything else is computed.

    job_addresses: "host:port" of the first process, or those of all, joined by commas; the first counts.
    num_processes: how many there are; process_id: the number of this one, from 0. Without arguments the
    environment says it: KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and _PROCESS_ID, or what
    `hornbeam launch` and torchrun set (MASTER_ADDR, MASTER_PORT, WORLD_SIZE, RANK); on a TPU slice the
    engine finds out by itself. A `DataParallel` or `ModelParallel` joins the job of the environment without
    being told. Where nothing names a job this process computes alone.

    The processes draw the same random numbers from here on: unless they agree already, as after
    `set_random_seed`, the first one gives a seed to all.

    Raises ValueError for arguments that are incomplete or do not fit, NotImplementedError on engines that
    compute in one process, RuntimeError if it is too late.

    >>> hornbeam.distribution.initialize("10.0.0.1:1234", num_processes=2, process_id=0)  # doctest: +SKIP
    """
    if job_addresses is None and num_processes is None and process_id is None:
        job = job_of()
        _join(Job() if job is None else job)
        return
    known = job_of() or Job()
    addresses = [part.strip() for part in (job_addresses or known.address or "").split(",")]
    count = known.count if num_processes is None else check_int("num_processes", num_processes, 1)
    index = known.index if process_id is None else check_int("process_id", process_id, 0)
    if len(addresses) > 1 and count is not None and count != len(addresses):
        raise ValueError(f"job_addresses names {len(addresses)} processes, num_processes is {count}")
    if count is None or index is None or not all(addresses[0].rpartition(":")[::2]):
        raise ValueError(
            "initialize() needs job_addresses='host:port', num_processes and process_id, here or from the "
            f"environment; known are {addresses[0] or None!r}, {count} and {index}"
        )
    if index >= count:
        raise ValueError(f"process_id counts from 0 to num_processes - 1 = {count - 1}, got {index}")
    if count > 1:
        _join(Job(addresses[0], count, index, known.local))


def join_job() -> None:
    """Join the job that the environment names, if it does and that has not been done."""
    job = job_of()
    if job is not None and current_engine().process[1] == 1:
        _join(job)


def _join(job: Job) -> None:
    current_engine().join(job)
    fingerprint = np.frombuffer(hashlib.sha256(_state_of_chance()).digest()[:8], np.int32)
    if (current_engine().exchange(fingerprint) != fingerprint).any():
        seed = current_engine().exchange(np.array(random.make_default_seed(), np.int32))[0]
        random.set_random_seed(int(seed))


def _state_of_chance() -> bytes:
    """What the next random numbers depend on."""
    return repr((random.default_state(), random.global_seed_generator().state.tolist())).encode()


# -- what only one process does ------------------------------------------------------------------------------


def is_first() -> bool:
    """Whether this process prints and writes for all: the first of a job, or one without a job."""
    return current_engine().process[0] == 0


def wait_for_all() -> None:
    """Go on when all processes of the job have come here."""
    agreed(True)


def say(text: str) -> None:
    """`print`, once for all processes."""
    if is_first():
        print(text)


def slowest(seconds: float) -> float:
    """How long the slowest process took."""
    engine = current_engine()
    return float(engine.exchange(np.array(seconds)).max()) if engine.process[1] > 1 else seconds


def agreed(good: bool) -> bool:
    """Whether all processes of the job came here with something good. Each waits for the others."""
    engine = current_engine()
    return bool(engine.exchange(np.array(good, np.int32)).all()) if engine.process[1] > 1 else good
