"""Where and how a program runs: versions, machine, engine, commit, command."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from pathlib import Path

# Variables of the environment that change what a run computes or how fast.
_PREFIXES = ("HORNBEAM_", "KERAS_", "OMP_", "MKL_", "OPENBLAS_", "XLA_", "CUDA_VISIBLE")


def environment() -> dict[str, str]:
    """Versions, machine and engine, by name; what is not installed is left out."""
    from hornbeam.diagnostics.environment import facts
    from hornbeam.engines import current_engine

    found = {name: text for name, text in facts() if text != "not installed"}
    found["engine"] = current_engine().name
    found["processor"] = processor()
    found["memory"] = memory()
    found["commit"] = commit(_folder_of_code())
    variables = {key: os.environ[key] for key in sorted(os.environ) if key.startswith(_PREFIXES)}
    found["variables"] = " ".join(f"{key}={shlex.quote(value)}" for key, value in variables.items())
    return {name: text for name, text in found.items() if text}


def _folder_of_code() -> Path:
    script = Path(sys.argv[0] if sys.argv else "")
    return (script.parent if script.suffix == ".py" and script.is_file() else Path.cwd()).resolve()


def command() -> str:
    """The command line that started this process, to be given to a shell; "" where there is none."""
    return shlex.join(sys.orig_argv)


def processor() -> str:
    """The processor's name, as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def memory() -> str:
    """The machine's memory, "" where the system does not say."""
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"
    except (AttributeError, ValueError, OSError):
        return ""


def commit(start: Path) -> str:
    """The commit of Git that is checked out around a folder, "" if there is none.

    Read off Git's files: no program is started, so no setting of a strange folder runs anything.
    """
    for folder in (start, *start.parents):
        mark = folder / ".git"
        try:
            if mark.is_file():  # a work tree of its own
                mark = folder / mark.read_text().partition("gitdir:")[2].strip()
            head = (mark / "HEAD").read_text().strip()
        except OSError:
            continue
        return _resolved(mark, head)
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
