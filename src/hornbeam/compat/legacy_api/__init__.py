"""What Keras was called before version 3, accepted with one line that says the new spelling.

`modules`: where names were imported from. `arguments`: what arguments were called. `backend`: the functions
of `keras.backend`. `layers`, `models`, `texts`, `sequences`: names that are gone. Nothing of it is
there outside of `hornbeam run`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from hornbeam.compat.legacy_api.modules import NEW_MODULES, NEW_NAMES, OWN_MODULES, OWN_NAMES
from hornbeam.compat.messages import note
from hornbeam.compat.policy import Patch


def patches() -> Iterator[Patch]:
    """Yield the patches by which classes accept old names of arguments and methods."""
    from hornbeam.compat.legacy_api import arguments, models

    yield from arguments.patches()
    yield from models.patches()


def lookup(relative: str, name: str) -> Any:
    """What the old `name` of `keras.<relative>` stands for, or None if it is no old name."""
    place = f"keras.{relative}" if relative else "keras"
    if relative in OWN_NAMES:
        module = importlib.import_module(f"hornbeam.compat.legacy_api.{OWN_NAMES[relative]}")
        if name in module.NAMES:
            if module.NAMES[name]:
                note(f"{place}.{name}", module.NAMES[name])
            return getattr(module, name)
    new = NEW_NAMES.get((relative, name))
    if new is None:
        return None
    note(f"{place}.{name}", f"{place}.{new}")
    return getattr(importlib.import_module(f"hornbeam.{relative}"), new)


def is_old_module(relative: str) -> bool:
    """Whether names were once imported from `keras.<relative>`."""
    return relative in NEW_MODULES or relative in OWN_MODULES


def own_module(relative: str) -> ModuleType | None:
    """The module that holds what `keras.<relative>` did, if nothing of Keras 3 does."""
    if relative not in OWN_MODULES:
        return None
    return importlib.import_module(f"hornbeam.compat.legacy_api.{OWN_MODULES[relative]}")


def new_module(relative: str) -> str | None:
    """Where the names of `keras.<relative>` are now, or None."""
    return NEW_MODULES.get(relative)
