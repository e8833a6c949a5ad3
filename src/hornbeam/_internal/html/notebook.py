"""Outputs of notebook cells: one element with one style sheet, in the colors of the notebook's theme."""

from __future__ import annotations

import functools
import re
from typing import Any

from hornbeam._internal.html.markup import Html, join, tag
from hornbeam._internal.html.style import DARK, LIGHT, element_rules, variables

# Twice, so that the rules win against those that JupyterLab has for every table and list.
_SCOPE = ".hornbeam.hornbeam"
# Where notebooks say which theme they have: JupyterLab and nbconvert, VS Code, Colab, Sphinx.
_LIGHT = ('[data-jp-theme-light="true"]', ".vscode-light", "html[theme=light]", '[data-theme="light"]')
_DARK = (
    '[data-jp-theme-light="false"]', ".vscode-dark", ".vscode-high-contrast", "html[theme=dark]",
    '[data-theme="dark"]',
)  # fmt: skip
_GROUND = (
    "--card: var(--jp-layout-color0, var(--vscode-editor-background, {card})); background: transparent; "
    "padding: 0; color-scheme: {scheme};"
)
_OWN_RULES = """
* { box-sizing: border-box; }
h3, h4 { line-height: 1.3; margin: .7em 0 .3em; font-weight: 650; }
tr, tbody tr:nth-child(odd), tbody tr:nth-child(even), tbody tr:hover { background: none; }
th, td { max-width: none; }
table { margin: 0; border: 0; table-layout: auto; color: inherit; }
section { margin: .2em 0; }
dl { margin: .3em 0; }
dt, dd { float: none; width: auto; margin: 0; padding: 0; font-weight: 400; }
pre { color: inherit; line-height: 1.4; width: fit-content; max-width: 100%; }
pre.array { white-space: pre; overflow-x: auto; }
.beside { display: flex; flex-wrap: wrap; gap: 0 1.6rem; align-items: flex-start; }
.beside > * { min-width: 0; max-width: 100%; }
.beside .tall { max-height: 32rem; max-width: 100%; margin: .7rem 0; }
.charts { grid-template-columns: repeat(auto-fill, minmax(min(100%, 20rem), 1fr)); }
"""
_BOX = (
    "color: var(--text); background: var(--card); padding: .1rem .6rem .4rem; max-width: 66rem; "
    "overflow-x: auto; font: 14px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', "
    "'DejaVu Sans', sans-serif;"
)


def notebook_output(*content: Any) -> Html:
    """Return elements as the output of a cell: with the style sheet that they need, and loading nothing."""
    inside = join(content)
    return tag("div", tag("style", Html(_sheet(inside))), inside, class_="hornbeam")


def _sheet(content: str) -> str:
    """Return the rules for the elements and classes of an output; they apply inside of it only."""
    words = {f"<{name}" for name in re.findall(r"<(\w+)", content)}
    words.update(f".{name}" for names in re.findall(r'class="([^"]*)"', content) for name in names.split())
    rules = [rule for needed, rule in _rules() if needed <= words]
    head, tail = _themes()
    return "".join([head, *rules, tail])


@functools.cache
def _rules() -> list[tuple[frozenset[str], str]]:
    """Return each rule with a selector of its own, and the elements and classes that it needs."""
    rules = []
    for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", element_rules() + _OWN_RULES):
        text = re.sub(r"\s+", " ", body).strip()
        for selector in re.split(r",(?![^(]*\))", selectors):  # commas in `:is(...)` separate nothing
            plain = re.sub(r":is\([^)]*\)|:[\w-]+(?:\([^)]*\))?", "", selector)
            needed = {f"<{name}" for name in re.findall(r"(?:^|[\s>+])(\w+)", plain)}
            needed.update(re.findall(r"\.[\w-]+", plain))
            rules.append((frozenset(needed), f"{_SCOPE} {' '.join(selector.split())}{{{text}}}"))
    return rules


@functools.cache
def _themes() -> tuple[str, str]:
    """Return the rules before and after those of elements: colors that follow the system, or the notebook."""
    dark = f"@media (prefers-color-scheme:dark){{{_SCOPE}{{{variables(DARK)}}}}}"
    head = f"{_SCOPE}{{{variables(LIGHT)}color-scheme:light dark;{_BOX}}}{dark}"
    known = [(_LIGHT, LIGHT, "light"), (_DARK, DARK, "dark")]
    return head, "".join(
        f"{','.join(f'{ancestor} {_SCOPE}' for ancestor in ancestors)}"
        f"{{{variables(colors)}{_GROUND.format(card=colors['card'], scheme=scheme)}}}"
        for ancestors, colors, scheme in known
    )
