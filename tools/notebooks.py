"""Convert the pages of the course to notebooks, which are shipped with the package and opened in Colab.

A code block becomes a cell, without its output: a learner predicts it and runs the cell. Solutions stay
hidden in `<details>`. The code of a figure is a collapsed cell, below which the notebook draws the figure.

    python tools/notebooks.py            # write all notebooks
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
COURSE = ROOT / "docs" / "course"
FOLDER = ROOT / "src" / "hornbeam" / "cli" / "course"
FIGURE_CODE = "<details><summary>Code of the figure</summary>"

_BLOCK = re.compile(
    r"^<details>(?P<details>.*?)^</details>\n"
    r"|^```python\n(?P<code>.*?)^```\n(?:\n```text[ a-z]*\n.*?^```\n)?",
    re.M | re.S,
)
_CODE = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)
_HEADER = re.compile(r"\A(?P<title># .+\n)\n(?P<header>About \d+ minutes\. .*?)\n\n", re.S)
_FIGURE = re.compile(r"!\[([^]]*)\]\([^)]+\)")
_LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)(#[^)\s]*)?\)")


def pages() -> list[Path]:
    """Return the numbered pages of the course, in order."""
    return sorted(COURSE.glob("[0-9]*.md"))


def repository() -> str:
    """Return the address of the repository, as pyproject.toml has it."""
    (url,) = re.findall(r'^Source = "([^"]+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.M)
    return str(url)


def notebook_path(page: Path) -> Path:
    """Return the file of a page's notebook."""
    return FOLDER / f"{page.stem}.ipynb"


def header(page: Path) -> str:
    """Return the line below the title of a page: its time, and how to get its notebook."""
    notebook = notebook_path(page).relative_to(ROOT).as_posix()
    colab = repository().replace("https://github.com/", "https://colab.research.google.com/github/")
    return (
        f"About {minutes(page)} minutes. As a notebook: `hornbeam course`, or in "
        f"[Colab]({colab}/blob/main/{notebook})."
    )


def minutes(page: Path) -> int:
    """Return the minutes for a page, to five: 100 words or 10 lines of code a minute, 5 for an exercise."""
    text = page.read_text(encoding="utf-8")
    code = sum(len(block.splitlines()) for block in _CODE.findall(text))
    words = len(re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S).split())
    exercises = len(re.findall(r"<summary>(?:Solution|Answer)</summary>", text))
    return max(5 * round((words / 100 + code / 10 + 5 * exercises) / 5), 5)


def requirements(page: Path) -> str:
    """Return the packages that a page needs besides Hornbeam, as its header names them."""
    match = re.search(r"`pip install ([^`]+)`", page_header(page))
    return match[1] if match else ""


def page_header(page: Path) -> str:
    """Return the paragraph below the title of a page."""
    match = _HEADER.match(page.read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(f"{page.name} has no line with its notebook below the title: {header(page)}")
    return match["header"]


def convert(page: Path) -> dict[str, Any]:
    """Return the notebook of a page, in nbformat 4.5."""
    text = page.read_text(encoding="utf-8")
    match = _HEADER.match(text)
    packages = requirements(page)  # which checks the header, too
    url = f"{repository()}/blob/main/docs/course/{page.name}"
    introduction = (
        f"{match['title']}\nThis is [a page of Hornbeam's course]({url}) as a notebook. Run the cells from "
        "top to bottom. Outputs are not stored: predict each one before you run its cell. The page has ours."
    )
    install = (
        "# If `import hornbeam` fails: Hornbeam is not on the package index yet.\n"
        f"# Until it is, install it from a checkout, as its README says:\n# {repository()}\n"
        f"# After the first release, this line is enough:\n# %pip install hornbeam {packages}".rstrip()
    )
    cells = [_cell("markdown", introduction), _cell("code", install)]
    position = match.end()
    for block in _BLOCK.finditer(text, position):
        _add_prose(cells, text[position : block.start()])
        if block["code"] is not None:
            cells.append(_cell("code", block["code"]))
        elif block[0].startswith(FIGURE_CODE):
            cells += [_cell("code", code, collapsed=True) for code in _CODE.findall(block[0])]
        else:
            _add_prose(cells, block[0])
        position = block.end()
    _add_prose(cells, text[position:])
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:02}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def render(page: Path) -> str:
    """Return the content of a page's notebook file."""
    return json.dumps(convert(page), indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def write(page: Path) -> Path:
    """Write the notebook of a page; return its path."""
    path = notebook_path(page)
    path.write_text(render(page), encoding="utf-8")
    return path


def _cell(kind: str, source: str, *, collapsed: bool = False) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": kind, "metadata": {}, "source": source.strip("\n").splitlines(True)}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    if collapsed:
        cell["metadata"] = {"jupyter": {"source_hidden": True}, "tags": ["hide-input"]}
    return cell


def _add_prose(cells: list[dict[str, Any]], text: str) -> None:
    """Append a markdown cell with links that work outside of the repository."""
    if text := text.strip("\n"):
        cells.append(_cell("markdown", _LINK.sub(_link, _FIGURE.sub(r"*\1*", text))))


def _link(match: re.Match[str]) -> str:
    target, anchor = match[1], match[2] or ""
    if re.fullmatch(r"\d\d_\w+\.md", target):
        # Notebooks have no anchors.
        return f"]({target[:-3]}.ipynb)"
    path = (COURSE / target).resolve().relative_to(ROOT).as_posix()
    return f"]({repository()}/blob/main/{path}{anchor})"


def main() -> None:
    for page in pages():
        print(write(page).relative_to(ROOT))


if __name__ == "__main__":
    main()
