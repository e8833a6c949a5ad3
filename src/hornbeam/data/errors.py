"""Errors of a pipeline say where they happened, and stay what they are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def located(error: Exception, place: str) -> Exception:
    """The error with a line that names its place.

    StopIteration, which would end the loop that it comes up in, becomes RuntimeError.
    """
    if isinstance(error, StopIteration):
        stopped = RuntimeError("the function raised StopIteration")
        stopped.__cause__ = error
        error = stopped
    if hasattr(error, "add_note"):
        error.add_note(place)
    elif error.args and isinstance(error.args[0], str):  # Python 3.10
        error.args = (f"{error.args[0]}\n{place}", *error.args[1:])
    return error


def describe(function: Callable[..., Any]) -> str:
    """A function's name, and where it was written.

    >>> describe(len)
    'len'
    """
    code = getattr(function, "__code__", None)
    name = getattr(function, "__name__", None) or getattr(function, "name", None) or type(function).__name__
    return name if code is None else f"{name} at {Path(code.co_filename).name}:{code.co_firstlineno}"
