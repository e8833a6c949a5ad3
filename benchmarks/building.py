"""Time to build a functional model of ResNet-50's size: `python benchmarks/building.py`.

Both libraries build the same model, Keras on the backend that KERAS_BACKEND names. Prints the smallest and
the median processor time of several runs, and that of the first, which fills all caches.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any


def resnet50(keras: Any) -> Any:
    """175 layers: a stem, and 3 + 4 + 6 + 3 blocks of three convolutions."""
    layers = keras.layers

    def normalized(x: Any, filters: int, size: int, strides: int = 1) -> Any:
        x = layers.Conv2D(filters, size, strides=strides, padding="same")(x)
        return layers.BatchNormalization()(x)

    def block(x: Any, filters: int, strides: int, project: bool) -> Any:
        shortcut = normalized(x, 4 * filters, 1, strides) if project else x
        x = layers.ReLU()(normalized(x, filters, 1, strides))
        x = layers.ReLU()(normalized(x, filters, 3))
        return layers.ReLU()(layers.Add()([shortcut, normalized(x, 4 * filters, 1)]))

    inputs = keras.Input((224, 224, 3))
    x = layers.ReLU()(normalized(inputs, 64, 7, 2))
    x = layers.MaxPooling2D(3, 2, padding="same")(x)
    for filters, count, strides in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for index in range(count):
            x = block(x, filters, strides if index == 0 else 1, index == 0)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(1000, activation="softmax")(x))


def measure(name: str, keras: Any, runs: int) -> None:
    times = []
    for _ in range(runs + 1):
        start = time.process_time()
        model = resnet50(keras)
        times.append(time.process_time() - start)
        keras.backend.clear_session()
    first, rest = times[0], times[1:]
    print(
        f"{name:10} {len(model.layers)} layers, {model.count_params():,} parameters: "
        f"first {first:.2f} s, then {min(rest):.2f} s at best, "
        f"{statistics.median(rest):.2f} s as the median of {runs}"
    )


if __name__ == "__main__":
    import hornbeam

    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    measure("hornbeam", hornbeam, runs)
    import keras

    measure(f"keras/{keras.backend.backend()}", keras, runs)
