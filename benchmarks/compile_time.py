"""Measure the processor time that the crates take to compile from scratch.

    python benchmarks/compile_time.py [--package hornbeam-python] [--features native] [--profile release]

Builds into a temporary folder, and prints the processor seconds (user and system) of each crate, largest
first, then the total and the wall time. Other work on the machine adds up to a third to processor time, so
compare runs on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]

# Cargo runs this in place of rustc, with the path of rustc and its arguments.
WRAPPER = """#!{python}
import json, os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
arguments = sys.argv[2:]
if "--crate-name" in arguments:
    crate = arguments[arguments.index("--crate-name") + 1]
    with open({log!r}, "a") as log:
        log.write(json.dumps([crate, usage.ru_utime + usage.ru_stime]) + "\\n")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def compile_times(profile: str, package: str, features: str) -> tuple[dict[str, float], float]:
    """Build a package from scratch. Return the processor seconds of each crate, and the wall time."""
    with tempfile.TemporaryDirectory() as folder:
        log, wrapper = Path(folder, "log"), Path(folder, "rustc")
        wrapper.write_text(WRAPPER.format(python=sys.executable, log=str(log)))
        wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
        environment = {
            **os.environ,
            "RUSTC_WRAPPER": str(wrapper),
            "CARGO_TARGET_DIR": str(Path(folder, "target")),
        }
        start = time.perf_counter()
        command = ["cargo", "build", "--quiet", "--profile", profile]
        command += ["--package", package, "--features", features]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        wall = time.perf_counter() - start
        seconds: dict[str, float] = {}
        for line in log.read_text().splitlines():
            crate, cpu = json.loads(line)
            seconds[crate] = seconds.get(crate, 0.0) + cpu
    return seconds, wall


def main() -> None:
    parser = argparse.ArgumentParser(description="Processor time of compiling the crates from scratch.")
    parser.add_argument("--profile", default="release", help="Cargo profile")
    parser.add_argument("--package", default="hornbeam-python", help="package to build")
    parser.add_argument("--features", default="native", help="features of the package; '' for all kernels")
    parser.add_argument("--top", type=int, default=8, help="number of crates to list")
    options = parser.parse_args()
    seconds, wall = compile_times(options.profile, options.package, options.features)
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    for crate, value in ordered[: options.top]:
        print(f"{crate:24} {value:7.1f} s")
    print(f"{'others':24} {sum(value for _, value in ordered[options.top :]):7.1f} s")
    print(f"{'total':24} {sum(seconds.values()):7.1f} s of processor time, {wall:.0f} s of wall time")


if __name__ == "__main__":
    main()
