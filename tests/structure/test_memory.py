"""Budgets of a whole process, as /proc tells them: the tutorial's net in under 600 MB, no growth in loops."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

TUTORIAL = """
import numpy as np
import hornbeam as hb
from hornbeam import layers
(x, y), (xt, yt) = hb.datasets.mnist.load_data()
x = x.reshape(-1, 28, 28, 1).astype("float32"); x /= 255
xt = xt.reshape(-1, 28, 28, 1).astype("float32"); xt /= 255
y = hb.utils.to_categorical(y, 10)
model = hb.Sequential([
    hb.Input((28, 28, 1)), layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu"),
    layers.MaxPooling2D(2), layers.Dropout(0.25), layers.Flatten(), layers.Dense(128, activation="relu"),
    layers.Dropout(0.5), layers.Dense(10, activation="softmax")])
model.compile("adadelta", "categorical_crossentropy", metrics=["accuracy"])
model.fit(x, y, batch_size=128, epochs=1, verbose=0, steps_per_epoch=20)
model.evaluate(xt[:1000], hb.utils.to_categorical(yt[:1000], 10), verbose=0)
# Not ru_maxrss: a process begins with its parent's.
with open("/proc/self/status") as f:
    print(next(int(line.split()[1]) for line in f if line.startswith("VmHWM")) / 1024)
"""

LOOPS = """
import gc
import numpy as np
import hornbeam as hb
from hornbeam import layers

def once():
    model = hb.Sequential([hb.Input((20,)), layers.Dense(64, activation="relu"), layers.Dense(1)])
    model.compile("adam", "mse")
    x = np.zeros((256, 20), "float32")
    model.fit(x, x[:, :1], verbose=0)
    model.predict(x, verbose=0)

def resident():
    gc.collect()
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096

for _ in range(10): once()
before = resident()
for _ in range(60): once()
print((resident() - before) / 60)
"""


def measure(code: str) -> float:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return float(done.stdout.strip().splitlines()[-1])


def test_tutorial_memory() -> None:
    assert measure(TUTORIAL) < 600


def test_building_and_fitting_in_a_loop_does_not_grow() -> None:
    """A model here holds about 6 KB of weights; compiled code is kept for reuse, models are not."""
    assert measure(LOOPS) < 40_000
