"""Import hooks: `keras.a.b` and `tensorflow.keras.a.b` are `hornbeam.a.b`.

`keras.src.a.b` has the public objects of that path of Keras's sources. `tensorflow.c` is the namespace `c` of
the TensorFlow shim. `google.colab` says that it is for Colab only.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from types import ModuleType
from typing import Any

import hornbeam
from hornbeam.errors import MissingModuleError, MissingNameError
from hornbeam_compat import legacy_api
from hornbeam_compat.after_import import watched_spec
from hornbeam_compat.importers import can_do_without, importing_module, is_own, is_script
from hornbeam_compat.keras_backend import apply_backend, backend_name
from hornbeam_compat.keras_src import SourceModule, public_names, source_module
from hornbeam_compat.legacy_api.trainable import asks_for_keras2
from hornbeam_compat.messages import log_deprecated, log_once
from hornbeam_compat.metadata import replaced_distributions
from hornbeam_compat.real_keras import is_internal

# The version of Keras whose names and signatures Hornbeam follows, as `keras.__version__`.
KERAS_VERSION = "3.15.1"
KERAS2_VERSION = "2.19.0"

# Libraries of data and models that scripts import beside Keras, and what works instead.
HUBS = {
    "tensorflow_datasets": "It needs the real TensorFlow. keras.datasets has MNIST, CIFAR, IMDB and others, "
    "and hornbeam.data.images_from_folder reads folders of images",
    "tensorflow_hub": "It needs the real TensorFlow. keras.applications has pretrained image models",
    "datasets": "pip install datasets gives it: its arrays (ds.with_format('numpy')[:]['image']) train here. "
    "hornbeam.data.images_from_folder reads folders of images",
    "torchvision": "pip install torchvision gives it: a DataLoader of its datasets trains here. "
    "keras.datasets and hornbeam.data.images_from_folder need no PyTorch",
    "keras_hub": "pip install keras-hub gives it. keras.applications has pretrained image models without it",
    "keras_cv": "It needs the real TensorFlow. keras.applications and keras.layers have image models and "
    "augmentation",
    "keras_nlp": "It is keras_hub now: pip install keras-hub. keras.layers has TextVectorization, Embedding "
    "and attention",
}

_find_spec = importlib.util.find_spec

# Attributes of `keras` that are not Hornbeam's.
_OWN: dict[str, Callable[[], Any]] = {
    "src": lambda: importlib.import_module("keras.src"),
    "version": lambda: _keras_version,
}

_PREFIXES = (
    "keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras", "tensorflow.compat.v1.keras",
    "tensorflow.compat.v2.keras",
)  # fmt: skip


class Alias(ModuleType):
    """A module of Keras: Hornbeam's names under Keras's path, and the names of earlier versions."""

    def __init__(self, name: str, relative: str, target: ModuleType) -> None:
        super().__init__(name, target.__doc__)
        self.__file__ = target.__file__
        # Not the target's: its files are Hornbeam's, and would be imported a second time under Keras's name.
        self.__path__: list[str] = []
        self.__version__ = _keras_version()
        self.first_spec: importlib.machinery.ModuleSpec | None = None
        self._relative = relative
        self._target = target
        # Those of Keras alone: a star import adds no others.
        names = [name for name in dir(target) if not name.startswith("_")]
        self.__all__ = sorted(public_names().get(relative, frozenset(names)).intersection(names))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if not self._relative and name in _OWN:
            return _OWN[name]()
        full_name = f"keras.{self._relative}.{name}" if self._relative else f"keras.{name}"
        value = legacy_api.lookup(self._relative, name)
        if value is None:
            submodule = f"{self._relative}.{name}".lstrip(".")
            if legacy_api.is_legacy_module(submodule):
                return importlib.import_module(f"{self.__name__}.{name}")
            try:
                value = getattr(self._target, name)
            except AttributeError as error:
                raise MissingNameError(f"{full_name}: {error}") from None
        if isinstance(value, ModuleType) and is_own(value.__name__):
            return importlib.import_module(f"{self.__name__}.{name}")
        return value

    def __dir__(self) -> list[str]:
        return [*self.__all__, *(name for name in vars(self) if name.startswith("__"))]


def _keras_version() -> str:
    """Return the version whose names Hornbeam follows, or the last one of Keras 2 for its programs."""
    return KERAS2_VERSION if asks_for_keras2() else KERAS_VERSION


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finder and loader: an `Alias` for a module of Keras, a `Namespace` for one of TensorFlow.

    Args:
        on_keras: Called before a module of Keras is created.
        on_tensorflow: Called before a module of TensorFlow is created.
    """

    def __init__(self, on_keras: Callable[[], None], on_tensorflow: Callable[[], None]) -> None:
        self._on_keras = on_keras
        self._on_tensorflow = on_tensorflow

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if is_internal(fullname):
            return None
        if fullname in HUBS:
            _refuse_missing_hub(fullname)
        if relative_to_keras(fullname) is None and fullname.split(".")[0] != "tensorflow":
            return watched_spec(fullname, path, target)
        if fullname == "tensorflow" and is_hidden_tensorflow():
            log_once(_HIDDEN)
            raise ModuleNotFoundError(_HIDDEN, name=fullname)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True)

    def find_distributions(
        self, context: importlib.metadata.DistributionFinder.Context | None = None
    ) -> Iterable[importlib.metadata.Distribution]:
        """Return the metadata that `importlib.metadata` asks for."""
        distributions = replaced_distributions(getattr(context, "name", None), KERAS_VERSION)
        hidden = "tensorflow" if _asks_package() else None
        return [distribution for distribution in distributions if distribution.name != hidden]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        relative = relative_to_keras(spec.name)
        if relative is None:
            from hornbeam_compat.tensorflow import namespace

            self._on_tensorflow()
            return namespace(spec.name)
        self._on_keras()
        if asks_for_keras2():  # where symbolic values were tensors of TensorFlow
            self._on_tensorflow()
        return _keras_module(spec.name, relative)

    def exec_module(self, module: ModuleType) -> None:
        """Restore the first spec of a module that has several names; it is complete already."""
        if isinstance(module, (Alias, SourceModule)):
            module.__spec__ = module.first_spec = module.first_spec or module.__spec__


class ColabFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Last finder, reached outside of Colab: explains why `google.colab` cannot be imported."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "google":  # the parent is imported first
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        if fullname.split(".")[:2] == ["google", "colab"]:
            raise ModuleNotFoundError(
                "google.colab exists in Colab only. Elsewhere omit drive.mount() and files.upload(), and "
                "read files from a folder of this machine",
                name=fullname,
            )
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Leave the module empty."""


_HIDDEN = (
    "TensorFlow is hidden from packages that ask whether it is installed, and can do without its names. "
    "KERAS_BACKEND=tensorflow shows them to all"
)


def is_hidden_tensorflow() -> bool:
    """Return True if a package imports TensorFlow that can do without it.

    The shim has the names that scripts use. A package that asks for TensorFlow would take the code
    path for it, and meet names that are missing.
    """
    return backend_name() != "tensorflow" and can_do_without()


def find_spec(name: str, package: str | None = None) -> importlib.machinery.ModuleSpec | None:
    """Answer as `importlib.util.find_spec`, to packages without TensorFlow."""
    hidden = name.partition(".")[0] == "tensorflow" and _asks_package()
    if hidden:
        log_once(_HIDDEN)
    return None if hidden else _find_spec(name, package)


def _asks_package() -> bool:
    return backend_name() != "tensorflow" and not is_script(importing_module())


def _refuse_missing_hub(fullname: str) -> None:
    """Raise ModuleNotFoundError, with what works instead, for a library of data that is not installed."""
    if importlib.machinery.PathFinder.find_spec(fullname) is None:
        message = f"No module named {fullname!r}: the script needs this library. {HUBS[fullname]}"
        raise ModuleNotFoundError(message, name=fullname)


def relative_to_keras(fullname: str) -> str | None:
    """Return "layers" for `keras.layers`, "" for `keras`, None for a module outside of Keras."""
    for prefix in _PREFIXES:
        if fullname == prefix:
            return ""
        if fullname.startswith(prefix + "."):
            return fullname[len(prefix) + 1 :]
    return None


def _keras_module(fullname: str, relative: str) -> ModuleType:
    """Return the one Alias of a module under all its names: `keras.layers is tensorflow.keras.layers`."""
    if relative == "src" or relative.startswith("src."):
        canonical = f"keras.{relative}"
        path = relative[len("src.") :]
        return source_module(fullname, path) if fullname == canonical else importlib.import_module(canonical)
    legacy = legacy_api.legacy_module(relative)
    if legacy is not None:
        return Alias(fullname, relative, legacy)
    new = legacy_api.new_module(relative)
    if new is not None:
        log_deprecated(f"keras.{relative}", f"keras.{new}" if new else "keras")
        relative = new
    canonical = f"keras.{relative}" if relative else "keras"
    if fullname != canonical:
        return importlib.import_module(canonical)
    if fullname == "keras":
        apply_backend()
    try:
        return Alias(fullname, relative, importlib.import_module(f"hornbeam.{relative}".rstrip(".")))
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("hornbeam"):
            raise
    # A namespace without a module of its own, such as a class with static methods.
    reason = hornbeam._MISSING.get(relative.split(".")[0], "")
    message = f"the script imports {fullname}, which Hornbeam does not have. {reason}"
    raise MissingModuleError(message) from None
