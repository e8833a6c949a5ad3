"""`__module__` of public classes: the path of Keras's sources, `keras.src.layers.core.dense` for `Dense`.

Packages tell models, layers and optimizers of Keras by it (`type(model).__module__.startswith("keras")`), and
`repr` and `pickle` name classes by it.
"""

from __future__ import annotations

import inspect
import sys
from typing import Any

from hornbeam_compat.keras_src import source_paths
from hornbeam_compat.patch import Patch

_getfile = inspect.getfile


def patches() -> list[Patch]:
    """Return the change of `inspect`, so that `getsource` reads Hornbeam's files as before."""
    return [Patch(inspect, "getfile", getfile)]


def path_of(cls: type) -> str:
    """Return the module of Keras's sources that defines an exported class, its own one if there is none."""
    own_module, module = (str(vars(cls)[name]) for name in ("_hb_module", "_keras_module"))
    if module.startswith("keras.src."):
        return module
    path = source_paths().get(f"{module}.{cls.__name__}".removeprefix("keras."))
    return own_module if path is None else f"keras.src.{path}"


def getfile(object: Any) -> str:
    """Answer as `inspect.getfile`, for exported classes with the file that defines them."""
    own_module = vars(object).get("_hb_module") if isinstance(object, type) else None
    return _getfile(sys.modules[own_module] if own_module else object)
