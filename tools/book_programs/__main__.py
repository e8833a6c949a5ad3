"""Run the programs of books, courses and guides, and print a table.

    python -m tools.book_programs REPOSITORIES RESULTS --side ours [--suite NAME ...]

REPOSITORIES is a folder of git repositories (see `sources.SUITES`), RESULTS a folder for the records. A
run for each side ("ours", "keras") adds its records; `--table` prints what they say. The original on
another backend than TensorFlow is a side of its own ("keras-jax", "keras-torch", "keras-hornbeam");
`--backends` prints the records of all sides. Every program runs in a process and an empty folder of its
own. All sides get the same changed code, the same small random data and the same few steps; see `sources`,
`data` and `child`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tools.book_programs import data, report
from tools.book_programs.sources import SUITES, cells, paths

CHILD = Path(__file__).with_name("child.py")


def run(
    python: str, side: str, task: dict[str, Any], result: Path, proxy: str, seconds: int, backend: str
) -> None:
    """Run a program in a process and an empty folder."""
    environment = {
        **os.environ, "http_proxy": proxy, "HTTP_PROXY": proxy, "MPLBACKEND": "Agg",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "", "KERAS_BACKEND": backend if side == "keras" else "", "no_proxy": "",
    }  # fmt: skip
    environment.pop("HORNBEAM_ENGINE", None)
    if not environment["KERAS_BACKEND"]:
        del environment["KERAS_BACKEND"]
    with tempfile.TemporaryDirectory() as folder:
        environment["HOME"] = environment["KERAS_HOME"] = folder
        program = Path(folder) / "program.json"
        program.write_text(json.dumps(task))
        work = Path(folder) / "work"
        work.mkdir()
        command = [python, "-W", "ignore", str(CHILD), side, str(program), str(result.resolve())]
        log = result.with_suffix(".log")
        with log.open("w") as file:
            try:
                subprocess.run(
                    command, cwd=work, env=environment, timeout=seconds, stdout=file, stderr=subprocess.STDOUT
                )
            except subprocess.TimeoutExpired:
                file.write("\nno answer in time\n")


def main() -> None:
    """Run the programs, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("repositories", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--side", choices=("ours", *report.BACKENDS), default="ours")
    parser.add_argument("--python", default="python")
    parser.add_argument("--suite", action="append", choices=list(SUITES))
    parser.add_argument("--match", default="", help="part of the path of a program")
    parser.add_argument("--seconds", type=int, default=400, help="of a program")
    parser.add_argument("--again", action="store_true", help="run programs that have a record as well")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--backends", action="store_true", help="print the programs on all backends")
    arguments = parser.parse_args()
    if arguments.table:
        print(report.table(arguments.results))
        return
    if arguments.backends:
        print(report.backends(arguments.results, arguments.suite or list(SUITES)))
        return
    proxy = data.serve()
    backend = report.BACKENDS.get(arguments.side, "")
    for name in arguments.suite or SUITES:
        suite = SUITES[name]
        side = "ours" if arguments.side == "ours" else suite.side
        if not side or (side != "keras" and "-" in arguments.side):
            continue
        for path in paths(arguments.repositories, suite):
            if arguments.match not in path:
                continue
            label = path.replace("/", "__")
            result = arguments.results / arguments.side / name / f"{label}.json"
            result.parent.mkdir(parents=True, exist_ok=True)
            if result.exists() and not arguments.again:
                continue
            code = cells(arguments.repositories, suite, path)
            if not any("keras" in cell or "tensorflow" in cell for cell in code):
                continue
            result.write_text(json.dumps({"cells": [], "seconds": 0, "complete": False, "count": len(code)}))
            task = {"name": path, "cells": code, "samples": suite.samples}
            run(arguments.python, side, task, result, proxy, arguments.seconds, backend)
            print(name, path, report.summary(json.loads(result.read_text()), len(code)), flush=True)


if __name__ == "__main__":
    main()
