"""Write tests/golden/hornbeam/VERSION: files of each of our formats, which all later versions must read.

python tools/golden_hornbeam.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

import hornbeam as hb
from hornbeam import layers

FOLDER = Path(__file__).resolve().parents[1] / "tests/golden/hornbeam" / hb.__version__


def build() -> hb.Model:
    hidden = [layers.Conv2D(2, 3, activation="relu"), layers.BatchNormalization(), layers.Dropout(0.1)]
    model = hb.Sequential([hb.Input((6, 6, 1)), *hidden, layers.Flatten(), layers.Dense(2)], name="golden")
    model.compile(hb.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return model


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(8, 6, 6, 1)).astype("float32")
    return x, x.mean((1, 2, 3))[:, None].repeat(2, 1)


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    hb.utils.set_random_seed(1)
    trained, (x, y) = build(), data()
    keep = hb.callbacks.Checkpoint(FOLDER / "run", keep=1, background=False)
    trained.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[keep])
    trained.save(FOLDER / "model.keras")
    trained.save_weights(FOLDER / "model.weights.h5")
    trained.save_weights(FOLDER / "model.npz")
    trained.save_weights(FOLDER / "model.safetensors")
    np.savez(FOLDER / "outputs.npz", y=trained.predict(x, verbose=0))


if __name__ == "__main__":
    main()
