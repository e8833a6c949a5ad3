"""The task pages: an index of at least thirty tasks, complete, in the order of the pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import pages

FOLDER = Path(__file__).parents[2] / "docs/howto"
INDEX = (FOLDER / "index.md").read_text(encoding="utf-8")
PAGES = re.findall(r"^(\w+)$", INDEX.rpartition(":hidden:")[2], re.M)


def sections(page: str) -> list[str]:
    return re.findall(r"^## (.+)$", (FOLDER / f"{page}.md").read_text(encoding="utf-8"), re.M)


def entry(section: str) -> str:
    """Return the task as it continues "How do I", in lower case at its beginning."""
    return section[0].lower() + section[1:]


def test_the_index_lists_every_section_in_order() -> None:
    assert sorted(PAGES) == sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "index")
    listed = re.findall(r"^- \[([^]]+)\]\((\w+)\.md#", INDEX, re.M)
    assert listed == [(entry(section), page) for page in PAGES for section in sections(page)]
    assert len(listed) >= 30


@pytest.mark.parametrize("page", PAGES)
def test_lines_of_code_fit_a_small_screen(page: str) -> None:
    blocks = pages.Page(FOLDER / f"{page}.md").blocks
    long = [line for code, *_ in blocks for line in code.splitlines() if len(line) > 80]
    assert long == []
