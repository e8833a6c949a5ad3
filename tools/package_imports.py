"""Try `import PACKAGE` for packages built on Keras, in processes in which `import keras` means Hornbeam.

Run it from the root of the repository with a folder of wheels (`pip download --no-deps -d FOLDER ...`) and
folders with what the packages need besides Keras:

    python tools/package_imports.py FOLDER --path DEPENDENCIES

Each wheel is imported from a folder of its own; behind it are the other wheels, as some need each other. A
Markdown table says what stops each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CODE = """
import importlib, sys
import hornbeam
hornbeam.install_as_keras(verbose=False)
importlib.import_module(sys.argv[1])
"""

SKIPPED = ("test", "tests", "docs", "examples", "benchmarks", "integration_tests")


def packages(folder: Path) -> list[str]:
    """Return the names of the packages and modules at the top of an unpacked wheel."""
    names = [path.parent.name for path in sorted(folder.glob("*/__init__.py"))]
    names = [name for name in names if name not in SKIPPED]
    return names or [path.stem for path in sorted(folder.glob("*.py"))]


def failure(package: str, folder: Path, paths: list[str]) -> str:
    """Return "" if the package is imported, or the last line of the error."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", str(folder), *paths])}
    try:
        run = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", CODE, package],
            capture_output=True, text=True, timeout=300, env=environment,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "no answer in 300 s"
    lines = [line for line in run.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line[:1].isalpha() and "Error" in line.split(":")[0]]
    return "" if run.returncode == 0 else (errors or lines or ["?"])[-1][:200]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheels", type=Path)
    parser.add_argument("--path", action="append", default=[])
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        wheels = sorted(arguments.wheels.glob("*.whl"))
        for wheel in wheels:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(Path(folder) / wheel.stem)
        behind = [str(Path(folder) / wheel.stem) for wheel in wheels] + arguments.path
        for wheel in wheels:
            for package in packages(Path(folder) / wheel.stem):
                error = failure(package, Path(folder) / wheel.stem, behind)
                rows.append((wheel.name.split("-")[0], package, error))
                print(f"| {rows[-1][0]} | {package} | {error or 'imported'} |", flush=True)
    print(f"{sum(not error for _, _, error in rows)} of {len(rows)} are imported")


if __name__ == "__main__":
    main()
