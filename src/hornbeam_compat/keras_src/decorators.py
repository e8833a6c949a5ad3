"""Decorators of Keras's sources."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from hornbeam import Layer

T = TypeVar("T")


def keras_export(path: str | list[str]) -> Callable[[T], T]:
    """Return a decorator that changes nothing: the names of Hornbeam's API are fixed.

    Args:
        path: Path of the public name, or several.
    """
    return lambda decorated: decorated


class _AllNames(frozenset[str]):
    """A set with every name."""

    def __contains__(self, name: object) -> bool:
        return True


def no_automatic_dependency_tracking(fn: Callable[..., T]) -> Callable[..., T]:
    """Let a method set attributes that do not become a part of the layer: no weights, no sublayers.

    Args:
        fn: Method of a layer.
    """

    @functools.wraps(fn)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> T:
        if not isinstance(self, Layer) or "_untracked" in vars(self):
            return fn(self, *args, **kwargs)
        object.__setattr__(self, "_untracked", _AllNames())
        try:
            return fn(self, *args, **kwargs)
        finally:
            object.__delattr__(self, "_untracked")

    return wrapper
