"""Signs of life of the training of an unfinished run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROC = Path("/proc")
# Seconds without a sign of life, and multiples of the longest epoch, after which a training counts as dead.
_SILENCE, _EPOCHS = 300.0, 3.0


def this_process() -> dict[str, Any] | None:
    """Return what tells this process from all others, None where the system does not say it.

    A number of a process is used again after its end, and each container has numbers of its own. So the time
    of its start belongs to it, and the machine is one boot and one space of numbers.
    """
    try:
        return {"pid": os.getpid(), "started": _start(os.getpid()), "machine": _machine()}
    except (OSError, ValueError, IndexError):  # no Linux
        return None


def is_alive(process: object) -> bool | None:
    """Return whether a recorded process still runs, None if that cannot be known from here."""
    if not isinstance(process, Mapping) or not isinstance(process.get("pid"), int):
        return None
    try:
        if process.get("machine") != _machine():
            return None
        return _start(process["pid"]) == process.get("started")
    except FileNotFoundError:
        return False
    except (OSError, ValueError, IndexError):
        return None


def is_lost(process: object, silence: float, longest_epoch: float) -> bool:
    """Return whether a training that did not report its end does not go on either.

    Args:
        process: What `this_process` returned in the training.
        silence: Seconds since it wrote something.
        longest_epoch: Seconds of its longest epoch.
    """
    return is_alive(process) is False or silence > max(_SILENCE, _EPOCHS * longest_epoch)


def _start(pid: int) -> int:
    """Return when a process began, in ticks since the boot. The name before it may contain anything."""
    return int((_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()[19])


def _machine() -> str:
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {os.readlink(_PROC / 'self/ns/pid')}"
