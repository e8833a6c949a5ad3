"""Findings of the doctor as elements, for reports and notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from hornbeam._internal.html.markup import Html, tag
from hornbeam._internal.html.notebook import notebook_output


def findings_elements(findings: Iterable[Mapping[str, Any]]) -> list[Html]:
    """Return an element for each finding: a dict of name, evidence, advice, layers and epoch."""
    return [
        tag(
            "div",
            tag("h3", str(finding["name"])),
            tag("p", as_sentence(finding["evidence"])),
            tag("p", tag("strong", "What to do: "), as_sentence(finding["advice"])),
            tag("p", _location(finding), class_="quiet"),
            class_="finding",
        )
        for finding in findings
    ]


def findings_html(findings: Iterable[Any]) -> str:
    """Return findings as the output of a notebook cell."""
    elements = findings_elements([vars(finding) for finding in findings])
    return notebook_output(*(elements or [no_findings()]))


def no_findings() -> Html:
    """Return the element that says that nothing was found."""
    return tag("p", "The doctor reported no problem.", class_="fine")


def as_sentence(text: str) -> str:
    """Return a text with a capital letter and a full stop."""
    stripped = str(text).strip()
    end = "" if stripped.endswith((".", "?", "!")) else "."
    return f"{stripped[:1].upper()}{stripped[1:]}{end}"


def _location(finding: Mapping[str, Any]) -> str:
    layers = ", ".join(map(str, finding["layers"]))
    return f"Seen in epoch {int(finding['epoch']) + 1}{f', in {layers}' if layers else ''}."
