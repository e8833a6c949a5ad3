"""ONNX Runtime's providers as devices: which exist, what is handed to them, what is said without them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import engines

onnxruntime = pytest.importorskip("onnxruntime", reason="an optional dependency")
module = pytest.importorskip("hornbeam.engines.onnxruntime")

X = np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Providers that claim to be installed; sessions run on the CPU, and record what they were given."""
    recorded: list[dict[str, Any]] = []
    create = onnxruntime.InferenceSession

    def session(model: bytes, options: Any, providers: list[str], **settings: Any) -> Any:
        recorded.append({"model": model, "providers": providers})
        return create(model, options, providers=["CPUExecutionProvider"], **settings)

    names = [provider for provider, _ in module.PROVIDERS.values()]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [*names, "CPUExecutionProvider"])
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    return recorded


@pytest.mark.parametrize("device", list(module.PROVIDERS))
def test_a_provider_computes_and_the_cpu_takes_the_rest(device: str, sessions: list[dict[str, Any]]) -> None:
    onnx = pytest.importorskip("onnx", reason="an optional dependency")
    inputs = hb.Input((4,))
    model = hb.Model(inputs, hb.layers.Dense(2, activation="relu")(inputs))
    expected = model.predict(X, verbose=0)
    with engines.using(f"onnxruntime:{device}"):
        np.testing.assert_allclose(model.predict(X, verbose=0), expected, rtol=1e-6)
        model.compile("adam", "mse")
        model.fit(X, expected, verbose=0)
    assert len(sessions) >= 2
    for session in sessions:
        assert session["providers"] == [module.PROVIDERS[device][0], "CPUExecutionProvider"]
        # What packages with providers know, which are released later.
        proto = onnx.load_from_string(session["model"])
        assert (proto.opset_import[0].version, proto.ir_version) == (20, 9)


def test_the_placement_lists_nodes_by_provider() -> None:
    engine = engines.get_engine("onnxruntime")
    assert isinstance(engine, module.OrtEngine)
    inputs = hb.Input((4,))
    model = hb.Model(inputs, hb.layers.Dense(2, activation="relu")(inputs))
    before = engine.placement().get("CPUExecutionProvider", Counter())
    with engines.using("onnxruntime"):
        model.predict(X, verbose=0)
    placed = engine.placement()["CPUExecutionProvider"] - before
    assert placed["Relu"] + placed["Max"] == 1, placed


def test_without_the_provider_its_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(ImportError, match=r"no DmlExecutionProvider: .* pip install onnxruntime-directml"):
        module.OrtEngine("dml")


def test_an_unknown_device() -> None:
    with pytest.raises(RuntimeError, match=r"on the devices cpu, coreml, cuda, dml, .* got 'tpu'"):
        module.OrtEngine("tpu")


def test_old_versions(monkeypatch: pytest.MonkeyPatch, sessions: list[dict[str, Any]]) -> None:
    """The CPU needs the newest operators, a provider those of its package."""
    monkeypatch.setattr(onnxruntime, "__version__", "1.24.1")
    with pytest.raises(ImportError, match=r"needs ONNX Runtime 1\.32 or later, but 1\.24\.1"):
        module.OrtEngine("cpu")
    module.OrtEngine("openvino")
    monkeypatch.setattr(onnxruntime, "__version__", "1.20.0")
    with pytest.raises(ImportError, match=r"needs ONNX Runtime 1\.22 or later, but 1\.20\.0"):
        module.OrtEngine("openvino")
