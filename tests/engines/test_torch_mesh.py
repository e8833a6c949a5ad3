"""The torch engine on a mesh: jobs of 2 and 4 processes train as one process does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

Results = list[dict[str, np.ndarray]]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def run_job(folder: Path, scenario: str, count: int, *more: str) -> Results:
    """What each process of a job has seen."""
    script, port = Path(__file__).with_name("mesh_job.py"), free_port()
    environment = {**os.environ, "HORNBEAM_ENGINE": "torch:cpu", "OMP_NUM_THREADS": "1"}
    if count > 1:
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(count)}
    name = folder / f"{scenario}-{count}"
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), scenario, str(name), *more],
            env={**environment, **({"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    for process, error in zip(processes, errors, strict=True):
        assert process.returncode == 0, error[-3000:]
    found = []
    for rank in range(count):
        with np.load(f"{name}-{rank}.npz") as file:
            found.append(dict(file))
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def alone(folder: Path) -> dict[str, np.ndarray]:
    return run_job(folder, "none", 1)[0]


def compare(expected: dict[str, np.ndarray], results: Results) -> None:
    """All processes have what one process has, and the same bits as each other."""
    for name, value in results[0].items():
        if name == "held":
            continue
        np.testing.assert_allclose(value, expected[name], rtol=2e-4, atol=2e-5, err_msg=name)
        for other in results[1:]:
            np.testing.assert_array_equal(other[name], value, err_msg=name)


@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("scenario", ["data", "rows", "columns"])
def test_a_job_trains_as_one_process_does(
    folder: Path, alone: dict[str, np.ndarray], scenario: str, count: int
) -> None:
    results = run_job(folder, scenario, count)
    compare(alone, results)
    if scenario == "data":
        assert results[0]["held"] == alone["held"]
    if scenario == "rows":  # but for first/kernel, batch normalization and what belongs to them
        assert results[0]["held"] < alone["held"] * (1 / count + 0.08)


def test_each_process_with_data_of_its_own(folder: Path) -> None:
    compare(run_job(folder, "none", 1, "in order")[0], run_job(folder, "own", 2))
