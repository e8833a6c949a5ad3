"""Sphinx extension for links to files outside of docs/: examples get pages, other files are named."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_OUTSIDE = re.compile(r"\[([^]]*)\]\(\.\./(?:\.\./)*([\w./-]+)(?:#[\w-]*)?\)")
FOLDER = "programs"


def example_page(path: Path, docs: Path) -> str:
    """Return the page of an example: its source."""
    source = path.relative_to(docs.parent)
    return "\n".join(
        [
            ":orphan:",
            "",
            str(source),
            "=" * len(str(source)),
            "",
            "What it prints is in :doc:`/gallery`.",
            "",
            f".. literalinclude:: /../{source.as_posix()}",
            "   :language: python",
            "",
        ]
    )


def write_pages(app: Any) -> None:
    """Write a page for each example, before Sphinx collects its sources."""
    docs = Path(app.srcdir)
    folder = docs / FOLDER
    folder.mkdir(exist_ok=True)
    pages = {
        folder / f"{path.stem}.rst": example_page(path, docs)
        for path in sorted((docs.parent / "examples").rglob("*.py"))
    }
    for obsolete in set(folder.glob("*.rst")) - set(pages):
        obsolete.unlink()
    for page, text in pages.items():
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")


def replace_outside_links(app: Any, name: str, source: list[str]) -> None:
    """Replace links to files outside of docs/, which work in the repository only.

    An example is linked to its page, any other file is named.
    """
    docs = Path(app.srcdir)

    def replacement(match: re.Match[str]) -> str:
        text, target = match[1], match[0].rpartition("(")[2].rstrip(")").partition("#")[0]
        path = (docs / name).parent / target
        if path.resolve().is_relative_to(docs.resolve()):
            return match[0]
        if match[2].startswith("examples/") and path.suffix == ".py":
            return f"[{text}](/{FOLDER}/{path.stem}.rst)"
        if Path(text.strip("`")).name == path.name:
            return f"`{match[2]}` in the repository"
        return f"{text} (`{match[2]}` in the repository)"

    source[0] = _OUTSIDE.sub(replacement, source[0])


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write_pages)
    app.connect("source-read", replace_outside_links)
    return {"parallel_read_safe": True}
