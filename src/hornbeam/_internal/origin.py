"""The modules in which classes are defined, whatever `__module__` says to packages."""

from __future__ import annotations

import os
from typing import Any

# The import packages of this distribution. None but the first is imported by it.
PACKAGES = ("hornbeam", "hornbeam_compat", "keras_hornbeam")
_SOURCES = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Beginnings of the paths of their files.
FOLDERS = tuple(os.path.join(_SOURCES, package) + os.sep for package in PACKAGES)


def module_of(obj: Any) -> str:
    """Return the module in which a class or function is defined; "" if that is unknown.

    Exported classes have it as `_hb_module`: where `import keras` means Hornbeam, their `__module__` is the
    path of Keras's sources (`compat.source_paths`).
    """
    own = vars(obj).get("_hb_module") if isinstance(obj, type) else None
    return str(own or getattr(obj, "__module__", None) or "")


def is_own(obj: Any) -> bool:
    """Return True for a class or function of Hornbeam."""
    return is_own_module(module_of(obj))


def is_own_module(name: str) -> bool:
    """Return True for the name of a module of Hornbeam."""
    return name.partition(".")[0] in PACKAGES
