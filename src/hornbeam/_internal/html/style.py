"""Colors of reports and notebooks, for light and dark, and the rules of what both show."""

from __future__ import annotations

import functools

# Every text color has a contrast of at least 4.5:1 on each of its backgrounds, as a test computes.
LIGHT = {
    "page": "#f6f6f3",
    "card": "#ffffff",
    "text": "#1d2126",
    "quiet": "#565e68",
    "rule": "#d9dade",
    "mark": "#0b5c8f",
    "first": "#0b5c8f",
    "second": "#b0460a",
    "good": "#1b6e45",
    "warn": "#8a4b00",
    "shade": "#e9eef2",
}
DARK = {
    "page": "#13161a",
    "card": "#1c2026",
    "text": "#e7e9ec",
    "quiet": "#a8b0ba",
    "rule": "#373d46",
    "mark": "#7cc0ee",
    "first": "#7cc0ee",
    "second": "#f2a56b",
    "good": "#7fd3a6",
    "warn": "#f0b66a",
    "shade": "#272d35",
}
# Stripes of layers in the palette of Okabe and Ito (2008); the kind is written beside them.
STRIPES = {
    "conv": "#0072b2",
    "pool": "#009e73",
    "dense": "#e69f00",
    "norm": "#cc79a7",
    "memory": "#d55e00",
    "noise": "#8c8c8c",
    "input": "#56b4e9",
    "other": "#8c8c8c",
}
# Lines, bars and groups of points after the first two, in the same palette; their names are in the legend.
SERIES = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_FURTHER = dict(
    zip(
        SERIES[2:],
        ("#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#8c8c8c", "#a6611a", "#7a5cc4", "#9a9400"),
        strict=True,
    )
)


@functools.cache
def element_rules() -> str:
    """Return the rules of tables, figures, charts and lists, which use the variables of the colors."""
    from importlib import resources  # takes longer to import than this package

    stripes = "".join(f"svg .stripe.{name} {{ fill: {color}; }}\n" for name, color in STRIPES.items())
    series = "".join(
        f"svg .{name} {{ stroke: {color}; }}\n"
        f"svg :is(.dot, .column, .band).{name} {{ fill: {color}; stroke: none; }}\n"
        for name, color in _FURTHER.items()
    )
    return resources.files(__package__).joinpath("elements.css").read_text("utf-8") + stripes + series


def variables(colors: dict[str, str]) -> str:
    """Return colors as declarations of variables."""
    return "".join(f"--{name}:{value};" for name, value in colors.items())
