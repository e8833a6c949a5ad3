"""Graphs that the torch engine compiles: the same results, by a rule that the graph alone decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers
from hornbeam.engines import installed
from tests.helpers.builders import compiled_model

pytestmark = pytest.mark.skipif("torch" not in installed(), reason="needs PyTorch")
RNG = np.random.default_rng(0)


def trained(monkeypatch: pytest.MonkeyPatch, wish: str) -> tuple[list[float], np.ndarray]:
    monkeypatch.setenv("HORNBEAM_TORCH_COMPILE", wish)
    hornbeam.engines.get_engine("torch")._executables.clear()
    hornbeam.utils.set_random_seed(3)
    model = compiled_model(
        (6,), [layers.Dense(8, "tanh"), layers.Dropout(0.5), layers.Dense(2)], "adam", "mse"
    )
    x, y = np.random.default_rng(1).normal(size=(2, 32, 6)).astype("float32")
    result = model.fit(x, y[:, :2], batch_size=8, epochs=3, verbose=0, engine="torch").history["loss"]
    return result, model.predict(x, verbose=0, engine="torch")


@pytest.mark.slow
def test_compiled_steps_give_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from hornbeam.engines.torch import TorchExecutable

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    result: list[Any] = []
    compile_one = TorchExecutable._compile
    monkeypatch.setattr(
        TorchExecutable, "_compile", lambda *inputs: (result.append(inputs), compile_one(*inputs))
    )
    plain = trained(monkeypatch, "0")
    assert not result
    compiled = trained(monkeypatch, "1")
    assert any(executable._program is not None for executable, _ in result)
    np.testing.assert_allclose(compiled[0], plain[0], rtol=1e-5)
    np.testing.assert_allclose(compiled[1], plain[1], rtol=1e-5, atol=1e-6)


def test_what_cannot_be_compiled_is_said_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import hornbeam.engines.torch as engine

    def fails(*inputs: Any) -> Any:
        raise RuntimeError("no compiler today")

    plain = trained(monkeypatch, "0")
    monkeypatch.setattr(engine, "compiled", fails)
    with pytest.warns(UserWarning, match=r"no compiler today.*HORNBEAM_TORCH_COMPILE=0"):
        assert trained(monkeypatch, "1")[0] == plain[0]


def test_the_graph_decides_when(monkeypatch: pytest.MonkeyPatch) -> None:
    from hornbeam.core.jit import trace_function
    from hornbeam.engines.torch.compiling import runs_before
    from hornbeam.ir.types import TensorType

    def runs(fn: Any) -> float:
        return runs_before(trace_function(fn, [TensorType((64, 64), "float32")]).graph)

    monkeypatch.delenv("HORNBEAM_TORCH_COMPILE", raising=False)
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    short, long = runs(lambda x: x + 1), runs(lambda x: x @ x @ x + 1)
    assert 0 < long < short < float("inf")
    assert short == runs(lambda x: x + 1)
    looped = lambda x: hornbeam.ops.fori_loop(0, 3, lambda i, y: y * 2, x)  # noqa: E731
    assert runs(looped) == float("inf")
    monkeypatch.setenv("HORNBEAM_TORCH_COMPILE", "1")
    assert runs(lambda x: x + 1) == 0
    assert runs(looped) == float("inf")
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert runs(lambda x: x + 1) == float("inf")
    monkeypatch.setenv("HORNBEAM_TORCH_COMPILE", "often")
    with pytest.raises(ValueError, match="often"):
        runs(lambda x: x + 1)
