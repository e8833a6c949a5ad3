"""tf.autograph: functions are traced as they are written, so there is nothing to convert."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["do_not_convert", "set_verbosity"]


def do_not_convert(func: Callable[..., Any] | None = None) -> Any:
    """`func` itself: nothing is converted here."""
    return do_not_convert if func is None else func


def set_verbosity(level: int, alsologtostdout: bool = False) -> None:
    """Accepted: there is no conversion that could report anything."""
