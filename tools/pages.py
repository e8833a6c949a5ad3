"""Run the code of the pages in docs/ and compare its output with the page.

The ```python blocks of a page are one program. The ```text block after a code block is its output. Words and
integers must be equal; decimal numbers may differ by 5%, since training rounds differently on other CPUs;
three dots match anything. In a ```text about block all numbers are free: those that small differences in
training may change. Figures that a page shows from figures/ are saved by its code, into the working
directory. Blocks marked `py` are fragments, which are not run. A block marked ```python onnx torch needs
these modules; it is skipped where one of them is not installed.

The pages of the course are also read in Python's prompt and as notebooks. Their blocks run statement by
statement as at the prompt, and `--write` writes their notebooks (tools/notebooks.py).

    python tools/pages.py                              # check all pages with code
    python tools/pages.py docs/course/*.md --write     # write outputs and figures into the pages
"""

from __future__ import annotations

import argparse
import ast
import codeop
import contextlib
import importlib.util
import io
import linecache
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from tools import notebooks

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
COURSE = DOCS / "course"

_BLOCK = re.compile(
    r"^```python(?P<needs>(?: \w+)*)\n(?P<code>.*?)^```$"
    r"(?:\n\n```text(?P<about> about)?\n(?P<output>.*?)^```$)?",
    re.M | re.S,
)
_FIGURE = re.compile(r"!\[[^]]*\]\((figures/[^)]+)\)")
_DECIMAL = re.compile(r"\d[\d,]*\.\d+(?:e[-+]?\d+)?")
_NUMBER = re.compile(r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
_TOLERANCE = 0.05


class Terminal(io.StringIO):
    """A terminal without colors and cursor movements, for what fits its output to the width of one."""

    def isatty(self) -> bool:
        return True


class PageError(AssertionError):
    """The output of a page's code differs from the page."""


@dataclass
class Page:
    """A text with code.

    `blocks` are (code, shown output or None, whether its numbers are free), `needs` the modules that each of
    them requires, `names` the globals of the code.
    """

    path: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})

    def __post_init__(self) -> None:
        self.text = self.path.read_text(encoding="utf-8")
        matches = list(_BLOCK.finditer(self.text))
        self.blocks = [(match["code"], match["output"], bool(match["about"])) for match in matches]
        self.needs = [match["needs"].split() for match in matches]

    @property
    def in_course(self) -> bool:
        return self.path.parent == COURSE

    @property
    def figures(self) -> list[Path]:
        """Files of the figures that the page shows and its code saves: those in figures/."""
        return [self.path.parent / name for name in _FIGURE.findall(self.text)]

    def run(self) -> list[str]:
        """Run all blocks in the working directory and return their outputs."""
        return [self.run_block(number) for number in range(len(self.blocks))]

    def run_block(self, number: int) -> str:
        code, shown, _ = self.blocks[number]
        if any(importlib.util.find_spec(module) is None for module in self.needs[number]):
            return (shown or "").rstrip("\n")
        file = f"block {number}"
        # Tracebacks and messages show the line.
        linecache.cache[file] = (len(code), None, code.splitlines(True), file)
        output = Terminal() if self.in_course else io.StringIO()
        with contextlib.redirect_stdout(output):
            if self.in_course:
                run_as_typed(code, file, self.names)
            else:
                exec(compile(code, file, "exec"), self.names)
        return "\n".join(line.rstrip() for line in output.getvalue().splitlines())

    def check(self, outputs: list[str], folder: Path) -> None:
        """Raise PageError if outputs, or figures in `folder`, differ from those of the page."""
        for number, ((_, shown, about), output) in enumerate(zip(self.blocks, outputs, strict=True)):
            if message := difference(shown, output, about=about):
                raise PageError(f"{self.path.name}, block {number}: {message}")
        for figure in self.figures:
            for path in (folder / figure.name, figure):
                if not path.exists():
                    raise PageError(f"{self.path.name}: no figure {path}")

    def write(self, outputs: list[str]) -> None:
        """Write outputs into the page where they differ from it."""
        remaining = iter(outputs)

        def updated(match: re.Match[str]) -> str:
            output = next(remaining)
            if not difference(match["output"], output, tolerance=0.0) and is_laid_out_as(
                match["output"], output
            ):
                return match[0]
            shown = f"\n\n```text{match['about'] or ''}\n{output}\n```" if output else ""
            return f"```python{match['needs']}\n{match['code']}```{shown}"

        self.path.write_text(_BLOCK.sub(updated, self.text), encoding="utf-8")


def run_as_typed(code: str, file: str, names: dict[str, Any]) -> None:
    """Run code as Python's prompt does, which also displays the values of statements.

    Raises:
        PageError: If a value is displayed that the page does not show. Code that draws may display the lines,
            labels and ticks that it has drawn.
    """
    compiler = codeop.Compile()
    drawing = "plt." in code
    shown: list[str] = []

    def display(value: Any) -> None:
        if value is not None and not drawing:
            shown.append(repr(value)[:60])

    hook, sys.displayhook = sys.displayhook, display
    try:
        for statement in ast.parse(code, file).body:
            exec(compiler(ast.Interactive([statement]), file, "single"), names)  # type: ignore[arg-type]
            if shown:
                raise PageError(f"{file}, line {statement.lineno}: the prompt would display {shown[0]}")
    finally:
        sys.displayhook = hook


def difference(shown: str | None, output: str, *, tolerance: float = _TOLERANCE, about: bool = False) -> str:
    """Describe how an output differs from the shown one; return "" if it does not."""
    both = f"the page shows\n{shown or '(nothing)'}\nand the code prints\n{output or '(nothing)'}"
    number = _NUMBER if about else _DECIMAL
    pattern = r"\s+".join(_word_pattern(word, number) for word in (shown or "").split())
    match = re.fullmatch(pattern, output.strip(), re.S)
    if match is None:
        return both
    for old, new in zip(number.findall(shown or ""), match.groups(), strict=True):
        if not about and not is_close(old, new, tolerance):
            return f"{old} is {new} now: {both}"
    return ""


def is_laid_out_as(shown: str | None, output: str) -> bool:
    """Return True if the lines of two equal outputs end at the same words."""
    lengths = [[len(line.split()) for line in text.strip().splitlines()] for text in (shown or "", output)]
    return "..." in (shown or "") or lengths[0] == lengths[1]


def is_close(old: str, new: str, tolerance: float) -> bool:
    """Return True if two numbers differ by at most the tolerance, or two units in the last place."""
    unit = 10.0 ** -len(old.partition(".")[2]) if "e" not in old else 0.0
    before, after = (float(number.replace(",", "")) for number in (old, new))
    return abs(before - after) <= (max(tolerance * abs(before), 2 * unit) if tolerance else 0.0)


def _word_pattern(word: str, number: re.Pattern[str]) -> str:
    """Return a pattern for a word, with a group for each number."""
    if word == "...":
        return r".*?"
    # The lengths of rules and bars depend on numbers.
    pieces = [re.sub(r"[─█]+", "[─█]+", re.escape(piece)) for piece in number.split(word)]
    return f"({number.pattern})".join(pieces)


def pages_with_code() -> list[Page]:
    pages = [Page(path) for path in sorted(DOCS.rglob("*.md")) if "_build" not in path.parts]
    return [page for page in pages if page.blocks]


def set_environment(page: Page | None = None) -> None:
    """Make figures and line widths independent of the environment."""
    os.environ["COLUMNS"] = "80" if page and page.in_course else "100"
    os.environ["TERM"] = "dumb"
    os.environ["MPLBACKEND"] = "Agg"
    os.environ["MATPLOTLIBRC"] = str(DOCS / "matplotlibrc")
    os.environ["SOURCE_DATE_EPOCH"] = "0"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("page", nargs="*", type=Path, help="pages in docs/; by default all of them")
    parser.add_argument("--write", action="store_true", help="write outputs and figures into the pages")
    options = parser.parse_args()
    pages = [Page(path.resolve()) for path in options.page] or pages_with_code()
    if len(pages) > 1:
        # Names such as dense_1 count up within a process.
        for page in pages:
            subprocess.run([sys.executable, __file__, page.path, *["--write"] * options.write], check=True)
        return
    (page,) = pages
    set_environment(page)
    with tempfile.TemporaryDirectory() as temporary:
        os.chdir(temporary)
        outputs = page.run()
        os.chdir(ROOT)
        if options.write:
            page.write(outputs)
            page = Page(page.path)
            for figure in page.figures:
                figure.parent.mkdir(exist_ok=True)
                shutil.copyfile(Path(temporary, figure.name), figure)
            if page.in_course:
                notebooks.write(page.path)
        page.check(outputs, Path(temporary))
    print(f"{page.path.relative_to(ROOT)}: {len(page.blocks)} blocks")


if __name__ == "__main__":
    main()
