"""Measure programs that answer one digit, from their start to the answer: C, Python, ONNX Runtime.

    make c-library && python benchmarks/embedding.py                # needs cc and GNU time
    python benchmarks/embedding.py --onnxruntime PYTHON             # an interpreter that has onnxruntime

Prints a table: milliseconds from start to end of the process (least and median), and its largest memory.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import hornbeam as hb
from hornbeam import layers
from hornbeam.cli.commands.link import FOLDER

EXAMPLE = Path(__file__).parents[1] / "examples" / "embed" / "digits.c"
RUNTIME = """import sys, numpy as np
from hornbeam.runtime import FrozenModel
model = FrozenModel(sys.argv[1])
print(model.run({"digit": np.zeros((1, 28, 28, 1), "float32")})["scores"].argmax())"""
WHOLE = """import sys, numpy as np, hornbeam as hb
model = hb.models.load_model(sys.argv[1])
print(model.predict(np.zeros((1, 28, 28, 1), "float32"), verbose=0).argmax())"""
ONNX = """import sys, numpy as np, onnxruntime
session = onnxruntime.InferenceSession(sys.argv[1])
print(session.run(None, {"digit": np.zeros((1, 28, 28, 1), "float32")})[0].argmax())"""


def net() -> hb.Model:
    """Return the net of the Keras tutorial, untrained."""
    hidden = [layers.Conv2D(32, 3, activation="relu"), layers.Conv2D(64, 3, activation="relu")]
    hidden += [layers.MaxPooling2D(), layers.Flatten(), layers.Dense(128, activation="relu")]
    return hb.Sequential(
        [hb.Input((28, 28, 1), name="digit"), *hidden, layers.Dense(10, "softmax", name="scores")]
    )


def seconds_of(command: list[str]) -> float:
    """Return the time of one process."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def megabytes_of(command: list[str]) -> float:
    """Return the largest memory of one process, by GNU time: a fork of this one begins with its memory."""
    timed = ["/usr/bin/time", "-f", "%M", *command]
    return int(subprocess.run(timed, capture_output=True, text=True, check=True).stderr) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--onnxruntime", metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=21)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = net()
        model.save(folder / "m.keras")
        model.export(folder / "m.hornbeam", format="hornbeam", verbose=False)
        (folder / "0.pgm").write_bytes(b"P5 28 28 255\n" + bytes(784))
        link = [f"-I{FOLDER}", f"-L{FOLDER}", f"-Wl,-rpath,{FOLDER}", "-lhornbeam"]
        subprocess.run(["cc", "-O2", EXAMPLE, *link, "-o", folder / "digits"], check=True)
        sides = {
            "C, libhornbeam": [str(folder / "digits"), str(folder / "m.hornbeam"), str(folder / "0.pgm")],
            "Python, hornbeam.runtime": [sys.executable, "-c", RUNTIME, str(folder / "m.hornbeam")],
            "Python, load_model and predict": [sys.executable, "-c", WHOLE, str(folder / "m.keras")],
        }
        if args.onnxruntime:
            model.export(folder / "m.onnx", format="onnx", verbose=False)
            sides["Python, ONNX Runtime"] = [args.onnxruntime, "-c", ONNX, str(folder / "m.onnx")]
        memory = {side: megabytes_of(command) for side, command in sides.items()}
        figures: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(args.rounds):
            for side, command in sides.items():
                figures[side].append(seconds_of(command))
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print("| program | least, ms | median, ms | memory, MB |\n|---|---|---|---|")
    for side, times in figures.items():
        least, median = 1e3 * min(times), 1e3 * statistics.median(times)
        print(f"| {side} | {least:.1f} | {median:.1f} | {memory[side]:.0f} |")


if __name__ == "__main__":
    main()
