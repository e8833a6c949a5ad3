"""A small training with a certificate."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import hornbeam as hb
from hornbeam import layers


def arrays(seed: int = 0, samples: int = 96) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, 4)).astype("float32")
    return x, (x.sum(1) > 0).astype("int32")


def small_model(seed: int = 3) -> hb.Sequential:
    hb.utils.set_random_seed(seed)
    model = hb.Sequential(
        [
            hb.Input((4,), name="features"),
            layers.Dense(8, activation="relu", name="hidden"),
            layers.Dropout(0.3, name="dropout"),
            layers.BatchNormalization(name="normalization"),
            layers.Dense(2, activation="softmax", name="classes"),
        ],
        name="small",
    )
    model.compile(hb.optimizers.Adam(name="adam"), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def train(folder: Path, name: str = "run.cert", seed: int = 3, states: bool = True, epochs: int = 3) -> None:
    """Train, certify and evaluate; the folder then has `run.cert`, `states`, `m.keras` and `data.npz`."""
    (x, y), (x_test, y_test) = arrays(), arrays(1, 20)
    np.savez(folder / "data.npz", x=x, y=y, x_test=x_test, y_test=y_test)
    model = small_model(seed)
    certificate = hb.callbacks.Certificate(
        folder / name, every=3, states=folder / "states" if states else None
    )
    model.fit(x, y, batch_size=8, epochs=epochs, validation_split=0.1, callbacks=[certificate], verbose=0)
    certificate.evaluate(x_test, y_test)
    model.save(folder / "m.keras")
