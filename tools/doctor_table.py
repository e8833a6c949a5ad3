"""The table of docs/doctor.md, read from the doctor's own.

python tools/doctor_table.py [--write]
"""

from __future__ import annotations

import sys
from pathlib import Path

from hornbeam.diagnostics.doctor import CHECKS

DOCS = Path(__file__).resolve().parents[1] / "docs/doctor.md"
BEGIN, END = "<!-- findings: begin -->\n", "<!-- findings: end -->"


def table() -> str:
    """A row for each check: name, what it means, what to do."""
    rows = [f"| `{check.name}` | {check.meaning} | {check.advice} |\n" for check in CHECKS]
    return "| finding | what it means | advice |\n|---|---|---|\n" + "".join(rows)


def text() -> str:
    """The page with the table as it should be."""
    before, rest = DOCS.read_text().split(BEGIN)
    return before + BEGIN + table() + END + rest.split(END)[1]


if __name__ == "__main__":
    if "--write" in sys.argv:
        DOCS.write_text(text())
    else:
        print(table())
