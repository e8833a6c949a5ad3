"""Measure `make mnist` in a clean clone of a commit, up to the end of the first epoch.

    python tools/install_time.py [COMMIT]        # a row of benchmarks/compile_time.md

Prints wall and processor seconds of the installation (environment, packages, compilation) and of the rest up
to the end of the first epoch, the number of installed packages, and the size of the environment. The caches
of pip and cargo are used as they are: run it twice for warm ones.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]


def processor_seconds(group: int) -> float:
    """Return the processor time of the live processes of a group and their finished children."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def run_until_first_epoch(folder: Path) -> tuple[tuple[float, float], tuple[float, float]]:
    """Run `make mnist`; return (wall, processor) seconds at its start of training and after an epoch."""
    environment = {name: value for name, value in os.environ.items() if name != "CARGO_TARGET_DIR"}
    start, marks = time.monotonic(), []
    with subprocess.Popen(
        ["make", "mnist"],
        cwd=folder,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            if line.startswith((".venv/bin/hornbeam mnist", "Epoch 1/")):
                marks.append((time.monotonic() - start, processor_seconds(process.pid)))
            if len(marks) == 2:
                os.killpg(process.pid, signal.SIGTERM)
                break
    if len(marks) != 2:
        raise SystemExit(f"make mnist ended with {process.returncode} before the first epoch")
    return marks[0], marks[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("commit", nargs="?", default="HEAD")
    commit = parser.parse_args().commit
    with tempfile.TemporaryDirectory(prefix="hornbeam-install-") as temporary:
        folder = Path(temporary) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
        name = subprocess.run(
            ["git", "rev-parse", "--short", commit], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
        subprocess.run(["git", "checkout", "--quiet", name], cwd=folder, check=True)
        installed, trained = run_until_first_epoch(folder)
        python = folder / ".venv/bin/python"
        listed = subprocess.run(
            [python, "-m", "pip", "list", "--format", "json"], capture_output=True, text=True, check=True
        )
        packages = len(json.loads(listed.stdout))
        size = sum(path.stat().st_size for path in (folder / ".venv").rglob("*") if path.is_file())
    print("| commit | installation: wall, CPU s | to the end of epoch 1: wall, CPU s | packages | MB |")
    print("|---|---|---|---|---|")
    print(
        f"| {name} | {installed[0]:.0f}, {installed[1]:.0f} | {trained[0] - installed[0]:.0f}, "
        f"{trained[1] - installed[1]:.0f} | {packages} | {size / 1e6:,.0f} |"
    )


if __name__ == "__main__":
    main()
