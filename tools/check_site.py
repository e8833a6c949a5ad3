"""Check the built site: no page loads anything from elsewhere, and no sidebar lists a page twice.

python tools/check_site.py build/docs
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

# Attributes whose address is loaded with the page; of a link element, by its relation.
_LOADING = {"src", "srcset", "poster", "data", "background"}
_LINKED = {"stylesheet", "preload", "modulepreload", "prefetch", "preconnect", "dns-prefetch", "icon"}
_ELSEWHERE = re.compile(r"(?:https?:)?//\w")
_CSS = re.compile(r"(?:@import\s+|url\()\s*[\"']?((?:https?:)?//\w[^\"')\s]*)")


class Page(HTMLParser):
    """Addresses that a page loads from elsewhere, and the links of its sidebar."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.sidebar: Counter[str] = Counter()
        self._depth = 0
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_style = tag == "style"
        names = set(_LOADING)
        if tag == "link" and _LINKED & set(values.get("rel", "").split()):
            names.add("href")
        if tag in ("image", "use"):
            names |= {"href", "xlink:href"}
        self.loaded += [values[name] for name in names & set(values) if _ELSEWHERE.match(values[name])]
        self.loaded += _CSS.findall(values.get("style", ""))
        if self._depth or "sidebar-tree" in values.get("class", "").split():
            self._depth += tag == "div"
            if tag == "a":
                self.sidebar[values.get("href", "")] += 1

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False
        if self._depth and tag == "div":
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.loaded += _CSS.findall(data)


def problems(folder: Path) -> list[str]:
    """Return a line for each address that is loaded from elsewhere and for each doubled link."""
    lines = []
    for path in sorted(folder.rglob("*.html")):
        page = Page(path.read_text(encoding="utf-8"))
        name = path.relative_to(folder)
        lines += [f"{name} loads {address}" for address in page.loaded]
        lines += [
            f"{name}: the sidebar has {link} twice" for link, count in page.sidebar.items() if count > 1
        ]
    for path in sorted(folder.rglob("*.css")):
        css = _CSS.findall(path.read_text(encoding="utf-8"))
        lines += [f"{path.relative_to(folder)} loads {address}" for address in css]
    return lines


def main() -> int:
    folder = Path(sys.argv[1])
    if not (folder / "index.html").exists():
        print(f"{folder} holds no site: build it with make docs")
        return 2
    lines = problems(folder)
    print("\n".join(lines) or "The site loads nothing from elsewhere, and no sidebar lists a page twice.")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
