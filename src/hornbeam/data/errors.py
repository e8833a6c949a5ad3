"""Locations in errors of a pipeline, whose types stay the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_location(error: Exception, location: str) -> Exception:
    """Return the error with a line that names its location.

    StopIteration, which would end the surrounding loop, becomes RuntimeError.
    """
    if isinstance(error, StopIteration):
        stopped = RuntimeError("the function raised StopIteration")
        stopped.__cause__ = error
        error = stopped
    if hasattr(error, "add_note"):
        error.add_note(location)
    elif error.args and isinstance(error.args[0], str):  # Python 3.10
        error.args = (f"{error.args[0]}\n{location}", *error.args[1:])
    return error


def describe_function(function: Callable[..., Any]) -> str:
    """Return the name of a function, and the file and line of its definition.

    >>> describe_function(len)
    'len'
    """
    code = getattr(function, "__code__", None)
    name = getattr(function, "__name__", None) or getattr(function, "name", None) or type(function).__name__
    return name if code is None else f"{name} at {Path(code.co_filename).name}:{code.co_firstlineno}"
