"""Checks of arguments: errors that name the argument, what was expected, and what came."""

from __future__ import annotations

from typing import Any

import numpy as np


def number(name: str, value: Any, low: float | None = None, high: float | None = None) -> Any:
    """A number, from `low` to `high`. Raises ValueError for anything else."""
    good = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not good or (low is not None and not value >= low) or (high is not None and not value <= high):
        if low is not None and high is not None:
            wanted = f"a number between {low:g} and {high:g}"
        else:
            wanted = "a number" if low is None else f"a number of at least {low:g}"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    return value


def above(name: str, value: Any, low: float = 0) -> Any:
    """A number above `low`. Raises ValueError for anything else."""
    good = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not good or not value > low:
        wanted = "a positive number" if low == 0 else f"a number above {low:g}"
        raise ValueError(f"{name} must be {wanted}, got {value!r}")
    return value


def whole(name: str, value: Any, low: int | None = None) -> int:
    """A whole number of at least `low`, as an int. Raises ValueError for anything else."""
    good = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not good or (low is not None and value < low):
        wanted = "a whole number" if low is None else f"a whole number of at least {low}"
        hint = f": write {name}={int(value)}" if isinstance(value, float) and value.is_integer() else ""
        raise ValueError(f"{name} must be {wanted}, got {value!r}{hint}")
    return int(value)


def axes(name: str, value: Any) -> Any:
    """An axis, several, or None. Raises ValueError for anything else."""
    listed = value if isinstance(value, (list, tuple)) else () if value is None else (value,)
    for one in listed:
        if isinstance(one, bool) or not isinstance(one, (int, np.integer)):
            raise ValueError(f"{name} must be the number of an axis, or several, got {value!r}")
    return value


def function(name: str, value: Any) -> Any:
    """Something that can be called. Raises TypeError for anything else."""
    if not callable(value):
        raise TypeError(f"{name} must be a function, got {value!r}")
    return value
