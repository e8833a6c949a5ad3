"""`fit(engine="auto")`: the quickest engine is taken, and measuring leaves no trace."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import engines, layers
from hornbeam.diagnostics import devices
from hornbeam.diagnostics.devices import Device
from hornbeam.engines.reference import ReferenceEngine
from hornbeam.random import random_state

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 6, 6, 2)).astype("float32")
Y = RNG.normal(size=(24, 3)).astype("float32")


class Quick(ReferenceEngine):
    name = "quick"


class Slow(ReferenceEngine):
    name = "slow"

    def get(self, buffer: Any) -> np.ndarray:
        time.sleep(0.02)
        return super().get(buffer)


class Lacking(ReferenceEngine):
    name = "lacking"

    def compile(self, graph: Any) -> Any:
        raise NotImplementedError("no convolutions\nand more lines")


def broken(device: str | None = None) -> engines.Engine:
    raise RuntimeError("the driver is too old")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`machine("native", "slow")` lets this machine have these engines alone."""
    for name in ("_known", "_loaded"):
        monkeypatch.setattr(engines, name, dict(getattr(engines, name)))
    for name, make in (("quick", Quick), ("slow", Slow), ("lacking", Lacking), ("broken", broken)):
        engines.register(name, make)

    def set_up(*names: str) -> None:
        monkeypatch.setattr(devices, "find_devices", lambda: [Device("cpu", "Fast CPU")])
        # Those listed for another device are no candidates, those listed nowhere are.
        monkeypatch.setattr(devices, "ENGINES", {"cpu": names, "nvidia": engines.available()})

    return set_up


def net() -> hb.Model:
    """Return a model with every kind of state: weights, moving means, slots, seeds, metrics."""
    hb.utils.set_random_seed(5)
    parts = [layers.Conv2D(4, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten()]
    model = hb.Sequential([layers.Input(X.shape[1:]), *parts, layers.Dropout(0.3), layers.Dense(3)])
    model.compile("adam", "mse", metrics=["mae"])
    return model


def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, 24, 8):
        yield X[start : start + 8], Y[start : start + 8]


def fitted(engine: str, data: Sequence[Any] = (X, Y), **options: Any) -> tuple[hb.Model, Any]:
    model = net()
    history = model.fit(*data, verbose=0, engine=engine, **options)
    return model, history.history


@pytest.mark.parametrize("quickest", ["native", "quick"])
@pytest.mark.parametrize("kind", ["arrays", "validation", "generator"])
def test_measuring_changes_no_bit(machine: Any, quickest: str, kind: str) -> None:
    machine("slow", quickest)

    def run(engine: str) -> tuple[hb.Model, Any, Any]:
        data = (batches(),) if kind == "generator" else (X, Y)
        options = {"validation": {"epochs": 2, "validation_split": 0.25}}.get(kind, {})
        return *fitted(engine, data, **options), random_state()["hornbeam"]

    model, history, state = run("auto")
    expected, logs, expected_state = run(quickest)
    assert history == logs
    np.testing.assert_array_equal(state, expected_state)
    values, others = (m.variables + m.optimizer.variables for m in (model, expected))
    for variable, other in zip(values, others, strict=True):
        np.testing.assert_array_equal(variable, other, err_msg=variable.path)
    assert int(model.optimizer.iterations) == int(expected.optimizer.iterations) > 0


def test_one_line_names_the_times(machine: Any, capsys: pytest.CaptureFixture[str]) -> None:
    machine("slow", "lacking", "native", "broken")
    net().fit(X, Y, verbose=2, engine="auto")
    first, *others = capsys.readouterr().out.splitlines()
    line = " ".join([first, *(text.strip() for text in others if text.startswith("  "))])
    assert line.startswith("engine: native takes ")
    assert " ms a step, slow " in line
    assert "broken failed: RuntimeError: the driver is too old" in line
    assert "lacking failed: NotImplementedError: no convolutions" in line
    assert "more lines" not in line


def test_the_training_runs_on_it(machine: Any) -> None:
    machine("slow", "quick")
    seen = []
    note = hb.callbacks.LambdaCallback(on_epoch_begin=lambda *_: seen.append(engines.current_engine().name))
    net().fit(X, Y, verbose=0, engine="auto", callbacks=[note])
    assert seen == ["quick"]
    assert engines.current_engine().name == "native"


def test_one_engine_is_no_choice(machine: Any) -> None:
    machine("native")
    with pytest.raises(ValueError, match=r'engine="auto" chooses among engines, and native is the only one'):
        net().fit(X, Y, engine="auto")


def test_no_engine_runs_the_step(machine: Any) -> None:
    machine("lacking", "broken")
    with pytest.raises(RuntimeError, match=r"on no engine: broken failed: .*; lacking failed: "):
        net().fit(X, Y, engine="auto")


def test_what_cannot_be_measured(machine: Any) -> None:
    machine("native", "slow")
    model = net()
    model.run_eagerly = True
    with pytest.raises(ValueError, match="run_eagerly=True"):
        model.fit(X, Y, engine="auto")
    for method in (model.evaluate, model.predict):
        with pytest.raises(ValueError, match=r'engine="auto" measures training steps'):
            method(X, engine="auto")


def test_never_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "candidate_engines", lambda: pytest.fail("engines were measured"))
    net().fit(X, Y, verbose=0)


def test_candidates_are_those_of_the_devices(machine: Any) -> None:
    machine("native", "quick", "broken")
    names, failures = devices.candidate_engines()
    assert names == ["native", "quick"]
    assert str(failures["broken"]) == "the driver is too old"
