"""Test accuracy over several runs of an unmodified tutorial script or of `hornbeam mnist`.

python benchmarks/accuracy.py mnist [--seeds 0 1 2]
python benchmarks/accuracy.py script path/to/mnist_cnn.py [--runs 3]
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HORNBEAM = str(Path(sys.executable).with_name("hornbeam"))


def accuracy(command: list[str], pattern: str) -> float:
    start = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{process.stderr[-3000:]}")
    value = float(re.findall(pattern, process.stdout)[-1])
    print(f"{' '.join(command[1:])}: {value:.4f} in {time.perf_counter() - start:.0f} s", flush=True)
    return value


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    jobs = parser.add_subparsers(dest="job", required=True)
    mnist = jobs.add_parser("mnist")
    mnist.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    script = jobs.add_parser("script")
    script.add_argument("path")
    script.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    if args.job == "script":
        values = [
            accuracy([HORNBEAM, "run", args.path], r"Test accuracy: ([\d.]+)") for _ in range(args.runs)
        ]
    else:
        values = []
        for seed in args.seeds:
            with tempfile.TemporaryDirectory() as folder:
                command = [HORNBEAM, "mnist", "--seed", str(seed), "--output", folder, "--no-record"]
                values.append(accuracy(command, r"test accuracy ([\d.]+)%") / 100)
    print(f"mean {statistics.mean(values):.4f}, lowest {min(values):.4f}, of {len(values)}")


if __name__ == "__main__":
    main()
