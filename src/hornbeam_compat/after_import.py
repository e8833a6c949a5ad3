"""Calls after a library has been imported by the program."""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from hornbeam_compat.importers import importing_module, is_own
from hornbeam_compat.keras_backend import FOLLOWED, follow_library


def _register_einops() -> None:
    from hornbeam.interop import register_einops

    register_einops()


# Library -> function to call when it has been imported.
CALLS: dict[str, Callable[[], None]] = {
    **{library: functools.partial(follow_library, library) for library in FOLLOWED},
    "einops": _register_einops,
}


def watched_spec(
    fullname: str, path: Sequence[str] | None, target: ModuleType | None
) -> importlib.machinery.ModuleSpec | None:
    """Return the spec of a library of `CALLS` with a loader that makes the call, None for other modules."""
    if fullname not in CALLS or is_own(importing_module()):
        return None
    spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
    if spec is not None and spec.loader is not None:
        spec.loader = Loader(spec.loader, CALLS[fullname])
    return spec


class Loader(importlib.abc.Loader):
    """A loader that makes a call when the module is complete, and leaves the module its own loader."""

    def __init__(self, loader: Any, call: Callable[[], None]) -> None:
        self._loader = loader
        self._call = call

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Execute the module, then make the call."""
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._call()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)
