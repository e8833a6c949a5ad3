"""`hornbeam doctor`: hardware, libraries and engines of this machine, in one screen for bug reports."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
import sys
from collections.abc import Iterator
from typing import Any

# Distribution -> module: looked up without importing them, since some take seconds.
_OPTIONAL = {
    "jax": "jax",
    "torch": "torch",
    "tensorflow": "tensorflow",
    "onnxruntime": "onnxruntime",
    "pytensor": "pytensor",
    "mlx": "mlx",
    "matplotlib": "matplotlib",
    "pillow": "PIL",
}


def facts() -> Iterator[tuple[str, str]]:
    """Yield (name, text) of each line of the report."""
    from hornbeam import __version__
    from hornbeam.engines import available, current_engine

    yield "hornbeam", __version__
    yield "python", f"{sys.version.split()[0]} on {platform.system()} {platform.machine()}"
    for name in ("numpy", "ml_dtypes", "rich", "h5py"):
        yield name, _version(name, name)
    yield from _native_rows()
    try:
        current = current_engine().name
    except (ValueError, ImportError, RuntimeError):  # of HORNBEAM_ENGINE; `checkup` has the reason
        current = "not available"
    yield "engine", f"{current} (this version has: {', '.join(available())})"
    for name, module in _OPTIONAL.items():
        yield name, _version(name, module)


def _native_rows() -> Iterator[tuple[str, str]]:
    try:
        from hornbeam import _native
    except ImportError as error:
        yield "native engine", f"does not load: {error}"
        return
    features = _native.cpu_features()
    yield "cpu", ", ".join(_feature(key, value) for key, value in features.items() if value)
    yield "threads", str(_native.threads())


def _feature(key: str, value: Any) -> str:
    if value is True:
        return key
    return f"{key}: {' '.join(value) if isinstance(value, list) else value}"


def _version(name: str, module: str) -> str:
    if importlib.util.find_spec(module) is None:
        return "not installed"
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "installed"
