"""tools/pages.py: what counts as the same output, and how outputs get into a page."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("loss 0.5012, 469 updates", "loss 0.5040, 469 updates"),
        ("a\n...\nz", "a\nb 1\nc 2\nz"),
        ("1,234.5 is  wide", "1,236.0 is wide\n"),
        ("rate 0.01", "rate 0.02"),
        (None, ""),
    ],
)
def test_the_same(tool: ModuleType, shown: str | None, printed: str) -> None:
    assert tool.differs(shown, printed) == ""


@pytest.mark.parametrize(
    ("shown", "printed", "said"),
    [
        ("loss 0.5012", "loss 0.6012", "0.5012 is 0.6012 now"),
        ("469 updates", "470 updates", "470 updates"),
        ("loss 0.5", "losses 0.5", "losses"),
        ("", "something", "something"),
        (None, "something", r"\(nothing\)"),
        ("one two", "one", "two"),
        ("+0.5", "-0.5", "-0.5"),
    ],
)
def test_not_the_same(tool: ModuleType, shown: str | None, printed: str, said: str) -> None:

    assert re.search(said, tool.differs(shown, printed))


def test_about_leaves_numbers_free_and_holds_words(tool: ModuleType) -> None:
    assert tool.differs("better by 0.1, p = 3e-05", "better by -0.7, p = 1", about=True) == ""
    assert "worse" in tool.differs("better by 0.1", "worse by 0.1", about=True)


def test_outputs_are_written_into_a_page(tool: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n```python\nx = 6\n```\n\nand\n\n```python\nprint(7 * x)\n```\n\n```text\n41\n```\n"
    )
    made = tool.Page(page)
    outputs = made.run()
    assert outputs == ["", "42"]
    with pytest.raises(tool.PageError, match="block 1"):
        made.check(outputs, tmp_path)
    made.write(outputs)
    again = tool.Page(page)
    again.check(again.run(), tmp_path)
    assert again.text == made.text.replace("41", "42")


def test_a_picture_that_the_code_does_not_make_is_missed(tool: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n1\n```\n\n![a curve](pictures/curve.svg)\n")
    made = tool.Page(page)
    with pytest.raises(tool.PageError, match=r"no picture .*curve\.svg"):
        made.check(made.run(), tmp_path)
