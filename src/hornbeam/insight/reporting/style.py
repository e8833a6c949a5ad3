"""Style sheet of the page: page.css and the rules of its elements, with colors for light and dark."""

from __future__ import annotations

from importlib import resources

from hornbeam._internal.html.style import DARK, LIGHT, element_rules, variables


def style_sheet() -> str:
    """Return the style sheet as text."""
    rules = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    dark = f"@media (prefers-color-scheme: dark) {{ :root {{ {variables(DARK)} }} }}\n"
    return f":root {{ color-scheme: light dark; {variables(LIGHT)} }}\n{dark}{element_rules()}{rules}"
