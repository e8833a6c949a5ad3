"""Pages in a real browser: what they ask for, what is outside of the window, and which texts can be read."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

BROWSER = os.environ.get("HORNBEAM_TEST_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")

# Elements whose right end lies outside of the window, unless a box around them scrolls by itself.
OUTSIDE = """() => [...document.querySelectorAll('body *')].filter(e => {
  if (e.matches('.skip') || e.parentElement.closest('.scroll, .tall')) return false;
  const box = e.getBoundingClientRect();
  return box.width > 0 && box.right > document.documentElement.clientWidth + 1;
}).map(e => e.outerHTML.slice(0, 80))"""

# WCAG 2.2: contrast of all texts with the first ground behind them that covers.
CONTRASTS = """() => {
  const numbers = c => { const m = c.match(/[\\d.]+/g).map(Number);
    const unit = c.startsWith('color(srgb') ? 255 : 1;
    return [m[0] * unit, m[1] * unit, m[2] * unit, m[3] ?? 1]; };
  const over = (top, under) => [0, 1, 2].map(i => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const light = c => { const l = c.slice(0, 3).map(v => { v /= 255;
    return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * l[0] + 0.7152 * l[1] + 0.0722 * l[2]; };
  const ground = e => { const stack = [];
    for (let p = e; p; p = p.parentElement) stack.push(numbers(getComputedStyle(p).backgroundColor));
    return stack.reverse().reduce((under, top) => over(top, under), [255, 255, 255, 1]); };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || ['STYLE', 'TITLE', 'title'].includes(e.tagName)) continue;
    const style = getComputedStyle(e), drawn = e instanceof SVGElement;
    const ink = numbers(drawn ? style.fill : style.color), back = ground(e);
    const [a, b] = [light(over(ink, back)), light(back)].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), e.outerHTML.slice(0, 80)]);
  }
  return found;
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    """Run Chromium, or skip the test where it or Playwright is not installed."""
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
    )
    if BROWSER is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        # A container's root has no sandbox; the pages are ours.
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser: Any, address: str, scheme: str, width: int) -> tuple[Any, list[str]]:
    """The page with everything unfolded, and what was said or asked for on the way."""
    page = browser.new_context(viewport={"width": width, "height": 740}, color_scheme=scheme).new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("request", lambda request: heard.append(f"request: {request.url[:80]}"))
    page.goto(address)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    return page, [line for line in heard if line not in (f"request: {address[:80]}",) and "data:" not in line]
