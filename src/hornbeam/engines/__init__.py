"""Engines, by name. The native engine is the default; the reference engine is the specification.

The others run on a library that the user has; they are imported when they are first asked for. A name may be
followed by a device, as in "jax:gpu" or "torch:cuda:0".
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from hornbeam.engines.base import Engine as Engine
from hornbeam.engines.base import MeshEngine as MeshEngine
from hornbeam.engines.mesh import Mesh

_loaded: dict[str, Engine] = {}
_chosen: list[Engine] = []
_default: list[Engine] = []
_local = threading.local()

# Around the import of a host library; `hornbeam run`, where `import tensorflow` means ours, has its own.
host_libraries: Callable[[], AbstractContextManager[None]] = nullcontext

# What KERAS_BACKEND may say, and the engine of ours on the same library, or on its heir.
KERAS_BACKENDS = {
    "jax": "jax", "torch": "torch", "tensorflow": "tensorflow", "numpy": "reference", "theano": "pytensor",
    "cntk": "onnxruntime",
}  # fmt: skip


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


def _tensorflow(device: str | None = None) -> Engine:
    from hornbeam.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(device)


def _onnxruntime(device: str | None = None) -> Engine:
    from hornbeam.engines.onnxruntime import OrtEngine

    return OrtEngine(device)


def _pytensor(device: str | None = None) -> Engine:
    from hornbeam.engines.pytensor import PyTensorEngine

    return PyTensorEngine(device)


_known: dict[str, Callable[..., Engine]] = {
    "native": _native, "reference": _reference, "jax": _jax, "torch": _torch, "tensorflow": _tensorflow,
    "onnxruntime": _onnxruntime, "pytensor": _pytensor,
}  # fmt: skip
_WITHOUT_DEVICES = ("native", "reference")


def available() -> list[str]:
    """Names of the engines that this version knows."""
    return list(_known)


def register(name: str, make: Callable[..., Engine]) -> None:
    """Let `set_engine`, `fit(engine=...)` and the like know an engine of your own.

    make: called without arguments for `name`, with what follows for `"name:device"`. Raises ValueError for a
    name that is taken or has a colon. How to write one: docs/write_an_engine.md.
    """
    if name in _known or not name or ":" in name:
        raise ValueError(
            f"{name!r} cannot be the name of an engine: it has a colon, or is one of {available()}"
        )
    _known[name] = make


def installed() -> list[str]:
    """Names of the engines whose library is here; without the reference, which is for comparing, and slow."""
    found = []
    for name in _known:
        try:
            found.append(get_engine(name).name)
        except ImportError:
            continue
    return [name for name in found if name != "reference"]


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
        with host_libraries():
            _loaded[name] = _known[kind](device) if device else _known[kind]()
    return _loaded[name]


def current_engine() -> Engine:
    """The engine that runs everything now: that of `using`, else of `set_engine`, else of HORNBEAM_ENGINE,
    else the native one; on the mesh of `set_mesh`, if this thread has one.
    """
    mesh: Mesh | None = getattr(_local, "mesh", None)
    engine = _current()
    return engine if mesh is None else engine.on_mesh(mesh)


def _current() -> Engine:
    inside: Engine | None = getattr(_local, "engine", None)
    if inside is not None:
        return inside
    if _chosen:
        return _chosen[0]
    if not _default:
        _default.append(get_engine(os.environ.get("HORNBEAM_ENGINE") or "native"))
    return _default[0]


def set_engine(name: str) -> None:
    """Make `name` the engine that runs everything from here on; values move to it when they are next used."""
    _chosen[:] = [get_engine(name)]


@contextmanager
def using(name: str | None) -> Iterator[None]:
    """Inside, and in this thread, `name` runs everything whatever `set_engine` says. None changes nothing."""
    outer = getattr(_local, "engine", None)
    _local.engine = outer if name is None else get_engine(name)
    try:
        yield
    finally:
        _local.engine = outer


def set_mesh(mesh: Mesh | None) -> None:
    """Let this thread compute on all devices of a mesh; None ends that. Raises NotImplementedError if the
    current engine cannot."""
    if mesh is not None:
        _current().on_mesh(mesh)
    _local.mesh = mesh


@contextmanager
def locally() -> Iterator[None]:
    """Inside, this process computes by itself: what belongs to its data, not to the model."""
    mesh = getattr(_local, "mesh", None)
    _local.mesh = None
    try:
        yield
    finally:
        _local.mesh = mesh


def follow_keras_backend(backend: str) -> str | None:
    """Run on the engine that `backend`, what KERAS_BACKEND says, means, unless one was chosen by `set_engine`
    or HORNBEAM_ENGINE. Returns the engine's name, None if another had been chosen.

    Raises ValueError for a backend that is no engine here, ImportError if its library is not installed.
    """
    if _chosen or os.environ.get("HORNBEAM_ENGINE"):
        return None
    name = KERAS_BACKENDS.get(backend)
    if name not in _known:
        known = ", ".join(key for key, engine in KERAS_BACKENDS.items() if engine in _known)
        raise ValueError(
            f"KERAS_BACKEND={backend} is no engine of this version; it may be one of {known}, and "
            "HORNBEAM_ENGINE chooses among all engines"
        )
    _default[:] = [get_engine(name)]
    return name
