"""docs/live_pages.py: pages in which a model runs, in frames of the site."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def extension() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        yield importlib.import_module("live_pages")


def test_a_mark_becomes_a_frame_with_the_page(extension: ModuleType, tmp_path: Path) -> None:
    code = 'count = np.arange(3).sum() + len(hb.__name__)\nopen("a.html", "w").write(str(count))\n'
    text = f"# Title\n\n```python\n{code}```\n\n<!-- page: a.html 700 -->\n\nEnd.\n"
    source = [text]
    extension.replace_marks(SimpleNamespace(srcdir=str(tmp_path)), "course/x", source)
    assert (tmp_path / "_static/pages/a.html").read_text() == "11"
    assert f"```python\n{code}```" in source[0]
    assert 'src="../_static/pages/a.html"' in source[0]
    assert 'height="700"' in source[0]
    assert "<!--" not in source[0]


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ("04_a_hidden_layer", "spiral"),
        pytest.param("08_the_tutorial_net", "digits", marks=pytest.mark.slow),
    ],
)
def test_pages_of_the_course(extension: ModuleType, page: str, name: str, tmp_path: Path) -> None:
    text = (DOCS / f"course/{page}.md").read_text(encoding="utf-8")
    assert text.count("<!-- page:") == 1
    (mark,) = extension._MARK.finditer(text)
    assert mark["name"] == f"{name}.html"
    extension.write_page(mark["code"], mark["name"], tmp_path / "pages")
    written = (tmp_path / "pages" / mark["name"]).read_text(encoding="utf-8")
    assert written.startswith("<!doctype html>")
    assert len(written) < 2_000_000
