"""HTML out of functions: what is not made here is escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

# Elements without an end: those of HTML, and those of SVG that hold nothing here.
_EMPTY = frozenset({"meta", "img", "br"})
_DRAWN = frozenset({"path", "line", "rect", "polyline"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """An element. Children: Html as it is, None is nothing, lists are what they hold, anything else is
    escaped text. Attributes: "_" at the end of a name is dropped, other "_" are "-"; None and False leave one
    out, True is one without a value.

    >>> tag("p", "a < b", class_="note")
    '<p class="note">a &lt; b</p>'
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        parts.append(word if value is True else f'{word}="{html.escape(str(value))}"')
    start = " ".join(parts)
    if name in _EMPTY:
        return Html(f"<{start}>")
    return Html(f"<{start}/>") if name in _DRAWN else Html(f"<{start}>{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Html:
    """Children one behind the other, see `tag`."""
    return Html("".join(map(_child, children)))


def _child(child: Any) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, (list, tuple)):
        return join(child)
    return html.escape(str(child))


def table(
    caption: str,
    heads: Sequence[Any],
    rows: Iterable[Sequence[Any]],
    words: Iterable[int] = (0,),
    class_: str | None = None,
) -> Html:
    """A table whose first column names the rows, in a box that scrolls by itself where it is too wide.

    words: the columns that hold words and begin at the left; the others hold numbers.
    """
    left = set(words)

    def cell(index: int, value: Any) -> Html:
        kind = None if index in left else "number"
        return tag("th", value, scope="row", class_=kind) if index == 0 else tag("td", value, class_=kind)

    head = tag(
        "tr",
        [tag("th", h, scope="col", class_=None if i in left else "number") for i, h in enumerate(heads)],
    )
    body = [tag("tr", [cell(i, value) for i, value in enumerate(row)]) for row in rows]
    made = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", body), class_=class_)
    return scrolling(made, caption)


def scrolling(content: Html, label: str) -> Html:
    """A box that scrolls sideways by itself, by keyboard too."""
    return tag("div", content, class_="scroll", role="region", aria_label=label, tabindex="0")


def more(summary: str, *content: Any) -> Html:
    """What is folded away under a line."""
    return tag("details", tag("summary", summary), *content)
