"""Throughput of several processes on one machine with the same global batch.

Trains a model by `DataParallel` in 1, 2, ... processes of one machine, the counts in alternation, each run in
fresh processes, and prints medians of samples/s and the differences of losses from those of one process.

    python benchmarks/distribution.py --engine jax --processes 1 2 --runs 3
    python benchmarks/distribution.py --engine torch --net cnn --cores 1

With --cores every process is restricted to that many cores (Linux), so that twice the processes have twice
the cores. Without it all share all cores, which the libraries use from one process already.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np


def net(kind: str) -> tuple[Any, tuple[int, ...]]:
    """Return a model and the shape of its samples."""
    from hornbeam import Sequential, layers

    if kind == "mlp":
        middle = [layers.Dense(512, activation="relu") for _ in range(3)]
        return Sequential([layers.Input((784,)), *middle, layers.Dense(10)]), (784,)
    return Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10),
        ]
    ), (28, 28, 1)


def work(options: argparse.Namespace) -> None:
    """Train for two epochs in each process, of which the second is measured."""
    if options.cores:
        first = int(os.environ.get("LOCAL_RANK", "0")) * options.cores
        os.sched_setaffinity(0, range(first, first + options.cores))
    import hornbeam
    from hornbeam import distribution

    hornbeam.utils.set_random_seed(1)
    distribution.set_distribution(distribution.DataParallel())
    model, shape = net(options.net)
    loss = hornbeam.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, metrics=["accuracy"])
    generator = np.random.default_rng(0)
    x = generator.normal(size=(options.samples, *shape)).astype("float32")
    y = generator.integers(0, 10, options.samples)
    losses = model.fit(x, y, options.batch, verbose=0).history["loss"]
    start = time.perf_counter()
    losses += model.fit(x, y, options.batch, verbose=0).history["loss"]
    seconds = time.perf_counter() - start
    if distribution.distribution().data_shard_id == 0:
        Path(options.result).write_text(json.dumps({"seconds": seconds, "losses": losses}))


def measure(options: argparse.Namespace, processes: int) -> dict[str, Any]:
    """Measure one run in fresh processes."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder, "result.json")
        command = [sys.executable, "-m", "hornbeam", "launch", "--nproc", str(processes)]
        command += ["--engine", options.engine, __file__, *sys.argv[1:], "--result", str(result)]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
        if process.returncode:
            sys.exit(process.stderr[-3000:])
        return json.loads(result.read_text())


def main() -> None:
    """Measure all counts in alternation and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--engine", default="jax", help="jax or torch (default jax)")
    parser.add_argument("--net", choices=["mlp", "cnn"], default="mlp")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=256, help="samples in a global batch (default 256)")
    parser.add_argument("--samples", type=int, default=25_600)
    parser.add_argument("--cores", type=int, default=0, help="of each process, 0 for all")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.result:
        work(options)
        return
    records: dict[int, list[dict[str, Any]]] = {count: [] for count in options.processes}
    for _ in range(options.runs):
        for count in options.processes:
            records[count].append(measure(options, count))
    print("| processes | samples/s | of one process | largest difference of a loss |")
    print("|---|---|---|---|")
    alone = records[options.processes[0]]
    base = statistics.median(run["seconds"] for run in alone)
    for count, runs in records.items():
        seconds = statistics.median(run["seconds"] for run in runs)
        pairs = [zip(run["losses"], alone[0]["losses"], strict=True) for run in runs]
        difference = max(abs(a - b) for pair in pairs for a, b in pair)
        print(f"| {count} | {options.samples / seconds:,.0f} | {base / seconds:.2f} | {difference:.1e} |")


if __name__ == "__main__":
    main()
