"""Subset of TensorFlow for Keras scripts: the names that Keras tutorials use, each mapped to Hornbeam.

A namespace is a table of names. Other names raise an error that names them. Active under `hornbeam run` only.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType
from typing import Any

from hornbeam._internal.naming import nearest
from hornbeam.errors import MissingModuleError, MissingNameError

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

# Modules of Keras that are in `tf` as well.
_KERAS_MODULES = {f"tensorflow.{name}" for name in ("initializers", "losses", "metrics", "optimizers")}

_SUPPORT = "which `hornbeam run` does not have. It supports the names of TensorFlow that Keras tutorials use."

# Parts of TensorFlow that are absent -> what to write instead.
_INSTEAD = {
    "Session": " Code is eager: read values by np.asarray(tensor), without a session.",
    "contrib": " It ended with TensorFlow 1.",
    "estimator": " Use a Keras model and fit().",
    "feature_column": " Use hornbeam.utils.FeatureSpace.",
    "lite": " Write the file with model.export('model.tflite', format='litert') (docs/interchange.md).",
    "placeholder": " Use keras.Input, or pass arrays to functions.",
    "saved_model": " Write the folder with model.export('folder'), and read .keras files with load_model.",
    "tpu": " TPUs are reached by the jax engine (docs/engines.md).",
}


class Namespace(ModuleType):
    """A module of TensorFlow: names that are supported, and MissingNameError for others."""

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
        full_name = f"{self.__name__}.{name}"
        if full_name in _KERAS_MODULES:
            return importlib.import_module(f"tensorflow.keras.{name}")
        if full_name == "tensorflow.keras" or _relative(full_name) in _NAMESPACES:
            return importlib.import_module(full_name)
        hint = _INSTEAD.get(_relative(full_name)) or nearest(name, self.__all__)
        raise MissingNameError(f"the script uses {full_name}, {_SUPPORT}{hint}")

    def __dir__(self) -> list[str]:
        return self.__all__


def _relative(fullname: str) -> str:
    return fullname.partition(".")[2]


def namespace(fullname: str) -> ModuleType:
    """Create the module `tensorflow` or `tensorflow.x.y`. Raise MissingModuleError for unsupported ones."""
    relative = _relative(fullname)
    if relative not in _NAMESPACES:
        suggestion = _INSTEAD.get(relative) or nearest(relative, [*_NAMESPACES, "keras"])
        raise MissingModuleError(f"the script imports {fullname}, {_SUPPORT}{suggestion}")
    module, _, key = _NAMESPACES[relative].partition(":")
    target = importlib.import_module(f"hornbeam.compat.tensorflow.{module}")
    return Namespace(fullname, target, target.NAMESPACES[key].split() if key else target.__all__)
