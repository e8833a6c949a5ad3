"""The pages in docs/: their code prints what they show, and their links have targets."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
# Tested name by name in test_write_an_engine.py.
WITH_CODE = [path for path in PAGES if "```python" in path.read_text() and path.stem != "write_an_engine"]
OTHERS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md")
READ = [*PAGES, *(ROOT / name for name in OTHERS)]
_LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#([^)\s]+))?\)")


def short(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", WITH_CODE, ids=short)
def test_the_code_of_a_page_prints_what_the_page_shows(path: Path) -> None:
    # In a separate process: pages register names, set seeds and draw figures.
    command = [sys.executable, "-W", "error", ROOT / "tools/pages.py", path]
    process = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_fragments_are_python(path: Path) -> None:
    """Blocks marked `py` are parts of programs, which are not run."""
    for fragment in re.findall(r"^```py\n(.*?)^```$", path.read_text(), re.M | re.S):
        ast.parse(fragment)


@pytest.mark.parametrize("path", PAGES, ids=short)
def test_no_output_is_left_out(path: Path) -> None:
    assert not re.search(r"^```text[ a-z]*\n(\.\.\.\n)?```$", path.read_text(), re.M)


def anchors(path: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    headings = re.findall(r"^#+ +(.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", READ, ids=short)
def test_links_have_targets(path: Path) -> None:
    for target, anchor in _LINK.findall(path.read_text()):
        linked = (path.parent / target).resolve() if target else path
        assert linked.exists(), f"{short(path)} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{short(path)} links to {target}#{anchor}"


def test_the_course_lists_its_pages() -> None:
    """The other toctrees are globs."""
    course = [path.name for path in sorted((DOCS / "course").glob("[0-9]*.md"))]
    assert [name[:2] for name in course] == [f"{n:02}" for n in range(1, len(course) + 1)]
    index = (DOCS / "course/index.md").read_text()
    assert all(f"({name})" in index for name in course)


def test_figures_are_small_and_used() -> None:
    figures = set(DOCS.rglob("*.svg")) | set(DOCS.rglob("*.png"))
    assert sum(path.stat().st_size for path in figures) < 1_500_000
    shown = {
        (path.parent / name).resolve()
        for path in PAGES
        for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", path.read_text())
    }
    assert figures <= shown
