"""The tutorial's network as a plain Keras script, timed. Prints one line of JSON.

Run as `hornbeam run tutorial.py`, or by a Python that has Keras. The pictures are made here (a pattern per
class plus noise), so that both sides train on the same numbers without a download.
"""

import json
import os
import resource
import sys
import time

START = time.perf_counter()
import keras  # noqa: E402
from keras import Sequential, layers  # noqa: E402

IMPORT_SECONDS = time.perf_counter() - START
import numpy as np  # noqa: E402

EPOCHS = int(os.environ.get("EPOCHS", "3"))
SAMPLES = int(os.environ.get("SAMPLES", "12800"))
BATCH = 128


class Clock(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.start)


def pictures():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, SAMPLES)
    patterns = rng.normal(size=(10, 28, 28, 1)).astype("float32")
    return 0.5 * patterns[labels] + rng.normal(size=(SAMPLES, 28, 28, 1)).astype("float32"), labels


def single_sample(model, x, calls=200):
    model.predict(x, verbose=0)
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        model.predict(x, verbose=0)
        times.append(time.perf_counter() - start)
    return sorted(times)[calls // 2]


def main():
    x, y = pictures()
    model = Sequential(
        [
            keras.Input((28, 28, 1)),
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
    model.compile("adadelta", "categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = 1.0
    clock = Clock()
    history = model.fit(
        x, keras.utils.to_categorical(y, 10), batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[clock]
    )
    single = single_sample(model, x[:1])
    print(
        json.dumps(
            {
                "import_s": IMPORT_SECONDS,
                "first_epoch_s": clock.seconds[0],
                "epoch_s": min(clock.seconds[1:] or clock.seconds),
                "predict_one_us": single * 1e6,
                # The unit of ru_maxrss is KiB on Linux and bytes on macOS.
                "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                / (2**20 if sys.platform == "darwin" else 2**10),
                "loss": history.history["loss"],
            }
        )
    )


main()
