"""Losses of the bench's workloads on several engines, from the same state and on the same batches.

    python benchmarks/curves.py native pytensor [--workloads tutorial lstm] [--steps 20]

Prints for each workload how far losses and weights of each engine are from those of the first, and what a
step takes.
"""

from __future__ import annotations

import argparse
import os
import runpy
import sys
from pathlib import Path
from typing import Any

import hornbeam
from hornbeam.compat import install

WORKLOADS = Path(hornbeam.__file__).parent / "bench/workloads"
USUAL = ("tutorial", "lstm", "resnet20", "transformer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("engines", nargs="+")
    parser.add_argument("--workloads", nargs="+", default=USUAL)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    os.environ["SAMPLES"] = str(128 * args.steps)
    install()
    sys.path.insert(0, str(WORKLOADS))
    import common  # type: ignore[import-not-found]

    def compare(model: Any, x: Any, y: Any, batch_size: int) -> None:
        found = hornbeam.compare_engines(model, x, y, args.steps, args.engines, batch_size)
        for result in found:
            relative = max(abs(a / b - 1) for a, b in zip(result.losses, found[0].losses, strict=True))
            first, last = result.losses[0], result.losses[-1]
            print(f"{result.engine}: losses {first:.5f} to {last:.5f}, apart by {relative:.1e} of their size")

    # The scripts are for any Keras and end by measuring themselves.
    common.measure = compare
    for workload in args.workloads:
        print(f"{workload}:")
        hornbeam.utils.set_random_seed(0)
        runpy.run_path(str(WORKLOADS / f"{workload}.py"))


if __name__ == "__main__":
    main()
