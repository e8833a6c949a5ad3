"""Hyperparameters as a build function asks for them."""

from __future__ import annotations

import pytest

from hornbeam.tuning import HyperParameters
from hornbeam.tuning.hyperparameters import grid


def test_defaults() -> None:
    hp = HyperParameters()
    assert hp.Int("units", 32, 256, step=32) == 32
    assert hp.Int("depth", 1, 4, default=2) == 2
    assert hp.Float("rate", 1e-4, 1e-1, sampling="log") == 1e-4
    assert hp.Choice("activation", ["relu", "tanh"]) == "relu"
    assert hp.Boolean("bias") is False
    assert hp.Fixed("seed", 7) == 7
    assert hp.values == {
        "units": 32, "depth": 2, "rate": 1e-4, "activation": "relu", "bias": False, "seed": 7,
    }  # fmt: skip
    assert hp.get("depth") == 2
    with pytest.raises(KeyError, match="no hyperparameter 'width' so far, only units, depth"):
        hp.get("width")


def test_given_values() -> None:
    hp = HyperParameters({"units": 64})
    assert hp.Int("units", 32, 256) == 64
    assert hp.Int("units", 32, 256) == 64  # asked for again
    with pytest.raises(ValueError, match="'units' was asked for with another range"):
        hp.Int("units", 32, 512)


def test_conditional_scope() -> None:
    hp = HyperParameters({"optimizer": "sgd", "momentum": 0.9, "beta": 0.5})
    hp.Choice("optimizer", ["adam", "sgd"])
    with hp.conditional_scope("optimizer", "sgd"):
        assert hp.Float("momentum", 0.0, 1.0) == 0.9
    with hp.conditional_scope("optimizer", ["adam"]):
        assert hp.Float("beta", 0.1, 1.0) == 0.1
    assert "beta" not in hp.values


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda hp: hp.Int("n", 4, 2), "'n' needs min_value <= max_value, got 4 and 2"),
        (lambda hp: hp.Float("x", 0, 1, sampling="log"), "'x' needs 0 < min_value"),
        (lambda hp: hp.Float("x", 0, 1, sampling="reverse_log"), "must be 'linear' or 'log'"),
        (lambda hp: hp.Int("n", 1, 8, step=1, sampling="log"), "a quotient above 1"),
        (lambda hp: hp.Choice("c", []), "default=None must be among the values"),
        (lambda hp: hp.Choice("c", [1, 2], default=3), "default=3 must be among the values"),
    ],
)
def test_wrong_definitions(ask: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(HyperParameters())  # type: ignore[operator]


def test_steps_on_a_logarithmic_scale() -> None:
    hp = HyperParameters()
    hp.Int("units", 16, 100, step=2, sampling="log")
    assert hp.space["units"].values == (16, 32, 64)


def test_a_grid_begins_with_the_defaults() -> None:
    hp = HyperParameters()
    hp.Int("depth", 1, 3, default=2)
    hp.Float("rate", 0.0, 0.5, step=0.25)
    every = grid(hp.space)
    assert len(every) == 9
    assert every[0] == {"depth": 2, "rate": 0.0}
    hp.Float("free", 0.0, 1.0)
    with pytest.raises(ValueError, match="a grid needs a step for 'free'"):
        grid(hp.space)
