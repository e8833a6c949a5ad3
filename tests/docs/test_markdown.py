"""Markdown is wrapped at 100 columns, so that diffs and reviews stay readable."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLUMNS = 100
FOLDERS = ("docs", "benchmarks", "examples", ".github", "crates", "fuzz", "src", "tools")
FILES = sorted([*ROOT.glob("*.md"), *(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md"))])


def prose_lines(text: str) -> list[tuple[int, str]]:
    """Return the numbered lines outside of code blocks, tables and front matter."""
    lines = []
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        marker = re.match(r"\s*(`{3,}|~{3,}|-{3}$)", line)
        if fence:
            if line.strip() == fence:
                fence = ""
        elif marker and (marker[1] != "---" or number == 1):
            fence = marker[1]
        elif not line.lstrip().startswith("|") and not line.startswith("    "):
            lines.append((number, line))
    return lines


def is_too_long(line: str) -> bool:
    """Return True for a line over the limit that could be broken, as a URL or a path cannot."""
    return len(line) > COLUMNS and " " in line.strip().lstrip("-*> ")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_prose_is_wrapped(path: Path) -> None:
    lines = prose_lines(path.read_text(encoding="utf-8"))
    assert [f"{number}: {line}" for number, line in lines if is_too_long(line)] == []


def test_the_check_sees_long_prose_only() -> None:
    long = "word " * 30
    text = f"---\ntitle: {long}\n---\n{long}\n```\n{long}\n```\n| {long} |\n- https://{'a' * 200}\n"
    assert [number for number, line in prose_lines(text) if is_too_long(line)] == [4]


BRITISH = re.compile(
    r"\b\w*(?:colour|neighbour|favour|behaviour|isation)\w*|\b(?:centre|grey)[ds]?\b"
    r"|\b\w*(?:normal|recogn|optim|organ|summar|initial|regular|general|visual|minim|maxim)is(?:e[ds]?|ing)\b",
    re.I,
)
# They quote old names.
QUOTING = ("CHANGELOG.md", "CONTRIBUTING.md")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_spelling_is_american(path: Path) -> None:
    if path.name not in QUOTING:
        assert BRITISH.findall(path.read_text(encoding="utf-8") + path.name) == []


def test_the_spelling_check_sees_british_words_only() -> None:
    words = "colours Neighbour normalisation recognised grey; optimistic, promise, noise, center"
    assert BRITISH.findall(words) == ["colours", "Neighbour", "normalisation", "recognised", "grey"]


# Pages for users, whose code imports `hornbeam as hb`; those for contributors show internals.
USER_PAGES = [
    *(
        ROOT / "docs" / f"{name}.md"
        for name in ("data", "doctor", "engines", "evaluation", "insight", "runs", "saving")
    ),
    *(ROOT / "docs/howto").glob("*.md"),
    *(ROOT / "docs/course").glob("*.md"),
    ROOT / "README.md",
]


@pytest.mark.parametrize("path", USER_PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_code_for_users_has_one_alias(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```py(?:thon)?\n(.*?)^```", text, re.M | re.S))
    rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
    code += "\n".join(line for line in rest.splitlines() if line.startswith("    "))
    assert re.findall(r"^\s*import hornbeam$|(?<![\w.'\"])hornbeam\.\w+\(", code, re.M) == []
    if "hb." in code:
        assert "import hornbeam as hb" in code
