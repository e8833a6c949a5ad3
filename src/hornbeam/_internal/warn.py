"""Warnings that point at the user's code."""

from __future__ import annotations

import sys
import warnings
from types import FrameType

# Modules whose frames lie between the user's line and Hornbeam's without being either's.
_BETWEEN = ("hornbeam", "contextlib", "functools", "importlib", "inspect", "copy")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside of this package, however deep inside of it the cause is found."""
    frame = _user_frame(sys._getframe(1))
    warnings.warn_explicit(
        message,
        category,
        frame.f_code.co_filename,
        frame.f_lineno,
        frame.f_globals.get("__name__") or "<unknown>",
        # Holds the warnings that were shown already, as with `warnings.warn`.
        registry=frame.f_globals.setdefault("__warningregistry__", {}),
    )


def _user_frame(frame: FrameType) -> FrameType:
    """Return the innermost frame outside of this package, or the outermost one if there is none."""
    while frame.f_back is not None and _is_internal(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    return frame


def _is_internal(module: str) -> bool:
    return module.partition(".")[0] in _BETWEEN
