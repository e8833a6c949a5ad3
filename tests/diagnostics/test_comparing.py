"""`compare_engines`: what it returns, what it prints, what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import hornbeam
from hornbeam import layers
from hornbeam.diagnostics.engine_comparison import _compared, _Run
from hornbeam.engines import installed
from tests.helpers.builders import compiled_model


def net() -> hornbeam.Model:
    hornbeam.utils.set_random_seed(2)
    return compiled_model(
        (6, 6, 1),
        [
            layers.Conv2D(3, 3, activation="relu"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(2, activation="softmax"),
        ],
        "adam",
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )


RNG = np.random.default_rng(1)
X, Y = RNG.normal(size=(40, 6, 6, 1)), RNG.integers(0, 2, 40)


def everything(model: Any) -> list[np.ndarray]:
    return [np.array(v) for v in (*model.variables, *model.optimizer.variables)]


def test_engines_agree_but_for_rounding(capsys: pytest.CaptureFixture[str]) -> None:
    model = net()
    names = ["native", "reference", *(name for name in installed() if name != "native")]
    results = hornbeam.compare_engines(model, X, Y, steps=5, engines=names, batch_size=16)
    assert [result.engine for result in results] == names
    assert (results[0].loss_difference, results[0].weight_difference) == (0, 0)
    for result in results[1:]:
        assert len(result.losses) == 5
        assert result.loss_difference < 1e-3, result.engine
        assert 0 < result.weight_difference < 5e-3, result.engine
        assert result.furthest in {v.path for v in model.weights}
        assert result.seconds > 0
    printed = capsys.readouterr().out
    assert "5 steps, compared with native" in printed
    assert all(name in printed for name in names)


def test_the_model_is_left_as_it_was() -> None:
    model, alone = net(), net()
    for each in (model, alone):
        each.fit(X, Y, batch_size=20, shuffle=False, verbose=0)
    before = everything(model)
    hornbeam.compare_engines(model, X, Y, steps=3, engines=["native", "reference"])
    for old, new in zip(before, everything(model), strict=True):
        np.testing.assert_array_equal(old, new)
    # Random state too: what follows is bit for bit what it would have been.
    for each in (model, alone):
        each.fit(X, Y, batch_size=20, shuffle=False, verbose=0)
    for mine, other in zip(everything(model), everything(alone), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_losses_are_those_of_single_batches() -> None:
    model, alone = net(), net()
    (result,) = hornbeam.compare_engines(model, X, Y, steps=3, engines=["native"], batch_size=20)
    expected = [alone.train_on_batch(X[rows], Y[rows])[0] for rows in (slice(20), slice(20, 40), slice(20))]
    np.testing.assert_allclose(result.losses, expected, rtol=1e-6)


def test_a_weight_of_nan_has_the_largest_difference() -> None:
    first, other = (
        _Run(np.zeros(1), {"a": np.zeros(2), "b": np.full(2, value), "c": np.ones(1) * far}, 0.0)
        for value, far in ((0.0, 0.0), (np.nan, 5.0))
    )
    result = _compared("other", other, first)
    assert result.furthest == "b"
    assert np.isnan(result.weight_difference)


def test_mistakes() -> None:
    model = net()
    with pytest.raises(ValueError, match="engines must be a list"):
        hornbeam.compare_engines(model, X, Y, engines=[])
    with pytest.raises(ValueError, match="engines must be a list"):
        hornbeam.compare_engines(model, X, Y, engines="native")
    with pytest.raises(ValueError, match="unknown engine 'abacus'"):
        hornbeam.compare_engines(model, X, Y, engines=["native", "abacus"])
    with pytest.raises(ValueError, match="arrays in memory"):
        hornbeam.compare_engines(model, iter([(X, Y)]))
    with pytest.raises((ValueError, RuntimeError), match="compile"):
        hornbeam.compare_engines(hornbeam.Sequential([layers.Dense(1)]), X, Y)
