"""Reaction to training that could run but would hardly make sense: an error, unless it is replaced."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def raise_error(problem: str | Exception) -> None:
    """Raise the error, a ValueError for a message."""
    raise problem if isinstance(problem, Exception) else ValueError(problem)


def _never(model: Any) -> bool:
    """Return False: `trainable` counts as it is when training begins."""
    return False


# `hornbeam run` replaces both: its scripts were written for a library that does not check, and many for Keras
# 2, which trained what was trainable at compile().
keeps_trainable_of_compile: Callable[[Any], bool] = _never
on_warning: Callable[[str | Exception], None] = raise_error
