"""Functions of `hornbeam.ops` as those of a module of a backend.

They take variables of Keras as they are: `core.Variable` has `__hornbeam_tensor__`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any


def functions_of(*sources: ModuleType) -> Callable[[str], Any]:
    """Return a `__getattr__` for a module whose functions are those of `sources`."""

    def get(name: str) -> Any:
        for source in sources:
            if hasattr(source, name):
                return getattr(source, name)
        raise AttributeError(f"the hornbeam backend has no function {name!r}")

    return get
