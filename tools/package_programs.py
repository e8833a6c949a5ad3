"""Run the programs of tests/ecosystem on Hornbeam, and on real Keras, and print a table.

    pip install -r tests/ecosystem/requirements.txt     # in an environment without Keras and TensorFlow
    python tools/package_programs.py --keras FOLDER

FOLDER has real Keras, JAX and, for the programs that want it, TensorFlow (`pip install --target FOLDER`).
Without it only Hornbeam's column is made. Each program runs in a process and a folder of its own.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / "tests" / "ecosystem" / "programs"


class Outcome(NamedTuple):
    """Result of a program: "" or the last line of its error, and its seconds."""

    error: str
    seconds: float


class Program(NamedTuple):
    """A program: its package, and KERAS_BACKEND for real Keras and for Hornbeam ("" for none)."""

    path: Path
    package: str
    real: str
    here: str


def read_program(path: Path) -> Program:
    """Read the first line of a program: "package (engine, here name): what it does"."""
    first = path.read_text(encoding="utf-8").split('"""')[1].split(":")[0]
    package, _, options = first.partition(" (")
    names = options.rstrip(")").split(", ")
    here = [name.removeprefix("here ") for name in names if name.startswith("here ")]
    real = [name for name in names if name and not name.startswith("here ")]
    return Program(path, package, (*real, "jax")[0], (*here, "")[0])


def run(program: Path, command: list[str], environment: dict[str, str], limit: float) -> Outcome:
    """Run a program in a folder of its own."""
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = subprocess.run(
                [*command, str(program)],
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=limit,
            )
        except subprocess.TimeoutExpired:
            return Outcome(f"no end in {limit:.0f} s", limit)
    seconds = time.perf_counter() - start
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    return Outcome("" if result.returncode == 0 else (lines or ["?"])[-1].strip(), seconds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("programs", nargs="*", help="names of programs; all if there is none")
    parser.add_argument("--keras", help="folder with real Keras and its engines")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the packages")
    parser.add_argument("--limit", type=float, default=300, help="seconds for a program")
    parser.add_argument("--jobs", type=int, default=1, help="programs that run at a time")
    arguments = parser.parse_args()
    paths = sorted(PROGRAMS.glob("*.py"))
    chosen = [read_program(p) for p in paths if p.stem in arguments.programs or not arguments.programs]
    behind = os.environ.get("PYTHONPATH", "")
    common = {**os.environ, "MPLBACKEND": "agg", "PYTHONWARNINGS": "ignore"}
    ours = {**common, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), behind])}

    def both(program: Program) -> tuple[Outcome | None, Outcome]:
        real = None
        if arguments.keras:
            path = os.pathsep.join([behind, arguments.keras])
            environment = {**common, "PYTHONPATH": path, "KERAS_BACKEND": program.real}
            real = run(program.path, [arguments.python], environment, arguments.limit)
        environment = {**ours, "KERAS_BACKEND": program.here} if program.here else ours
        command = [arguments.python, "-m", "hornbeam", "run"]
        return real, run(program.path, command, environment, arguments.limit)

    print("| program | package | real Keras | s | Hornbeam | s |\n|---|---|---|---|---|---|")
    passed = [0, 0]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for program, outcomes in zip(chosen, pool.map(both, chosen), strict=True):
            cells = []
            for i, outcome in enumerate(outcomes):
                if outcome is None:
                    cells += ["", ""]
                    continue
                passed[i] += not outcome.error
                cells += [outcome.error[:160].replace("|", "\\|") or "passed", f"{outcome.seconds:.1f}"]
            print(f"| {program.path.stem} | {program.package} | {' | '.join(cells)} |", flush=True)
    print(f"\n{passed[0]} of {len(chosen)} pass on real Keras, {passed[1]} on Hornbeam.")


if __name__ == "__main__":
    main()
