"""Endurance: memory over fit, predict, build, save and load; predictions from many threads.

python benchmarks/soak.py --minutes 60
python benchmarks/soak.py --threads 32 --calls 10000
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

import hornbeam as hb
from hornbeam import layers


def resident() -> float:
    """Return the resident memory in MiB."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) / 1024


def build() -> hb.Model:
    hidden = [layers.Conv2D(8, 3, activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D()]
    model = hb.Sequential([hb.Input((14, 14, 1)), *hidden, layers.Flatten(), layers.Dense(10, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def soak(minutes: float) -> None:
    """Repeat training, prediction, saving and loading; print memory ten times."""
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(256, 14, 14, 1)).astype("float32"), draw.integers(0, 10, 256)
    start, rounds, shown = time.monotonic(), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        while (passed := time.monotonic() - start) < minutes * 60:
            model = build()
            model.fit(x, y, epochs=2, verbose=0, validation_split=0.1, resume=path / f"run{rounds % 3}")
            for old in (path / f"run{rounds % 3}").iterdir():
                old.unlink()
            model.predict(x[: 1 + rounds % 40], verbose=0)
            model.save(path / "model.keras")
            model = hb.saving.load_model(path / "model.keras")
            model.evaluate(x, y, verbose=0)
            float(hb.ops.sum(model(x[:8])))
            rounds += 1
            if passed >= shown * minutes * 6:
                gc.collect()
                print(f"{passed / 60:6.1f} min  {rounds:6,} rounds  {resident():7.1f} MiB", flush=True)
                shown += 1


def threads(count: int, calls: int) -> None:
    """Call `predict` from several threads at once and compare every result."""
    model = build()
    xs = np.random.default_rng(0).normal(size=(64, 1, 14, 14, 1)).astype("float32")
    expected = [model.predict(x, verbose=0) for x in xs]
    wrong, errors = [0] * count, [0] * count

    def work(number: int) -> None:
        for call in range(calls):
            i = (number * 7 + call) % len(xs)
            try:
                wrong[number] += not np.array_equal(model.predict(xs[i], verbose=0), expected[i])
            except Exception:
                errors[number] += 1

    start = time.monotonic()
    workers = [threading.Thread(target=work, args=(n,)) for n in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.monotonic() - start
    print(
        f"{count} threads x {calls:,} predictions in {took:.0f} s: {sum(errors)} errors, {sum(wrong)} wrong"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--calls", type=int, default=10_000)
    args = parser.parse_args()
    if args.threads:
        threads(args.threads, args.calls)
    if args.minutes:
        soak(args.minutes)
