"""Learning rates are recorded, and those that were concealed are found or refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.certificate import read, verify
from hornbeam.errors import CertificateError
from tests.helpers.certified_training import arrays, small_model
from tests.helpers.forgeries import edit, entries_of


class Changing(hb.callbacks.Callback):
    """Calls a function with the optimizer when the second epoch begins."""

    def __init__(self, change: Callable[[Any], None]) -> None:
        super().__init__()
        self.changes = [change]

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        if epoch == 1:
            self.changes[0](self.model.optimizer)


def set_rate(optimizer: Any) -> None:
    optimizer.learning_rate = 0.02


def fit(folder: Path, *callbacks: Any, epochs: int = 3, rate: Any = 0.001, **options: Any) -> list[Any]:
    """Train with a certificate, and return its entries."""
    x, y = arrays()
    np.savez(folder / "data.npz", x=x, y=y)
    certificate = hb.callbacks.Certificate(folder / "run.cert", every=4, states=folder / "states")
    model = small_model()
    model.compile(hb.optimizers.Adam(rate, name="adam"), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=8, epochs=epochs, callbacks=[*callbacks, certificate], verbose=0, **options)
    return entries_of(read(folder / "run.cert"))


def rates(entries: list[Any]) -> dict[int, str]:
    return {
        entry["step"]: entry["learningRate"]["learning_rate"] for entry in entries if "learningRate" in entry
    }


def test_it_is_recorded_where_it_changes(tmp_path: Path) -> None:
    reduce = hb.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10)
    assert rates(fit(tmp_path, reduce)) == {0: "0.001", 24: "0.0005", 36: "0.00025"}
    assert verify(tmp_path / "run.cert", data=tmp_path / "data.npz").holds


def test_a_schedule_is_recorded_once(tmp_path: Path) -> None:
    schedule = hb.optimizers.schedules.ExponentialDecay(0.01, 10, 0.5)
    recorded = rates(fit(tmp_path, rate=schedule))
    assert list(recorded) == [0]
    assert '"initial_learning_rate":"0.01"' in recorded[0]
    assert verify(tmp_path / "run.cert", data=tmp_path / "data.npz").holds


def test_a_resumed_training_records_the_same(tmp_path: Path) -> None:
    written = []
    for parts in ((4,), (2, 4)):
        folder = tmp_path / str(len(parts))
        folder.mkdir()
        for epochs in parts:
            reduce = hb.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=10)
            fit(folder, reduce, epochs=epochs, resume=folder / "kept" if len(parts) > 1 else None)
        written.append((folder / "run.cert").read_bytes())
    assert written[0] == written[1]


def test_a_callback_that_sets_it_is_recorded_and_needs_the_program(tmp_path: Path) -> None:
    assert rates(fit(tmp_path, Changing(set_rate))) == {0: "0.001", 16: "0.02"}
    with pytest.raises(CertificateError, match="the callback Changing may steer the training"):
        verify(tmp_path / "run.cert", data=tmp_path / "data.npz")
    edit(tmp_path / "run.cert", lambda statement: statement["predicate"].update(needsProgram=[]))
    problems = verify(tmp_path / "run.cert", data=tmp_path / "data.npz").problems
    assert "the learning rate changes at step 16, and no callback is stated that does it" in problems


def test_one_that_is_concealed_is_found_by_each_segment_that_begins_with_it(tmp_path: Path) -> None:
    fit(tmp_path, Changing(set_rate))

    def conceal(statement: dict[str, Any]) -> None:
        statement["predicate"]["needsProgram"] = []
        for entry in entries_of(statement)[1:]:
            entry.pop("learningRate", None)

    edit(tmp_path / "run.cert", conceal)
    result = verify(tmp_path / "run.cert", data=tmp_path / "data.npz", steps=0.01)
    assert "learning rate at step 32 (epoch 3)" in result.problems[0]


def test_another_one_than_declared_from_the_start_is_found(tmp_path: Path) -> None:
    fit(tmp_path, rate=0.01)

    def declare(statement: dict[str, Any]) -> None:
        parameters = statement["predicate"]["buildDefinition"]["externalParameters"]
        parameters["model"] = parameters["model"].replace('"learning_rate": 0.01', '"learning_rate": 0.001')

    edit(tmp_path / "run.cert", declare)
    result = verify(tmp_path / "run.cert", data=tmp_path / "data.npz", steps=0.01)
    assert "learning rate: {'learning_rate': '0.01'} in the certificate" in result.problems[0]


def test_a_function_is_recorded_by_its_value(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="a lambda has no config"):
        assert rates(fit(tmp_path, rate=lambda: 0.003)) == {0: "0.003"}


def test_a_schedule_that_comes_while_fit_runs_is_refused(tmp_path: Path) -> None:
    def change(optimizer: Any) -> None:
        optimizer.learning_rate = hb.optimizers.schedules.ExponentialDecay(0.01, 10, 0.5)

    with pytest.raises(CertificateError, match="one schedule for the whole training"):
        fit(tmp_path, Changing(change))
