"""Package attributes that are imported on first access (PEP 562)."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

Attributes = tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]


def attach_stub(package: str, file: str, missing: Mapping[str, str] | None = None) -> Attributes:
    """Build `__getattr__`, `__dir__` and `__all__` of a package from the stub (`.pyi`) beside its file.

    The stub is the only list of the names. Type checkers and editors read it in place of the file, which
    therefore has no code of its own.

    `lazy_loader.attach_stub` has the same convention. It takes only modules of the package itself, no second
    names, and no reasons for missing names.

    Args:
        package: `__name__` of the package.
        file: `__file__` of the package.
        missing: As `attach` takes it.
    """
    names, aliases = read_stub(f"{os.path.splitext(file)[0]}.pyi")
    return attach(package, names, missing, aliases)


def read_stub(path: str) -> tuple[dict[str, str], dict[str, str]]:
    """Read `from module import name as name` and `alias = name`, as ruff formats them.

    By words: `import ast` alone takes longer than to read the package's stub.

    Returns:
        Name -> module, and alias -> name.
    """
    names: dict[str, str] = {}
    aliases: dict[str, str] = {}
    module = ""
    with open(path, encoding="utf-8") as file:
        for line in file:
            words = line.replace(",", " ").split()
            if words[:1] == ["from"]:
                module = words[1]
            if words[-2:-1] == ["as"]:
                names[words[-1]] = module
            elif words[1:2] == ["="]:
                aliases[words[0]] = words[2]
    return names, aliases


def explain_missing(module: str, missing: Mapping[str, str] | None = None) -> None:
    """Let a module without lazy attributes explain the names that it lacks, and list its public names alone.

    Type checkers do not see that it then has a `__getattr__`, and so report unknown names.

    Args:
        module: `__name__` of the module.
        missing: As `attach` takes it.
    """
    explain, names, _ = attach(module, missing=missing)
    vars(sys.modules[module]).update(__getattr__=explain, __dir__=names)


def attach(
    package: str,
    names: Mapping[str, str] | None = None,
    missing: Mapping[str, str] | None = None,
    aliases: Mapping[str, str] | None = None,
) -> Attributes:
    """Build `__getattr__`, `__dir__` and `__all__` of a module that has code of its own and lazy attributes.

    Type checkers and editors cannot follow this. The module therefore imports the lazy names under
    `if TYPE_CHECKING`, too, each as `from module import Name as Name`, and calls `attach` under
    `if not TYPE_CHECKING`: in a module with `__getattr__`, a type checker reports no unknown name.

    Args:
        package: `__name__` of the module.
        names: Public name -> module that defines it. Names of `package` itself are its submodules.
        missing: Names that are absent on purpose -> the reason, which the error gives.
        aliases: Second name -> name in `names`.
    """
    names, missing, aliases = dict(names or {}), dict(missing or {}), dict(aliases or {})
    public = [*names, *aliases]

    def __getattr__(name: str) -> Any:
        original = aliases.get(name, name)
        module = names.get(original)
        if module == package:
            value = importlib.import_module(f"{package}.{name}")
        elif module:
            value = getattr(importlib.import_module(module), original)
        elif name.startswith("__"):  # protocols ask for them
            raise AttributeError(f"{package} has no {name!r}")
        else:
            # Tables and difflib are wanted for the message alone.
            from hornbeam._internal.naming import nearest
            from hornbeam._internal.other_libraries import NAMES

            if name in missing:
                reason = f" {missing[name]}"
            elif name in NAMES.get(package, ()):
                reason = f" Here it is {NAMES[package][name]}."
            else:
                reason = nearest(name, __dir__())
            # Without the module Python adds no suggestion of its own.
            raise AttributeError(f"{package} has no {name!r}.{reason}", name=name, obj=None)
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*getattr(sys.modules[package], "__all__", ()), *public})

    return __getattr__, __dir__, public
