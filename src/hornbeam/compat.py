"""`import keras` and `from tensorflow import keras` mean Hornbeam, for scripts run by `hornbeam run`.

Never active by itself: only `hornbeam run` calls `install()`, in the process that runs the script.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import runpy
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

# The Keras version whose names and signatures we follow: what `keras.__version__` tells scripts.
KERAS_VERSION = "3.15.1"

_PREFIXES = ("keras", "tensorflow.keras", "tf_keras")


class MissingModuleError(ImportError):
    """A script imports a part of Keras or TensorFlow that Hornbeam does not have."""


class MissingNameError(AttributeError):
    """A script uses a name of Keras or TensorFlow that Hornbeam does not have."""


class _Keras(ModuleType):
    """The module that `import keras` gives: Hornbeam under Keras's name and version."""

    __version__ = KERAS_VERSION
    __path__: ClassVar[list[str]] = []  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        import hornbeam

        try:
            return getattr(hornbeam, name)
        except AttributeError as error:
            raise MissingNameError(f"keras.{name}: {error}") from None


class _TensorFlow(ModuleType):
    """The module that `import tensorflow` gives: only `tensorflow.keras` is there."""

    __version__ = "2.19.0"
    __path__: ClassVar[list[str]] = []  # type: ignore[misc]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name == "keras":
            return importlib.import_module("tensorflow.keras")
        raise MissingNameError(
            f"the script uses tensorflow.{name}; `hornbeam run` provides tensorflow.keras and nothing else "
            "of TensorFlow"
        )


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Maps `keras.a.b` and `tensorflow.keras.a.b` to `hornbeam.a.b`."""

    def __init__(self) -> None:
        self._specs: dict[str, importlib.machinery.ModuleSpec | None] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "tensorflow" or _relative(fullname) is not None:
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        if fullname.startswith("tensorflow."):
            raise MissingModuleError(
                f"the script imports {fullname}; `hornbeam run` provides tensorflow.keras and nothing else "
                "of TensorFlow"
            )
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        if spec.name == "tensorflow":
            return _TensorFlow("tensorflow")
        relative = _relative(spec.name)
        if not relative:
            return _Keras(spec.name)
        try:
            module = importlib.import_module(f"hornbeam.{relative}")
            self._specs[spec.name] = module.__spec__
            return module
        except ModuleNotFoundError as error:
            if error.name and not error.name.startswith("hornbeam"):
                raise
            raise MissingModuleError(
                f"the script imports {spec.name}, which Hornbeam does not have"
            ) from None

    def exec_module(self, module: ModuleType) -> None:
        """The module is complete already; it only gets back the spec that the import machinery replaced."""
        spec = module.__spec__
        if spec is not None and spec.name in self._specs:
            module.__spec__ = self._specs.pop(spec.name)


def _relative(fullname: str) -> str | None:
    """`layers` for `keras.layers`, "" for `keras` itself, None for what is none of ours."""
    for prefix in _PREFIXES:
        if fullname == prefix:
            return ""
        if fullname.startswith(prefix + "."):
            return fullname[len(prefix) + 1 :]
    return None


def install() -> None:
    """From here on `import keras` means Hornbeam in this process.

    Raises RuntimeError if the real Keras or TensorFlow has already been imported.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    loaded = [name for name in ("keras", "tensorflow") if name in sys.modules]
    if loaded:
        raise RuntimeError(
            f"{loaded[0]} is already imported: Hornbeam can only stand in for it from the start"
        )
    sys.meta_path.insert(0, _Finder())


def run_script(path: str, args: Sequence[str]) -> None:
    """Run a Python script as `python path *args` would, with Hornbeam in Keras's place."""
    script = Path(path)
    if not script.is_file():
        raise FileNotFoundError(f"there is no script {path!r}")
    install()
    sys.argv = [path, *args]
    sys.path.insert(0, str(script.resolve().parent))
    runpy.run_path(str(script), run_name="__main__")
