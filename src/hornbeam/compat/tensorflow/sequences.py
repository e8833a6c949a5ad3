"""Loops over the first axis, and lists of tensors that grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hornbeam import ops, tree
from hornbeam.core.convert import as_tensor
from hornbeam.core.tensor import Tensor

__all__ = ["TensorArray", "foldl", "scan"]


class TensorArray:
    """A list of tensors: `write` gives the list with one more, `stack` one tensor of them all."""

    def __init__(
        self,
        dtype: Any,
        size: Any = 0,
        dynamic_size: bool | None = None,
        clear_after_read: bool | None = None,
        tensor_array_name: str | None = None,
        handle: Any = None,
        flow: Any = None,
        infer_shape: bool = True,
        element_shape: Any = None,
        colocate_with_first_write_call: bool = True,
        name: str | None = None,
    ) -> None:
        self.dtype = dtype
        self._items: list[Tensor | None] = [None] * int(size)
        self._grows = bool(dynamic_size)

    def write(self, index: Any, value: Any, name: str | None = None) -> TensorArray:
        """This list, with `value` at `index`. Raises IndexError past the end of a list that does not grow."""
        place = int(index)
        if place >= len(self._items):
            if not self._grows:
                raise IndexError(
                    f"TensorArray.write({place}): it has {len(self._items)} places; dynamic_size=True "
                    "lets it grow"
                )
            self._items += [None] * (place + 1 - len(self._items))
        self._items[place] = ops.cast(as_tensor(value), str(self.dtype))
        return self

    def read(self, index: Any, name: str | None = None) -> Tensor:
        """The tensor at `index`. Raises ValueError if none was written there."""
        item = self._items[int(index)]
        if item is None:
            raise ValueError(f"TensorArray.read({int(index)}): nothing was written there")
        return item

    def size(self, name: str | None = None) -> int:
        """How many places there are."""
        return len(self._items)

    def stack(self, name: str | None = None) -> Tensor:
        """All tensors along a new first axis."""
        return ops.stack([self.read(i) for i in range(len(self._items))], axis=0)

    def concat(self, name: str | None = None) -> Tensor:
        """All tensors along their first axis."""
        return ops.concatenate([self.read(i) for i in range(len(self._items))], axis=0)

    def unstack(self, value: Any, name: str | None = None) -> TensorArray:
        """This list, holding the rows of `value`."""
        self._items = list(ops.unstack(ops.cast(as_tensor(value), str(self.dtype)), axis=0))
        return self


def _rows(elems: Any, reverse: bool) -> list[Any]:
    leaves = [ops.unstack(as_tensor(x), axis=0) for x in tree.flatten(elems)]
    rows = [tree.pack_sequence_as(elems, list(row)) for row in zip(*leaves, strict=True)]
    return rows[::-1] if reverse else rows


def scan(
    fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, reverse: bool = False, **options: Any
) -> Any:
    """What `fn(state, row)` gives for one row after the other, stacked."""
    rows = _rows(elems, reverse)
    states = [] if initializer is not None else [rows.pop(0)]
    state = states[0] if states else initializer
    for row in rows:
        state = fn(state, row)
        states.append(state)
    states = states[::-1] if reverse else states
    return tree.map_structure(lambda *parts: ops.stack(parts, axis=0), *states)


def foldl(fn: Callable[[Any, Any], Any], elems: Any, initializer: Any = None, **options: Any) -> Any:
    """What `fn(state, row)` gives for the last of all rows."""
    rows = _rows(elems, False)
    state = rows.pop(0) if initializer is None else initializer
    for row in rows:
        state = fn(state, row)
    return state
