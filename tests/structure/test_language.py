"""Code and documents use the field's terms: words that the glossary of CONTRIBUTING.md replaced stay out."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Pattern -> what to write. "_" separates words too, so that identifiers are searched like prose.
BANNED = {
    r"slopes?": "gradient, cotangent (the slope of a leaky ReLU keeps its name)",
    r"the way (?:back|forth|forward)": "backward pass, forward pass",
    r"no(?:body|t anybody)|somebody|anybody|whoever|whomever": "the passive, or the subject by name",
    r"whole numbers?": "integer",
    r"(?:is|are|was) no numbers?": "NaN",
    r"pictures?": "image; figure or plot for drawings",
    r"twins?": "duplicate, near-duplicate",
    r"without chance": "deterministic",
    r"(?:leave|leaves|left|leaving) away": "omit",
    r"stands? (?:in|there|beside|behind|before|after|above|below|here)": "is",
    r"(?:is|are) there": "exists; present",
    r"(?:makes?|made) of (?:it|them)": "converts to, computes",
    r"surest": "most confident",
    r"apportion(?:ed)?": "allocate",
    r"stirred|stirs": "mixed, distorted",
    r"unmoved chance": "preserve_rng_state",
    r"uncollected": "gc_paused",
    r"numbering kept": "preserve_name_counters",
    r"outside traces": "eager_scope",
    r"on doubt": "on_warning",
    r"words_of": "hash_rows",
    r"crew": "workers",
}
# "slope" is the field's word for these.
SLOPE = re.compile(
    r"negative[ _]slopes?|slopes? of (?:the )?negative|negative part|leaky|LeakyRe[lL]U|hard_?sigmoid", re.I
)

# Docstrings begin with a verb or a noun phrase.
QUESTION = re.compile(r"(?:What|Whether|How|Where|Who|By which)\b")

# Names of variables that say nothing of what they hold.
EMPTY_NAMES = {"found", "made", "given", "whole", "place", "told", "taken", "what", "thing"}

SUFFIXES = {".py", ".pyi", ".rs", ".md"}
# The last one names the words.
SKIPPED = ("examples/keras/", "docs/reference/", "tests/golden/", "tests/structure/test_language.py")
WORDS = {
    re.compile(rf"(?<![A-Za-z])(?:{pattern.replace(' ', '[ _]')})(?![A-Za-z])", re.I): instead
    for pattern, instead in BANNED.items()
}


def sources() -> list[Path]:
    """Files of the product, its tests and its documents."""
    folders = ("src/hornbeam", "crates", "docs", "benchmarks", "examples", "tools", "tests")
    files = [f for folder in folders for f in (ROOT / folder).rglob("*") if f.suffix in SUFFIXES]
    files += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return sorted(f for f in files if not relative(f).startswith(SKIPPED) and "target" not in f.parts)


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def without_glossary(path: Path, text: str) -> str:
    """The glossary itself names the replaced words."""
    if path.name != "CONTRIBUTING.md":
        return text
    return re.sub(r"^## Glossary\n.*?(?=^## )", "", text, flags=re.M | re.S)


def replaced_words(path: Path) -> list[str]:
    hits = []
    for number, line in enumerate(without_glossary(path, path.read_text()).splitlines(), 1):
        for pattern, instead in WORDS.items():
            for match in pattern.finditer(line):
                if match[0].lower().startswith("slope") and SLOPE.search(line):
                    continue
                hits.append(f"{relative(path)}:{number}: {match[0]!r}: write {instead}")
    return hits


def questions(path: Path) -> list[str]:
    """Docstrings that begin like an indirect question."""
    if path.suffix == ".rs":
        lines = path.read_text().splitlines()
        return [
            f"{relative(path)}:{number}: {line.strip()}"
            for number, line in enumerate(lines, 1)
            if re.match(r"\s*//[/!] ", line)
            and not (number > 1 and re.match(r"\s*//[/!] \S", lines[number - 2]))
            and QUESTION.match(line.strip()[4:])
        ]
    if path.suffix != ".py":
        return []
    nodes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [
        f"{relative(path)}:{getattr(node, 'lineno', 1)}: {doc.splitlines()[0]}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, nodes) and (doc := ast.get_docstring(node)) and QUESTION.match(doc)
    ]


def empty_names(path: Path) -> list[str]:
    if path.suffix != ".py":
        return []
    hits = []
    for node in ast.walk(ast.parse(path.read_text())):
        name = (
            node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            else node.arg if isinstance(node, ast.arg)
            else None
        )  # fmt: skip
        if name in EMPTY_NAMES:
            hits.append(f"{relative(path)}:{node.lineno}: {name!r} says nothing of what it holds")
    return hits


def violations(path: Path) -> list[str]:
    return [*replaced_words(path), *questions(path), *empty_names(path)]


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_words_of_the_field(path: Path) -> None:
    assert violations(path) == []


def test_the_rules_find_what_they_are_for(tmp_path: Path) -> None:
    path = ROOT / "src" / "hornbeam" / "example.py"

    class Text(type(path)):  # type: ignore[misc]
        def read_text(self, *args: object, **kwargs: object) -> str:
            return '"""Whether somebody is there."""\nfound = slope_of(picture)\nnegative_slope = 0.2\n'

    hits = violations(Text(path))
    assert [hit.split(": ", 1)[1].split(":")[0] for hit in hits] == [
        "'somebody'", "'is there'", "'slope'", "'picture'", "Whether somebody is there.",
        "'found' says nothing of what it holds",
    ]  # fmt: skip
