"""Runs the code of the pages in docs/ and holds what they show against what it gives.

The ```python blocks of a page are one program. A ```text block right behind one is what it prints: letters
and whole numbers must be the same, numbers with a point may differ by 5%, since training rounds otherwise on
another CPU; three dots stand for anything. Behind ```text about every number may be another one: what small
differences in training may turn over. Pictures that a page shows are saved by its code, into the folder
where it runs. Blocks marked `py` are fragments, which nobody runs.

    python tools/pages.py                              # checks all pages that have code
    python tools/pages.py docs/course/*.md --write     # writes outputs and pictures into the pages
"""

from __future__ import annotations

import argparse
import contextlib
import io
import linecache
import os
import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"

_BLOCK = re.compile(
    r"^```python\n(?P<code>.*?)^```$(?:\n\n```text(?P<about> about)?\n(?P<output>.*?)^```$)?", re.M | re.S
)
_PICTURE = re.compile(r"!\[[^]]*\]\(([^)]+)\)")
_DECIMAL = re.compile(r"\d[\d,]*\.\d+(?:e[-+]?\d+)?")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_TOLERANCE = 0.05


class PageError(AssertionError):
    """A page shows something else than its code gives."""


@dataclass
class Page:
    """A text with code. `blocks` are (code, what is shown as its output or None, whether that is said to be
    about so), `names` what the code made."""

    path: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})

    def __post_init__(self) -> None:
        self.text = self.path.read_text(encoding="utf-8")
        self.blocks = [
            (found["code"], found["output"], bool(found["about"])) for found in _BLOCK.finditer(self.text)
        ]

    @property
    def pictures(self) -> list[Path]:
        """The picture files that the page shows."""
        return [self.path.parent / name for name in _PICTURE.findall(self.text)]

    def run(self) -> list[str]:
        """Run all blocks in the present folder; what each of them printed."""
        return [self.run_block(number) for number in range(len(self.blocks))]

    def run_block(self, number: int) -> str:
        code = self.blocks[number][0]
        file = f"block {number}"
        # Tracebacks and messages show the line.
        linecache.cache[file] = (len(code), None, code.splitlines(True), file)
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(code, file, "exec"), self.names)
        return "\n".join(line.rstrip() for line in printed.getvalue().splitlines())

    def check(self, outputs: list[str], folder: Path) -> None:
        """Raises PageError where outputs and pictures in `folder` are not those of the page."""
        for number, ((_, shown, about), printed) in enumerate(zip(self.blocks, outputs, strict=True)):
            if difference := differs(shown, printed, about=about):
                raise PageError(f"{self.path.name}, block {number}: {difference}")
        for picture in self.pictures:
            for place in (folder / picture.name, picture):
                if not place.exists():
                    raise PageError(f"{self.path.name}: there is no picture {place}")

    def write(self, outputs: list[str]) -> None:
        """Put outputs into the page, where those that it shows do not hold."""
        fresh = iter(outputs)

        def block(found: re.Match[str]) -> str:
            printed = next(fresh)
            if not differs(found["output"], printed, tolerance=0.0):
                return found[0]
            output = f"\n\n```text{found['about'] or ''}\n{printed}\n```" if printed else ""
            return f"```python\n{found['code']}```{output}"

        self.path.write_text(_BLOCK.sub(block, self.text), encoding="utf-8")


def differs(shown: str | None, printed: str, *, tolerance: float = _TOLERANCE, about: bool = False) -> str:
    """What is different between a shown output and a printed one; "" for nothing."""
    both = f"the page shows\n{shown or '(nothing)'}\nand the code prints\n{printed or '(nothing)'}"
    number = _NUMBER if about else _DECIMAL
    pattern = r"\s+".join(_as_pattern(word, number) for word in (shown or "").split())
    found = re.fullmatch(pattern, printed.strip(), re.S)
    if found is None:
        return both
    for was, now in zip(number.findall(shown or ""), found.groups(), strict=True):
        if not about and not near(was, now, tolerance):
            return f"{was} is {now} now: {both}"
    return ""


def near(was: str, now: str, tolerance: float) -> bool:
    """Whether two numbers differ by no more than the tolerance allows, or two units of the last place."""
    unit = 10.0 ** -len(was.partition(".")[2]) if "e" not in was else 0.0
    old, new = (float(number.replace(",", "")) for number in (was, now))
    return abs(old - new) <= (max(tolerance * abs(old), 2 * unit) if tolerance else 0.0)


def _as_pattern(word: str, number: re.Pattern[str]) -> str:
    """A pattern for a word, with a group for each number."""
    if word == "...":
        return r".*?"
    # Lines and bars are as long as numbers make them.
    pieces = [re.sub(r"[─█]+", "[─█]+", re.escape(piece)) for piece in number.split(word)]
    return f"({number.pattern})".join(pieces)


def pages() -> list[Page]:
    """All pages with code that is run."""
    found = [Page(path) for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts]
    return [page for page in found if page.blocks]


def prepare() -> None:
    """Pictures and widths that are the same wherever a page is run."""
    os.environ["COLUMNS"] = "100"
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["MATPLOTLIBRC"] = str(DOCS / "matplotlibrc")
    os.environ["SOURCE_DATE_EPOCH"] = "0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("page", nargs="*", type=Path, help="pages in docs/; all of them if none is named")
    parser.add_argument("--write", action="store_true", help="write outputs and pictures into the pages")
    asked = parser.parse_args()
    prepare()
    for page in [Page(path.resolve()) for path in asked.page] or pages():
        with tempfile.TemporaryDirectory() as temporary:
            folder = page.path.parent / "pictures" if asked.write and page.pictures else Path(temporary)
            folder.mkdir(exist_ok=True)
            os.chdir(folder)
            outputs = page.run()
            os.chdir(ROOT)
            if asked.write:
                page.write(outputs)
                page = Page(page.path)
            page.check(outputs, folder)
        print(f"{page.path.relative_to(ROOT)}: {len(page.blocks)} blocks")


if __name__ == "__main__":
    main()
