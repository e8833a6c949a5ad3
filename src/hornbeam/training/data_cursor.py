"""Position in the training data, from which another training can resume."""

from __future__ import annotations

from typing import Any, NamedTuple

from hornbeam.random import random_state, set_random_state


class _Pass(NamedTuple):
    """A pass over the data: number of batches before it, and the states that its order was drawn from."""

    first: int
    random: dict[str, Any]
    orders: list[list[int]] | None


class DataCursor:
    """Count of the batches that were consumed, and the passes that they belong to.

    A position is the state from which the present pass was drawn, and how many of its batches were consumed:
    drawing the pass again and skipping as many batches leads to the same place. Between two passes it is the
    state of the source's shuffles.

    source: a Dataset, whose shuffles have states of their own; other sources use the global generators.
    """

    def __init__(self, source: Any = None) -> None:
        self.consumed = 0
        self.source = source if hasattr(source, "_orders") else None
        self._passes: list[_Pass] = []

    def begin_pass(self, first: int | None = None) -> None:
        """Begin a pass after `first` batches, by default those that were consumed."""
        orders = None if self.source is None else self.source._orders()
        self._passes.append(_Pass(self.consumed if first is None else first, random_state(), orders))
        # One may begin ahead of its use: two are enough, and one more for the pass before.
        del self._passes[:-3]

    @property
    def consumed_in_pass(self) -> int:
        """Batches of the present pass that were consumed."""
        return self.consumed - max((p.first for p in self._passes if p.first <= self.consumed), default=0)

    def reset(self) -> None:
        """End the present pass: the next batch is the first of another."""
        self.consumed, self._passes = 0, []

    def position(self, at_end: bool, produced: int | None = None) -> dict[str, Any]:
        """Return the position after the consumed batches.

        at_end: True if the pass has no more batches. produced: number of computed batches, if a thread reads
        ahead.
        """
        position = self._position(at_end, produced)
        lengths = [] if self.source is None else self.source._shard_lengths()
        return {**position, "lengths": lengths} if lengths else position

    def _position(self, at_end: bool, produced: int | None) -> dict[str, Any]:
        begun = [p for p in self._passes if p.first <= self.consumed]
        ahead = len(begun) < len(self._passes) or (produced is not None and produced > self.consumed)
        if not begun or (at_end and not ahead):
            return {"taken": None, "orders": None if self.source is None else self.source._orders()}
        return {
            "taken": self.consumed - begun[-1].first,
            "random": begun[-1].random,
            "orders": begun[-1].orders,
            # More was drawn by now than the consumed batches needed.
            "ahead": ahead,
        }

    def seek(self, position: dict[str, Any]) -> int | None:
        """Set random states and shuffles for the pass of `position` to begin.

        Returns how many of its batches to skip, None if no pass has begun.
        """
        self.reset()
        if self.source is not None and position["orders"] is not None:
            self.source._set_orders(position["orders"])
        if self.source is not None and "lengths" in position:
            self.source._set_shard_lengths(position["lengths"])
        if position["taken"] is None:
            return None
        set_random_state(position["random"])
        return int(position["taken"])

    def mark_skipped(self, count: int) -> None:
        """Count the batches that were skipped after `seek` as consumed."""
        self.consumed = count
