"""Train a model again and again, on several numbers of threads, and compare the hashes of the results.

python tools/reruns.py --reruns 20 --threads 1 2 4 8
"""

from __future__ import annotations

import argparse
import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import hornbeam as hb
from hornbeam import _native, layers

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(96, 12, 12, 1)).astype("float32")
Y = DRAW.integers(0, 4, 96)
EPOCHS = 3


def build() -> hb.Model:
    """Build a model of layers with sums or random numbers."""
    hb.utils.set_random_seed(7)
    model = hb.Sequential(
        [
            hb.Input((12, 12, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.MaxPooling2D(),
            layers.Reshape((6, 96)),
            layers.LSTM(24),
            layers.Dropout(0.3),
            layers.Dense(64, "relu"),
            layers.Dense(4, "softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def fit(model: hb.Model, *more: Any, **options: Any) -> None:
    model.fit(X, Y, batch_size=16, epochs=EPOCHS, verbose=0, callbacks=list(more), **options)


def digest(model: hb.Model) -> str:
    """Return the hash of all weights, batch statistics and the state of the optimizer."""
    total = hashlib.sha256()
    for variable in [*model.variables, *model.optimizer.variables]:
        total.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return total.hexdigest()


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = _native.threads()
    _native.set_threads(count)
    try:
        yield
    finally:
        _native.set_threads(before)


def rerun(count: int) -> str:
    with threads(count):
        model = build()
        fit(model)
        return digest(model)


def run_in_process(count: int, reruns: int, **environment: str) -> list[str]:
    program = [sys.executable, __file__, "--threads", str(count), "--reruns", str(reruns), "--one"]
    process = subprocess.run(
        program, capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return process.stdout.split()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reruns", type=int, default=20)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--one", action="store_true", help="print each hash: used for each process")
    args = parser.parse_args()
    if args.one:
        print(*(rerun(args.threads[0]) for _ in range(args.reruns)), sep="\n")
        return 0
    start, by_count = time.perf_counter(), {}
    for count in args.threads:
        by_count[count] = run_in_process(count, args.reruns)
        hashes = ", ".join(sorted(set(by_count[count])))
        print(f"{count} threads, {args.reruns} reruns: {hashes}", flush=True)
    runs = [text for texts in by_count.values() for text in texts]
    print(f"{len(set(runs))} hash of {len(runs)} runs, {time.perf_counter() - start:.0f} s")
    return int(len(set(runs)) != 1)


if __name__ == "__main__":
    sys.exit(main())
