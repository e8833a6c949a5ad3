"""Package attributes that are imported on first access (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def attach(
    package: str,
    names: Mapping[str, str] | None = None,
    modules: Iterable[str] = (),
    missing: Mapping[str, str] | None = None,
    aliases: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """Build `__getattr__`, `__dir__` and `__all__` of a package with lazy attributes.

    Type checkers and editors cannot follow this. A package that uses it therefore also imports its names
    under `if TYPE_CHECKING`, each as `from module import Name as Name`, which marks it as public. It calls
    `attach` under `if not TYPE_CHECKING`: in a module with `__getattr__`, a type checker reports no unknown
    name. `tests/structure/test_lazy_names.py` compares both lists.

    Args:
        package: `__name__` of the package.
        names: Public name -> module that defines it, relative to the package, or absolute if it starts with
            `hornbeam`.
        modules: Submodules that are attributes themselves.
        missing: Names that are absent on purpose -> the reason, which the error gives.
        aliases: Second name -> name in `names`.
    """
    names, modules, missing = dict(names or {}), tuple(modules), dict(missing or {})
    aliases = dict(aliases or {})
    public = [*names, *aliases, *modules]

    def __getattr__(name: str) -> Any:
        original = aliases.get(name, name)
        if original in names:
            target = names[original]
            module = target if target.startswith("hornbeam") else f"{package}.{target}"
            value = getattr(importlib.import_module(module), original)
        elif name in modules:
            value = importlib.import_module(f"{package}.{name}")
        elif name.startswith("__"):  # protocols ask for them
            raise AttributeError(f"{package} has no {name!r}")
        else:
            # Tables and difflib are wanted for the message alone.
            from hornbeam._internal.foreign_names import NAMES
            from hornbeam._internal.naming import nearest

            if name in missing:
                reason = f" {missing[name]}"
            elif name in NAMES.get(package, ()):
                reason = f" Here it is {NAMES[package][name]}."
            else:
                reason = nearest(name, __dir__())
            raise AttributeError(f"{package} has no {name!r}.{reason}")
        setattr(sys.modules[package], name, value)
        return value

    def __dir__() -> list[str]:
        return sorted({*getattr(sys.modules[package], "__all__", ()), *public})

    return __getattr__, __dir__, public
