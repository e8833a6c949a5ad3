"""Files change hands: a model with each layer, saved by one side and loaded by the other, is the same."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.layer_cases import inputs
from tests.helpers.parity.both import numpy_initial_values, set_random_weights
from tests.helpers.parity.cases_exchange import ALL, EXCHANGED
from tests.helpers.parity.comparison import fresh, leaves
from tests.helpers.parity.exchange import WHOLE_MODELS, build_model, outputs_of, random_model

pytestmark = pytest.mark.sampled


@pytest.mark.parametrize("index", EXCHANGED, ids=lambda i: f"{i} {ALL[i].make}".replace("/", "|"))
def test_a_model_with_each_layer(index: int, tmp_path: Path) -> None:
    args = leaves(inputs(ALL[index], index))
    fresh()
    with numpy_initial_values():
        theirs = build_model(keras, index, inputs(ALL[index], index))
        set_random_weights(theirs, np.random.default_rng(index))
        expected = outputs_of(theirs, args)
        theirs.save(tmp_path / "theirs.keras")
        ours = hornbeam.saving.load_model(tmp_path / "theirs.keras")
        same(outputs_of(ours, args), expected)
        ours.save(tmp_path / "ours.keras")
        same(outputs_of(keras.saving.load_model(tmp_path / "ours.keras"), args), expected)


@pytest.mark.parametrize("seed", range(WHOLE_MODELS))
def test_whole_models(seed: int, tmp_path: Path) -> None:
    """Models of the grammar of random models: branches, shared layers, several inputs and outputs."""
    fresh()
    with numpy_initial_values():
        theirs, args = random_model(keras, seed)
        expected = outputs_of(theirs, [args])
        theirs.save(tmp_path / "theirs.keras")
        ours = hornbeam.saving.load_model(tmp_path / "theirs.keras")
        same(outputs_of(ours, [args]), expected)
        ours.save(tmp_path / "ours.keras")
        same(outputs_of(keras.saving.load_model(tmp_path / "ours.keras"), [args]), expected)


def same(actual: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(actual, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
