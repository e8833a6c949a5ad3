"""Elements that several sections of the page have."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from hornbeam._internal.html.markup import Html, tag


def not_recorded(sentence: str, code: str) -> list[Html]:
    """Say that a part is missing, and the line of code that records it."""
    return [tag("p", f"{sentence} ", tag("code", code), class_="note")]


def pair(left: Sequence[Html], right: Sequence[Html], style: str = "") -> Html:
    """Put two groups of elements beside each other where the window is wide, else below each other."""
    return tag("div", tag("div", left), tag("div", right), class_=f"pair {style}".strip())


def as_float(value: float | None) -> float:
    """Return a recorded number; null is NaN."""
    return math.nan if value is None else float(value)


def image_element(encoded: str, alt: str) -> Html:
    """Return an image inside of the file. Raises ValueError for anything but base64 text."""
    if not isinstance(encoded, str) or not re.fullmatch(r"[A-Za-z0-9+/]+={0,2}", encoded):
        raise ValueError("an image is not base64 text")
    return tag("img", src=f"data:image/png;base64,{encoded}", alt=alt)
