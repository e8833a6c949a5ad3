"""What a layer owns: variables, sublayers, metrics and random states, found through its attributes.

Lists and dicts are looked into when somebody asks, so that what is appended later is found too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hornbeam.core.variable import Variable
from hornbeam.random import SeedGenerator


def is_metric(x: Any) -> bool:
    """Metrics are known by what they do, since the package of metrics stands above this one."""
    return hasattr(x, "update_state") and hasattr(x, "result") and hasattr(x, "reset_state")


def parts(value: Any) -> Iterator[Any]:
    """Variables, layers, metrics and random states in `value` and in lists, tuples and dicts inside it."""
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from parts(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from parts(item)
    elif isinstance(value, (Variable, SeedGenerator, Tracked)) or is_metric(value):
        yield value


class Tracked:
    """An object whose attributes are looked through for state, in the order in which they were set."""

    _own: dict[Variable, bool]  # own variables -> trainable when they were made
    _attributes: dict[str, Any]  # attributes that hold state or may come to hold it
    _locked: bool

    # Counts changes of public attributes, of all layers: what was derived from a layer before a change may be
    # out of date.
    changes = 0

    # Attributes that are somebody else's.
    _untracked: frozenset[str] = frozenset()

    def _start_tracking(self) -> None:
        put = object.__setattr__
        put(self, "_own", {})
        put(self, "_attributes", {})
        put(self, "_locked", False)

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._untracked and (self._attributes.get(name) is not value):
            self._attributes.pop(name, None)
            if isinstance(value, (list, dict)) or any(True for _ in parts(value)):
                self._refuse_if_locked(name, value)
                self._attributes[name] = value
                if isinstance(value, Variable):
                    self._own.setdefault(value, value.trainable)
        if not name.startswith("_") and self.__dict__.get(name, self) is not value:
            Tracked.changes += 1
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        value = self._attributes.pop(name, None)
        if isinstance(value, Variable):
            self._own.pop(value, None)
        object.__delattr__(self, name)

    def _refuse_if_locked(self, name: str, value: Any) -> None:
        if not self._locked:
            return
        known = {id(x) for x in self._state()} | {id(x) for x in self._own}
        for part in parts(value):
            if id(part) not in known and not is_metric(part):
                raise ValueError(
                    f"{self!r} is built: attribute {name!r} cannot bring in a new {type(part).__name__} now. "
                    "Make variables and sublayers in __init__() or build()"
                )

    def _state(self) -> list[Any]:
        """Everything that the attributes hold, without what sublayers hold; each once."""
        found = {id(part): part for value in list(self._attributes.values()) for part in parts(value)}
        found.pop(id(self), None)
        return list(found.values())

    def _own_variables(self) -> dict[Variable, bool]:
        for part in self._state():
            if isinstance(part, Variable):
                self._own.setdefault(part, part.trainable)
        return self._own

    def _sublayers(self) -> list[Any]:
        return [part for part in self._state() if isinstance(part, Tracked)]

    def _seed_generators(self) -> list[SeedGenerator]:
        return [part for part in self._state() if isinstance(part, SeedGenerator)]

    def _own_metrics(self) -> list[Any]:
        return [p for p in self._state() if not isinstance(p, (Variable, SeedGenerator, Tracked))]
