"""A checkpoint of ours is a file of weights for real Keras."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

import hornbeam
from hornbeam.saving.checkpoint import newest_first


def test_keras_reads_the_weights_of_a_checkpoint(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(16, 4)).astype("float32")

    def model(library: Any) -> Any:
        hidden = [library.layers.Dense(8, "relu"), library.layers.BatchNormalization()]
        result = library.Sequential([library.Input((4,)), *hidden, library.layers.Dense(2)])
        result.compile("adam", "mse")
        return result

    ours, theirs = model(hornbeam), model(keras)
    ours.fit(x, x[:, :2], epochs=2, verbose=0, resume=tmp_path)
    theirs.optimizer.build(theirs.trainable_variables)
    theirs.load_weights(newest_first(tmp_path)[0])
    np.testing.assert_allclose(ours.predict(x), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-6)
    assert int(theirs.optimizer.iterations) == int(ours.optimizer.iterations)
