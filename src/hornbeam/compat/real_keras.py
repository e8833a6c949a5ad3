"""Real Keras and TensorFlow beside ours: an engine whose library brings them gets them, no script does."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

# What TensorFlow is made of. It imports these parts of itself when it needs them; scripts do not.
_INNER = ("_api", "compiler", "core", "dtensor", "lite", "python", "tools", "tsl")
_set_aside: dict[str, ModuleType] = {}
# Whether there is a real TensorFlow by now.
_state = {"real": False}


def is_inner(name: str) -> bool:
    """Whether a module belongs to the inside of a real TensorFlow that an engine runs on."""
    root, _, rest = name.partition(".")
    return root == "tensorflow" and rest.partition(".")[0] in _INNER and _state["real"]


@contextmanager
def real_libraries(stand_ins: Callable[[object], bool]) -> Iterator[None]:
    """Inside, `keras` and `tensorflow` are what is installed; afterwards they are what they were before.

    stand_ins: whether an import hook is one that stands in for them.
    """
    ours = _take_outer()
    hooks = [hook for hook in sys.meta_path if stand_ins(hook)]
    sys.meta_path[:] = [hook for hook in sys.meta_path if hook not in hooks]
    sys.modules.update(_set_aside)
    try:
        yield
    finally:
        _state["real"] |= "tensorflow" in sys.modules
        _set_aside.update(_take_outer())
        sys.modules.update(ours)
        sys.meta_path[:0] = hooks


def _take_outer() -> dict[str, ModuleType]:
    """Removes the modules that scripts may name."""
    names = [name for name in sys.modules if name.split(".")[0] in ("keras", "tensorflow", "tf_keras")]
    return {name: sys.modules.pop(name) for name in names if not is_inner(name)}
