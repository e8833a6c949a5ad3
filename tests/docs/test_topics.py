"""Pages about topics begin with the task, as code, and end with the guarantees."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TOPICS = (
    "data",
    "saving",
    "serving",
    "engines",
    "distribution",
    "evaluation",
    "insight",
    "interchange",
    "frozen",
    "web_page",
    "runs",
    "tuning",
    "pretrained",
    "doctor",
)
# Tables that are read by looking up, at the end of a page.
APPENDICES = {"Supported primitives"}


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_begins_with_code_and_ends_with_guarantees(topic: str) -> None:
    text = (DOCS / f"{topic}.md").read_text(encoding="utf-8")
    opening, *rest = re.split(r"^## ", text, flags=re.M)
    assert re.search(r"^(```py|    \w)", opening, re.M), "no code before the first section"
    titles = [section.partition("\n")[0] for section in rest]
    assert [title for title in titles if title not in APPENDICES][-1] == "Guarantees"
