"""A small honest shim of the parts of TensorFlow that Keras tutorials use, each mapped on Hornbeam.

A file here is a namespace of TensorFlow's: what its `__all__` names is there, anything else raises
MissingNameError that names it. Only `hornbeam run` puts it in TensorFlow's place.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

from hornbeam._internal.naming import nearest
from hornbeam.compat.messages import MissingModuleError, MissingNameError

# Namespace -> the module that holds its names.
_NAMESPACES = {
    "": "top",
    "autograph": "autograph",
    "autograph.experimental": "autograph",
    "compat": "compat_v1",
    "compat.v1": "compat_v1",
    "config": "config",
    "config.experimental": "config",
    "config.optimizer": "config",
    "config.threading": "config",
    "data": "data",
    "data.experimental": "data",
    "debugging": "debugging",
    "distribute": "distribute",
    "distribute.cluster_resolver": "cluster_resolver",
    "dtypes": "dtypes",
    "errors": "errors",
    "image": "image",
    "io": "io",
    "io.gfile": "gfile",
    "linalg": "linalg",
    "lookup": "lookup",
    "math": "math",
    "nest": "nest",
    "nn": "nn",
    "random": "random",
    "strings": "strings",
    "summary": "summary",
    "test": "config",
    "train": "train",
    "types": "types",
    "types.experimental": "types",
    "version": "version",
}

# Names of Keras's that stand in `tf` as well.
_OF_KERAS = {f"tensorflow.{name}" for name in ("initializers", "losses", "metrics", "optimizers")}


class Namespace(ModuleType):
    """A module of TensorFlow's: the names that the shim has, and errors that name the others."""

    def __init__(self, name: str, target: ModuleType) -> None:
        super().__init__(name, target.__doc__)
        self.__path__: list[str] = []
        self._target = target
        self.__all__ = list(target.__all__)

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
    return Namespace(fullname, importlib.import_module(f"hornbeam.compat.tensorflow.{_NAMESPACES[relative]}"))
