"""Where in its data a training stands, so that another one can go on there."""

from __future__ import annotations

from typing import Any, NamedTuple

from hornbeam.random import random_state, set_random_state


class _Pass(NamedTuple):
    """A pass over the data: how many batches came before it, and what its order was drawn from."""

    first: int
    random: dict[str, Any]
    orders: list[list[int]] | None


class DataCursor:
    """The batches of a source that were used, and the passes that they belong to.

    A position is what the present pass was drawn from and how many of its batches were used: whoever begins
    that pass again and leaves so many out stands where we do. Between two passes it is where the shuffles of
    the source stand.

    source: a Dataset, whose shuffles have orders of their own; others draw from the global generators.
    """

    def __init__(self, source: Any = None) -> None:
        self.consumed = 0
        self._source = source if hasattr(source, "_orders") else None
        self._passes: list[_Pass] = []

    def begin_pass(self, first: int | None = None) -> None:
        """A pass begins behind `first` batches, by default those that were used."""
        orders = None if self._source is None else self._source._orders()
        self._passes.append(_Pass(self.consumed if first is None else first, random_state(), orders))
        # One may be begun ahead of its use: two are enough, and one more for the pass before.
        del self._passes[:-3]

    @property
    def consumed_in_pass(self) -> int:
        """How many batches of the present pass were used."""
        return self.consumed - max(
            (one.first for one in self._passes if one.first <= self.consumed), default=0
        )

    def reset(self) -> None:
        """The present pass ends here: the next batch is the first of another."""
        self.consumed, self._passes = 0, []

    def position(self, at_end: bool, produced: int | None = None) -> dict[str, Any]:
        """The position behind the batches that were used.

        at_end: whether the pass has no more of them. produced: how many were made, if more than were used.
        """
        present = [one for one in self._passes if one.first <= self.consumed]
        ahead = len(present) < len(self._passes) or (produced is not None and produced > self.consumed)
        if not present or (at_end and not ahead):
            return {"taken": None, "orders": None if self._source is None else self._source._orders()}
        return {
            "taken": self.consumed - present[-1].first,
            "random": present[-1].random,
            "orders": present[-1].orders,
            # Whether more was drawn by now than the used batches needed.
            "ahead": ahead,
        }

    def seek(self, position: dict[str, Any]) -> int | None:
        """Set random states and shuffles for the pass of `position` to begin. Returns how many of its batches
        to leave out, or None if no pass is to be begun."""
        self.reset()
        if self._source is not None and position["orders"] is not None:
            self._source._set_orders(position["orders"])
        if position["taken"] is None:
            return None
        set_random_state(position["random"])
        return int(position["taken"])

    def mark_skipped(self, count: int) -> None:
        """The pass was begun again and `count` of its batches were left out."""
        self.consumed = count
