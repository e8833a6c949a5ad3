"""Files change hands: a model with each layer, saved by one side and loaded by the other, is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from both import numpy_initial_values, run_keras, run_ours, set_random_weights, symbols
from cases_exchange import ALL, EXCHANGED
from comparison import fresh, leaves, to_array
from grammar import build, write
from layer_cases import inputs, make
from test_random_models import draw, sample

import hornbeam

WHOLE_MODELS = 30


def whole(side: Any, index: int, args: list[Any]) -> Any:
    """A model around the layer of a case."""
    case = ALL[index]
    given = symbols(side, args)
    outputs = [y for y in leaves(make(case, side.layers)(*given)) if y is not None]
    return side.Model(leaves(given), outputs if len(outputs) > 1 else outputs[0])


def drawn(side: Any, seed: int) -> tuple[Any, Any]:
    """A random model with random weights, and what it takes."""
    rng = np.random.default_rng(seed)
    model = build(write(seed), side)
    model.set_weights([draw(w, rng) for w in model.weights])
    args = [sample(x, rng) for x in model.inputs]
    return model, dict(zip(model.input, args, strict=True)) if isinstance(model.input, dict) else args


def outputs_of(model: Any, args: list[Any]) -> list[np.ndarray]:
    run = run_ours if isinstance(model, hornbeam.Model) else run_keras
    found = run(model, [args if len(args) > 1 else args[0]], {}, gradients=False).outputs
    return [to_array(y) for y in leaves(found)]


@pytest.mark.parametrize("index", EXCHANGED, ids=lambda i: f"{i} {ALL[i].make}".replace("/", "|"))
def test_a_model_with_each_layer(index: int, tmp_path: Path) -> None:
    args = leaves(inputs(ALL[index], index))
    fresh()
    with numpy_initial_values():
        theirs = whole(keras, index, inputs(ALL[index], index))
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
        theirs, args = drawn(keras, seed)
        expected = outputs_of(theirs, [args])
        theirs.save(tmp_path / "theirs.keras")
        ours = hornbeam.saving.load_model(tmp_path / "theirs.keras")
        same(outputs_of(ours, [args]), expected)
        ours.save(tmp_path / "ours.keras")
        same(outputs_of(keras.saving.load_model(tmp_path / "ours.keras"), [args]), expected)


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
