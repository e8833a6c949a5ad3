"""The modules in which classes are defined, whatever `__module__` says to packages."""

from __future__ import annotations

from typing import Any


def module_of(obj: Any) -> str:
    """Return the module in which a class or function is defined; "" if that is unknown.

    Exported classes have it as `_hb_module`: where `import keras` means Hornbeam, their `__module__` is the
    path of Keras's sources (`compat.source_paths`).
    """
    own = vars(obj).get("_hb_module") if isinstance(obj, type) else None
    return str(own or getattr(obj, "__module__", None) or "")


def is_own(obj: Any) -> bool:
    """Return True for a class or function of Hornbeam."""
    return module_of(obj).partition(".")[0] == "hornbeam"
