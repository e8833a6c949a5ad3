"""The torch engine on a mesh: jobs of 2 and 4 processes train as one process does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import distribution
from hornbeam.engines.mesh import Job, Mesh
from tests.helpers.builders import compiled_model
from tests.helpers.paths import HELPERS

pytest.importorskip("torch")

JOB = HELPERS / "mesh_job.py"
Results = list[dict[str, np.ndarray]]


def free_port() -> int:
    with socket.socket() as connection:
        connection.bind(("127.0.0.1", 0))
        return int(connection.getsockname()[1])


def run_job(folder: Path, count: int, *scenarios: str) -> dict[str, Results]:
    """Of each scenario what each process of a job has seen."""
    folder.mkdir()
    environment = {**os.environ, "HORNBEAM_ENGINE": "torch:cpu", "OMP_NUM_THREADS": "1"}
    if count > 1:
        environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": str(count)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(JOB), str(folder), *scenarios],
            env={**environment, **({"RANK": str(rank), "LOCAL_RANK": str(rank)} if count > 1 else {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    for process, error in zip(processes, errors, strict=True):
        assert process.returncode == 0, error[-3000:]
    return {name: [load(folder / f"{name}-{rank}.npz") for rank in range(count)] for name in scenarios}


def load(path: Path) -> dict[str, np.ndarray]:
    with np.load(path) as file:
        return dict(file)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    folder = tmp_path_factory.mktemp("alone") / "found"
    return {
        name: result for name, (result,) in run_job(folder, 1, "alone", "ordered", "alone_tokens").items()
    }


def compare(expected: dict[str, np.ndarray], results: Results) -> None:
    """All processes have what one process has, and the same bits as each other."""
    for name, value in results[0].items():
        if name == "held":
            continue
        np.testing.assert_allclose(value, expected[name], rtol=2e-5, atol=5e-6, err_msg=name)
        for other in results[1:]:
            np.testing.assert_array_equal(other[name], value, err_msg=name)


@pytest.mark.parametrize("count", [2, 4])
def test_a_job_trains_as_one_process_does(
    alone: dict[str, dict[str, np.ndarray]], count: int, tmp_path: Path
) -> None:
    """The same weights in all processes, large ones in pieces, columns in pieces; data of their own; devices
    in another order than processes."""
    result = run_job(
        tmp_path / "found", count, "data", "rows", "columns", "own", "data_tokens", "rows_tokens", "backwards"
    )
    for name, results in result.items():
        like = "ordered" if name == "own" else "alone_tokens" if name.endswith("tokens") else "alone"
        compare(alone[like], results)
    assert result["data"][0]["held"] == alone["alone"]["held"]
    # All but the first kernel, batch normalization and what belongs to them is in pieces.
    assert result["rows"][0]["held"] < alone["alone"]["held"] * (1 / count + 0.08)


def test_a_mesh_of_one_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hb.engines, "_chosen", [hb.engines.get_engine("torch:cpu")])
    results = []
    for placed in (False, True):
        distribution.set_distribution(distribution.DataParallel() if placed else None)
        try:
            hb.utils.set_random_seed(1)
            model = compiled_model(
                (4,), [hb.layers.Dense(3), hb.layers.Dropout(0.5), hb.layers.Dense(1)], "sgd", "mse"
            )
            x = np.random.default_rng(0).normal(size=(24, 4)).astype("float32")
            history = model.fit(x, x[:, :1], batch_size=8, epochs=2, verbose=0)
            results.append([*history.history["loss"], *(w.sum() for w in model.get_weights())])
        finally:
            distribution.set_distribution(None)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-6)


def test_a_mesh_needs_a_process_for_each_device() -> None:
    with pytest.raises(ValueError, match=r"one device of each process.*hornbeam launch --nproc 2"):
        hb.engines.get_engine("torch:cpu").on_mesh(Mesh((2,), ("batch",), ("cpu:0", "cpu:1"), "batch"))


def test_a_job_without_a_name() -> None:
    with pytest.raises(ValueError, match="hornbeam launch"):
        hb.engines.get_engine("torch:cpu").join(Job())
