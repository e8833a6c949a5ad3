"""No room of the code grows beyond its budget, `size_budget.json`: lines of code by package and crate."""

from __future__ import annotations

import pytest

from tests.helpers import rooms

REMEDY = (
    "take something away first, or raise the budget (tests/structure/size_budget.json) in a commit of "
    "its own that says why"
)


@pytest.fixture(scope="module")
def sizes() -> dict[str, rooms.Size]:
    return rooms.sizes()


def test_no_room_is_over_its_budget(sizes: dict[str, rooms.Size]) -> None:
    budget = rooms.budget()
    over = [
        f"{name} has {room.code:,} lines of code, {room.code - budget[name]:,} over its budget"
        for name, room in sizes.items()
        if room.code > budget.get(name, room.code)
    ]
    assert not over, f"{'; '.join(over)}: {REMEDY}"


def test_every_room_has_a_budget(sizes: dict[str, rooms.Size]) -> None:
    """`python tools/code_metrics.py --write-budget` drops rooms that are gone."""
    assert set(rooms.budget()) == set(sizes), f"a new room needs a budget: {REMEDY}"
