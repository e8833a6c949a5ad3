"""tools/check_site.py: pages of the site load nothing from elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.check_site import Page, problems


@pytest.mark.parametrize(
    "text",
    [
        '<script src="https://cdn.example/mathjax.js"></script>',
        '<script src="//cdn.example/mathjax.js"></script>',
        '<link rel="stylesheet" href="https://fonts.example/css">',
        '<link rel="preconnect" href="https://fonts.example">',
        '<img srcset="https://example.com/a.png 2x">',
        '<p style="background: url(https://example.com/a.png)">',
        "<style>@import 'https://fonts.example/css';</style>",
        '<svg><image href="http://example.com/a.png"/></svg>',
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(text: str) -> None:
    assert len(Page(text).loaded) == 1


@pytest.mark.parametrize(
    "text",
    [
        '<a href="https://example.com">a link</a>',
        '<link rel="canonical" href="https://example.com/page">',
        '<script src="_static/copy.js"></script>',
        "<p>url(https://example.com)</p>",
        '<svg xmlns="http://www.w3.org/2000/svg"><use href="#arrow"/></svg>',
    ],
)
def test_links_and_own_files_are_allowed(text: str) -> None:
    assert Page(text).loaded == []


def test_a_doubled_sidebar_is_found(tmp_path: Path) -> None:
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static/site.css").write_text("p { background: url('https://example.com/a.png') }")
    tree = '<div class="sidebar-tree"><div><a href="a.html">A</a></div><a href="a.html">A</a></div>'
    (tmp_path / "index.html").write_text(f'{tree}<a href="b.html">B</a><a href="b.html">B</a>')
    assert problems(tmp_path) == [
        "index.html: the sidebar has a.html twice",
        "_static/site.css loads https://example.com/a.png",
    ]
