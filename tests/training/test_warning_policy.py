"""Data that could be meant: an error, which `hornbeam run` says in one line and goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.training import warning_policy
from tests.helpers.builders import compiled_model

X = np.arange(24, dtype="float32").reshape(8, 3) / 24
ZEROS = np.zeros((8, 3), "float32")


def model(**options: Any) -> hb.Model:
    return compiled_model((3,), [layers.Dense(3)], "sgd", "mse", **options)


def with_infinity() -> np.ndarray:
    y = ZEROS.copy()
    y[2, 1] = np.inf
    return y


CASES: dict[str, tuple[Callable[[hb.Model], Any], str]] = {
    "targets that are infinite": (
        lambda m: m.fit(X, with_infinity(), verbose=0),
        "y contains an infinite value, first in sample 2",
    ),
    "class weights without classes": (
        lambda m: m.fit(X, ZEROS, class_weight={0: 1.0, 1: 2.0}, verbose=0),
        r"class_weight needs y of class indices or one-hot rows, got float32 of shape \(8, 3\)",
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore:the loss is", "ignore:.*mean size inf")
def test_both_ways(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run, words = CASES[name]
    with pytest.raises(ValueError, match=words):
        run(model())
    said: list[str] = []
    monkeypatch.setattr(warning_policy, "on_warning", said.append)
    net = model()
    run(net)
    assert len(said) == 1
    with pytest.raises(ValueError, match=words):
        raise ValueError(said[0])
    assert int(net.optimizer.iterations) == 1


def test_a_row_without_a_class_belongs_to_that_of_its_largest_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(warning_policy, "on_warning", lambda message: None)
    y = np.array([[0.2, 0.5, 0.1], [0.9, 0.0, 0.3]], "float32")
    nets = [model(), model()]
    nets[1].set_weights(nets[0].get_weights())
    nets[0].fit(X[:2], y, class_weight={0: 3.0, 1: 2.0}, verbose=0)
    nets[1].fit(X[:2], y, sample_weight=np.array([2.0, 3.0]), verbose=0)
    for a, b in zip(nets[0].get_weights(), nets[1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
