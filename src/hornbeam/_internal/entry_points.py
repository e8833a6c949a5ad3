"""Functions of upper layers that methods of lower ones call, such as `Model.export`.

`hornbeam/__init__`, which is above all layers, enters them; their modules are imported at the first call.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

_MODULES: dict[str, str] = {}


def enter(functions: Mapping[str, str]) -> None:
    """Add functions: their names, and the modules that have them."""
    _MODULES.update(functions)


def entry_point(name: str) -> Callable[..., Any]:
    """Return a function that was entered."""
    function: Callable[..., Any] = getattr(importlib.import_module(_MODULES[name]), name)
    return function
