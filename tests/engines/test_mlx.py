"""The mlx engine: devices, buffers that NumPy reads in place, compiled steps, and the script for Macs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable

import numpy as np
import pytest

import hornbeam
import hornbeam.primitives as p
from hornbeam.engines import Engine, get_engine
from hornbeam.ir.graph import Graph
from hornbeam.ir.node import placeholder
from hornbeam.ir.types import TensorType
from tests.helpers.host_models import convnet, data, reader, residual, transformer
from tests.helpers.installed import engine_or_skip
from tests.helpers.paths import ROOT


@pytest.fixture
def mlx() -> Engine:
    return engine_or_skip("mlx")


def running_sum() -> Graph:
    """The graph (total, rows) -> (total + rows, 2 * total)."""
    total, rows = placeholder(TensorType((2,), "float32"), 0), placeholder(TensorType((2,), "float32"), 1)
    return Graph([total, rows], [total + rows, total * 2.0])


@pytest.mark.parametrize("device", ["tpu", "cpu:7"])
def test_refuses_devices_that_are_not_there(mlx: Engine, device: str) -> None:
    with pytest.raises(RuntimeError, match=device):
        get_engine(f"mlx:{device}")


def test_numpy_reads_results_without_a_copy(mlx: Engine) -> None:
    buffer = mlx.put(np.arange(4, dtype="float32"))
    array = mlx.get(buffer)
    assert np.shares_memory(array, np.asarray(buffer))
    assert not array.flags.writeable
    assert mlx.borrow(buffer) is buffer


def test_float64_keeps_its_digits_in_normalizations(mlx: Engine) -> None:
    x, gamma = placeholder(TensorType((2, 8), "float64"), 0), placeholder(TensorType((8,), "float64"), 1)
    graph = Graph([x, gamma], [p.rms_norm(x, gamma, epsilon=1e-5)])
    values, ones = np.linspace(-1, 1, 16).reshape(2, 8), np.ones(8)
    result = mlx.get(mlx.executable(graph).run([mlx.put(values), mlx.put(ones)])[0])
    exact = values / np.sqrt((values**2).mean(1, keepdims=True) + 1e-5)
    np.testing.assert_allclose(np.asarray(result), exact, rtol=1e-14)


@pytest.mark.parametrize("build", [convnet, reader, residual, transformer])
def test_trains_as_the_native_engine_does(mlx: Engine, build: Callable[[], hornbeam.Model]) -> None:
    hornbeam.utils.set_random_seed(3)
    model = build()
    # Adam would divide the rounding errors of gradients that are 0, as of a bias before a normalization.
    model.compile(hornbeam.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    x, y = data(build, np.random.default_rng(0))
    _, result = hornbeam.compare_engines(model, x, y, steps=20, engines=["native", "mlx"])
    assert len(set(result.losses)) == 20
    assert result.loss_difference < 1e-4
    assert 0 < result.weight_difference < 1e-4


@pytest.mark.skipif(not shutil.which("g++"), reason="MLX compiles with g++ on CPUs")
def test_compiled_steps_compute_what_others_do(monkeypatch: pytest.MonkeyPatch, mlx: Engine) -> None:
    monkeypatch.setenv("HORNBEAM_MLX_COMPILE", "1")
    state, data = mlx.put(np.zeros(2, "float32")), mlx.put(np.arange(6, dtype="float32"))
    executable = mlx.compile(running_sum())
    state, logs = executable.run_steps([state], [data], np.array([[0, 1], [2, 3], [4, 5]]))
    np.testing.assert_array_equal(mlx.get(state[0]), [6, 9])
    np.testing.assert_array_equal(mlx.get(logs[0]), [[0, 0], [0, 2], [4, 8]])


def test_says_what_the_setting_may_be(monkeypatch: pytest.MonkeyPatch, mlx: Engine) -> None:
    monkeypatch.setenv("HORNBEAM_MLX_COMPILE", "yes")
    with pytest.raises(ValueError, match="HORNBEAM_MLX_COMPILE must be 0, 1 or auto, got 'yes'"):
        mlx.compile(running_sum())


def test_the_script_for_macs_is_correct_shell() -> None:
    if not shutil.which("bash"):
        pytest.skip("needs bash")
    subprocess.run(["bash", "-n", str(ROOT / "tools" / "try_on_mac.sh")], check=True)
