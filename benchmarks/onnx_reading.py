"""Read ONNX files that other programs ship, and time them beside ONNX Runtime and OpenVINO.

    python benchmarks/onnx_reading.py FOLDER [rows] [NAME ...]
    python benchmarks/onnx_reading.py FOLDER again [NAME ...]     # written again, run by ONNX Runtime

FOLDER holds `.onnx` files. The three take turns, with as many threads as the machine has cores; times are
medians of rounds. OpenVINO is left out if it is not installed.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

import hornbeam as hb

try:
    import openvino
except ImportError:
    openvino = None

THREADS = os.cpu_count() or 1
SECONDS = 2.0
DTYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "int32": "int32",
    "int64": "int64",
    "uint8": "uint8",
    "bool": "bool",
}
# Sizes of axes that files leave open, by input, and values of inputs that are no data.
SIZES = {
    "ch_PP-OCRv4_det_infer": (3, 64, 64),
    "input": (512,),
    "images": (3, 320, 320),
    "input1": (1, 64, 160),
    "x": (3, 48, 320),
    "bytes": (2048,),
}
VALUES = {"sr": np.array(16000)}


def example(stem: str, value: Any, rows: int, rng: np.random.Generator) -> np.ndarray:
    """Return data for an input of a file's session."""
    if value.name in VALUES:
        return VALUES[value.name]
    dtype = DTYPES[value.type.removeprefix("tensor(").removesuffix(")")]
    shape = list(value.shape)
    for i, size in enumerate(shape):
        if not isinstance(size, int) or size <= 0:
            open_sizes = SIZES.get(stem, SIZES.get(value.name, ()))
            first = len(shape) - len(open_sizes)
            shape[i] = open_sizes[i - first] if 0 < first <= i else rows
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)


def rounds(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return median milliseconds of each function, called in turns."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    end = time.perf_counter() + SECONDS * len(functions)
    while time.perf_counter() < end or min(map(len, times.values())) < 5:
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) * 1e3 for name, values in times.items()}


def measure(path: Path, rows: int) -> list[str]:
    """Return a row of the table."""
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    session = session_of(path)
    inputs = {value.name: example(path.stem, value, rows, rng) for value in session.get_inputs()}
    expected = session.run(None, inputs)
    their_start = time.perf_counter() - start
    start = time.perf_counter()
    model = hb.models.load_model(path)
    results = model.run(None, inputs)
    our_start = time.perf_counter() - start
    difference = max(
        float(np.abs(ours.astype("float64") - theirs).max() / max(1.0, np.abs(theirs).max()))
        for ours, theirs in zip(results, expected, strict=True)
    )
    functions: dict[str, Callable[[], object]] = {
        "onnxruntime": lambda: session.run(None, inputs),
        "hornbeam": lambda: model.run(None, inputs),
    }
    if openvino is not None:
        core = openvino.Core()
        core.set_property("CPU", {"INFERENCE_NUM_THREADS": THREADS, "PERFORMANCE_HINT": "LATENCY"})
        try:
            # As the others, it computes in float32.
            compiled = core.compile_model(str(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
            request = compiled.create_infer_request()
            request.infer(inputs)
            functions["openvino"] = lambda: request.infer(inputs)
        except RuntimeError as error:
            print(f"{path.stem}: OpenVINO: {str(error).splitlines()[-1][:100]}", file=sys.stderr)
    times = rounds(functions)
    best = min(value for name, value in times.items() if name != "hornbeam")
    return [
        path.stem,
        f"{path.stat().st_size / 1e6:.1f}",
        f"{difference:.0e}",
        *(f"{times[name]:.2f}" if name in times else "" for name in ("onnxruntime", "openvino", "hornbeam")),
        f"{best / times['hornbeam']:.2f}",
        f"{their_start * 1e3:.0f}",
        f"{our_start * 1e3:.0f}",
    ]


HEADS = (
    "file", "MB", "difference", "ONNX Runtime, ms", "OpenVINO, ms", "Hornbeam, ms", "best / Hornbeam",
    "first answer: ONNX Runtime, ms", "Hornbeam, ms",
)  # fmt: skip
AGAIN = ("file", "difference", "nodes", "nodes of the file", "ratio")


def session_of(path: Path) -> onnxruntime.InferenceSession:
    """Return ONNX Runtime's session of a file."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def nodes_of(graph: Any) -> int:
    """Count nodes, those of branches too, without constants."""
    inner = sum(nodes_of(a.g) for node in graph.node for a in node.attribute if a.HasField("g"))
    return inner + sum(node.op_type != "Constant" for node in graph.node)


def again(path: Path) -> list[str]:
    """Return a row that compares a file with what is written after reading it."""
    rng = np.random.default_rng(0)
    session = session_of(path)
    inputs = {value.name: example(path.stem, value, 1, rng) for value in session.get_inputs()}
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "again.onnx"
        hb.models.load_model(path).export(file, format="onnx", verbose=False)
        results = zip(session_of(file).run(None, inputs), session.run(None, inputs), strict=True)
        count, before = (nodes_of(onnx.load(x).graph) for x in (file, path))
    difference = max(
        float(np.abs(a.astype("float64") - b).max() / max(1.0, np.abs(b).max())) for a, b in results
    )
    return [path.stem, f"{difference:.0e}", str(count), str(before), f"{count / before:.2f}"]


def main() -> None:
    """Print the table."""
    folder, mode, names = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "1", sys.argv[3:]
    hb.Sequential([hb.Input((1,)), hb.layers.Dense(1)])(np.zeros((1, 1)))  # what the first model imports
    heads = AGAIN if mode == "again" else HEADS
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for path in sorted(folder.glob("*.onnx")):
        if names and path.stem not in names:
            continue
        try:
            row = again(path) if mode == "again" else measure(path, int(mode))
        except Exception as error:  # a file is of interest if it fails
            row = [path.stem, f"{path.stat().st_size / 1e6:.1f}", str(error).replace("\n", " ")[:150]]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
