"""No circle of paths between the files of a crate.

A file has an arrow to each file whose names it writes in a path, `use crate::a::b::Name` or
`super::b::name`. A name that a `mod.rs` re-exports counts for the file that defines it. A module and its
submodules are one thing: arrows between a file and the files below it do not count. Unit tests do not
count either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.code_metrics import circles

CRATES = sorted(path for path in Path(__file__).parents[2].glob("crates/*/src") if path.is_dir())

Module = tuple[str, ...]

USE = re.compile(r"\b(pub(?:\([^)]*\))?\s+)?use\s+([^;]+);")
PATH = re.compile(r"\b(?:crate|super|self)(?:::\w+)+")


def modules(source: Path) -> dict[Module, str]:
    """Return the text of each module without comments and unit tests."""
    texts: dict[Module, str] = {}
    for path in source.rglob("*.rs"):
        *folders, name = path.relative_to(source).with_suffix("").parts
        if "tests" not in (*folders, name):
            module = (*folders,) if name in ("mod", "lib") else (*folders, name)
            text = path.read_text().split("#[cfg(test)]\nmod tests {")[0]
            texts[module] = re.sub(r"//.*", "", text)
    return texts


def expanded(path: str) -> Iterator[str]:
    """Yield the paths of a tree such as `a::{b, c::{d, e}}`."""
    prefix, brace, rest = path.partition("{")
    if not brace:
        yield path.split(" as ")[0].strip()
        return
    depth, part = 0, ""
    for letter in rest[: rest.rindex("}")] + ",":
        depth += (letter == "{") - (letter == "}")
        if letter != "," or depth:
            part += letter
        elif part.strip():
            yield from expanded(prefix + part.strip())
            part = ""


def absolute(path: str, module: Module) -> Module:
    """Return the path from the root of the crate."""
    names = tuple(re.sub(r"\s", "", path).split("::"))
    if names[0] == "crate":
        return names[1:]
    while names and names[0] in ("self", "super"):
        module = module[:-1] if names[0] == "super" else module
        names = names[1:]
    return module + names


def defining(path: Module, texts: dict[Module, str]) -> Module:
    """Return the longest part of a path that is a module."""
    return max((path[:end] for end in range(len(path) + 1) if path[:end] in texts), key=len)


def reexports(texts: dict[Module, str]) -> dict[Module, Module]:
    """Return the path behind each name that is declared by `pub use`."""
    names: dict[Module, Module] = {}
    for module, text in texts.items():
        for public, tree in USE.findall(text):
            for path in expanded(tree) if public else ():
                target = absolute(path, module)
                if target[:-1] != module:
                    names[module + target[-1:]] = target
    return names


def arrows(texts: dict[Module, str]) -> dict[str, set[str]]:
    behind = reexports(texts)
    graph: dict[str, set[str]] = {}
    for module, text in texts.items():
        paths = [path for _, tree in USE.findall(text) for path in expanded(tree)]
        targets = graph.setdefault("::".join(module), set())
        for path in paths + PATH.findall(USE.sub("", text)):
            target = absolute(path, module)
            file = defining(target, texts)
            while (name := target[: len(file) + 1]) in behind:
                target = behind[name] + target[len(name) :]
                file = defining(target, texts)
            if file[: len(module)] != module and module[: len(file)] != file:
                targets.add("::".join(file))
    return graph


@pytest.mark.parametrize("source", CRATES, ids=lambda source: source.parent.name)
def test_no_circle_between_the_files_of_a_crate(source: Path) -> None:
    assert circles(arrows(modules(source))) == []


def test_circles_are_found_through_reexports() -> None:
    texts: dict[Module, str] = {
        (): "",
        ("a",): "pub(crate) use self::inner::Name;",
        ("a", "inner"): "use crate::b::{c, d::{e}};",
        ("b",): "fn f() { super::a::Name::new() }",
    }
    assert circles(arrows(texts)) == [["a::inner", "b"]]
