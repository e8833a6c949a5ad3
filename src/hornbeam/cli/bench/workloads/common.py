"""Synthetic data and measurements of all workloads, in plain Keras code for all competitors.

Environment variables: EPOCHS, SAMPLES (fewer, to try it out), BENCH_DTYPE (a dtype policy), BENCH_START (the
time at which the process was started, for times before the first step).
"""

import functools
import json
import os
import sys
import time

START = float(os.environ.get("BENCH_START", time.time()))
if os.environ.get("KERAS_BACKEND") == "hornbeam":
    import keras_hornbeam  # noqa: F401 - before keras
import keras  # noqa: E402
from keras.layers import Dense  # noqa: E402, F401 - some load layers at the first use

IMPORT_SECONDS = time.time() - START
import numpy as np  # noqa: E402

EPOCHS = int(os.environ.get("EPOCHS", "4"))
# One seed, so that runs of a competitor differ only in time.
keras.utils.set_random_seed(0)
if "BENCH_DTYPE" in os.environ:
    keras.mixed_precision.set_dtype_policy(os.environ["BENCH_DTYPE"])


data_seconds = 0.0  # time of making data, which is not measured


def timed(make):
    """Count the time of a function as that of making data."""

    @functools.wraps(make)
    def counted(*args, **kwargs):
        global data_seconds
        started = time.perf_counter()
        result = make(*args, **kwargs)
        data_seconds += time.perf_counter() - started
        return result

    return counted


def samples(usual):
    """Return the number of samples, which SAMPLES may reduce."""
    return min(usual, int(os.environ.get("SAMPLES", usual)))


@timed
def images(count, size, channels, classes=10, seed=0):
    """Return a noisy pattern of each class: x (count, size, size, channels) float32, y (count,) int."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(scale=0.5, size=(classes, size, size, channels)).astype("float32")
    y = rng.integers(0, classes, count)
    x = rng.normal(size=(count, size, size, channels)).astype("float32")
    x += patterns[y]
    return x, y


@timed
def sentences(count, length, words, classes=2, seed=0):
    """Return random words, with words that mark the class: x (count, length) int32, y (count,)."""
    rng = np.random.default_rng(seed)
    marks = rng.integers(0, words, (classes, 8))
    y = rng.integers(0, classes, count)
    marked = np.take_along_axis(marks[y], rng.integers(0, 8, (count, length)), axis=1)
    x = np.where(rng.random((count, length)) < 0.15, marked, rng.integers(0, words, (count, length)))
    return x.astype("int32"), y


class EpochTimer(keras.callbacks.Callback):
    """Seconds of each epoch."""

    def __init__(self):
        super().__init__()
        self.seconds = []

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.seconds.append(time.perf_counter() - self.started)


def peak_mib():
    """Return the peak resident memory of this process, None where the system does not report it."""
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
    """Return the median of `times` calls, after one to warm up."""
    call()
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return sorted(seconds)[times // 2]


def measure(model, x, y, batch_size):
    """Train and predict, and print times and memory as one line of JSON."""
    model.fit(x[:batch_size], y[:batch_size], batch_size=batch_size, verbose=0)
    start = time.time() - START - data_seconds
    timer = EpochTimer()
    history = model.fit(x, y, batch_size=batch_size, epochs=EPOCHS, verbose=0, callbacks=[timer])
    seconds_one = seconds_of(lambda: model.predict(x[:1], verbose=0), 50)
    samples = x[:2048]
    seconds_batch = seconds_of(lambda: model.predict(samples, batch_size=256, verbose=0), 3)
    results = {
        "import_s": IMPORT_SECONDS,
        "start_s": start,
        "first_epoch_s": timer.seconds[0],
        "epoch_s": min(timer.seconds[1:] or timer.seconds),
        "predict_one_us": seconds_one * 1e6,
        "predict_per_s": len(samples) / seconds_batch,
        "peak_mib": peak_mib(),
        "loss": history.history["loss"][-1],
        "samples": len(x),
        "steps": -(-len(x) // batch_size),
    }
    if os.environ.get("BENCH_FLOPS"):
        # Hornbeam can count: the FLOPs of one training step.
        results["step_flops"] = model.profile(x, y, batch_size, steps=1).flops
    print(json.dumps(results), flush=True)
