"""Code and documents use the field's terms: words that the glossary of CONTRIBUTING.md replaced stay out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from tests.helpers.paths import ROOT
from tests.helpers.sources import Source, read, source_of, text_of

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

RUST_DOC = re.compile(r"\s*//[/!] \S")

# Names of variables that say nothing of what they hold.
EMPTY_NAMES = {"found", "made", "given", "whole", "place", "told", "taken", "what", "thing"}

SUFFIXES = {".py", ".pyi", ".rs", ".md"}
# The last one names the words.
SKIPPED = ("examples/keras/", "docs/reference/", "tests/golden/", "tests/structure/test_language.py")
WORDS = {
    re.compile(rf"(?:{pattern.replace(' ', '[ _]')})", re.I): instead for pattern, instead in BANNED.items()
}
ANY_WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(word.pattern for word in WORDS)})(?![A-Za-z])", re.I)


def sources(root: Path = ROOT) -> list[Path]:
    """Files of the product, its tests and its documents."""
    folders = ("src", "crates", "docs", "benchmarks", "examples", "tools", "tests")
    files = [f for folder in folders for f in (root / folder).rglob("*") if f.suffix in SUFFIXES]
    files += [root / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    skipped = tuple(f"{root.as_posix()}/{name}" for name in SKIPPED)
    return sorted(f for f in files if not f.as_posix().startswith(skipped) and "target" not in f.parts)


def searched(path: Path) -> str:
    """Text of a file; the glossary itself names the replaced words."""
    if path.name != "CONTRIBUTING.md":
        return text_of(path)
    return re.sub(r"^## Glossary\n.*?(?=^## )", "", text_of(path), flags=re.M | re.S)


def replaced_words(text: str) -> list[str]:
    hits = []
    for match in ANY_WORD.finditer(text):
        start, end = text.rfind("\n", 0, match.start()) + 1, text.find("\n", match.end())
        line = text[start : end if end >= 0 else len(text)]
        if match[0].lower().startswith("slope") and SLOPE.search(line):
            continue
        instead = next(instead for word, instead in WORDS.items() if word.fullmatch(match[0]))
        hits.append(f"{text.count(chr(10), 0, start) + 1}: {match[0]!r}: write {instead}")
    return hits


def questions(source: Source) -> list[str]:
    """Docstrings that begin like an indirect question."""
    return [f"{line}: {words}" for line, words in sorted(source.docstrings) if QUESTION.match(words)]


def rust_questions(text: str) -> list[str]:
    lines = text.splitlines()
    return [
        f"{number}: {line.strip()}"
        for number, line in enumerate(lines, 1)
        if RUST_DOC.match(line)
        and not (number > 1 and RUST_DOC.match(lines[number - 2]))
        and QUESTION.match(line.strip()[4:])
    ]


def empty_names(source: Source) -> list[str]:
    return [
        f"{source.names[name]}: {name!r} says nothing of what it holds"
        for name in sorted(EMPTY_NAMES & source.names.keys())
    ]


def located(path: Path, hits: Iterable[str]) -> list[str]:
    return [f"{path.relative_to(ROOT).as_posix()}:{hit}" for hit in hits]


def test_words_of_the_field() -> None:
    hits = [hit for path in sources() for hit in located(path, replaced_words(searched(path)))]
    assert not hits, "\n".join(hits)


def test_docstrings_are_no_questions() -> None:
    files = sources()
    hits = [hit for p in files if p.suffix == ".py" for hit in located(p, questions(source_of(p)))]
    hits += [hit for p in files if p.suffix == ".rs" for hit in located(p, rust_questions(text_of(p)))]
    assert not hits, "\n".join(hits)


def test_names_say_what_they_hold() -> None:
    python = (path for path in sources() if path.suffix == ".py")
    hits = [hit for path in python for hit in located(path, empty_names(source_of(path)))]
    assert not hits, "\n".join(hits)


def test_the_rules_find_what_they_are_for() -> None:
    text = '"""Whether somebody is there."""\nfound = slope_of(picture)\nnegative_slope = 0.2\n'
    assert [hit.split(": ")[1] for hit in replaced_words(text)] == [
        "'somebody'", "'is there'", "'slope'", "'picture'",
    ]  # fmt: skip
    assert questions(read(text)) == ["1: Whether somebody is there."]
    assert empty_names(read(text)) == ["2: 'found' says nothing of what it holds"]
    assert rust_questions("/// A cube.\n/// How\n\n//! How it is.\n") == ["4: //! How it is."]
