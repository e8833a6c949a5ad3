"""Run the programs of examples/keras under real Keras and under `hornbeam run`, and compare them.

    python benchmarks/examples.py [PROGRAM ...] --tensorflow PYTHON [--keras PYTHON] [--record] [--table FILE]

Programs that import tensorflow run with the Python of `--tensorflow`, the others with that of `--keras`, on
JAX unless KERAS_BACKEND is set. tests/helpers/example_results.py defines the comparison and its tolerance.
`--record` writes the results of Keras for the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.helpers import example_results


def run(command: list[str], name: str, **environment: str) -> dict[str, Any] | str:
    """Return the result of side.py, or the last line of its error."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "result.json"
        program = example_results.PROGRAMS / f"{name}.py"
        process = subprocess.run(
            [*command, str(example_results.RUNNER), str(program), str(output)],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
        )
        if process.returncode:
            return (process.stderr.strip().splitlines() or ["no output"])[-1]
        return json.loads(output.read_text())


def both(name: str, args: argparse.Namespace) -> tuple[dict[str, Any] | str, dict[str, Any] | str]:
    ours = run([sys.executable, "-m", "hornbeam", "run"], name)
    if example_results.uses_tensorflow(name):
        theirs = run([args.tensorflow], name, KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    else:
        theirs = run([args.keras], name, KERAS_BACKEND=os.environ.get("KERAS_BACKEND", "jax"))
    return ours, theirs


def row(name: str, ours: dict[str, Any] | str, theirs: dict[str, Any] | str) -> str:
    side = "TensorFlow" if example_results.uses_tensorflow(name) else os.environ.get("KERAS_BACKEND", "JAX")
    for library, result in (("Hornbeam", ours), ("Keras", theirs)):
        if isinstance(result, str):
            return f"| {name} | {side} | {library} failed: {result} | | | | |"
    assert isinstance(ours, dict)
    assert isinstance(theirs, dict)
    key = "loss" if "loss" in theirs["result"] else next(iter(theirs["result"]))
    losses = [str(_ends(result["result"][key])) for result in (theirs, ours)]
    try:
        distance, series = example_results.farthest(name, ours["result"], theirs["result"])
    except AssertionError as error:
        distance, series = float("inf"), str(error)
    verdict = f"{distance:.2f}" if distance <= 1 else f"**{distance:.2f}** ({series})"
    times = f"{theirs['seconds']:.1f} s | {ours['seconds']:.1f} s"
    return f"| {name} | {side} | {key} {losses[0]} | {losses[1]} | {verdict} | {times} |"


def _ends(values: Any) -> str:
    listed = values if isinstance(values, list) else [values]
    return f"{listed[0]:.4f} ... {listed[-1]:.4f}" if len(listed) > 1 else f"{listed[0]:.4f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("programs", nargs="*", help="names of programs (default: all)")
    parser.add_argument("--tensorflow", required=True, metavar="PYTHON", help="one with keras and tensorflow")
    parser.add_argument("--keras", default=sys.executable, metavar="PYTHON", help="one with keras and jax")
    parser.add_argument("--record", action="store_true", help="write Keras's results for the tests")
    parser.add_argument("--table", metavar="FILE", help="write the table to FILE as well")
    args = parser.parse_args()
    known = example_results.recorded() if example_results.RECORDED.exists() else {}
    lines = [
        "| program | Keras on | Keras's losses | Hornbeam's | distance (1 is allowed) | Keras | Hornbeam |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for name in args.programs or example_results.programs():
        ours, theirs = both(name, args)
        lines.append(row(name, ours, theirs))
        print(lines[-1], flush=True)
        if isinstance(theirs, dict) and args.record:
            known[name] = {"result": theirs["result"]}
            example_results.RECORDED.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
        if args.table:
            Path(args.table).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
