"""Parts of elements that consist of several arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class Composite:
    """Part of an element that consists of several arrays, such as a ragged tensor of `tf`.

    Subclasses say how it is stacked and sliced. They are not structure: functions of the user receive them.
    """

    __slots__ = ()

    def stack(self, values: Sequence[Any]) -> Any:
        """Return the batch of some values, the first of which is this one."""
        raise NotImplementedError

    def row(self, index: int) -> Any:
        """Return one row, as a part of an element."""
        raise NotImplementedError

    def row_count(self) -> int:
        """Return the number of rows."""
        raise NotImplementedError

    def spec(self) -> Any:
        """Return its description in the spec of an element."""
        raise NotImplementedError

    def for_user(self) -> Any:
        """Return the value that functions of the user receive."""
        return self
