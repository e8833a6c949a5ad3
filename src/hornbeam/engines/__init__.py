"""Engines, by name. The native engine is the default; the reference engine is the specification.

The others run on a library that the user has; they are imported when they are first asked for. A name may be
followed by a device, as in "jax:gpu" or "torch:cuda:0".
"""

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


def _jax(device: str | None = None) -> Engine:
    from hornbeam.engines.jax import JaxEngine

    return JaxEngine(device)


def _torch(device: str | None = None) -> Engine:
    from hornbeam.engines.torch import TorchEngine

    return TorchEngine(device)


_known: dict[str, Callable[..., Engine]] = {
    "native": _native, "reference": _reference, "jax": _jax, "torch": _torch
}  # fmt: skip
_WITHOUT_DEVICES = ("native", "reference")


def available() -> list[str]:
    """Names of the engines that this version knows."""
    return list(_known)


def get_engine(name: str) -> Engine:
    """The engine called `name` ("jax", "jax:cpu", ...), made on first use.

    Raises ValueError for a name that is not known, ImportError for an engine whose library is not installed
    (it says the command that installs it), and RuntimeError for a device that is not there.
    """
    if name not in _loaded:
        kind, _, device = name.partition(":")
        if kind not in _known:
            raise ValueError(f"unknown engine {name!r}; this version has: {', '.join(_known)}")
        if device and kind in _WITHOUT_DEVICES:
            raise ValueError(f"the {kind} engine runs on the CPU and takes no device, got {name!r}")
        _loaded[name] = _known[kind](device) if device else _known[kind]()
    return _loaded[name]


def current_engine() -> Engine:
    """The engine that runs everything now: `set_engine`, else HORNBEAM_ENGINE, else the native one."""
    if not _current:
        _current.append(get_engine(os.environ.get("HORNBEAM_ENGINE", "native")))
    return _current[0]


def set_engine(name: str) -> None:
    """Make `name` the engine that runs everything from here on; values move to it when they are next used."""
    _current[:] = [get_engine(name)]
