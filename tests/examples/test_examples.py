"""Every example runs, at a small size, and learns something."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_mnist_cnn(capsys: pytest.CaptureFixture[str]) -> None:
    assert load("mnist_cnn").main(epochs=1, samples=4000)["accuracy"] > 0.8
    assert "updates per epoch" in capsys.readouterr().out


def test_cs231n_loop() -> None:
    assert load("cs231n_loop").main(updates=200) > 0.85


def test_two_inputs() -> None:
    scores = load("two_inputs").main(epochs=2, samples=6000)
    assert scores["larger_accuracy"] > 0.7
    assert scores["total_mae"] < 3.0


def test_custom_train_step() -> None:
    losses = load("custom_train_step").main(epochs=2, samples=4000)
    assert losses[1] < losses[0] < 0.2


def test_lstm_text() -> None:
    assert load("lstm_text").main(epochs=3, samples=3000) > 0.9


def test_tuned_digits() -> None:
    assert load("tuned_digits").main(rate=3e-3, units=32, epochs=2, samples=3000) > 0.8


def test_every_example_is_tested() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in EXAMPLES.glob("*.py")} <= tested
