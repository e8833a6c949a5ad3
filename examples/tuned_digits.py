"""A script that reads arguments, whose best values `hornbeam tune` searches.

hornbeam tune examples/tuned_digits.py --param rate=log:1e-4..1e-1 --param units=16,64,256 \
    --objective val_accuracy --trials 12 --page search.html
"""

from __future__ import annotations

import argparse

import hornbeam as hb
from hornbeam import layers, optimizers


def main(rate: float = 1e-3, units: int = 16, epochs: int = 3, samples: int = 6000) -> float:
    (x, y), _ = hb.datasets.mnist.load_data()
    model = hb.Sequential(
        [
            hb.Input((28, 28)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(units, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    # The search chooses by the validation samples. The test set stays out of it.
    history = model.fit(x[:samples], y[:samples], epochs=epochs, validation_split=0.2, verbose=2)
    return max(history.history["val_accuracy"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=3)
    main(**vars(parser.parse_args()))
