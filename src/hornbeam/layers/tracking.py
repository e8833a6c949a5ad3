"""State of a layer: variables, sublayers, metrics and random states, tracked through its attributes.

Lists and dicts are searched when the state is read, so that items appended later are tracked too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from hornbeam.core.variable import Variable
from hornbeam.random import SeedGenerator


def is_metric(x: object) -> bool:
    """True for metrics, known by their methods, as the package of metrics may not be imported here."""
    return hasattr(x, "update_state") and hasattr(x, "result") and hasattr(x, "reset_state")


def iterate_state(value: object, _around: tuple[int, ...] = ()) -> Iterator[Any]:
    """Yield variables, layers, metrics and random states in `value`, also in lists, tuples and dicts."""
    if isinstance(value, (list, tuple, dict)):
        if id(value) in _around:  # a container inside of itself
            return
        for item in value.values() if isinstance(value, dict) else value:
            yield from iterate_state(item, (*_around, id(value)))
    elif isinstance(value, (Variable, SeedGenerator, Tracked)) or is_metric(value):
        yield value


class Tracked:
    """An object whose attributes are searched for state, in the order in which they were set.

    Attributes of layers and models whose names users might choose for their own begin with `_hb_`.
    """

    _tracked_variables: dict[Variable, bool]  # variables of this object -> trainable when they were created
    _hb_attributes: dict[str, Any]  # attributes that hold state, or lists and dicts that may
    _hb_locked: bool

    # Number of changes to public attributes of all layers: values derived from layers before a change may be
    # out of date.
    changes = 0
    # Number of times that a built layer got other weights, by `quantize` or `enable_lora`: compiled steps of
    # before are out of date.
    replacements = 0

    # Attributes that belong to another object.
    _untracked: frozenset[str] = frozenset()
    # Further names of attributes -> their names (`core.keras_names.synonyms`).
    _synonyms: Mapping[str, str] = MappingProxyType({})

    def _start_tracking(self) -> None:
        put = object.__setattr__
        put(self, "_tracked_variables", {})
        put(self, "_hb_attributes", {})
        put(self, "_hb_locked", False)

    def __setattr__(self, name: str, value: object) -> None:
        name = self._synonyms.get(name, name)
        if name not in self._untracked and (self._hb_attributes.get(name) is not value):
            self._hb_attributes.pop(name, None)
            if isinstance(value, (list, dict)) or any(True for _ in iterate_state(value)):
                self._refuse_if_locked(name, value)
                self._hb_attributes[name] = value
                if isinstance(value, Variable):
                    self._tracked_variables.setdefault(value, value.trainable)
        if not name.startswith("_") and self.__dict__.get(name, self) is not value:
            Tracked.changes += 1
        object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        value = self._hb_attributes.pop(name, None)
        if isinstance(value, Variable):
            self._tracked_variables.pop(value, None)
        object.__delattr__(self, name)

    def _refuse_if_locked(self, name: str, value: object) -> None:
        if not self._hb_locked:
            return
        known_ids = {id(x) for x in self._hb_state()} | {id(x) for x in self._tracked_variables}
        for part in iterate_state(value):
            if id(part) not in known_ids and not is_metric(part):
                raise ValueError(
                    f"{self!r} is built: attribute {name!r} cannot bring in a new {type(part).__name__} now. "
                    "Create variables and sublayers in __init__() or build()"
                )

    def _hb_state(self) -> list[Any]:
        """Return what the attributes hold, each object once, without the state of sublayers."""
        parts = {
            id(part): part for value in list(self._hb_attributes.values()) for part in iterate_state(value)
        }
        parts.pop(id(self), None)
        return list(parts.values())

    def _own_variables(self) -> dict[Variable, bool]:
        for part in self._hb_state():
            if isinstance(part, Variable):
                self._tracked_variables.setdefault(part, part.trainable)
        return self._tracked_variables

    def _hb_sublayers(self) -> list[Any]:
        return [part for part in self._hb_state() if isinstance(part, Tracked)]

    def _seed_generators(self) -> list[SeedGenerator]:
        return [part for part in self._hb_state() if isinstance(part, SeedGenerator)]

    def _own_metrics(self) -> list[Any]:
        return [p for p in self._hb_state() if not isinstance(p, (Variable, SeedGenerator, Tracked))]


def sublayers(layer: Tracked) -> list[Any]:
    """Return the layers directly in a layer."""
    return layer._hb_sublayers()


def own_variables(layer: Tracked) -> dict[Variable, bool]:
    """Return the variables of a layer itself, without those of sublayers; True for those made trainable."""
    return layer._own_variables()
