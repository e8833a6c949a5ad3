"""The figures in README.md and docs/features.md are today's."""

from __future__ import annotations

import pytest

from tools import figures


def test_figures_are_those_of_the_record_and_of_the_parity_report() -> None:
    assert figures.stale() == [], "run: python tools/figures.py --write"
    values = figures.figures()
    assert values["equal"] + values["different"] == values["checked"]
    assert 0 <= values["names"] - values["existing"] <= 20


def test_stale_figures_are_seen_and_written_across_lines() -> None:
    sentences = {"Of # checks, # are equal": ("checked", "equal")}
    values = {"checked": 1234, "equal": 7}
    assert figures.updated("a\nOf 8,064\nchecks, 12 are equal.", sentences, values) == (
        "a\nOf 1,234\nchecks, 7 are equal."
    )
    with pytest.raises(ValueError, match="no sentence"):
        figures.updated("nothing", sentences, values)
