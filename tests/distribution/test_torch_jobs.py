"""The scenarios of job.py on the torch engine: 2 processes of `hornbeam launch` beside one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_jobs import run, same

pytest.importorskip("torch")

TORCH = {"HORNBEAM_ENGINE": "torch:cpu", "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One process."""
    folder = tmp_path_factory.mktemp("alone")
    found = run(folder, "arrays", "stream", "in_order", "backed_up", BACKUP=str(folder), **TORCH)
    return {name: values[0] for name, values in found.items()}


def test_two_processes_train_as_one(alone: dict[str, Any], tmp_path: Path) -> None:
    """Streams, hints where a layer's result is, backups that one process writes."""
    names = ["data_parallel", "data_parallel_stream", "model_parallel", "sharded_state", "own_data"]
    found = run(tmp_path, *names, "backed_up", processes=2, BACKUP=str(tmp_path), **TORCH)
    for process in range(2):
        for name in names[:-1]:
            same(found[name][process], alone["stream" if name.endswith("stream") else "arrays"])
        same(found["backed_up"][process], alone["backed_up"])
    assert (tmp_path / "log.csv").read_text().count("\n") == 5
    for name in ("loss", "evaluated"):
        np.testing.assert_allclose(found["own_data"][0][name], alone["in_order"][name], rtol=2e-5)
