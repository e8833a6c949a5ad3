"""Compare the speed of two commits in one run: python benchmarks/regression.py BASE [HEAD]

Both are built in separate work trees, and workloads of `hornbeam bench` run on both in alternation, each in a
fresh process. Prints medians and ratios; the exit status is 1 if a figure became slower by over the limit.

With --atlas the cases of benchmarks/atlas are compared instead, by the least time of alternated
rounds. A case that seems slower is measured again with more rounds.

Without HEAD the working tree is compared, including uncommitted changes.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for benchmarks.atlas
LESS = ("epoch_s", "start_s", "import_s", "predict_one_us", "peak_mib")


def run(*command: str, cwd: Path = ROOT, **variables: str) -> str:
    process = subprocess.run(
        command, cwd=cwd, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}\n{process.stderr[-3000:]}")
    return process.stdout


def checkout(commit: str | None, folder: Path) -> Path:
    """Check out a commit, or copy the files of the working tree if it is None."""
    if commit is not None:
        run("git", "worktree", "add", "--detach", "--quiet", str(folder), commit)
        return folder
    for name in run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def build(folder: Path, target: Path) -> None:
    """Build the native engine in `target`, which commits share, and copy it to the sources."""
    run(
        "cargo", "build", "--quiet", "--release", "-p", "hornbeam-python",
        cwd=folder, CARGO_TARGET_DIR=str(target),
    )  # fmt: skip
    names = ("lib_native.so", "lib_native.dylib", "_native.dll")
    built = next(path for name in names if (path := target / "release" / name).is_file())
    suffix = ".pyd" if os.name == "nt" else ".abi3.so"
    shutil.copy2(built, folder / "src" / "hornbeam" / f"_native{suffix}")


def measure(folder: Path, workload: str) -> dict[str, float]:
    """Run a workload of the working tree on the library in `folder` once."""
    script = str(ROOT / "src" / "hornbeam" / "cli" / "bench" / "workloads" / f"{workload}.py")
    command = (sys.executable, "-m", "hornbeam", "run", script)
    lines = run(*command, PYTHONPATH=str(folder / "src")).splitlines()
    return json.loads(next(line for line in reversed(lines) if line.startswith("{")))


def compare(folders: dict[str, Path], workloads: list[str], runs: int, limit: float) -> list[str]:
    """Print a table for each workload and return the figures that became slower."""
    slower = []
    for workload in workloads:
        records: dict[str, list[dict[str, float]]] = {name: [] for name in folders}
        for _ in range(runs):
            for name, folder in folders.items():
                records[name].append(measure(folder, workload))
        print(f"\n| {workload} | base | head | head / base | |\n|---|---|---|---|---|")
        for key in LESS:
            base, head = (statistics.median(record[key] for record in records[name]) for name in folders)
            flag = head > base * (1 + limit)
            if flag:
                slower.append(f"{workload} {key}: {head / base:.2f}")
            print(f"| {key} | {base:.4g} | {head:.4g} | {head / base:.3f} | {'slower' if flag else ''} |")
        base, head = (records[name][0]["loss"] for name in folders)
        print(f"| loss | {base:.5f} | {head:.5f} | | {'' if base == head else 'differs'} |")
    return slower


def compare_atlas(
    folders: dict[str, Path], families: list[str] | None, match: str | None, rounds: int, limit: float
) -> list[str]:
    """Print the times of cases of the atlas and return those that became slower."""
    from benchmarks.atlas.command import DTYPES, selected
    from benchmarks.atlas.measure import measure, measure_all
    from benchmarks.atlas.report import geometric_mean
    from benchmarks.atlas.session import Session, engine_side

    side = engine_side("native")
    sessions = [
        Session(dataclasses.replace(side, name=name, environment={"PYTHONPATH": str(folder / "src")}))
        for name, folder in folders.items()
    ]
    slower, ratios = [], []
    print("| case | base, ms | head, ms | head / base | |\n|---|---|---|---|---|")
    try:
        for row in measure_all(selected(families, match), DTYPES, (False, True), sessions, rounds):
            if (row.ratio("head", ["base"]) or 1.0) < 1 / (1 + limit):
                row = measure(row.case, row.dtype, row.backward, sessions, 3 * rounds)
            for name, failure in row.failures.items():
                print(f"| {row.name} | {name}: {failure} | | | |")
            ratio = row.ratio("head", ["base"])
            if ratio is None:
                continue
            flag = ratio < 1 / (1 + limit)
            if flag:
                slower.append(f"{row.name}: {1 / ratio:.2f}")
            ratios.append(1 / ratio)
            times = " | ".join(f"{row.seconds[name] * 1e3:.4g}" for name in ("base", "head"))
            print(f"| {row.name} | {times} | {1 / ratio:.3f} | {'slower' if flag else ''} |")
    finally:
        for session in sessions:
            session.close()
    print(f"\ngeometric mean of head / base: {geometric_mean(ratios) or 1.0:.3f}")
    return slower


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("base", help="the commit to compare with")
    parser.add_argument("head", nargs="?", help="the commit to test (default: the working tree)")
    parser.add_argument("--workloads", nargs="+", default=["tutorial", "mlp", "resnet20", "lstm"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--atlas", action="store_true", help="compare cases of the atlas")
    parser.add_argument("--family", action="append", help="kind of case of the atlas (default: all)")
    parser.add_argument("--match", help="only cases of the atlas whose names contain this")
    parser.add_argument("--limit", type=float, default=0.05, help="largest relative slowdown (default 0.05)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hornbeam-regression-") as temporary:
        folders = {"base": Path(temporary) / "base", "head": Path(temporary) / "head"}
        try:
            for name, commit in (("base", args.base), ("head", args.head)):
                checkout(commit, folders[name])
                build(folders[name], Path(temporary) / "target")
            if args.atlas:
                slower = compare_atlas(folders, args.family, args.match, args.runs, args.limit)
            else:
                slower = compare(folders, args.workloads, args.runs, args.limit)
        finally:
            for folder in folders.values():
                remove = ["git", "worktree", "remove", "--force", str(folder)]
                subprocess.run(remove, cwd=ROOT, capture_output=True, check=False)
    print("\nslower: " + "; ".join(slower) if slower else f"\nnothing is slower by over {args.limit:.0%}")
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
