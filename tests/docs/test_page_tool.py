"""tools/pages.py: comparing outputs with a page, and writing them into it."""

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
def test_equal_outputs(tool: ModuleType, shown: str | None, printed: str) -> None:
    assert tool.difference(shown, printed) == ""


@pytest.mark.parametrize(
    ("shown", "printed", "message"),
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
def test_different_outputs(tool: ModuleType, shown: str | None, printed: str, message: str) -> None:
    assert re.search(message, tool.difference(shown, printed))


def test_numbers_are_free_in_about_blocks_and_words_are_not(tool: ModuleType) -> None:
    assert tool.difference("better by 0.1, p = 3e-05", "better by -0.7, p = 1", about=True) == ""
    assert "worse" in tool.difference("better by 0.1", "worse by 0.1", about=True)


def test_outputs_are_written_into_a_page(tool: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n```python\nx = 6\n```\n\nand\n\n```python\nprint(7 * x)\n```\n\n```text\n41\n```\n"
    )
    loaded = tool.Page(page)
    outputs = loaded.run()
    assert outputs == ["", "42"]
    with pytest.raises(tool.PageError, match="block 1"):
        loaded.check(outputs, tmp_path)
    loaded.write(outputs)
    reloaded = tool.Page(page)
    reloaded.check(reloaded.run(), tmp_path)
    assert reloaded.text == loaded.text.replace("41", "42")


def test_a_figure_that_the_code_does_not_save_is_an_error(tool: ModuleType, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n1\n```\n\n![a curve](figures/curve.svg)\n")
    loaded = tool.Page(page)
    with pytest.raises(tool.PageError, match=r"no figure .*curve\.svg"):
        loaded.check(loaded.run(), tmp_path)
