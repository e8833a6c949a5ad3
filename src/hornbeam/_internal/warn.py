"""Warnings that point at the user's code."""

from __future__ import annotations

import linecache
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hornbeam._internal.formatting import shortened
from hornbeam._internal.origin import PACKAGES
from hornbeam._internal.terminal import columns, folded, paint, uses_color

# Modules whose frames lie between the user's line and Hornbeam's without being either's.
_BETWEEN = (*PACKAGES, "contextlib", "functools", "importlib", "inspect", "copy")


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the innermost line outside of this package, however deep inside of it the cause is found."""
    frame = _user_frame(sys._getframe(1))
    with _formatted_for_terminal():
        warnings.warn_explicit(
            message,
            category,
            frame.f_code.co_filename,
            frame.f_lineno,
            frame.f_globals.get("__name__") or "<unknown>",
            # Holds the warnings that were shown already, as with `warnings.warn`.
            registry=frame.f_globals.setdefault("__warningregistry__", {}),
        )


@contextmanager
def _formatted_for_terminal() -> Iterator[None]:
    """Fold a warning to the width of the terminal, unless the program formats warnings itself."""
    stock = warnings.formatwarning
    if columns(sys.stderr) is None or stock.__module__ not in ("warnings", "_py_warnings"):
        yield
        return
    warnings.formatwarning = _folded_warning
    try:
        yield
    finally:
        warnings.formatwarning = stock


def _folded_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    """Return the text of a warning as Python prints it, in lines that fit."""
    width = columns(sys.stderr)
    where = os.path.relpath(filename) if filename.startswith(os.getcwd() + os.sep) else filename
    name = paint(category.__name__, "warning", uses_color(sys.stderr))
    text = folded(f"{where}:{lineno}: {name}: {message}", width, "  ")
    source = (linecache.getline(filename, lineno) if line is None else line).strip()
    return f"{text}\n" + (f"  {shortened(source, (width or 100) - 2)}\n" if source else "")


def _user_frame(frame: FrameType) -> FrameType:
    """Return the innermost frame outside of this package, or the outermost one if there is none."""
    while frame.f_back is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] not in _BETWEEN:
            break
        frame = frame.f_back
    return frame
