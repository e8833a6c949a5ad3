"""`__module__` of public classes: the path of Keras's sources, `keras.src.layers.core.dense` for `Dense`.

Packages tell models, layers and optimizers of Keras by it (`type(model).__module__.startswith("keras")`), and
`repr` and `pickle` name classes by it.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

from hornbeam.extensions.packages import module_of
from hornbeam_compat.keras_src import source_paths
from hornbeam_compat.patch import Patch

_getfile = inspect.getfile


def patches() -> list[Patch]:
    """Return the change of `inspect`, so that `getsource` reads Hornbeam's files as before."""
    return [Patch(inspect, "getfile", getfile)]


def path_of(cls: type) -> str:
    """Return the module of Keras's sources that defines an exported class, its own one if there is none."""
    module: str = cls._keras_module  # type: ignore[attr-defined]
    if module.startswith("keras.src."):
        return module
    path = source_paths().get(f"{module}.{cls.__name__}".removeprefix("keras."))
    return module_of(cls) if path is None else f"keras.src.{path}"


def getfile(object: Any) -> str:
    """Answer as `inspect.getfile`, for exported classes with the file that defines them."""
    own = isinstance(object, type) and "_hb_module" in vars(object)
    return _getfile(sys.modules[module_of(object)] if own else object)
