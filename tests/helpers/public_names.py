"""Public names of the package, and their arguments without a description."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import hornbeam

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Example", "Examples", "Note", "References")
HEADING = re.compile(rf"^(?:{'|'.join(SECTIONS)}):\s*$", re.M)


def submodules() -> list[str]:
    """Public modules of the package itself, by name."""
    return [
        f"hornbeam.{name}" for name in hornbeam.__all__ if isinstance(getattr(hornbeam, name), ModuleType)
    ]


def public_modules() -> list[str]:
    nested = [
        "hornbeam.optimizers.schedules",
        "hornbeam.preprocessing.image",
        "hornbeam.preprocessing.sequence",
    ]
    nested += [f"hornbeam.datasets.{name}" for name in hornbeam.datasets.__all__]
    return ["hornbeam", *submodules(), *nested]


def documented_arguments(doc: str) -> set[str]:
    """Names that the section `Args:` describes: `name: ...`, `name (type): ...`, `a, b: ...`."""
    section = re.search(rf"^Args:\s*\n(.*?)(?=^(?:{'|'.join(SECTIONS)}):\s*$|\Z)", doc, re.M | re.S)
    if not section:
        return set()
    lines = section[1].splitlines()
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    names: set[str] = set()
    for line in lines:
        entry = re.match(r"((?:\*{0,2}\w+)(?:\s*,\s*\*{0,2}\w+)*)\s*(?:\([^)]*\))?:", line[indent:])
        if entry:
            names |= {name.strip().lstrip("*") for name in entry[1].split(",")}
    return names


def arguments(target: Callable[..., Any]) -> list[str]:
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.name not in ("self", "cls") and not p.name.startswith("_")]


def own_functions(target: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Public methods that a class defines itself and documents itself."""
    for name, value in vars(target).items():
        function = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
        if not name.startswith("_") and inspect.isfunction(function) and function.__doc__:
            yield name, function


def public_names(package: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yield the names in `__all__`, or without one those that are ours and begin without an underscore."""
    for name in getattr(package, "__all__", None) or vars(package):
        target = getattr(package, name)
        if not name.startswith("_") and getattr(target, "__module__", "").startswith("hornbeam"):
            yield name, target


def undocumented(module: str) -> list[str]:
    """`name: argument` for every argument of a public signature without a description."""
    package = importlib.import_module(module)
    gaps = []
    for name, target in public_names(package):
        if inspect.isclass(target):
            if issubclass(target, (Exception, Warning)):
                continue
            described = documented_arguments(inspect.cleandoc(target.__doc__ or ""))
            gaps += [f"{name}: {a}" for a in arguments(target) if a not in described]
            for method, function in own_functions(target):
                described = documented_arguments(inspect.cleandoc(function.__doc__ or ""))
                gaps += [f"{name}.{method}: {a}" for a in arguments(function) if a not in described]
        elif inspect.isfunction(target):
            described = documented_arguments(inspect.cleandoc(target.__doc__ or ""))
            gaps += [f"{name}: {a}" for a in arguments(target) if a not in described]
    return gaps


def own_statements(function: Callable[..., Any]) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body without those of functions inside."""
    definition = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(function)))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    nodes: list[ast.AST] = list(definition.body)
    while nodes:
        node = nodes.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.Lambda, ast.ClassDef)):
            nodes.extend(ast.iter_child_nodes(node))


def raises(function: Callable[..., Any]) -> bool:
    """Return True if the body itself raises an error or calls a `check_*` function.

    NotImplementedError does not count: methods that subclasses define raise it.
    """
    for node in own_statements(function):
        if isinstance(node, ast.Raise) and node.exc is not None and not _is_abstract(node.exc):
            return True
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", getattr(node.func, "attr", ""))
            if called.startswith("check_"):
                return True
    return False


def _is_abstract(error: ast.expr) -> bool:
    return "NotImplementedError" in (
        getattr(error, "id", ""),
        getattr(getattr(error, "func", None), "id", ""),
    )


def public_functions(module: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield the documented public functions of a module, and the methods of its public classes."""
    for name, target in public_names(importlib.import_module(module)):
        if inspect.isclass(target):
            for method, function in own_functions(target):
                yield f"{name}.{method}", function
        elif inspect.isfunction(target):
            yield name, target


def without_raises(module: str) -> list[str]:
    """Return the public functions that raise errors and have no section `Raises:`."""
    return [
        name
        for name, function in public_functions(module)
        if raises(function) and "Raises:\n" not in inspect.cleandoc(function.__doc__ or "")
    ]


# What an array argument's description says of its shape.
SHAPE = re.compile(
    r"shape|scalar|vector|matri(x|ces)|\bax[ei]s\b|broadcast|\([\w*.]+,[^)\"]*\)|\bsizes?\b|\bnumbers?\b|\binteger|"
    r"\bone\b each|elements? of|positions|like `|structure|in their order|batch|\blist\b|\beach\b|ignored",
    re.IGNORECASE,
)
ARRAY = re.compile(r"TensorLike|ArrayLike")


def descriptions(doc: str) -> dict[str, str]:
    """Return the descriptions in the section `Args:` by argument."""
    section = re.search(rf"^Args:\s*\n(.*?)(?=^(?:{'|'.join(SECTIONS)}):\s*$|\Z)", doc, re.M | re.S)
    entries = re.finditer(r"^ {4}(\S[^:\n]*): (.*(?:\n {8}.*)*)", section[1] if section else "", re.M)
    return {name.strip().lstrip("*"): entry[2] for entry in entries for name in entry[1].split(",")}


def without_shape(module: str) -> list[str]:
    """Return the array arguments of public functions whose description says nothing of their shape."""
    gaps = []
    for name, function in public_functions(module):
        described = descriptions(inspect.cleandoc(function.__doc__ or ""))
        for parameter in inspect.signature(function).parameters.values():
            is_array = ARRAY.search(str(parameter.annotation)) and parameter.name in described
            if is_array and not SHAPE.search(described[parameter.name]):
                gaps.append(f"{name}: {parameter.name}")
    return gaps
