"""Programs for official Keras give the same results on Hornbeam's backend as on JAX's."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("keras", "jax")), reason="needs Keras and JAX"
)

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "helpers" / "keras_backend_programs.py"
NAMES = {
    "dense", "convolutional", "recurrent", "attention", "optimizer_states", "custom_layer", "callbacks",
    "control_flow", "quantized", "shuffled",
}  # fmt: skip


def start(backend: str, path: Path) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "PYTHONPATH": str(ROOT / "src"),
        "JAX_PLATFORMS": "cpu",
    }
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(path)], env=environment, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.long
def test_results_are_those_of_jax(tmp_path: Path) -> None:
    """One test for all programs: imports and compilations of JAX are most of the time."""
    children = {name: start(name, tmp_path / f"{name}.npz") for name in ("hornbeam", "jax")}
    for child in children.values():
        _, error = child.communicate()
        assert child.returncode == 0, error[-3000:]
    here, expected = (dict(np.load(tmp_path / f"{name}.npz")) for name in children)
    assert {key.partition("/")[0] for key in expected} == NAMES
    for key, value in expected.items():
        rough = "rough" in key  # in bfloat16
        np.testing.assert_allclose(
            here[key], value, rtol=2e-2 if rough else 1e-3, atol=1e-2 if rough else 1e-4, err_msg=key
        )
    assert float(here["own_train_step/difference"]) == 0
    assert float(here["masked_sequences/difference"]) < 1e-5
    assert float(here["attention_dropout/difference"]) < 1e-5
