"""Columns of a source, and their values as elements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hornbeam._internal.naming import nearest
from hornbeam._internal.typing import Tree


class Selection:
    """Columns that become x, and those that become y.

    One name is the value of the column; several, in a list, are a dict by name. columns: None for all columns
    but those of `label`. label: None for elements without y.
    """

    def __init__(self, columns: str | Sequence[str] | None, label: str | Sequence[str] | None) -> None:
        self.columns, self.label = _checked("columns", columns), _checked("label", label)

    def names(self, available: Collection[str], where: str) -> list[str]:
        """Return the columns to read, in the order of `available`. Raises ValueError for unknown names."""
        wanted = {*_names(self.columns), *_names(self.label)}
        for name in sorted(wanted - set(available)):
            raise ValueError(
                f"{where} has no column {name!r}.{nearest(name, available)} Its columns: "
                f"{', '.join(map(repr, available))}"
            )
        return [name for name in available if self.columns is None or name in wanted]

    def pack(self, values: Mapping[str, Any]) -> Tree:
        """Return x, or (x, y), from the values of columns by name."""
        x = _part(self.columns, values, _names(self.label))
        return x if self.label is None else (x, _part(self.label, values))


def _checked(argument: str, names: Any) -> Any:
    if names is None or isinstance(names, str):
        return names
    listed = tuple(names)
    if not listed or not all(isinstance(name, str) for name in listed) or len(set(listed)) < len(listed):
        raise ValueError(f"{argument} must be a name or a list of different names, got {names!r}")
    return listed


def _names(names: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if names is None else (names,) if isinstance(names, str) else names


def _part(names: str | tuple[str, ...] | None, values: Mapping[str, Any], omit: tuple[str, ...] = ()) -> Tree:
    if isinstance(names, str):
        return values[names]
    return {name: values[name] for name in (names or values) if names or name not in omit}
