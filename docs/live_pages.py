"""Sphinx extension that shows pages in which a model runs.

`<!-- page: spiral.html 900 -->` becomes a frame of that height. The code block before it, which may use `np`,
`hb` and `layers`, writes the file when the site is built.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HEADER = "import numpy as np\nimport hornbeam as hb\nfrom hornbeam import layers\n"
FOLDER = Path("_static") / "pages"
_MARK = re.compile(
    r"^```python\n(?P<code>(?:(?!```).*\n)*)```\n\n<!-- page: (?P<name>[\w-]+\.html) (?P<height>\d+) -->$",
    re.M,
)


def write_page(code: str, name: str, folder: Path) -> None:
    """Run a block of code, and move the page that it writes to a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as empty:
        subprocess.run([sys.executable, "-c", HEADER + code], cwd=empty, check=True)
        os.replace(Path(empty) / name, folder / name)


def frame(name: str, height: int, up: str) -> str:
    """Return a frame with a page, and a link to it."""
    address = f"{up}{(FOLDER / name).as_posix()}"
    attributes = f'src="{address}" title="{name}" height="{height}" loading="lazy"'
    return (
        f'<iframe class="live-page" {attributes}></iframe>\n'
        f'<p class="live-page"><a href="{address}">Open it by itself</a></p>'
    )


def replace_marks(app: Any, name: str, source: list[str]) -> None:
    """Write the pages that a document asks for, and show them."""
    docs = Path(app.srcdir)

    def replacement(match: re.Match[str]) -> str:
        write_page(match["code"], match["name"], docs / FOLDER)
        shown = frame(match["name"], int(match["height"]), "../" * name.count("/"))
        return f"```python\n{match['code']}```\n\n{shown}"

    source[0] = _MARK.sub(replacement, source[0])


def setup(app: Any) -> dict[str, Any]:
    app.connect("source-read", replace_marks)
    return {"parallel_read_safe": False}
