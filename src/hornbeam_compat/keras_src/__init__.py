"""`keras.src`: the paths of Keras's sources that packages import, each with Hornbeam's public objects.

`modules.json` has the modules and the public names of each (`tools/keras_sources.py` writes it), `private`
the few names behind them that Keras does not export and packages use all the same.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import json
import operator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import hornbeam
from hornbeam.errors import MissingModuleError, MissingNameError
from hornbeam.extensions.packages import find_exported
from hornbeam.extensions.tensors import operation_class
from hornbeam_compat.keras_src.private import BACKEND_MODULES, PRIVATE, REFUSED

# Module below `keras.src` -> name there -> public paths below `keras`.
_Table = dict[str, dict[str, list[str]]]


@functools.cache
def _table() -> _Table:
    """Read the public names of all modules."""
    text = (Path(__file__).parent / "modules.json").read_text(encoding="utf-8")
    table: _Table = {}
    for module, entries in json.loads(text).items():
        pairs = [entry.rpartition("=") for entry in entries.split()]
        split = [(name, paths.split(",")) for name, _, paths in pairs]
        table[module] = {name or paths[0].rpartition(".")[2]: paths for name, paths in split}
    return table


@functools.cache
def public_names() -> dict[str, frozenset[str]]:
    """Return the public names of Keras by namespace ("" for `keras`); namespaces are names too."""
    paths = {path for names in _table().values() for paths in names.values() for path in paths}
    spaces = {path[:i] for path in paths for i, letter in enumerate(path) if letter == "."}
    names: dict[str, set[str]] = {}
    for path in paths | spaces:
        space, _, name = path.rpartition(".")
        names.setdefault(space, set()).add(name)
    return {space: frozenset(inside) for space, inside in names.items()}


@functools.cache
def source_paths() -> dict[str, str]:
    """Return the module below `keras.src` that defines each public path; packages only hand names on."""
    packages = {module.rpartition(".")[0] for module in _table()}
    files = {module: names for module, names in _table().items() if module not in packages}
    return {path: module for module, names in files.items() for paths in names.values() for path in paths}


@functools.cache
def _classes() -> dict[str, str]:
    """Return the public classes by name: any module of the sources may import one, and hand it on."""
    items = [item for names in _table().values() for item in names.items()]
    return {name: paths[0] for name, paths in items if name[:1].isupper()}


def names_of(module: str) -> list[str]:
    """Return the names of a module below `keras.src`: public ones, adapters and modules inside of it.

    Args:
        module: Path below `keras.src`, "" for itself.
    """
    packages = {f"{p}." if p else "" for p in (module, _engine_of(module))}
    modules = [m[len(p) :].partition(".")[0] for p in packages for m in _table() if m.startswith(p)]
    private = [name for where, names in PRIVATE.items() if _contains(module, where) for name in names]
    return sorted({*_table()[module], *modules, *private} - {""} - REFUSED)


def _engine_of(module: str) -> str:
    """Return the package that `keras.src.backend` hands on: all engines have the same modules."""
    return "backend.jax" if module == "backend" else module


def _contains(module: str, inner: str) -> bool:
    """Return True for a module itself and for a package: packages of Keras hand on what is inside."""
    return module == inner or (module != "" and inner.startswith(f"{module}."))


class SourceModule(ModuleType):
    """The module `keras.src.<path>`.

    Args:
        name: Full name of the module.
        path: Its path below `keras.src`, "" for itself.
    """

    def __init__(self, name: str, path: str) -> None:
        super().__init__(name, f"Public names of {name}, from Hornbeam.")
        self.__file__ = __file__
        self.__path__: list[str] = []
        self.__all__ = names_of(path)
        self.first_spec: ModuleSpec | None = None
        self._path = path

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and not (name == "__version__" and self._path in ("", "version")):
            raise AttributeError(name)
        value = self._find(name)
        if value is None:
            raise MissingNameError(refusal(self._path, name))
        return value

    def _find(self, name: str) -> Any:
        """Return the object of that name, or None."""
        for where, names in PRIVATE.items():
            if name in names and _contains(self._path, where):
                return getattr(importlib.import_module(f"{__name__}.{names[name]}"), name)
        public = _table()[self._path].get(name)
        if public is None:
            for package in (self._path, _engine_of(self._path)):
                if f"{package}.{name}".lstrip(".") in _table():
                    return importlib.import_module(f"keras.src.{package}.{name}".replace("..", "."))
        operation = operation_class(name) if public is None and self._path.startswith("ops.") else None
        if operation is not None and operation._keras_module == f"keras.src.{self._path}":
            return operation
        path = public[0] if public else _classes().get(name)
        if path is not None:
            return operator.attrgetter(path)(importlib.import_module("keras"))
        if name[:1].isupper() and find_exported(f"keras.src.{self._path}", name) is not None:
            return find_exported(f"keras.src.{self._path}", name)
        for module in BACKEND_MODULES.get(self._path, ()):
            value = getattr(importlib.import_module(f"hornbeam.{module}"), name, None)
            if value is not None:
                return value
        return None

    def __dir__(self) -> list[str]:
        return self.__all__


def source_module(name: str, path: str) -> ModuleType:
    """Create the module `keras.src.<path>`.

    Args:
        name: Full name of the module.
        path: Its path below `keras.src`, "" for itself.

    Raises:
        MissingModuleError: If Keras has no such module, or it is a name without a counterpart here.
    """
    if path not in _table():
        raise MissingModuleError(refusal(*path.rpartition(".")[::2]))
    return SourceModule(name, path)


def refusal(path: str, name: str) -> str:
    """Return the message for a name that is missing in `keras.src.<path>`."""
    public = sorted(_table().get(path, ()))
    close = difflib.get_close_matches(name, public, 1)
    instead = f" Public names there: {', '.join(public[:8])}." if public else ""
    hint = f" Did you mean {close[0]!r}?" if close else instead
    return (
        f"{f'keras.src.{path}'.rstrip('.')} has no {name!r} here: it is private to Keras, or of another "
        f"version than {importlib.import_module('keras').__version__}.{hint} "
        f"Hornbeam {hornbeam.__version__} has the public names of Keras"
    )
