"""Errors for missing names, and lines on stderr about deprecated ones."""

from __future__ import annotations

import atexit
import sys

# Program that speaks: `policy.install` sets it.
speaker = "hornbeam run"
_logged: set[str] = set()
# Lines about deprecated names that the end of a script brings together.
_waiting: list[str] = []


def log_once(text: str | Exception) -> None:
    """Print a line on stderr, the first time that it occurs in this process."""
    text = str(text)
    if text not in _logged:
        _logged.add(text)
        print(f"{speaker}: {text}", file=sys.stderr)


def log_deprecated(old: str, new: str) -> None:
    """Print a line on stderr that names the replacement of `old`, at its first use.

    A script gets the first one at once, and the others together when it ends: old programs use many.
    """
    if old in _logged:
        return
    _logged.add(old)
    text = f"{old} is deprecated, use {new}"
    if speaker != "hornbeam run":  # a notebook, or another process, may never end
        log_once(text)
    elif not _waiting:
        atexit.register(_log_waiting)
        _waiting.append("")
        log_once(f"{text} (other old names are listed when the script ends)")
    else:
        _waiting.append(text)


def _log_waiting() -> None:
    """Print the lines that wait, as one."""
    if _waiting[1:]:
        print(f"{speaker}: {'; '.join(_waiting[1:])}", file=sys.stderr)
