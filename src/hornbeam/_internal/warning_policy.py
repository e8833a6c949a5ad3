"""Reaction to training that could run but would hardly make sense: an error, unless it is replaced."""

from __future__ import annotations

from collections.abc import Callable


def raise_value_error(message: str) -> None:
    """Raise ValueError."""
    raise ValueError(message)


# `hornbeam run` replaces it by a function that logs the message and continues: its scripts were written for
# a library that does not check.
on_warning: Callable[[str], None] = raise_value_error
