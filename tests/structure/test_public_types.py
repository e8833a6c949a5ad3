"""Public signatures are typed: no bare `Any` as an argument, a result, a property or an attribute.

`*args: Any` and `**kwargs: Any` are allowed, and so are the aliases of `_internal/typing.py` that are
`Any` on purpose (`UNCHECKED`).
"""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import hornbeam
from tests.helpers.public_names import public_modules, public_names

# Arguments of methods that subclasses override with the structure that they take, and results whose structure
# depends on the arguments. The list only shrinks.
UNCHECKED = {"ShapeTree", "Tree"}
SPECIAL_METHODS = {"__init__", "__call__", "__enter__", "__getitem__", "__iter__"}


def is_bare_any(annotation: object) -> bool:
    """Return True for `Any`, `Any | None` and the like."""
    if not isinstance(annotation, str):
        return annotation is Any
    members = {member.strip() for member in annotation.split("|")}
    return "Any" in members and members <= {"Any", "None"}


def untyped_parts(function: Callable[..., Any]) -> Iterator[str]:
    """Yield the arguments, and `return`, of which a signature says nothing."""
    signature = inspect.signature(function)
    for parameter in signature.parameters.values():
        several = parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        private = parameter.name in ("self", "cls") or parameter.name.startswith("_")
        unknown = parameter.annotation is parameter.empty or is_bare_any(parameter.annotation)
        if unknown and not several and not private:
            yield parameter.name
    if is_bare_any(signature.return_annotation):
        yield "return"


def methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the public methods and the getters of properties that a class defines itself."""
    for name, value in vars(cls).items():
        getter = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
        if inspect.isfunction(getter) and (not name.startswith("_") or name in SPECIAL_METHODS):
            yield name, inspect.unwrap(getter)


def untyped_members(cls: type) -> Iterator[str]:
    """Yield the untyped parts of a class and its bases."""
    for base in cls.__mro__:
        if not base.__module__.startswith("hornbeam"):
            continue
        for name, function in methods(base):
            yield from (f"{base.__name__}.{name}: {part}" for part in untyped_parts(function))
        for name, annotation in vars(base).get("__annotations__", {}).items():
            if not name.startswith("_") and is_bare_any(annotation):
                yield f"{base.__name__}.{name}"


def untyped(module: str) -> list[str]:
    gaps: set[str] = set()
    for name, target in public_names(importlib.import_module(module)):
        if inspect.isclass(target):
            gaps.update(untyped_members(target))
        elif inspect.isfunction(target):
            gaps.update(f"{name}: {part}" for part in untyped_parts(inspect.unwrap(target)))
    return sorted(gaps)


@pytest.mark.parametrize("module", public_modules())
def test_public_signatures_are_typed(module: str) -> None:
    assert untyped(module) == []


def test_few_aliases_are_any() -> None:
    bare = {
        ast.unparse(node.target)
        for path in Path(hornbeam.__file__).parent.rglob("*.py")
        if "TypeAlias" in path.read_text()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AnnAssign)
        and ast.unparse(node.annotation) == "TypeAlias"
        and node.value
        and "Any" in ast.unparse(node.value).split(" | ")
    }
    assert bare == UNCHECKED


def test_a_bare_any_is_recognised() -> None:
    def example(
        a: Any, b: Any | None, c: int | None, *args: Any, d: dict[str, Any], **kwargs: Any
    ) -> Any: ...

    assert list(untyped_parts(example)) == ["a", "b", "return"]
