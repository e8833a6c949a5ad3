"""Time and memory over batch sizes, depths and threads, as Markdown tables.

python benchmarks/scaling.py [batch] [depth] [threads] [crowded]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np

import hornbeam as hb
from hornbeam import layers
from hornbeam.engines import get_engine
from hornbeam.training.packing import make_batch

BATCHES = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]
DEPTHS = [2, 5, 10, 20, 50, 100, 200]
BUSY = """
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
os.nice(int(sys.argv[2]))
while True:
    pass
"""


def convnet() -> hb.Model:
    model = hb.Sequential(
        [
            hb.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def deep(depth: int) -> hb.Model:
    """Build a residual perceptron of `depth` layers."""
    inputs = hb.Input((64,))
    hidden = inputs
    for _ in range(depth - 1):
        hidden = layers.add([hidden, layers.Dense(64, activation="relu")(hidden)])
    model = hb.Model(inputs, layers.Dense(10, activation="softmax")(hidden))
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def images(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, 28, 28, 1)).astype("float32"), rng.integers(0, 10, count)


def step_seconds(model: hb.Model, x: np.ndarray, y: np.ndarray, batch: int, seconds: float = 1.0) -> float:
    """Return the best time of several steps, after compilation and a warm-up."""
    return min(all_step_seconds(model, x, y, batch, seconds))


def all_step_seconds(
    model: hb.Model, x: np.ndarray, y: np.ndarray, batch: int, seconds: float
) -> list[float]:
    """Return the times of as many steps as `seconds` have room for."""
    step = model._hb_trainer.compiled_step("train", make_batch(x, y).signature(batch))
    engine = get_engine("native")
    buffers = [engine.put(x), engine.put(y)]
    rows = np.arange(batch)[None]
    step.run_many(buffers, rows)
    times, start = [], time.perf_counter()
    while time.perf_counter() - start < seconds or not times:
        started = time.perf_counter()
        step.run_many(buffers, rows)
        times.append(time.perf_counter() - started)
    return times


def memory_mib() -> float:
    """Return the peak resident memory; sweeps use a fresh process for each point."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 2**10


def fresh(job: str, value: int) -> dict[str, float]:
    """Measure one point in a fresh process."""
    command = [sys.executable, __file__, "--point", job, str(value)]
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        sys.exit(process.stderr[-3000:])
    return json.loads(process.stdout)


def point(job: str, value: int) -> dict[str, float]:
    if job == "batch":
        x, y = images(value)
        base = memory_mib()
        model = convnet()
        seconds = step_seconds(model, x, y, value)
        return {"step": seconds, "memory": memory_mib() - base}
    x, y = np.random.default_rng(0).normal(size=(32, 64)).astype("float32"), np.zeros(32, "int64")
    base = memory_mib()
    start = time.perf_counter()
    model = deep(value)
    built = time.perf_counter()
    step = model._hb_trainer.compiled_step("train", make_batch(x, y).signature(32))
    traced = time.perf_counter()
    get_engine("native").executable(step.traced.step_graph)
    compiled = time.perf_counter()
    seconds = step_seconds(model, x, y, 32)
    return {
        "build": built - start,
        "trace": traced - built,
        "compile": compiled - traced,
        "step": seconds,
        "memory": memory_mib() - base,
    }


def batches() -> None:
    print("\n| batch | step, ms | µs per sample | memory, MiB |\n|---|---|---|---|")
    for batch in BATCHES:
        record = fresh("batch", batch)
        each = record["step"] / batch * 1e6
        print(f"| {batch} | {record['step'] * 1e3:.3f} | {each:.1f} | {record['memory']:.0f} |", flush=True)


def depths() -> None:
    print("\n| layers | build, s | trace, s | compile, s | step, ms | memory, MiB |\n" + "|---" * 6 + "|")
    for depth in DEPTHS:
        f = fresh("depth", depth)
        print(
            f"| {depth} | {f['build']:.3f} | {f['trace']:.3f} | {f['compile']:.3f} | {f['step'] * 1e3:.3f} "
            f"| {f['memory']:.0f} |",
            flush=True,
        )


def threads() -> None:
    """Print the time of a step with one thread up to four for each CPU."""
    engine = get_engine("native")
    x, y = images(128)
    most = 4 * len(os.sched_getaffinity(0))
    print(f"\n{most // 4} CPUs\n\n| threads | step, ms | times faster |\n|---|---|---|")
    first = None
    for count in (n for n in (1, 2, 4, 8, 16, 32) if n <= most):
        engine.set_threads(count)  # type: ignore[attr-defined]
        gc.collect()
        seconds = step_seconds(convnet(), x, y, 128, seconds=2.0)
        first = first or seconds
        print(f"| {count} | {seconds * 1e3:.2f} | {first / seconds:.2f} |", flush=True)


def crowded() -> None:
    """Print the median time of a step with a thread for each CPU, while others keep one CPU busy."""
    cpus = sorted(os.sched_getaffinity(0))
    get_engine("native").set_threads(len(cpus))  # type: ignore[attr-defined]
    x, y = images(128)
    print(f"\n{len(cpus)} CPUs and threads\n\n| on the last CPU | step, ms |\n|---|---|")
    for name, count, niceness in (
        ("nothing", 0, 0),
        ("a process of niceness 19", 1, 19),
        ("a process", 1, 0),
        ("three processes", 3, 0),
    ):
        busy = [
            subprocess.Popen([sys.executable, "-c", BUSY, str(cpus[-1]), str(niceness)]) for _ in range(count)
        ]
        try:
            seconds = statistics.median(all_step_seconds(convnet(), x, y, 128, seconds=4.0))
        finally:
            for process in busy:
                process.kill()
        print(f"| {name} | {seconds * 1e3:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "sweeps", nargs="*", metavar="SWEEP", help="batch, depth, threads, crowded (default: all)"
    )
    parser.add_argument("--point", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.point:
        print(json.dumps(point(args.point[0], int(args.point[1]))))
        return
    sweeps = {"batch": batches, "depth": depths, "threads": threads, "crowded": crowded}
    unknown = [name for name in args.sweeps if name not in sweeps]
    if unknown:
        parser.error(f"no sweep {unknown[0]!r}; expected one of {', '.join(sweeps)}")
    for name in args.sweeps or sweeps:
        sweeps[name]()


if __name__ == "__main__":
    main()
