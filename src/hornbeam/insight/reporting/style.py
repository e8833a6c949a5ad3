"""Style sheet of the page: page.css, with colors for light and dark."""

from __future__ import annotations

from importlib import resources

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


def style_sheet() -> str:
    """Return the style sheet as text."""
    stripes = "".join(f"svg .stripe.{name} {{ fill: {color}; }}\n" for name, color in STRIPES.items())
    rules = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {_variables(DARK)} }} }}\n"
    return f":root {{ color-scheme: light dark; {_variables(LIGHT)} }}\n{dark}{rules}{stripes}"


def _variables(colors: dict[str, str]) -> str:
    return " ".join(f"--{name}: {value};" for name, value in colors.items())
