"""Run Keras's own tests on Hornbeam's backend and on others, and print a table.

    git clone --branch v3.15.1 https://github.com/keras-team/keras CHECKOUT
    python tools/keras_backend_suite.py CHECKOUT RESULTS --backends hornbeam jax
    python tools/keras_backend_suite.py CHECKOUT RESULTS --backends hornbeam:mlx hornbeam --parts losses

Each folder of tests runs in a process of its own, and its outcomes are kept in the folder RESULTS: a run that
was stopped goes on. The Python that runs this needs Keras, the libraries of the other backends, pytest and
pytest-timeout; pytest-xdist with `--workers`. After a colon stands the name of Hornbeam's engine. The tests
are Keras's, unmodified but for two lines of one file that refuse names of backends which they do not know.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
# Folders below keras/src without tests, or with tests of single backends or of nets that fetch weights;
# "wrappers" names its tests by addresses in memory.
SKIPPED = {"applications", "backend", "datasets", "distribution", "export", "testing", "wrappers"}
# Text of trainers/trainer_test.py, and how they read here.
CHANGES = {
    'elif backend.backend() == "numpy":': 'elif backend.backend() == "hornbeam":',
    "from keras.src.backend.numpy.trainer import": "from keras.src.backend.hornbeam.trainer import",
    "CPU_DEVICES[backend.backend()]": 'CPU_DEVICES.get(backend.backend(), "cpu")',
}


def parts_of(checkout: Path) -> list[str]:
    """List the folders and files of tests below keras/src, those of layers and operations one by one."""
    source = checkout / "keras" / "src"
    parts = []
    for folder in sorted(path for path in source.iterdir() if path.is_dir() and path.name not in SKIPPED):
        inner = sorted(folder.iterdir()) if folder.name in ("layers", "ops") else [folder]
        parts += [path for path in inner if path.name.endswith("_test.py") or any(path.rglob("*_test.py"))]
    return [path.relative_to(source).as_posix() for path in parts]


def admit(checkout: Path) -> None:
    """Let the tests of trainers take the name of this backend."""
    path = checkout / "keras" / "src" / "trainers" / "trainer_test.py"
    text = path.read_text()
    for before, after in CHANGES.items():
        text = text.replace(before, after)
    path.write_text(text)


def run(checkout: Path, part: str, backend: str, workers: int, limit: float) -> dict[str, Any]:
    """Run a folder or file of tests. Returns the outcome of each test, and the seconds."""
    report = checkout / f"report_{backend.replace(':', '_')}.xml"
    backend, _, engine = backend.partition(":")
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", f"keras/src/{part}", "-q", "--tb=no", "-p", "no:cacheprovider"]
    command += ["-o", "addopts=", "--timeout=300", f"--junitxml={report}"]
    command += ["-p", "keras_hornbeam"] if backend == "hornbeam" else []
    command += ["-n", str(workers)] if workers > 1 else []
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "HORNBEAM_ENGINE": engine,
        "PYTHONPATH": str(ROOT / "src"),
        "PYTHONHASHSEED": "0",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    begin = time.perf_counter()
    try:
        subprocess.run(command, cwd=checkout, env=environment, timeout=limit, capture_output=True)
    except subprocess.TimeoutExpired:
        return {"outcomes": {}, "seconds": limit, "error": f"no end in {limit:.0f} s"}
    seconds = time.perf_counter() - begin
    if not report.exists():
        return {"outcomes": {}, "seconds": seconds, "error": "pytest ended without a report"}
    return {"outcomes": outcomes(report), "seconds": seconds}


def outcomes(report: Path) -> dict[str, str]:
    """Read "passed", "failed" or "skipped" by test from a JUnit file."""
    result = {}
    for case in ET.parse(report).iter("testcase"):
        tags = {child.tag for child in case}
        outcome = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        result[f"{case.get('classname')}.{case.get('name')}"] = outcome
    return result


def table(results: dict[str, dict[str, dict[str, Any]]], parts: list[str], backends: list[str]) -> list[str]:
    """Return a Markdown table; the first backend is compared with what each other one passes."""
    first, others = backends[0], backends[1:]
    head = ["tests", *(f"{b}: passed, failed, skipped, seconds" for b in backends)]
    head += [f"of what {b} passes" for b in others]
    rows = [head, ["---"] * len(head)]
    total: dict[str, list[float]] = {name: [0, 0, 0, 0.0] for name in backends}
    shared: dict[str, list[int]] = {name: [0, 0] for name in others}
    for part in parts:
        cells = [f"`{part}`"]
        for b in backends:
            values = list(results[b][part]["outcomes"].values())
            counts = [values.count(kind) for kind in ("passed", "failed", "skipped")]
            counts.append(results[b][part]["seconds"])
            total[b] = [a + c for a, c in zip(total[b], counts, strict=True)]
            cells.append(", ".join(f"{count:,.0f}" for count in counts))
        here = results[first][part]["outcomes"]
        for b in others:
            passed = [name for name, kind in results[b][part]["outcomes"].items() if kind == "passed"]
            both = sum(here.get(name) == "passed" for name in passed)
            shared[b] = [shared[b][0] + both, shared[b][1] + len(passed)]
            cells.append(f"{both:,} of {len(passed):,}")
        rows.append(cells)
    last = ["all", *(", ".join(f"{count:,.0f}" for count in total[b]) for b in backends)]
    last += [f"{a:,} of {n:,} ({a / max(n, 1):.2%})" for a, n in (shared[b] for b in others)]
    return ["| " + " | ".join(row) + " |" for row in [*rows, last]]


def main() -> None:
    """Run what RESULTS does not have yet, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkout", type=Path, help="Keras's repository at the tag of the installed Keras")
    parser.add_argument("results", type=Path, help="folder for the outcomes")
    parser.add_argument("--backends", nargs="+", default=["hornbeam", "jax"])
    parser.add_argument("--parts", nargs="+", help="folders or files below keras/src; all by default")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--limit", type=float, default=3600, help="seconds for a folder")
    args = parser.parse_args()
    admit(args.checkout)
    args.results.mkdir(parents=True, exist_ok=True)
    results: dict[str, dict[str, dict[str, Any]]] = {backend: {} for backend in args.backends}
    parts = args.parts or parts_of(args.checkout)
    for part in parts:
        for backend in args.backends:
            path = args.results / f"{backend}_{part}.json".replace("/", "_").replace(":", "_")
            if not path.exists():
                path.write_text(json.dumps(run(args.checkout, part, backend, args.workers, args.limit)))
            results[backend][part] = json.loads(path.read_text())
            if error := results[backend][part].get("error"):
                print(f"{backend} {part}: {error}", file=sys.stderr)
    print("\n".join(table(results, parts, args.backends)))


if __name__ == "__main__":
    main()
