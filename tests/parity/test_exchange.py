"""Files change hands: a model with each layer, saved by one side and loaded by the other, is the same."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from both import numpy_initial_values, run_keras, run_ours, set_random_weights, symbols
from comparison import fresh, leaves, to_array
from grammar import build, write
from layer_cases import CASES, inputs, make
from reasons import KERAS_CANNOT_RUN
from test_random_models import draw, sample

import hornbeam

# Cases with settings of the call are those of test_layers: a file keeps none.
EXCHANGED = [i for i, case in enumerate(CASES) if not case.call and not re.match(KERAS_CANNOT_RUN, case.make)]
WHOLE_MODELS = 30


def whole(side: Any, index: int, args: list[Any]) -> Any:
    """A model around the layer of a case."""
    case = CASES[index]
    batch = leaves(args)[0].shape[0] if "stateful" in case.make else None
    given = symbols(side, args, batch)
    outputs = [y for y in leaves(make(case, side.layers)(*given)) if y is not None]
    return side.Model(leaves(given), outputs if len(outputs) > 1 else outputs[0])


def outputs_of(model: Any, args: list[np.ndarray]) -> list[np.ndarray]:
    run = run_ours if isinstance(model, hornbeam.Model) else run_keras
    found = run(model, [args if len(args) > 1 else args[0]], {}, gradients=False).outputs
    return [to_array(y) for y in leaves(found)]


@pytest.mark.parametrize("index", EXCHANGED, ids=lambda i: f"{i} {CASES[i].make}".replace("/", "|"))
def test_a_model_with_each_layer(index: int, tmp_path: Path) -> None:
    args = leaves(inputs(CASES[index], index))
    fresh()
    with numpy_initial_values():
        theirs = whole(keras, index, inputs(CASES[index], index))
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
    rng = np.random.default_rng(seed)
    fresh()
    with numpy_initial_values():
        theirs = build(write(seed), keras)
        theirs.set_weights([draw(w, rng) for w in theirs.weights])
        args: Any = [sample(x, rng) for x in theirs.inputs]
        if isinstance(theirs.input, dict):
            args = dict(zip(theirs.input, args, strict=True))

        def run(model: Any) -> list[np.ndarray]:
            one = run_ours if isinstance(model, hornbeam.Model) else run_keras
            return [to_array(y) for y in leaves(one(model, [args], {}, gradients=False).outputs)]

        expected = run(theirs)
        theirs.save(tmp_path / "theirs.keras")
        ours = hornbeam.saving.load_model(tmp_path / "theirs.keras")
        same(run(ours), expected)
        ours.save(tmp_path / "ours.keras")
        same(run(keras.saving.load_model(tmp_path / "ours.keras")), expected)


def same(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
