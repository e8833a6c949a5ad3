"""The same seed gives the same bits: on any number of threads, and in every process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

TRAIN = """
import hashlib
import numpy as np
import hornbeam as hb
from hornbeam import layers

hb.utils.set_random_seed(7)
rng = np.random.default_rng(0)
x, y = rng.normal(size=(800, 28, 28, 1)).astype("float32"), rng.integers(0, 10, 800)
model = hb.Sequential([
    hb.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"),
    layers.MaxPooling2D(2), layers.Dropout(0.25), layers.BatchNormalization(), layers.Flatten(),
    layers.Dense(128, activation="relu"), layers.Dropout(0.5), layers.Dense(10, activation="softmax")])
model.compile("adadelta", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, batch_size=32, epochs=2, verbose=0)
digest = hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights()))
print(model.optimizer.iterations.numpy(), digest.hexdigest())
"""


# Batches so small that a convolution has fewer pieces of work than it is cut into at most.
SMALL = """
import hashlib
import numpy as np
import hornbeam as hb
from hornbeam import layers

digest = hashlib.sha256()
for size, batch in ((11, 1), (11, 2), (7, 3), (20, 1)):
    hb.utils.set_random_seed(7)
    rng = np.random.default_rng(size)
    x, y = rng.normal(size=(12, size, size, 16)).astype("float32"), rng.integers(0, 3, 12)
    model = hb.Sequential([
        hb.Input((size, size, 16)), layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 3), layers.MaxPooling2D(2), layers.Conv2D(16, 3, padding="same"),
        layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", hb.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x, y, batch_size=batch, epochs=3, verbose=0)
    digest.update(b"".join(w.tobytes() for w in model.get_weights()))
print(digest.hexdigest())
"""


def train(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "HORNBEAM_ENGINE": "native", **environment}
    return subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)


def weights(threads: int, script: str = TRAIN) -> str:
    done = train(script, HORNBEAM_THREADS=str(threads))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_fifty_steps_on_any_number_of_threads_and_in_every_run() -> None:
    first = weights(1)
    assert first.startswith("50 ")
    assert {weights(threads) for threads in (2, 3, 8, 2, 2, 2, 2)} == {first}


def test_small_batches_on_any_number_of_threads_and_in_every_run() -> None:
    assert {weights(threads, SMALL) for threads in (2, 3, 8, 2, 2, 2)} == {weights(1, SMALL)}


def test_with_avx2_and_with_avx_512() -> None:
    runs = [train(TRAIN, HORNBEAM_ISA=isa) for isa in ("avx2", "avx512")]
    if any("not supported by this CPU" in done.stderr for done in runs):
        pytest.skip("the build or the processor has only one of them")
    assert all(done.returncode == 0 for done in runs), runs[0].stderr + runs[1].stderr
    assert runs[0].stdout == runs[1].stdout
