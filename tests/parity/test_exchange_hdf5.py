"""Models saved as `.h5` here are loaded by Keras 3 and here, with equal outputs: layers, and whole models.

Keras itself cannot load some of the files that it writes, so only ours are tested.
"""

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

# All of them pass; a part is enough for every run.
PART = EXCHANGED[::9]


@pytest.mark.parametrize("index", PART, ids=lambda i: f"{i} {ALL[i].make}".replace("/", "|"))
def test_a_model_with_a_layer(index: int, tmp_path: Path) -> None:
    args = leaves(inputs(ALL[index], index))
    fresh()
    with numpy_initial_values():
        theirs = build_model(keras, index, inputs(ALL[index], index))
        set_random_weights(theirs, np.random.default_rng(index))
        expected = outputs_of(theirs, args)
        check(theirs, args, expected, tmp_path)


@pytest.mark.parametrize("seed", range(0, WHOLE_MODELS, 5))
def test_whole_models(seed: int, tmp_path: Path) -> None:
    fresh()
    with numpy_initial_values():
        theirs, args = random_model(keras, seed)
        check(theirs, [args], outputs_of(theirs, [args]), tmp_path)


def check(theirs: keras.Model, args: list, expected: list[np.ndarray], folder: Path) -> None:
    theirs.save(folder / "theirs.keras")
    ours = hornbeam.saving.load_model(folder / "theirs.keras")
    with pytest.warns(hornbeam.saving.LegacyFormatWarning):
        ours.save(folder / "ours.h5")
    for load in (keras.saving.load_model, hornbeam.saving.load_model):
        for one, other in zip(outputs_of(load(folder / "ours.h5"), args), expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def test_compile_settings_and_folders(tmp_path: Path) -> None:
    """Short names of losses, which Keras 3 cannot read in its own `.h5` files."""
    x, y = np.ones((8, 4), "float32"), np.ones((8, 2), "float32")
    schedule = hornbeam.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    for loss in ("mse", "mae", hornbeam.losses.Huber(delta=2.0)):
        ours = hornbeam.Sequential([hornbeam.Input((4,)), hornbeam.layers.Dense(2)])
        ours.compile(hornbeam.optimizers.Adam(schedule), loss, metrics=["mae"])
        ours.fit(x, y, verbose=0)
        with pytest.warns(hornbeam.saving.LegacyFormatWarning):
            ours.save(tmp_path / "m.h5")
        ours.save(tmp_path / "folder", zipped=False)
        for name in ("m.h5", "folder"):
            theirs = keras.saving.load_model(tmp_path / name)
            np.testing.assert_allclose(
                theirs.evaluate(x, y, verbose=0), ours.evaluate(x, y, verbose=0), rtol=1e-5
            )
