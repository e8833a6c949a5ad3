"""A step of the tutorial's net on an engine, beside Keras on the same library, in one process.

    python benchmarks/engines.py torch [--steps 4] [--runs 12]

Needs Keras and the library. Both sides run the same steps in alternation; prints smallest and median times.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

import numpy as np


def net(library: Any, x: np.ndarray, y: np.ndarray) -> Any:
    """The tutorial's net, compiled, after two steps."""
    layers = library.layers
    library.utils.set_random_seed(0)
    model = library.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Dropout(0.25),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(
        library.optimizers.Adadelta(learning_rate=1.0), "categorical_crossentropy", metrics=["accuracy"]
    )
    for _ in range(2):
        model.fit(x[:256], y[:256], batch_size=128, verbose=0)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("engine", choices=["jax", "torch", "tensorflow"])
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--runs", type=int, default=12)
    args = parser.parse_args()
    os.environ["KERAS_BACKEND"] = args.engine
    import keras

    import hornbeam

    hornbeam.config.set_engine(args.engine)
    rng = np.random.default_rng(0)
    x = rng.random((128 * args.steps, 28, 28, 1), dtype="float32")
    y = np.eye(10, dtype="float32")[rng.integers(0, 10, len(x))]
    models = {"hornbeam": net(hornbeam, x, y), "keras": net(keras, x, y)}
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for _ in range(args.runs):
        for name, model in models.items():
            started = time.perf_counter()
            model.fit(x, y, batch_size=128, verbose=0)
            seconds[name].append((time.perf_counter() - started) / args.steps)
    for name, found in seconds.items():
        least, median = 1000 * min(found), 1000 * statistics.median(found)
        print(f"{name:10} on {args.engine}: smallest {least:.0f} ms a step, median {median:.0f}")


if __name__ == "__main__":
    main()
