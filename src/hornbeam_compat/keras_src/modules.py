"""Modules that are imported on first use."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any


class LazyModule:
    """A module that is imported when an attribute of it is used.

    Args:
        name: Name of the module.
        pip_name: Name of its distribution, for the error; by default that of the module.
        import_error_msg: Message of the error if the module is not installed.
    """

    def __init__(self, name: str, pip_name: str | None = None, import_error_msg: str | None = None) -> None:
        self.name = name
        self._message = import_error_msg or f"this needs {name}: pip install {pip_name or name}"

    @property
    def available(self) -> bool:
        """True if the module is installed."""
        return importlib.util.find_spec(self.name) is not None

    def initialize(self) -> Any:
        """Import the module.

        Raises:
            ImportError: If it is not installed.
        """
        try:
            return importlib.import_module(self.name)
        except ImportError as error:
            raise ImportError(self._message) from error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.initialize(), name)

    def __repr__(self) -> str:
        return f"LazyModule({self.name})"


tensorflow = LazyModule("tensorflow")
jax = LazyModule("jax")
