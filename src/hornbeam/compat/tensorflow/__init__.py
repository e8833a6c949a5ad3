"""A small honest shim of the parts of TensorFlow that Keras tutorials use, each mapped on Hornbeam.

A file here is a namespace of TensorFlow's: what its `__all__` names is there, anything else raises
MissingNameError that names it. Only `hornbeam run` puts it in TensorFlow's place.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from hornbeam._internal.naming import nearest
from hornbeam.compat.messages import MissingModuleError, MissingNameError

# Namespace -> module with its names: those of `__all__`, or after a colon the key of its table NAMESPACES.
_NAMESPACES = {
    "": "root",
    "autograph": "runtime:autograph",
    "autograph.experimental": "runtime:autograph",
    "compat": "runtime:compat",
    "compat.v1": "runtime:compat",
    "config": "runtime:config",
    "config.experimental": "runtime:config",
    "config.optimizer": "runtime:config",
    "config.threading": "runtime:config",
    "data": "data:data",
    "data.experimental": "data:data",
    "debugging": "runtime:debugging",
    "distribute": "runtime:distribute",
    "distribute.cluster_resolver": "runtime:distribute.cluster_resolver",
    "dtypes": "dtypes",
    "errors": "runtime:errors",
    "image": "image",
    "io": "files:io",
    "io.gfile": "files:io.gfile",
    "linalg": "linalg",
    "lookup": "data:lookup",
    "math": "math",
    "nest": "runtime:nest",
    "nn": "nn",
    "random": "random",
    "strings": "strings",
    "summary": "files:summary",
    "test": "runtime:config",
    "train": "files:train",
    "types": "runtime:types",
    "types.experimental": "runtime:types",
    "version": "runtime:version",
}

# Names of Keras's that stand in `tf` as well.
_OF_KERAS = {f"tensorflow.{name}" for name in ("initializers", "losses", "metrics", "optimizers")}


class Namespace(ModuleType):
    """A module of TensorFlow's: the names that the shim has, and errors that name the others."""

    def __init__(self, name: str, target: ModuleType, names: Sequence[str]) -> None:
        super().__init__(name, target.__doc__)
        self.__path__: list[str] = []
        self._target = target
        self.__all__ = list(names)

    def __getattr__(self, name: str) -> Any:
        if name == "__version__" and self.__name__ == "tensorflow":
            return self._target.VERSION
        if name.startswith("__"):
            raise AttributeError(name)
        if name in self.__all__:
            return getattr(self._target, name)
        below = f"{self.__name__}.{name}"
        if below in _OF_KERAS:
            return importlib.import_module(f"tensorflow.keras.{name}")
        if below == "tensorflow.keras" or _relative(below) in _NAMESPACES:
            return importlib.import_module(below)
        raise MissingNameError(
            f"the script uses {below}, which `hornbeam run` does not have: of TensorFlow it knows what Keras "
            f"tutorials use.{nearest(name, self.__all__)}"
        )

    def __dir__(self) -> list[str]:
        return self.__all__


def _relative(fullname: str) -> str:
    return fullname.partition(".")[2]


def namespace(fullname: str) -> ModuleType:
    """The module `tensorflow` or `tensorflow.x.y`. Raises MissingModuleError if the shim has none."""
    from hornbeam.compat.tensorflow import tensors

    relative = _relative(fullname)
    if relative not in _NAMESPACES:
        raise MissingModuleError(
            f"the script imports {fullname}, which `hornbeam run` does not have: of TensorFlow it knows what "
            f"Keras tutorials use.{nearest(relative, [*_NAMESPACES, 'keras'])}"
        )
    tensors.install()
    module, _, key = _NAMESPACES[relative].partition(":")
    target = importlib.import_module(f"hornbeam.compat.tensorflow.{module}")
    return Namespace(fullname, target, target.NAMESPACES[key].split() if key else target.__all__)
