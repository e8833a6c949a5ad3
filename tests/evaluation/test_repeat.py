"""`repeat`: means, spreads, and what the best of several is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import evaluation
from hornbeam.errors import BestOfWarning
from hornbeam.evaluation.seed_variance import expected_maximum
from tests.helpers.builders import compiled_model

VALUES = [0.981, 0.984, 0.979, 0.985, 0.983]


def test_mean_spread_and_interval() -> None:
    result = evaluation.repeat(lambda seed: {"accuracy": VALUES[seed], "loss": 1 - VALUES[seed]})
    accuracy = result["accuracy"]
    assert accuracy.values == tuple(VALUES)
    assert accuracy.mean == pytest.approx(np.mean(VALUES))
    assert accuracy.sd == pytest.approx(np.std(VALUES, ddof=1))
    assert tuple(accuracy.interval) == tuple(evaluation.mean_interval(VALUES))
    with pytest.warns(BestOfWarning, match=r"best of 5 runs \(accuracy 0.9850\).*Report the mean 0.9824"):
        assert accuracy.best == 0.985
    with pytest.warns(BestOfWarning):
        assert result["loss"].best == pytest.approx(0.015)  # the smallest
    shown = str(result)
    assert "5 runs with the seeds 0, 1, 2, 3, 4" in shown
    assert "the best of 5 runs" in shown
    assert result.as_dict()["metrics"]["loss"]["values"] == [1 - v for v in VALUES]


def test_luck_is_the_expected_maximum() -> None:
    draws = np.random.default_rng(0).normal(size=(200_000, 10))
    for count in (2, 5, 10):
        assert expected_maximum(count) == pytest.approx(draws[:, :count].max(1).mean(), abs=0.01)


def test_intervals_of_means_hold() -> None:
    rng = np.random.default_rng(0)
    held = [0.0 in evaluation.mean_interval(list(rng.normal(size=5))) for _ in range(5000)]
    assert 0.935 < np.mean(held) < 0.965


def test_seeds_are_set() -> None:
    result = evaluation.repeat(lambda: float(np.asarray(hb.random.normal(()))), seeds=[3, 4])
    hb.utils.set_random_seed(4)
    assert result["value"].values[1] == float(np.asarray(hb.random.normal(())))
    assert result["value"].sd > 0


def test_evaluations_are_results() -> None:
    def run(seed: int) -> Any:
        rng = np.random.default_rng(0)
        x = rng.normal(size=(200, 3)).astype("float32")
        model = compiled_model((3,), [hb.layers.Dense(1)], "sgd", "mse", metrics=["mae"])
        model.fit(x, x[:, :1], verbose=0)
        return evaluation.evaluate(model, x, x[:, :1])

    assert list(evaluation.repeat(run, seeds=2).metrics) == ["loss", "mae"]


def test_wrong_uses() -> None:
    with pytest.raises(ValueError, match="at least two different seeds"):
        evaluation.repeat(lambda: 1.0, seeds=1)
    with pytest.raises(ValueError, match="at least two different seeds"):
        evaluation.repeat(lambda: 1.0, seeds=[1, 1])
    with pytest.raises(ValueError, match="different names: a, then b"):
        evaluation.repeat(lambda seed: {"ab"[seed]: 1.0}, seeds=2)
    with pytest.raises(
        TypeError, match="a number, a dict of numbers or an Evaluation from each run, got str"
    ):
        evaluation.repeat(lambda: "good", seeds=2)
