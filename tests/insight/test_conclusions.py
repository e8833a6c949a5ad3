"""`history.explain()` concludes from the curves what happened and what to try."""

from __future__ import annotations

import math

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.insight.explanations.conclusions import conclusions

BASELINE = math.log(10)


@pytest.mark.parametrize(
    ("loss", "val_loss", "words"),
    [
        ([2.31, 2.305, 2.304], [2.31, 2.31, 2.31], ["Nothing was learned", "lr_find"]),
        (
            [30.0, 5.0, 0.5],
            [6.0, 2.0, 1.0],
            ["In the first epoch the loss was above", "data.look"],
        ),
        ([30.0, 8.0, 4.0], None, ["still above the baseline", "lower learning rate"]),
        ([1.0, math.nan, math.nan], None, ["not finite from epoch 2", "debug_nans"]),
        (
            [1.0, 0.5, 0.1, 0.01],
            [0.9, 0.6, 0.7, 1.0],
            ["overfits since epoch 2", "restore_best_weights"],
        ),
        ([1.0, 0.5, 0.4], [0.9, 0.6, 0.5], ["still falling", "more epochs may help"]),
        ([1.0, 0.5, 0.4, 0.39], [0.9, 0.6, 0.601, 0.603], ["not improved since epoch 2"]),
        ([1.0, 1.2, 1.5], [1.0, 1.2, 1.4], ["rose", "lower the learning rate"]),
        ([1.0], [0.9], ["One epoch shows no trend"]),
        ([1.0, 0.5], None, ["validation_split=0.1"]),
    ],
)
def test_curves(loss: list[float], val_loss: list[float] | None, words: list[str]) -> None:
    logs = {"loss": loss, **({"val_loss": val_loss} if val_loss else {})}
    text = " ".join(conclusions(logs, BASELINE))
    for word in words:
        assert word in text
    assert ("Nothing was learned" in text) == ("Nothing was learned" in words)


def test_without_a_baseline_or_a_run() -> None:
    assert conclusions({}, None) == []
    assert "baseline" not in " ".join(conclusions({"loss": [30.0, 5.0]}, None))


@pytest.mark.parametrize(
    ("x", "advice"),
    [
        (np.full((4, 3), 255.0, "float32"), "Inputs reach 255: divide by 255"),
        (np.full((4, 3), 200, "uint8"), "begin the model with Rescaling(1 / 255)"),
        (np.full((4, 3), 4e6), "Inputs reach 4e+06: a Normalization layer scales them"),
        (np.ones((4, 3)), "data.look"),
        (np.arange(100)[:, None], "data.look"),  # integers may be tokens
    ],
)
def test_inputs_are_the_first_suspect(x: np.ndarray, advice: str) -> None:
    assert advice in " ".join(conclusions({"loss": [30.0, 5.0]}, BASELINE, x))


def test_a_run_on_unscaled_images() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (200, 50)).astype("float32"), rng.integers(0, 3, 200)
    model = hb.Sequential([hb.Input((50,)), layers.Dense(64, activation="relu"), layers.Dense(3, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn_explicit", lambda *args, **kwargs: None)  # about the range
        history = model.fit(x, y, epochs=2, verbose=0)
    assert "divide by 255" in history.explain(x, y)["This run"].entry("conclusion")
    assert "divide by 255" not in history.explain()["This run"].entry("conclusion")
    scaled = hb.Sequential([hb.Input((50,)), layers.Rescaling(1 / 255), layers.Dense(3, "softmax")])
    scaled.compile("adam", "sparse_categorical_crossentropy")
    history = scaled.fit(x, y, epochs=2, verbose=0)
    assert "divide by 255" not in history.explain(x, y)["This run"].entry("conclusion")
