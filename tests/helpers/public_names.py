"""Public names of the package, and their arguments without a description."""

from __future__ import annotations

import importlib
import inspect
import re
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
