"""Run the packages' own test suites on real Keras and on Hornbeam, and print a table.

    python tools/package_suites.py SOURCES --keras FOLDER --python PYTHON --logs LOGS

SOURCES has a folder for each suite of `SUITES`: its sdist or repository at the version named there.
FOLDER has real Keras, JAX and TensorFlow (`pip install --target FOLDER`). PYTHON has what the packages need
besides (tests/ecosystem/requirements-besides.txt, pytest, pytest-timeout, parameterized), and neither Keras
nor TensorFlow. Each side runs in a process of its own, one after the other: real Keras, Hornbeam in its place
("here"), and real Keras on Hornbeam's backend ("backend"). LOGS gets pytest's output and the outcome of each
test; `--table` prints the table of an earlier run from there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent
# Names the file that gets the outcomes, for the pytest plugin that this module also is.
OUTCOMES = "HORNBEAM_SUITE_OUTCOMES"
# Has a number n, if each n-th test is run.
EVERY = "HORNBEAM_SUITE_EVERY"


class Suite(NamedTuple):
    """A test suite.

    Attributes:
        version: Version or commit of its sources.
        paths: Test files and folders, from the folder of the suite.
        excluded: Paths and names of tests that are left out (`-k` of pytest, `--ignore` for paths).
        reason: Why they are, and what else the table should say.
        step: Every `step`-th test file is run, in the order of their paths.
        every: Of these, each test with a number that is a multiple is run.
        source: Folder that is imported from.
        real: KERAS_BACKEND on real Keras.
        here: KERAS_BACKEND on Hornbeam; none if "".
        variables: Other environment variables.
    """

    version: str
    paths: tuple[str, ...]
    excluded: tuple[str, ...] = ()
    reason: str = ""
    step: int = 1
    every: int = 1
    source: str = "."
    real: str = "jax"
    here: str = ""
    variables: tuple[tuple[str, str], ...] = ()


SUITES = {
    "keras-tuner": Suite("417e5b5", ("keras_tuner",)),
    "keras-rs": Suite(
        "0.4.0",
        ("keras_rs",),
        excluded=("keras_rs/src/layers/embedding/jax/", "keras_rs/src/layers/embedding/tensorflow/"),
        reason="without the embeddings for TPUs of JAX and TensorFlow",
    ),
    "hgq2": Suite("88ddffd", ("tests",), every=60, source="src", real="torch", here="tensorflow"),
    "qkeras-v3": Suite("1.2.1", ("tests",), real="torch"),
    "scikeras": Suite("0.13.0", ("tests",), real="torch"),
    "scikit-keras": Suite("0.4.1", ("tests",), real="torch"),
    "kimm": Suite("0.2.5", ("kimm",), real="torch"),
    "medicai": Suite("0.0.4", ("test",), real="torch"),
    "keras-lmu": Suite("0.9.0", ("keras_lmu",), real="tensorflow"),
    "keras-mdn-layer": Suite("1.0.0", ("keras_mdn_layer",)),
    "keras-tcn": Suite("7576256", ("tasks/tcn_call_test.py",)),
    "einops": Suite(
        "0.8.2",
        ("einops/tests",),
        real="tensorflow",
        variables=(("EINOPS_TEST_BACKENDS", "numpy,tensorflow"),),
    ),
    "visualkeras": Suite("0.2.0", ("tests",), real="tensorflow", here="tensorflow"),
    "livelossplot": Suite("6adc109", ("tests",)),
    "optuna-integration": Suite("981b8cd", ("tests/keras", "tests/tfkeras")),
    "keras-hub layers": Suite(
        "71453d08f",
        (
            "keras_hub/src/layers",
            "keras_hub/src/metrics",
            "keras_hub/src/samplers",
            "keras_hub/src/tokenizers",
        ),
        reason="metrics, samplers and tokenizers, too",
        here="tensorflow",
    ),
    "keras-hub models": Suite(
        "71453d08f",
        ("keras_hub/src/models",),
        excluded=("test_session",),
        step=9,
        real="torch",
        here="tensorflow",
    ),
}


class Outcome(NamedTuple):
    """Outcome of a test: passed, failed or skipped, and the last line of its error."""

    outcome: str
    message: str


class Run(NamedTuple):
    """Outcomes of one side by test id, and its seconds; "cut" if it did not end within the limit."""

    outcomes: dict[str, Outcome]
    seconds: str


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """Keep a sample of the tests."""
    items[:] = items[:: int(os.environ.get(EVERY, "1"))]


def pytest_runtest_logreport(report: Any) -> None:
    """Write the outcome of a phase of a test: this module is a plugin of the runs."""
    if report.when == "call" or not report.passed:
        _write(report)


def pytest_collectreport(report: Any) -> None:
    """Write that a file could not be collected."""
    if report.failed:
        _write(report)


def _write(report: Any) -> None:
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash else str(report.longrepr or "").strip().rpartition("\n")[2]
    line = json.dumps([report.nodeid, report.outcome, message if report.failed else ""])
    with open(os.environ[OUTCOMES], "a", encoding="utf-8") as file:
        file.write(line + "\n")


def test_files(folder: Path, suite: Suite) -> list[str]:
    """Return the test files of a suite that are run, from its folder."""
    files: list[Path] = []
    for path in suite.paths:
        candidates = [folder / path] if path.endswith(".py") else sorted((folder / path).rglob("*.py"))
        files += [f for f in candidates if f.name.startswith("test_") or f.name.endswith("_test.py")]
    names = [file.relative_to(folder).as_posix() for file in files][:: suite.step]
    return [name for name in names if not any(name.startswith(e) for e in suite.excluded if "/" in e)]


def run(name: str, side: str, arguments: argparse.Namespace, logs: Path) -> None:
    """Run a suite on a side, and write its log, outcomes and seconds."""
    folder, suite = (arguments.sources / name.split()[0]).resolve(), SUITES[name]
    outcomes = logs / f"{name}.{side}.jsonl"
    outcomes.unlink(missing_ok=True)
    sources = [str(ROOT / "tools"), str((folder / suite.source).resolve())]
    backend = {"here": suite.here, "real": suite.real, "backend": "hornbeam"}[side]
    path = [*sources, *([arguments.keras] if side != "here" else [])]
    path += [str(ROOT / "src")] if side != "real" else []
    path += [os.environ["PYTHONPATH"]] if os.environ.get("PYTHONPATH") else []
    environment = {**os.environ, "MPLBACKEND": "agg", OUTCOMES: str(outcomes), "PYTHONDONTWRITEBYTECODE": "1"}
    environment |= {"PYTHONPATH": os.pathsep.join(path), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {"KERAS_BACKEND": backend} if backend else {}
    environment |= {EVERY: str(suite.every), **dict(suite.variables)}
    command = [arguments.python, "-m", "pytest", "-q", "-p", "package_suites", "-p", "no:cacheprovider"]
    command += [
        "--continue-on-collection-errors",
        "-o",
        "addopts=",
        "--tb=short",
        f"--timeout={arguments.test_limit}",
    ]
    plugins = {"here": "hornbeam.as_keras", "backend": "keras_hornbeam"}
    command += ["-p", plugins[side]] if side in plugins else []
    unwanted = [f"not {test}" for test in suite.excluded if "/" not in test]
    command += ["-k", " and ".join(unwanted)] if unwanted else []
    command += test_files(folder, suite)
    start = time.perf_counter()
    with open(logs / f"{name}.{side}.log", "w", encoding="utf-8") as log:
        try:
            subprocess.run(
                command, cwd=folder, env=environment, stdout=log, stderr=log, timeout=arguments.limit
            )
        except subprocess.TimeoutExpired:
            seconds = "cut"
        else:
            seconds = f"{time.perf_counter() - start:.0f}"
    (logs / f"{name}.{side}.seconds").write_text(seconds)


def read(logs: Path, name: str, side: str) -> Run:
    """Read what `run` wrote. A test counts as passed if all that was written of it is."""
    outcomes: dict[str, Outcome] = {}
    path = logs / f"{name}.{side}.jsonl"
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        test, outcome, message = json.loads(line)
        if test not in outcomes or outcomes[test].outcome == "passed":
            outcomes[test] = Outcome(outcome, message)
    seconds = logs / f"{name}.{side}.seconds"
    return Run(outcomes, seconds.read_text() if seconds.exists() else "cut")


def table(names: list[str], logs: Path, side: str) -> str:
    """Return the table of a side of Hornbeam, and below it what fails there alone, by message."""
    lines = [
        "| suite | version | real Keras on | passed there | of these on Hornbeam | skipped | s | s | |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    details = []
    total = [0, 0]
    for name in names:
        real, here = read(logs, name, "real"), read(logs, name, side)
        passed = [test for test, outcome in real.outcomes.items() if outcome.outcome == "passed"]
        passed = [test for test in passed if not any(part in test for part in SUITES[name].excluded)]
        if here.seconds == "cut":
            passed = [test for test in passed if test in here.outcomes]
        missing = Outcome("missing", "not collected, or not reached")
        both = {test: here.outcomes.get(test, missing) for test in passed}
        failed = Counter(o.message.splitlines()[0] if o.message else o.outcome
                         for o in both.values() if o.outcome != "passed")  # fmt: skip
        count = len(passed) - sum(failed.values())
        skipped = sum(outcome.outcome == "skipped" for outcome in both.values())
        total = [total[0] + len(passed), total[1] + count]
        suite = SUITES[name]
        step = f"each {suite.step}th test file" if suite.step > 1 else ""
        every = f"each {suite.every}th test" if suite.every > 1 else ""
        note = "; ".join(part for part in (step, every, suite.reason) if part)
        percent = f" ({100 * count / len(passed):.1f}%)" if passed else ""
        lines.append(
            f"| {name} | {suite.version} | {suite.real} | {len(passed)} | {count}{percent} | {skipped or ''} "
            f"| {real.seconds} | {here.seconds} | {note} |"
        )
        details += [f"{name}: {n} {message[:200]}" for message, n in failed.most_common()]
    percent = 100 * total[1] / max(total[0], 1)
    lines.append(
        f"\nOf {total[0]} tests that pass on real Keras {total[1]} pass on Hornbeam ({percent:.1f}%)."
    )
    return "\n".join([*lines, "", *details])


def main() -> None:
    """Run the suites, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sources", type=Path, help="folder with a folder for each suite")
    parser.add_argument("suites", nargs="*", help="names of suites; all if there is none")
    parser.add_argument("--keras", help="folder with real Keras and its engines; without it ours alone runs")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the packages")
    parser.add_argument("--logs", type=Path, required=True, help="folder for logs and outcomes")
    parser.add_argument("--test-limit", type=int, default=60, help="seconds for a test")
    parser.add_argument("--limit", type=float, default=900, help="seconds for a side of a suite")
    parser.add_argument("--sides", nargs="+", default=["real", "here"], help="real, here and backend")
    parser.add_argument("--table", action="store_true", help="print the table of the logs, run nothing")
    arguments = parser.parse_args()
    names = arguments.suites or list(SUITES)
    logs = arguments.logs.resolve()
    logs.mkdir(parents=True, exist_ok=True)
    for name in [] if arguments.table else names:
        for side in arguments.sides if arguments.keras else ["here"]:
            run(name, side, arguments, logs)
    for side in [side for side in arguments.sides if side != "real"]:
        print(table(names, logs, side))


if __name__ == "__main__":
    main()
