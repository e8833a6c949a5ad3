"""The search of the site puts tasks before the reference."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
NODE = shutil.which("node")


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
def test_how_tos_come_before_lessons_and_those_before_the_reference() -> None:
    pages = ["reference/hornbeam.layers", "course/01_one_neuron", "howto/training"]
    results = [
        [page, "title", "", None, score, "file"] for page, score in zip(pages, (15, 7, 5), strict=True)
    ]
    results.append(["reference/hornbeam.layers.Conv2D", "title", "", None, 26, "file", "object"])
    program = (
        f"{(DOCS / '_static' / 'scorer.js').read_text()}\nconsole.log(JSON.stringify({json.dumps(results)}"
    )
    program += ".map((result) => Scorer.score(result))))"
    assert NODE is not None
    done = subprocess.run([NODE, "-"], input=program, capture_output=True, text=True, check=True)
    *others, named = json.loads(done.stdout)
    assert others == sorted(others)
    assert named > others[-1]


def test_the_site_uses_it_and_titles_have_the_words_that_people_search() -> None:
    (line,) = re.findall(r"^html_search_scorer = .+$", (DOCS / "conf.py").read_text(), re.M)
    scope = {"Path": Path, "__file__": str(DOCS / "conf.py")}
    exec(line, scope)
    assert Path(str(scope["html_search_scorer"])) == DOCS / "_static" / "scorer.js"  # not relative
    titles = " ".join(re.findall(r"^## (.+)$", (DOCS / "howto" / "training.md").read_text(), re.M)).lower()
    for words in ("class weights", "learning rate", "imbalanced data"):
        assert words in titles


def test_the_first_page_says_how_to_install() -> None:
    text = (DOCS / "index.md").read_text()
    opening, _, _ = text.partition("## Ten lines")
    assert "pip install hornbeam" in opening
    assert "make -C hornbeam mnist" in opening


def test_figures_follow_the_dark_theme() -> None:
    """Plots on white ground become dark; our own diagrams have colors for both."""
    styles = (DOCS / "_static" / "site.css").read_text()
    assert styles.count('article img[src$=".svg"] { filter: invert') == 2
    for path in DOCS.rglob("*.svg"):
        drawn_by_us = "http://www.w3.org/1999/xlink" not in path.read_text(encoding="utf-8")[:400]
        assert drawn_by_us == (f'[src$="{path.name}"]' in styles), path.name
