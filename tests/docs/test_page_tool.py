"""tools/pages.py: comparing outputs with a page, and writing them into it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools import pages


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
def test_equal_outputs(shown: str | None, printed: str) -> None:
    assert pages.difference(shown, printed) == ""


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
def test_different_outputs(shown: str | None, printed: str, message: str) -> None:
    assert re.search(message, pages.difference(shown, printed))


def test_numbers_are_free_in_about_blocks_and_words_are_not() -> None:
    assert pages.difference("better by 0.1, p = 3e-05", "better by -0.7, p = 1", about=True) == ""
    assert "worse" in pages.difference("better by 0.1", "worse by 0.1", about=True)


def test_outputs_are_written_into_a_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n```python\nx = 6\n```\n\nand\n\n```python\nprint(7 * x)\n```\n\n```text\n41\n```\n"
    )
    loaded = pages.Page(page)
    outputs = loaded.run()
    assert outputs == ["", "42"]
    with pytest.raises(pages.PageError, match="block 1"):
        loaded.check(outputs, tmp_path)
    loaded.write(outputs)
    reloaded = pages.Page(page)
    reloaded.check(reloaded.run(), tmp_path)
    assert reloaded.text == loaded.text.replace("41", "42")


def test_a_figure_that_the_code_does_not_save_is_an_error(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n1\n```\n\n![a curve](figures/curve.svg)\n")
    loaded = pages.Page(page)
    with pytest.raises(pages.PageError, match=r"no figure .*curve\.svg"):
        loaded.check(loaded.run(), tmp_path)


def test_a_block_is_skipped_where_a_module_that_it_needs_is_missing(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```python no_such_module\nimport no_such_module\n```\n\n```text\n3\n```\n\n"
        "```python json re\nprint(4)\n```\n\n```text\n5\n```\n"
    )
    loaded = pages.Page(page)
    assert loaded.needs == [["no_such_module"], ["json", "re"]]
    outputs = loaded.run()
    assert outputs == ["3", "4"]
    loaded.write(outputs)
    assert page.read_text() == loaded.text.replace("5", "4")
