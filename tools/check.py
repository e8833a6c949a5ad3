"""Check what has changed, in two minutes: lint, types, and the tests that hold the changed files.

    make check                              # all that differs from main, and new files
    make check FILES="src/hornbeam/ops/nn.py"
    python tools/check.py --seconds 60

ruff and mypy read Python (mypy is quick after its first run), rustfmt, clippy and the crate's own tests Rust.
The tests of `tools/tests_of.py` follow, the closest first, and none starts when the time is up. Prints
what was left out, and the seconds of each room of the tests. `make test` and CI run all the others.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.conftest import LEFT_OUT  # noqa: E402
from tests.helpers.rooms import room_of  # noqa: E402
from tools.tests_of import Tree, tests_of_files  # noqa: E402

BUDGET = 120.0
# Collecting a module takes time, too.
MODULES = 24
PYTHON = [sys.executable, "-m"]
# Of crates whose tests take longer than a change of one file deserves, these alone.
CRATE_TESTS = {"hornbeam-kernels": ["--lib"]}


def git(*arguments: str) -> list[str]:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")


def changed_files(base: str) -> list[Path]:
    """Return the files that differ from a branch where it was left, and those that git does not know."""
    commit = git("merge-base", base, "HEAD")[0] if git("branch", "--list", base)[0] else "HEAD"
    names = git("diff", "--name-only", commit) + git("ls-files", "--others", "--exclude-standard")
    return [ROOT / name for name in sorted(set(names)) if name and (ROOT / name).is_file()]


def lint(files: list[Path]) -> list[list[str]]:
    """Return the commands that read the files, without running their code."""
    python = [str(path) for path in files if path.suffix in (".py", ".pyi")]
    commands = [[*PYTHON, "ruff", "check", *python], [*PYTHON, "ruff", "format", "--check", *python]]
    commands = commands if python else []
    if crates := crates_of(files):
        packages = [word for crate in crates for word in ("-p", crate)]
        clippy = ["cargo", "clippy", "--target-dir", "target/lint", "--release", "--quiet", *native(crates)]
        test = ["cargo", "test", "--release", "--quiet"]
        commands += [
            ["cargo", "fmt", "--check", *packages],
            [*clippy, "--all-targets", *packages, "--", "-D", "warnings"],
            *([*test, *native([crate]), "-p", crate, *CRATE_TESTS.get(crate, [])] for crate in crates),
        ]
    return commands


def native(crates: list[str]) -> list[str]:
    """Return the options for kernels of this machine alone, as a checkout has them, but for WebAssembly's."""
    return [] if crates == ["hornbeam-web"] else ["--features", "hornbeam-kernels/native"]


def crates_of(files: list[Path]) -> list[str]:
    """Return the crates of the Rust files."""
    rooms = (room_of(path) for path in files if path.suffix == ".rs")
    return sorted({room.removeprefix("crates/") for room in rooms if room})


def run(command: list[str]) -> bool:
    """Run a command, print its time, and return whether it succeeded."""
    start = time.monotonic()
    code = subprocess.run(command, cwd=ROOT, check=False).returncode
    words = command[2:4] if command[:2] == PYTHON else command[:2]
    print(f"{time.monotonic() - start:6.1f} s  {' '.join(words)}{' FAILED' if code else ''}", flush=True)
    return code == 0


def run_tests(tests: list[Path], seconds: float, workers: int) -> bool:
    """Run test modules for some seconds, print the time by room; return False if one failed, or none ran."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [*PYTHON, "pytest", "-q", "-m", "not slow", "--durations=5", "-r", "fE"]
        command += ["--seconds", f"{max(seconds, 1):.0f}", "--junitxml", str(report)]
        # A module stays on one worker, and the order is kept.
        command += ["-n", str(workers), "--dist=loadfile", "--no-loadscope-reorder"] if workers > 1 else []
        code = subprocess.run([*command, *map(str, tests)], cwd=ROOT, check=False).returncode
        if report.exists() and not print_report(report):
            print("no test ran: give it more time (--seconds), or a machine that does less besides")
            return False
    return code in (0, 5)  # 5: all that there is, is slow


def print_report(report: Path) -> bool:
    """Print the seconds of each room of the tests, and what was left out; return False if that is all."""
    seconds: Counter[str] = Counter()
    count: Counter[str] = Counter()
    left_out: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        module = case.get("classname", "").removeprefix("tests.")
        skipped = case.find("skipped")
        if skipped is not None and LEFT_OUT in skipped.get("message", ""):
            left_out[module] += 1
            continue
        room = module.rpartition(".")[0] or module
        seconds[room] += float(case.get("time", 0))
        count[room] += 1
    print("\nroom of tests            tests  seconds")
    for room, total in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{room:24} {count[room]:5}  {total:7.1f}")
    if left_out:
        print("\nleft out, no time was left:")
        for module, number in left_out.items():
            print(f"  {number:4} of {module}")
    return bool(count) or not left_out


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="(default: what has changed)")
    parser.add_argument("--base", default="main", help="branch that changes are counted from (default: main)")
    parser.add_argument("--seconds", type=float, default=BUDGET, help=f"time for all of it ({BUDGET:.0f})")
    parser.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1), help="of pytest")
    args = parser.parse_args()
    start = time.monotonic()
    files = [path.resolve() for path in args.files] or changed_files(args.base)
    if not files:
        print(f"nothing differs from {args.base}")
        return 0
    # Beside all else, since it takes longest and one processor.
    is_typed = any(path.suffix in (".py", ".pyi") and "src" in path.parts for path in files)
    types = subprocess.Popen([*PYTHON, "mypy"], cwd=ROOT) if is_typed else None
    passed = [run(command) for command in lint(files)]
    changed = [path for path in files if path.name.startswith("test_") and path.suffix == ".py"]
    tests = list(dict.fromkeys([*changed, *tests_of_files(Tree(), files)]))
    tests, others = tests[:MODULES], tests[MODULES:]
    print(f"{time.monotonic() - start:6.1f} s  until {len(tests)} test modules start", flush=True)
    if others:
        print(f"left out: {len(others)} modules that hold these files less closely (tools/tests_of.py)")
    if tests:
        passed.append(run_tests(tests, args.seconds - (time.monotonic() - start), args.workers))
    if types is not None:
        passed.append(types.wait() == 0)
    print(
        f"\n{time.monotonic() - start:.0f} s of {args.seconds:.0f}: {'passed' if all(passed) else 'FAILED'}"
    )
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
