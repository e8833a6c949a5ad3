"""Checks of arguments: errors that name the argument, what was expected and what was received.

All take `(name, value, ...)` in this order and return the value, converted where the name says so.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


def check_number(name: str, value: Any, minimum: float | None = None, maximum: float | None = None) -> Any:
    """Return a number from `minimum` to `maximum`. Raises ValueError for any other value."""
    valid = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    below = minimum is not None and valid and not value >= minimum
    beyond = maximum is not None and valid and not value <= maximum
    if not valid or below or beyond:
        if minimum is not None and maximum is not None:
            expected = f"a number between {minimum:g} and {maximum:g}"
        else:
            expected = "a number" if minimum is None else f"a number of at least {minimum:g}"
        raise ValueError(f"{name} must be {expected}, got {value!r}")
    return value


def check_positive(name: str, value: Any) -> Any:
    """Return a number above 0. Raises ValueError for any other value."""
    valid = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not valid or not value > 0:
        raise ValueError(f"{name} must be a positive number, got {value!r}")
    return value


def check_int(name: str, value: Any, minimum: int | None = None) -> int:
    """Return an integer of at least `minimum` as an int. Raises ValueError for any other value.

    >>> check_int("batch_size", 32, minimum=1)
    32
    """
    number = _as_int(value)
    if number is None or (minimum is not None and number < minimum):
        expected = "an integer" if minimum is None else f"an integer of at least {minimum}"
        hint = f": write {name}={int(value)}" if isinstance(value, float) and value.is_integer() else ""
        raise ValueError(f"{name} must be {expected}, got {value!r}{hint}")
    return number


def _as_int(value: Any) -> int | None:
    if isinstance(value, (bool, np.bool_)):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def check_axes(name: str, value: Any) -> Any:
    """Return an axis, several axes, or None. Raises ValueError for any other value."""
    axes = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
    if any(isinstance(axis, bool) or not isinstance(axis, (int, np.integer)) for axis in axes):
        raise ValueError(f"{name} must be an integer axis or a sequence of them, got {value!r}")
    return value


def check_callable(name: str, value: Any) -> Any:
    """Return a function or another callable. Raises TypeError for any other value."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r}")
    return value
