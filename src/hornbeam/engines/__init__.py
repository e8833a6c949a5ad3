"""Engines by name. The native engine is the default; the reference engine is the specification.

The others run on a library that the user has installed, and are imported on first use. A name may have a
device, as in "jax:gpu" or "torch:cuda:0".
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from hornbeam._internal import context
from hornbeam._internal.lazy_imports import explain_missing
from hornbeam.engines.base import Engine as Engine
from hornbeam.engines.base import MeshEngine as MeshEngine
from hornbeam.engines.mesh import Mesh

__all__ = [
    "KERAS_BACKENDS",
    "Engine",
    "MeshEngine",
    "available",
    "current_engine",
    "get_engine",
    "installed",
    "is_engine_chosen",
    "mesh_scope",
    "register",
    "set_default_engine",
    "set_engine",
    "set_mesh",
    "using",
]

_loaded: dict[str, Engine] = {}
_chosen: list[Engine] = []
_default: list[Engine] = []
_using: ContextVar[Engine | None] = context.context_variable("engine", None)
_mesh: context.ThreadSetting[Mesh | None] = context.ThreadSetting("mesh", None)

# Context for the import of a host library. `hornbeam run`, in which `import tensorflow` means the shim,
# replaces it.
host_libraries: Callable[[], AbstractContextManager[None]] = nullcontext

# Values of KERAS_BACKEND, and the engine on the same library or its successor.
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
    from hornbeam.engines.jax.mesh import JaxMeshEngine

    return JaxEngine(device, JaxMeshEngine)


def _torch(device: str | None = None) -> Engine:
    from hornbeam.engines.torch import TorchEngine
    from hornbeam.engines.torch.mesh import TorchMeshEngine

    return TorchEngine(device, TorchMeshEngine)


def _tensorflow(device: str | None = None) -> Engine:
    from hornbeam.engines.tensorflow import TensorFlowEngine

    return TensorFlowEngine(device)


def _onnxruntime(device: str | None = None) -> Engine:
    from hornbeam.engines.onnxruntime import OrtEngine

    return OrtEngine(device)


def _pytensor(device: str | None = None) -> Engine:
    from hornbeam.engines.pytensor import PyTensorEngine

    return PyTensorEngine(device)


def _mlx(device: str | None = None) -> Engine:
    from hornbeam.engines.mlx import MlxEngine

    return MlxEngine(device)


_known: dict[str, Callable[..., Engine]] = {
    "native": _native, "reference": _reference, "jax": _jax, "torch": _torch, "tensorflow": _tensorflow,
    "onnxruntime": _onnxruntime, "pytensor": _pytensor, "mlx": _mlx,
}  # fmt: skip
_WITHOUT_DEVICES = ("native", "reference")


def available() -> list[str]:
    """List the names of all known engines, registered ones included."""
    return list(_known)


def register(name: str, make: Callable[..., Engine]) -> None:
    """Register an engine, for `set_engine`, `fit(engine=...)` and the like. See docs/write_an_engine.md.

    Args:
        name: Name of the engine, without a colon.
        make: Function that returns the engine. Called without arguments for `name`, and with the device for
            `"name:device"`.

    Raises:
        ValueError: If the name is taken or contains a colon.

    Example:
        >>> from hornbeam import engines
        >>> from hornbeam.engines.reference import ReferenceEngine
        >>> engines.register("mine", ReferenceEngine)
        >>> engines.get_engine("mine").name
        'reference'
    """
    if name in _known or not name or ":" in name:
        raise ValueError(
            f"{name!r} cannot be the name of an engine: it has a colon, or is one of {available()}"
        )
    _known[name] = make


def installed() -> list[str]:
    """List the engines whose library is installed, without the reference, which is slow.

    Returns:
        Names of engines, such as `["native", "jax"]`.
    """
    names = []
    for name in _known:
        try:
            names.append(get_engine(name).name)
        except ImportError:
            continue
    return [name for name in names if name != "reference"]


def get_engine(name: str) -> Engine:
    """Return an engine, created on first use.

    Args:
        name: Name of the engine, with a device if need be: "jax", "jax:cpu", "torch:cuda:0".

    Raises:
        ValueError: If the name is unknown.
        ImportError: If the engine's library is not installed; the message has the command that installs it.
        RuntimeError: If the device does not exist.
    """
    if not isinstance(name, str):
        raise TypeError(f"an engine is selected by its name, such as 'jax', got {name!r}")
    if name not in _loaded:
        kind, _, device = name.partition(":")
        if kind not in _known:
            raise ValueError(f"unknown engine {name!r}{_engine_hint(kind)}")
        if device and kind in _WITHOUT_DEVICES:
            raise ValueError(f"the {kind} engine runs on the CPU and takes no device, got {name!r}")
        with host_libraries():
            _loaded[name] = _known[kind](device) if device else _known[kind]()
    return _loaded[name]


def _engine_hint(name: str) -> str:
    """Return what an unknown name of an engine may have meant."""
    device = {"metal": "mps", "directml": "dml"}.get(name.lower(), name.lower())
    if device in ("mps", "xpu", "privateuseone", "dml", "coreml", "openvino", "migraphx", "qnn"):
        engine = "torch" if device in ("mps", "xpu", "privateuseone") else "onnxruntime"
        return f': it is a device. The engine "{engine}:{device}" runs on it (docs/engines.md)'
    if device in ("cuda", "gpu", "tpu", "rocm"):
        return ': it is a device. On a GPU run "jax", "torch:cuda" or "tensorflow" (docs/engines.md)'
    if device == "cpu":
        return ': it is a device. The engine "native" runs on the CPU'
    if name in KERAS_BACKENDS:
        return f": Keras's backend {name} corresponds to the engine {KERAS_BACKENDS[name]!r}"
    from hornbeam._internal.naming import nearest

    return f".{nearest(name, _known)} This version has: {', '.join(_known)}"


def current_engine() -> Engine:
    """Return the engine in use.

    It is the one of `using`, else of `set_engine`, else of HORNBEAM_ENGINE, else the native one; on the mesh
    of `set_mesh`, if this thread has one.
    """
    engine = _selected()
    if not _mesh.changed:  # every call of a function asks
        return engine
    mesh = _mesh.get()
    return engine if mesh is None else engine.on_mesh(mesh)


def _selected() -> Engine:
    """Return the engine in use on one device."""
    return _using.get() or (_chosen or _default or _load_default())[0]


def _load_default() -> list[Engine]:
    _default.append(get_engine(os.environ.get("HORNBEAM_ENGINE") or "native"))
    return _default


def set_engine(name: str) -> None:
    """Select the engine of all threads. Values move to it when they are used next.

    Args:
        name: Name of the engine, as for `get_engine`.

    Raises:
        ValueError, ImportError, RuntimeError: As `get_engine`.
    """
    _chosen[:] = [get_engine(name)]


@contextmanager
def using(name: str | None) -> Iterator[None]:
    """Select the engine inside a `with` block.

    Asyncio tasks that are created inside inherit the engine; threads do not.

    Args:
        name: Name of the engine, as for `get_engine`. None changes nothing.
    """
    with context.override(_using, _using.get() if name is None else get_engine(name)):
        yield


def set_mesh(mesh: Mesh | None) -> None:
    """Let this thread compute on all devices of a mesh.

    Args:
        mesh: The mesh, None for one device.

    Raises:
        NotImplementedError: If the current engine runs on one device only.
    """
    _check_mesh(mesh)
    _mesh.set(mesh)


def mesh_scope(mesh: Mesh | None) -> AbstractContextManager[Mesh | None]:
    """Compute on all devices of a mesh inside a `with` block.

    Args:
        mesh: The mesh, None for one device.

    Raises:
        NotImplementedError: If the current engine runs on one device only.
    """
    _check_mesh(mesh)
    return _mesh.scope(mesh)


def _check_mesh(mesh: Mesh | None) -> None:
    if mesh is not None:
        _selected().on_mesh(mesh)


def is_engine_chosen() -> bool:
    """Return True if the user selected an engine, by `set_engine` or HORNBEAM_ENGINE."""
    return bool(_chosen or os.environ.get("HORNBEAM_ENGINE"))


def set_default_engine(name: str) -> None:
    """Select the engine for a process whose user selected none.

    Args:
        name: Name of the engine, as for `get_engine`.

    Raises:
        ValueError, ImportError, RuntimeError: As `get_engine`.
    """
    _default[:] = [get_engine(name)]


explain_missing(__name__)
