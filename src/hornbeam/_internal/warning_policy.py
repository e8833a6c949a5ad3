"""Reaction to training that could run but would hardly make sense: an error, unless it is replaced."""

from __future__ import annotations

from collections.abc import Callable


def raise_error(problem: str | Exception) -> None:
    """Raise the error, a ValueError for a message."""
    raise problem if isinstance(problem, Exception) else ValueError(problem)


# `hornbeam run` replaces it by a function that logs the message and continues: its scripts were written for
# a library that does not check.
on_warning: Callable[[str | Exception], None] = raise_error
