"""Measure both sides in alternation and print medians and ratios as a Markdown table.

python benchmarks/figures.py --peer .venv-bench/bin/python [--runs 5] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
FIGURES = {
    "import_s": ("import, s", 3),
    "first_epoch_s": ("first epoch, s", 2),
    "epoch_s": ("epoch, s", 2),
    "predict_one_us": ("predict one sample, µs", 0),
    "peak_mib": ("peak memory, MiB", 0),
}


def measure(command: list[str], **environment: str) -> dict:
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", help="a Python that has Keras and TensorFlow")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="append the table to results.md")
    args = parser.parse_args()

    script = str(HERE / "tutorial.py")
    sides = {"hornbeam": ([str(Path(sys.executable).with_name("hornbeam")), "run", script], {})}
    if args.peer:
        quiet = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        sides["keras+tensorflow"] = ([args.peer, script], quiet)
    results: dict[str, list[dict]] = {name: [] for name in sides}
    for _ in range(args.runs):
        for name, (command, environment) in sides.items():
            results[name].append(measure(command, **environment))

    lines = [
        f"`{' '.join(['python', 'benchmarks/figures.py', *sys.argv[1:]])}` on {cpu()}, "
        f"{os.cpu_count()} cores, "
        f"Python {platform.python_version()}; medians of {args.runs}, sides in alternation:",
        "",
        "| figure | " + " | ".join(sides) + (" | ratio |" if args.peer else " |"),
        "|---|" + "---|" * (len(sides) + bool(args.peer)),
    ]
    for key, (label, digits) in FIGURES.items():
        medians = [statistics.median(run[key] for run in runs) for runs in results.values()]
        cells = [f"{median:.{digits}f}" for median in medians]
        if args.peer:
            pairs = zip(results["keras+tensorflow"], results["hornbeam"], strict=True)
            cells.append(f"{statistics.median(b[key] / a[key] for b, a in pairs):.2f}")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    lines.append("")
    lines.append(
        "Last loss: " + ", ".join(f"{name} {runs[0]['loss'][-1]:.4f}" for name, runs in results.items())
    )
    text = "\n".join(lines)
    print(text)
    if args.write:
        with (HERE / "results.md").open("a") as file:
            file.write(text + "\n\n")


if __name__ == "__main__":
    main()
