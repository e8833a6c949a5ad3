"""HTML documents that load nothing and run no script."""

from __future__ import annotations

from typing import Any

from hornbeam._internal.html.markup import Html, tag
from hornbeam.insight.reporting.style import style_sheet

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def html_document(title: str, *content: Any) -> str:
    """Return a document as text.

    Args:
        title: Its title.
        content: Elements of its body.
    """
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(style_sheet())),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, tag('body', *content), lang='en')}\n"
