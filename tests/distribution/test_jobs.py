"""Training on several devices and in several processes, beside the same on one device.

Each job runs job.py in processes of its own: how many devices JAX has is settled when it starts.
"""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from tests.helpers.paths import HELPERS

JOB = HELPERS / "distribution_job.py"
SOURCES = Path(hornbeam.__file__).parents[1]

pytestmark = [pytest.mark.posix, pytest.mark.long]
# Sums over a batch are made in another order.
CLOSE = {"rtol": 2e-5, "atol": 2e-6}


@pytest.fixture(scope="module", params=["jax", "torch"])
def engine(request: pytest.FixtureRequest) -> str:
    """The engines that run in several processes, if they are installed."""
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


def start(
    engine: str, folder: Path, *scenarios: str, processes: int = 1, devices: int = 1, **variables: str
) -> subprocess.Popen[str]:
    """A job, begun."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("KERAS_")}
    environment |= {"PYTHONPATH": str(SOURCES), "HORNBEAM_ENGINE": engine, "JAX_PLATFORMS": "cpu"}
    environment |= {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}", **variables}
    launch = ["-m", "hornbeam", "launch", "--nproc", str(processes)] if processes > 1 else []
    return subprocess.Popen(
        [sys.executable, *launch, str(JOB), str(folder), *scenarios],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(engine: str, folder: Path, *scenarios: str, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """A job, done: of each scenario what each process found."""
    job = start(engine, folder, *scenarios, **options)
    out, err = job.communicate(timeout=300)
    assert job.returncode == 0, f"{out}\n{err}"
    processes = options.get("processes", 1)
    return {
        name: [json.loads(Path(folder, f"{name}-{rank}.json").read_text()) for rank in range(processes)]
        for name in scenarios
    }


@pytest.fixture(scope="module")
def alone(engine: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One process on one device."""
    folder = tmp_path_factory.mktemp("alone")
    result = run(engine, folder, "arrays", "stream", "in_order", "backed_up", BACKUP=str(folder))
    assert (folder / "log.csv").read_text().count("\n") == 5
    return {name: values[0] for name, values in result.items()}


def same(actual: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert set(actual) == set(wanted)
    for name, value in actual.items():
        np.testing.assert_allclose(value, wanted[name], **CLOSE, err_msg=name)


def test_eight_devices_train_as_one(engine: str, alone: dict[str, Any], tmp_path: Path) -> None:
    if engine == "torch":
        pytest.skip("the torch engine has one device a process")
    result = run(engine, tmp_path, "data_parallel", "model_parallel", devices=8)
    for values in result.values():
        same(values[0], alone["arrays"])


def test_two_processes_train_as_one(engine: str, alone: dict[str, Any], tmp_path: Path) -> None:
    names = ["data_parallel_stream", "sharded_state", "own_data"]
    actual = run(engine, tmp_path, *names, processes=2)
    own = actual.pop("own_data")
    for name, values in actual.items():
        for value in values:
            same(value, alone["stream" if name.endswith("stream") else "arrays"])
    for value in own:
        wanted = alone["in_order"]
        np.testing.assert_allclose(value["loss"], wanted["loss"], **CLOSE)
        np.testing.assert_allclose(value["evaluated"], wanted["evaluated"], **CLOSE)
        assert "they have 20, 21 samples" in value["refused"][0]
        assert "run_eagerly" in value["refused"][1]
        np.testing.assert_allclose(value["own"], np.array(wanted["own"])[value["rows"]], **CLOSE)
    assert sorted(own[0]["rows"] + own[1]["rows"]) == alone["in_order"]["rows"]


@pytest.mark.slow
def test_four_processes_of_two_devices_train_as_one(
    engine: str, alone: dict[str, Any], tmp_path: Path
) -> None:
    names = ["data_parallel", "data_parallel_stream", "model_parallel", "sharded_state"]
    result = run(engine, tmp_path, *names, processes=4, devices=2)  # on torch of one device each
    for name, values in result.items():
        for value in values:
            same(value, alone["stream" if name.endswith("stream") else "arrays"])


@pytest.mark.parametrize(("before", "after"), [(2, 1), pytest.param(1, 4, marks=pytest.mark.slow)])
def test_a_backup_goes_on_in_another_number_of_processes(
    engine: str, before: int, after: int, alone: dict[str, Any], tmp_path: Path
) -> None:
    wanted, backup = alone["backed_up"], tmp_path / "backup"
    backup.mkdir()
    first = start(engine, tmp_path, "backed_up", processes=before, BACKUP=str(backup), STOP_AFTER="2")
    out, err = first.communicate(timeout=300)
    assert first.returncode == 0, err
    if before > 1:
        written = [line for line in out.splitlines() if "loss" in line]
        assert written
        assert all(line.startswith("[0] ") for line in written)
    names = ["1.keras", "2.keras", "latest.weights.h5", "log.csv"]
    assert sorted(path.name for path in backup.iterdir()) == names
    actual = run(engine, tmp_path, "backed_up", processes=after, BACKUP=str(backup))["backed_up"]
    for value in actual:
        assert value["epochs"] == [0, 1, 2, 3]
        same(value, wanted)
    assert (backup / "log.csv").read_text().count("\n") == 5


def test_a_lost_process_ends_the_job_and_the_backup_goes_on(engine: str, tmp_path: Path) -> None:
    job = start(engine, tmp_path, "endless", processes=2, BACKUP=str(tmp_path))
    backup = tmp_path / "backup" / "latest.weights.h5"
    deadline = time.monotonic() + 120
    while not backup.exists() and time.monotonic() < deadline and job.poll() is None:
        time.sleep(0.1)
    assert backup.exists(), job.communicate()[1] if job.poll() is not None else "no backup"
    pids = [int((tmp_path / f"pid-{rank}").read_text()) for rank in range(2)]
    os.kill(pids[1], signal.SIGKILL)
    killed = time.monotonic()
    _, err = job.communicate(timeout=60)
    assert time.monotonic() - killed < 10
    assert job.returncode == 128 + signal.SIGKILL
    assert "process 1 was killed by signal 9 (SIGKILL); the others were stopped" in err
    assert "BackupAndRestore" in err
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    result = run(engine, tmp_path, "endless", BACKUP=str(tmp_path), EPOCHS="2")["endless"][0]
    assert result["epochs"] == list(range(len(result["epochs"])))
    assert len(result["epochs"]) > 2


def test_an_error_of_one_process_ends_the_job(engine: str, tmp_path: Path) -> None:
    job = start(engine, tmp_path, "failing", processes=2)
    began = time.monotonic()
    _, err = job.communicate(timeout=120)
    assert time.monotonic() - began < 50
    assert job.returncode == 1
    said = next(line for line in err.splitlines() if "KeyError: 'only here'" in line)
    assert said.startswith("[1] ")
    assert "process 1 ended with exit status 1" in err
