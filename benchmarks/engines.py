"""Common workloads on an engine, compared with the native engine and with Keras on the same library.

    python benchmarks/engines.py torch [tutorial lstm resnet20 transformer] [--steps 6] [--json FILE]
    python benchmarks/engines.py torch:cuda:0 tutorial --steps 50
    python benchmarks/engines.py --table FILE...

Needs the library of the engine, and Keras if it has that library as a backend, on the default device. For
each workload of `hornbeam bench`: the same steps from one state on the native engine and on this one (largest
differences of losses and weights), then the time of a step after two fits as a warm-up, Hornbeam and Keras in
alternation in one process. On a busy machine only the ratios of such pairs are meaningful.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import statistics
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np

WORKLOADS = ("tutorial", "lstm", "resnet20", "transformer")
BACKENDS = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow"}


def build(workload: str, library: Any, count: int) -> tuple[Any, np.ndarray, np.ndarray, int]:
    """Return compiled model, x, y and batch size of a workload, in Hornbeam or Keras (`library`)."""
    import hornbeam.cli.bench as bench

    folder = Path(bench.__file__).parent / "workloads"
    arguments: list[Any] = []
    os.environ["SAMPLES"] = str(count)
    # The workloads import Keras by name, and call `measure` at their end.
    modules = {name: sys.modules.get(name) for name in ("keras", "keras.layers", "common")}
    library.utils.set_random_seed(0)
    try:
        sys.modules.update({"keras": library, "keras.layers": library.layers})
        names = runpy.run_path(str(folder / "common.py"))
        common = types.ModuleType("common")
        common.__dict__.update({**names, "measure": lambda *args: arguments.extend(args)})
        sys.modules["common"] = common
        runpy.run_path(str(folder / f"{workload}.py"))
    finally:
        for name, module in modules.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    model, x, y, batch = arguments
    return model, np.asarray(x), np.asarray(y), batch


def timed(
    sides: dict[str, Any], x: np.ndarray, y: np.ndarray, batch: int, runs: int
) -> dict[str, list[float]]:
    """Return milliseconds per step of fits in alternation, after two of each."""
    steps = len(x) // batch
    times: dict[str, list[float]] = {name: [] for name in sides}
    for run in range(runs + 2):
        for name, fit in sides.items():
            started = time.perf_counter()
            fit(x, y, batch_size=batch, verbose=0)
            if run >= 2:
                times[name].append(1000 * (time.perf_counter() - started) / steps)
    return times


def measured(engine: str, workload: str, steps: int, runs: int) -> dict[str, Any]:
    """Measure one row of the table."""
    import hornbeam

    model, x, y, batch = build(workload, hornbeam, 1 << 30 if steps > 100 else steps * 128)
    x, y = x[: steps * batch], y[: steps * batch]
    native, other = hornbeam.compare_engines(
        model, x, y, steps=steps, engines=["native", engine], batch_size=batch
    )
    sides = {"hornbeam": lambda *data, **kw: model.fit(*data, engine=engine, **kw)}
    backend = BACKENDS.get(engine.partition(":")[0])
    if backend:
        import keras

        sides["keras"] = build(workload, keras, len(x))[0].fit
    milliseconds = timed(sides, x, y, batch, runs)
    return {
        "engine": engine,
        "workload": workload,
        "losses": [list(native.losses), list(other.losses)],
        "loss_difference": other.loss_difference,
        "weight_difference": other.weight_difference,
        "steps": len(x) // batch,
        "ms": {name: [min(times), statistics.median(times)] for name, times in milliseconds.items()},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as Markdown, with the smallest and the median time."""
    heads = ("workload", "engine", "loss", "differs by", "weights by", "ms per step", "Keras", "Keras / ours")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in rows:
        ours, theirs = row["ms"]["hornbeam"], row["ms"].get("keras")
        cells = [
            row["workload"],
            row["engine"],
            f"{row['losses'][0][-1]:.3f}",
            f"{row['loss_difference']:.1e}",
            f"{row['weight_difference']:.1e}",
            f"{ours[0]:.0f}, {ours[1]:.0f}",
            f"{theirs[0]:.0f}, {theirs[1]:.0f}" if theirs else "-",
            f"{theirs[0] / ours[0]:.2f}, {theirs[1] / ours[1]:.2f}" if theirs else "-",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("engine", nargs="?", help="name of an engine, optionally with a device")
    parser.add_argument("workloads", nargs="*", default=[], help=", ".join(WORKLOADS))
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", type=Path, help="a file to which rows are appended")
    parser.add_argument("--table", type=Path, nargs="+", help="print the rows of such files")
    args = parser.parse_args()
    if args.table:
        print(table([json.loads(line) for path in args.table for line in path.read_text().splitlines()]))
        return
    if not args.engine:
        parser.error("expected the name of an engine")
    os.environ["KERAS_BACKEND"] = BACKENDS.get(args.engine.partition(":")[0], "numpy")
    rows = []
    for workload in args.workloads or WORKLOADS:
        rows.append(measured(args.engine, workload, args.steps, args.runs))
        if args.json:
            with args.json.open("a") as file:
                file.write(json.dumps(rows[-1]) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
