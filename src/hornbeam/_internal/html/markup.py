"""HTML and SVG built by functions, which escape every text."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

# Elements without an end tag: those of HTML, and those of SVG that have no children here.
_VOID = frozenset({"meta", "img", "br"})
_SELF_CLOSING = frozenset({"path", "line", "rect", "polyline", "polygon"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def tag(name: str, /, *children: Any, **attributes: Any) -> Html:
    """Return an element.

    Args:
        name: Name of the element.
        *children: `Html` is inserted as it is, None is dropped, lists are flattened, and anything else is
            escaped text.
        **attributes: "_" at the end of a name is dropped, other "_" become "-". None and False drop the
            attribute; True is an attribute without a value.

    Example:
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
    if name in _VOID:
        return Html(f"<{start}>")
    return Html(f"<{start}/>") if name in _SELF_CLOSING else Html(f"<{start}>{join(children)}</{name}>")


def join(children: Iterable[Any]) -> Html:
    """Concatenate children of `tag`."""
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
    text_columns: Iterable[int] = (0,),
    class_: str | None = None,
) -> Html:
    """Return a table whose first column names the rows, in a box that scrolls sideways by itself.

    Columns of `text_columns` are aligned to the left, the others hold numbers.
    """
    left = set(text_columns)

    def cell(index: int, value: Any) -> Html:
        kind = None if index in left else "number"
        return tag("th", value, scope="row", class_=kind) if index == 0 else tag("td", value, class_=kind)

    head = tag(
        "tr",
        [tag("th", h, scope="col", class_=None if i in left else "number") for i, h in enumerate(heads)],
    )
    body = [tag("tr", [cell(i, value) for i, value in enumerate(row)]) for row in rows]
    parts = [tag("caption", caption) if caption else None, tag("thead", head), tag("tbody", body)]
    return scrolling(tag("table", *parts, class_=class_), caption)


def scrolling(content: Html, label: str) -> Html:
    """Return a box that scrolls sideways by itself, by keyboard too."""
    return tag("div", content, class_="scroll", role="region", aria_label=label or "table", tabindex="0")


def details(summary: str, *content: Any) -> Html:
    """Return content that is folded under a line."""
    return tag("details", tag("summary", summary), *content)


def description_list(pairs: Iterable[Sequence[Any]]) -> Html:
    """Return labels and what they describe."""
    return tag("dl", [(tag("dt", label), tag("dd", text)) for label, text in pairs], class_="facts")


def bar(fractions: Sequence[float]) -> Html:
    """Return a bar of parts; their numbers are in other cells."""
    parts = [tag("i", style=f"width: {100 * min(max(part, 0), 1):.1f}%") for part in fractions]
    return tag("span", parts, class_="bar", aria_hidden="true")
