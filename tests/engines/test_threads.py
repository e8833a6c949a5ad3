"""Threads of the native engine by default: variables, affinity, quotas of containers."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hornbeam import _native

COUNT = "from hornbeam import _native; print(_native.threads(), _native.available_cpus())"
linux = pytest.mark.skipif(sys.platform != "linux", reason="affinity and quotas are Linux's")


def counts(before: str = "", **environment: str) -> list[int]:
    """The threads and the available CPUs of a new process."""
    inherited = {k: v for k, v in os.environ.items() if not k.endswith("_THREADS")}
    command = [sys.executable, "-c", f"{before}\n{COUNT}"]
    done = subprocess.run(command, env={**inherited, **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [int(n) for n in done.stdout.split()]


@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({"OMP_NUM_THREADS": "3"}, 3),
        ({"OMP_NUM_THREADS": "3,2"}, 3),
        ({"HORNBEAM_THREADS": "5", "OMP_NUM_THREADS": "3"}, 5),
        ({"HORNBEAM_THREADS": "0", "OMP_NUM_THREADS": "3"}, 3),
    ],
)
def test_variables(variables: dict[str, str], threads: int) -> None:
    assert counts(**variables) == [threads, _native.available_cpus()]


def test_other_values_of_variables_are_ignored() -> None:
    assert counts(HORNBEAM_THREADS="many", OMP_NUM_THREADS="-1") == counts()


@linux
def test_affinity() -> None:
    cpu = min(os.sched_getaffinity(0))
    assert counts(f"import os; os.sched_setaffinity(0, [{cpu}])") == [1, 1]


@pytest.fixture
def quota() -> Iterator[Path]:
    """A control group that may use one CPU, of version 1 or 2; processes enter it by its cgroup.procs."""
    for root, limits in (
        ("/sys/fs/cgroup/cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "100000"}),
        ("/sys/fs/cgroup", {"cpu.max": "100000 100000"}),
    ):
        group = Path(root, f"hornbeam-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            for name, value in limits.items():
                (group / name).write_text(value)
            yield group
            return
        except OSError:
            continue
        finally:
            group.rmdir()
    pytest.skip("this user cannot limit the processor time of a group")


@linux
def test_quota_of_a_container(quota: Path) -> None:
    assert counts(f"open({str(quota / 'cgroup.procs')!r}, 'w').write('0')") == [1, 1]
