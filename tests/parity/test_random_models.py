"""Random functional models on both sides with the same weights: outputs, penalties, masks, gradients, names.

A failure prints the seed and the model's code; `HORNBEAM_RANDOM_MODELS=START:STOP` runs other seeds.
"""

from __future__ import annotations

import os
from typing import Any

import jax
import keras
import numpy as np
import pytest

import hornbeam
from tests.helpers.parity.both import numpy_initial_values, run_keras, run_ours
from tests.helpers.parity.comparison import (
    Comparison,
    assert_close,
    fresh,
    leaves,
    names_of_weights,
    order_of_layers,
)
from tests.helpers.parity.exchange import draw, sample
from tests.helpers.parity.grammar import build, write
from tests.helpers.parity.tolerances import TOLERANCES

pytestmark = pytest.mark.sampled

START, STOP = (int(n) for n in os.environ.get("HORNBEAM_RANDOM_MODELS", "0:2000").split(":"))
IN_CI = 25


def seeds() -> list[Any]:
    return [
        pytest.param(seed, marks=[pytest.mark.slow] if seed >= START + IN_CI else [])
        for seed in range(START, STOP)
    ]


@pytest.mark.parametrize("seed", seeds())
def test_random_models(compare: Comparison, seed: int) -> None:
    fresh()
    code = write(seed)

    def both() -> None:
        try:
            check(code, seed)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}\nmodel {seed}:\n{code}") from error

    compare.check("model", both)
    if seed % 100 == 99:  # compiled functions that will not be needed again
        jax.clear_caches()


def check(code: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    fresh()
    with numpy_initial_values():
        ours, theirs = build(code, hornbeam), build(code, keras)
    assert names_of_weights(ours) == names_of_weights(theirs)
    assert order_of_layers(ours) == order_of_layers(theirs)
    assert ours.count_params() == theirs.count_params()
    shapes = [[tuple(y.shape) for y in leaves(model.outputs)] for model in (ours, theirs)]
    assert shapes[0] == shapes[1], shapes
    values = [draw(w, rng) for w in theirs.weights]
    theirs.set_weights(values)
    ours.set_weights(values)
    inputs: Any = [sample(x, rng) for x in theirs.inputs]
    if isinstance(theirs.input, dict):
        inputs = dict(zip(theirs.input, inputs, strict=True))
    mine, other = run_ours(ours, [inputs], {}), run_keras(theirs, [inputs], {})
    assert_close(mine.outputs, other.outputs, *TOLERANCES["random_models"])
    # Penalties of a layer that is called twice come in the order of the calls, which may differ.
    assert_close(sorted(mine.losses), sorted(other.losses), *TOLERANCES["random_models"])
    assert_close(mine.masks, other.masks, 0, 0)
    assert_close(mine.by_weights, other.by_weights, *TOLERANCES["random_models"])
    assert_close(mine.by_inputs, other.by_inputs, *TOLERANCES["random_models"])
