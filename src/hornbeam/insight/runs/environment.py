"""Environment of a run: versions, machine, engine, commit, command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from pathlib import Path

# Environment variables that change results or speed.
_PREFIXES = ("HORNBEAM_", "KERAS_", "OMP_", "MKL_", "OPENBLAS_", "XLA_", "CUDA_VISIBLE")


def environment() -> dict[str, str]:
    """Return versions, machine and engine by name, without packages that are not installed."""
    from hornbeam.diagnostics.environment import facts
    from hornbeam.engines import current_engine

    texts = {name: text for name, text in facts() if text != "not installed"}
    texts["engine"] = current_engine().name
    texts["processor"] = processor()
    texts["memory"] = memory()
    texts["commit"] = commit(_source_folder())
    variables = {key: os.environ[key] for key in sorted(os.environ) if key.startswith(_PREFIXES)}
    texts["variables"] = " ".join(f"{key}={shlex.quote(value)}" for key, value in variables.items())
    return {name: text for name, text in texts.items() if text}


def _source_folder() -> Path:
    script = Path(sys.argv[0] if sys.argv else "")
    return (script.parent if script.suffix == ".py" and script.is_file() else Path.cwd()).resolve()


def command() -> str:
    """Return the command line of this process, quoted for a shell; "" if there is none."""
    return shlex.join(sys.orig_argv)


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def memory() -> str:
    """Return the machine's memory, "" where the system does not report it."""
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (AttributeError, ValueError, OSError):
        return ""


def commit(start: Path) -> str:
    """Return the Git commit that is checked out around a folder, "" if there is none.

    It is read from Git's files: no program is started, so settings of a foreign repository run nothing.
    """
    for folder in (start, *start.parents):
        git = folder / ".git"
        try:
            if git.is_file():  # a linked worktree
                git = folder / git.read_text().partition("gitdir:")[2].strip()
            head = (git / "HEAD").read_text().strip()
        except OSError:
            continue
        return _resolved(git, head)
    return ""


def _resolved(git: Path, head: str) -> str:
    if not head.startswith("ref:"):
        return head
    name = head.partition(":")[2].strip()
    shared = git
    if (git / "commondir").is_file():
        shared = git / (git / "commondir").read_text().strip()
    for folder in (git, shared):
        if (folder / name).is_file():
            return (folder / name).read_text().strip()
    packed = shared / "packed-refs"
    lines = packed.read_text().splitlines() if packed.is_file() else []
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")
