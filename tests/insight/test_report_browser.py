"""The page about a run in a real browser: needs Playwright, and Chromium as Debian installs it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import hornbeam as hb
from tests.helpers.browser import CONTRASTS, OUTSIDE, chromium, opened
from tests.helpers.report_pages import record

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = record(
        tmp_path_factory.mktemp("runs"), "A run with a_very_long_name_without_any_blank_to_break_at"
    )
    return hb.insight.report(folder).as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as launched:
        yield launched


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_nothing_is_asked_for_and_nothing_sticks_out(
    browser: Any, address: str, scheme: str, width: int
) -> None:
    page, heard = opened(browser, address, scheme, width)
    assert heard == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    page.context.close()


@pytest.mark.parametrize(("width", "beside"), [(1280, True), (768, False), (360, False)])
def test_wide_windows_show_two_columns(browser: Any, address: str, width: int, beside: bool) -> None:
    page, _ = opened(browser, address, "light", width)
    offsets = page.evaluate("""[...document.querySelectorAll('.pair')].map(pair => {
      const [left, right] = [...pair.children].map(part => part.getBoundingClientRect());
      return right.left - left.left; })""")
    assert len(offsets) >= 4
    assert all((offset > 100) == beside for offset in offsets)
    page.context.close()


def test_texts_can_be_read(browser: Any, address: str, scheme: str) -> None:
    page, _ = opened(browser, address, scheme, 1280)
    result = page.evaluate(CONTRASTS)
    assert len(result) > 300
    assert [where for ratio, where in result if ratio < 4.5] == []
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(246, 246, 243)") == (scheme == "light")  # the scheme is followed
    page.context.close()


def test_images_are_drawn(browser: Any, address: str) -> None:
    page, _ = opened(browser, address, "light", 360)
    sizes = page.evaluate("[...document.images].map(i => i.naturalWidth)")
    assert len(sizes) > 3
    assert all(size == 8 for size in sizes)
    lines = page.evaluate("[...document.querySelectorAll('.chart polyline')].map(l => l.getTotalLength())")
    assert len(lines) == 4
    assert min(lines) > 100
    # Letters of curves on a phone are as large as they are meant, for the images are not scaled down much.
    scale = page.evaluate("document.querySelector('.chart').getBoundingClientRect().width / 380")
    assert 12 * scale > 9
    page.context.close()


def test_boxes_of_layers_hold_their_texts(browser: Any, address: str) -> None:
    page, _ = opened(browser, address, "light", 1280)
    assert (
        page.evaluate("""() => [...document.querySelectorAll('.architecture g g')].filter(g => {
          const box = g.querySelector('.box').getBoundingClientRect();
          return [...g.querySelectorAll('text')].some(t => { const r = t.getBoundingClientRect();
            return r.left < box.left || r.right > box.right || r.top < box.top || r.bottom > box.bottom; });
        }).map(g => g.textContent)""")
        == []
    )
    page.context.close()


def test_by_keyboard(browser: Any, address: str) -> None:
    """Tab goes to the link over everything, the sections, what scrolls and what is folded, and is seen."""
    page, _ = opened(browser, address, "light", 360)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = false)")
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(
            "[document.activeElement.tagName + '.' + document.activeElement.className,"
            " getComputedStyle(document.activeElement).outlineStyle]"
        )
        if name == "BODY.":
            break
        seen.append(name)
        assert outline != "none", name
    assert seen[0] == "A.skip"
    assert {"A.", "DIV.scroll", "SUMMARY."} <= set(seen)
    page.context.close()


def test_the_tree_that_screen_readers_get(browser: Any, address: str) -> None:
    page, _ = opened(browser, address, "light", 360)
    tree = page.locator("body").aria_snapshot()
    for part in (
        "- banner",
        "- navigation",
        "- main",
        "- contentinfo",
        'heading "Curves" [level=2]',
        "- table",
    ):
        assert part in tree, part
    assert 'img "loss over 4 epochs' in tree
    page.context.close()
