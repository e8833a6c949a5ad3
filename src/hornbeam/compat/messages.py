"""Errors for missing names, and lines on stderr about deprecated ones."""

from __future__ import annotations

import sys

# Program that speaks: `policy.install` sets it.
speaker = "hornbeam run"
_logged: set[str] = set()


def log_once(text: str | Exception) -> None:
    """Print a line on stderr, the first time that it occurs in this process."""
    text = str(text)
    if text not in _logged:
        _logged.add(text)
        print(f"{speaker}: {text}", file=sys.stderr)


def log_deprecated(old: str, new: str) -> None:
    """Print a line on stderr that names the replacement of `old`, at its first use."""
    if old not in _logged:
        _logged.add(old)
        log_once(f"{old} is deprecated, use {new}")
