"""Shared by the workloads: data out of formulas, and one way to measure. Plain Keras code, the same for all
sides.

The environment: EPOCHS, SAMPLES (fewer, to try it out), BENCH_DTYPE (a dtype policy), BENCH_START (the time
at which the process was started, for all that comes before the first step).
"""

import functools
import json
import os
import sys
import time

START = float(os.environ.get("BENCH_START", time.time()))
import keras  # noqa: E402
from keras.layers import Dense  # noqa: E402, F401 - some load their parts when they are first used

IMPORT_SECONDS = time.time() - START
import numpy as np  # noqa: E402

EPOCHS = int(os.environ.get("EPOCHS", "4"))
# One seed, so that runs of one side differ by nothing but time.
keras.utils.set_random_seed(0)
if "BENCH_DTYPE" in os.environ:
    keras.mixed_precision.set_dtype_policy(os.environ["BENCH_DTYPE"])


making = 0.0  # seconds that went into data, which are nobody's merit


def timed(make):
    """`make`, with its time counted as making data."""

    @functools.wraps(make)
    def counted(*args, **kwargs):
        global making
        begun = time.perf_counter()
        made = make(*args, **kwargs)
        making += time.perf_counter() - begun
        return made

    return counted


def samples(usual):
    """How many samples to make."""
    return min(usual, int(os.environ.get("SAMPLES", usual)))


@timed
def pictures(count, size, channels, classes=10, seed=0):
    """A pattern for each class, drowned in noise: x (count, size, size, channels) float32, y (count,) int."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(scale=0.5, size=(classes, size, size, channels)).astype("float32")
    y = rng.integers(0, classes, count)
    x = rng.normal(size=(count, size, size, channels)).astype("float32")
    x += patterns[y]
    return x, y


@timed
def sentences(count, length, words, classes=2, seed=0):
    """Random words, and some of the eight that mark the class: x (count, length) int32, y (count,)."""
    rng = np.random.default_rng(seed)
    marks = rng.integers(0, words, (classes, 8))
    y = rng.integers(0, classes, count)
    marked = np.take_along_axis(marks[y], rng.integers(0, 8, (count, length)), axis=1)
    x = np.where(rng.random((count, length)) < 0.15, marked, rng.integers(0, words, (count, length)))
    return x.astype("int32"), y


class Clock(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.begun)


def peak_mib():
    """Largest resident memory of this process so far, None where the system does not tell."""
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 2**10
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def seconds_of(call, times):
    """Median of `times` calls, after one that warms up."""
    call()
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        found.append(time.perf_counter() - begun)
    return sorted(found)[times // 2]


def measure(model, x, y, batch_size):
    """Train and predict, and print what it took as one line of JSON."""
    model.fit(x[:batch_size], y[:batch_size], batch_size=batch_size, verbose=0)
    start = time.time() - START - making
    clock = Clock()
    history = model.fit(x, y, batch_size=batch_size, epochs=EPOCHS, verbose=0, callbacks=[clock])
    one = seconds_of(lambda: model.predict(x[:1], verbose=0), 50)
    some = x[:2048]
    many = seconds_of(lambda: model.predict(some, batch_size=256, verbose=0), 3)
    found = {
        "import_s": IMPORT_SECONDS,
        "start_s": start,
        "first_epoch_s": clock.seconds[0],
        "epoch_s": min(clock.seconds[1:] or clock.seconds),
        "predict_one_us": one * 1e6,
        "predict_per_s": len(some) / many,
        "peak_mib": peak_mib(),
        "loss": history.history["loss"][-1],
        "samples": len(x),
        "steps": -(-len(x) // batch_size),
    }
    if os.environ.get("BENCH_FLOPS"):
        # Hornbeam can count: the FLOPs of one training step.
        found["step_flops"] = model.profile(x, y, batch_size, steps=1).flops
    print(json.dumps(found), flush=True)
