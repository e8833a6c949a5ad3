"""Checkpoints of Orbax: written by the callback, read by load_model and load_weights, here and in Keras."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import callbacks, layers
from hornbeam.errors import ModelFileError
from hornbeam.saving import load_model
from tests.helpers.builders import compiled_model

X = np.random.default_rng(0).normal(size=(20, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def net() -> hb.Model:
    hidden = [layers.Dense(4, "relu", name="one"), layers.BatchNormalization(name="norm")]
    return compiled_model((3,), [*hidden, layers.Dense(1, name="two")], "adam", "mse")


def test_without_the_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("orbax", "orbax.checkpoint"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match="checkpoints of Orbax need: pip install"):
        callbacks.OrbaxCheckpoint(tmp_path)


class TestWithOrbax:
    @pytest.fixture(autouse=True)
    def library(self) -> None:
        pytest.importorskip("orbax.checkpoint")

    @pytest.mark.parametrize("background", [True, False])
    def test_there_and_back(self, background: bool, tmp_path: Path) -> None:
        model = net()
        save = callbacks.OrbaxCheckpoint(tmp_path, max_to_keep=2, save_on_background=background)
        model.fit(X, Y, epochs=3, verbose=0, callbacks=[save])
        assert sorted(name for name in os.listdir(tmp_path) if name.isdigit()) == ["1", "2"]
        loaded = load_model(tmp_path)
        np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
        assert int(loaded.optimizer.iterations) == 3
        for one, other in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
            np.testing.assert_array_equal(one, other)
        again = net()
        again.load_weights(tmp_path / "2")
        np.testing.assert_array_equal(again.get_weights()[0], model.get_weights()[0])

    def test_steps_and_the_best(self, tmp_path: Path) -> None:
        model = net()
        steps = callbacks.OrbaxCheckpoint(tmp_path / "steps", save_freq=4, max_to_keep=None)
        best = callbacks.OrbaxCheckpoint(
            tmp_path / "best", monitor="loss", save_best_only=True, initial_value_threshold=0.0, mode="min"
        )
        model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[steps, best])
        assert sorted(int(p.name) for p in (tmp_path / "steps").iterdir() if p.name.isdigit()) == [
            4,
            8,
            12,
            16,
            20,
        ]
        assert not [p for p in (tmp_path / "best").iterdir() if p.name.isdigit()]

    def test_weights_alone(self, tmp_path: Path) -> None:
        model = net()
        model.fit(X, Y, verbose=0, callbacks=[callbacks.OrbaxCheckpoint(tmp_path, save_weights_only=True)])
        with pytest.raises(ModelFileError, match="weights and no model"):
            load_model(tmp_path)
        other = net()
        other.load_weights(tmp_path)
        np.testing.assert_array_equal(other.get_weights()[0], model.get_weights()[0])
        wrong = compiled_model((3,), [layers.Dense(7, name="one")], "sgd", "mse")
        before = wrong.get_weights()[0].copy()
        with pytest.raises(
            ModelFileError, match=r"does not fit the model(.|\n)*one/kernel: of shape \(3, 4\)"
        ):
            wrong.load_weights(tmp_path)
        np.testing.assert_array_equal(wrong.get_weights()[0], before)

    def test_vocabularies(self, tmp_path: Path) -> None:
        words = layers.StringLookup(vocabulary=["a", "b"])
        model = hb.Sequential(
            [hb.Input((1,), dtype="string"), words, layers.Embedding(4, 2), layers.Flatten()]
        )
        model.compile("sgd", "mse")
        data = np.array([["a"], ["b"]])
        model.fit(data, np.zeros((2, 2)), verbose=0, callbacks=[callbacks.OrbaxCheckpoint(tmp_path)])
        np.testing.assert_array_equal(
            load_model(tmp_path).predict(data, verbose=0), model.predict(data, verbose=0)
        )

    def test_damaged(self, tmp_path: Path) -> None:
        model = net()
        model.fit(X, Y, verbose=0, callbacks=[callbacks.OrbaxCheckpoint(tmp_path)])
        for path in (tmp_path / "0" / "pytree").rglob("*"):
            if path.is_file():
                path.write_bytes(b"")
        with pytest.raises(ModelFileError, match="not a readable checkpoint of Orbax"):
            load_model(tmp_path)

    def test_keras_reads_ours_and_we_read_keras(self, tmp_path: Path) -> None:
        pytest.importorskip("keras")
        x = hb.Input((3,))
        model = hb.Model(x, layers.Dense(1, name="two")(layers.Dense(4, "relu", name="one")(x)))
        model.compile("adam", "mse")
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[callbacks.OrbaxCheckpoint(tmp_path / "ours")])
        np.save(tmp_path / "x.npy", X)
        run = [sys.executable, "-c", KERAS, str(tmp_path)]
        done = subprocess.run(run, capture_output=True, text=True, env={**os.environ, "KERAS_BACKEND": "jax"})
        assert done.returncode == 0, done.stderr[-2000:]
        ours, theirs = np.load(tmp_path / "ours.npy"), np.load(tmp_path / "theirs.npy")
        np.testing.assert_allclose(ours, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
        loaded: Any = load_model(tmp_path / "keras")
        np.testing.assert_allclose(loaded.predict(X, verbose=0), theirs, rtol=1e-5, atol=1e-6)


KERAS = """
import sys, keras, numpy as np
folder = sys.argv[1]
x = np.load(folder + "/x.npy")
np.save(folder + "/ours.npy", keras.saving.load_model(folder + "/ours").predict(x, verbose=0))
i = keras.Input((3,))
model = keras.Model(i, keras.layers.Dense(1, name="two")(keras.layers.Dense(4, name="one")(i)))
model.compile("adam", "mse")
save = keras.callbacks.OrbaxCheckpoint(folder + "/keras")
model.fit(x, x[:, :1], verbose=0, callbacks=[save])
np.save(folder + "/theirs.npy", model.predict(x, verbose=0))
"""
