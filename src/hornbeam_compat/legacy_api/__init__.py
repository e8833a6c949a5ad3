"""Names and arguments of Keras 1 and 2, each accepted with one line that gives its replacement.

`modules` has tables of moved and renamed names, `arguments` those of renamed arguments. `backend` contains
the functions of `keras.backend`, `layers`, `models`, `text` and `sequence` other names that Keras 3 removed.
Active under `hornbeam run` only.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Iterator
from types import ModuleType

from hornbeam_compat.legacy_api.modules import LEGACY_MODULES, LEGACY_NAMES, MOVED_MODULES, RENAMED
from hornbeam_compat.messages import log_deprecated
from hornbeam_compat.patch import Patch


def patches() -> Iterator[Patch]:
    """Yield the patches by which classes accept the names of earlier arguments and methods."""
    from hornbeam_compat.legacy_api import arguments, layer_methods, models, saving

    yield from arguments.patches()
    yield from layer_methods.patches()
    yield from models.patches()
    yield from saving.patches()


def lookup(relative: str, name: str) -> object:
    """Return the object that `keras.<relative>.<name>` was in Keras 1 or 2, or None."""
    module_name = f"keras.{relative}" if relative else "keras"
    if relative in LEGACY_NAMES:
        module = importlib.import_module(f"hornbeam_compat.legacy_api.{LEGACY_NAMES[relative]}")
        if name in module.REPLACEMENTS:
            if module.REPLACEMENTS[name]:
                log_deprecated(f"{module_name}.{name}", module.REPLACEMENTS[name])
            return getattr(module, name)
    new = RENAMED.get((relative, name))
    if new is None:
        return None
    log_deprecated(f"{module_name}.{name}", f"{module_name}.{new}")
    return operator.attrgetter(new)(importlib.import_module(f"hornbeam.{relative}".rstrip(".")))


def is_legacy_module(relative: str) -> bool:
    """Return True if Keras 1 or 2 had a module `keras.<relative>` that Keras 3 removed."""
    return relative in MOVED_MODULES or relative in LEGACY_MODULES


def legacy_module(relative: str) -> ModuleType | None:
    """Return the module here with the content of `keras.<relative>`, or None if Keras 3 still has it."""
    if relative not in LEGACY_MODULES:
        return None
    return importlib.import_module(f"hornbeam_compat.legacy_api.{LEGACY_MODULES[relative]}")


def new_module(relative: str) -> str | None:
    """Return the module of Keras 3 that has the names of `keras.<relative>`, or None."""
    return MOVED_MODULES.get(relative)
