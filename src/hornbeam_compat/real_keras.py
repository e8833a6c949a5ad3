"""The real Keras and TensorFlow, for engines whose library imports them; scripts never see them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

# Internal packages of TensorFlow. It imports them on demand; scripts do not.
_INTERNAL = ("_api", "compiler", "core", "dtensor", "lite", "python", "tools", "tsl")
_real_modules: dict[str, ModuleType] = {}
# True once the real TensorFlow has been imported.
_state = {"real": False}


def is_internal(name: str) -> bool:
    """Return True for an internal module of a real TensorFlow on which an engine runs."""
    root, _, rest = name.partition(".")
    return root == "tensorflow" and rest.partition(".")[0] in _INTERNAL and _state["real"]


@contextmanager
def real_libraries(is_our_hook: Callable[[object], bool]) -> Iterator[None]:
    """Let `keras` and `tensorflow` mean the installed libraries inside the block.

    `is_our_hook` recognises the import hooks to disable, among the entries of `sys.meta_path`.
    """
    our_modules = _pop_public_modules()
    hooks = [hook for hook in sys.meta_path if is_our_hook(hook)]
    sys.meta_path[:] = [hook for hook in sys.meta_path if hook not in hooks]
    sys.modules.update(_real_modules)
    try:
        yield
    finally:
        _state["real"] |= "tensorflow" in sys.modules
        _real_modules.update(_pop_public_modules())
        sys.modules.update(our_modules)
        sys.meta_path[:0] = hooks


def _pop_public_modules() -> dict[str, ModuleType]:
    """Remove the modules that scripts may import from `sys.modules`, and return them."""
    names = [name for name in sys.modules if name.split(".")[0] in ("keras", "tensorflow", "tf_keras")]
    return {name: sys.modules.pop(name) for name in names if not is_internal(name)}
