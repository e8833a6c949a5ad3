"""Engines, by name. The native engine is the default; the reference engine is the specification."""

from __future__ import annotations

import os
from collections.abc import Callable

from hornbeam.engines.base import Engine as Engine

_loaded: dict[str, Engine] = {}
_current: list[Engine] = []


def _native() -> Engine:
    from hornbeam.engines.native import NativeEngine

    return NativeEngine()


def _reference() -> Engine:
    from hornbeam.engines.reference import ReferenceEngine

    return ReferenceEngine()


_known: dict[str, Callable[[], Engine]] = {"native": _native, "reference": _reference}


def available() -> list[str]:
    """Names of the engines that this version knows."""
    return list(_known)


def get_engine(name: str) -> Engine:
    """The engine called `name`, made on first use. Raises ValueError for a name that is not known."""
    if name not in _known:
        raise ValueError(f"unknown engine {name!r}; this version has: {', '.join(_known)}")
    if name not in _loaded:
        _loaded[name] = _known[name]()
    return _loaded[name]


def current_engine() -> Engine:
    """The engine that runs everything now: `set_engine`, else HORNBEAM_ENGINE, else the native one."""
    if not _current:
        _current.append(get_engine(os.environ.get("HORNBEAM_ENGINE", "native")))
    return _current[0]


def set_engine(name: str) -> None:
    """Make `name` the engine that runs everything from here on; values move to it when they are next used."""
    _current[:] = [get_engine(name)]
