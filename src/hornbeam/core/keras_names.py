"""Names that are private in Keras and that packages use all the same, for attributes that are ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T", bound=type)


class Computed:
    """An attribute whose value is computed when it is read, until a subclass sets one of that name.

    Args:
        compute: Function of the object.
    """

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self._compute = compute

    def __get__(self, instance: Any, owner: type) -> Any:
        return self if instance is None else self._compute(instance)


def _synonym(name: str) -> property:
    return property(lambda self: getattr(self, name), lambda self, value: setattr(self, name, value))


def synonyms(names: Mapping[str, str]) -> Callable[[T], T]:
    """Return a decorator of classes that gives attributes further names; setting one sets the attribute.

    Args:
        names: Dict from further names to attributes.
    """

    def add(cls: T) -> T:
        for further, name in names.items():
            setattr(cls, further, _synonym(name))
        # Read by `Tracked.__setattr__`, so that the state is kept under one name.
        cls._synonyms = {**getattr(cls, "_synonyms", {}), **names}  # type: ignore[attr-defined]
        return cls

    return add
