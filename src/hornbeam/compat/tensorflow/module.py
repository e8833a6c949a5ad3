"""tf.Module: an object whose variables can be listed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hornbeam import tree
from hornbeam.core.variable import Variable


class Module:
    """Finds the variables in its attributes, in lists and dicts among them, and in modules and layers."""

    def __init__(self, name: str | None = None) -> None:
        self._name = name or type(self).__name__.lower()

    @property
    def name(self) -> str:
        return self._name

    @property
    def variables(self) -> tuple[Variable, ...]:
        """All variables, each once, attributes in alphabetical order."""
        return tuple(dict.fromkeys(self._found()))

    @property
    def trainable_variables(self) -> tuple[Variable, ...]:
        """Those that are trained."""
        return tuple(v for v in self.variables if v.trainable)

    @property
    def submodules(self) -> tuple[Any, ...]:
        """Modules and layers among the attributes."""
        return tuple(part for part in self._parts() if hasattr(part, "variables"))

    def _parts(self) -> Iterator[Any]:
        for name in sorted(vars(self)):
            yield from tree.flatten(vars(self)[name])

    def _found(self) -> Iterator[Variable]:
        for part in self._parts():
            if isinstance(part, Variable):
                yield part
            elif hasattr(part, "variables"):
                yield from part.variables
