"""Import hook that gives Keras the backend "hornbeam".

Keras chooses its backend in a few modules, by a chain of `if backend() == "...":`. A branch for "hornbeam",
made of that for "numpy", is added to it when they are imported; other versions of Keras are refused.
"""

from __future__ import annotations

import ast
import copy
import functools
import importlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import os
import sys
from collections.abc import Callable, Sequence
from types import CodeType, ModuleType
from typing import Any, cast

KERAS_VERSIONS = ("3.15.0", "3.15.1")

# Modules of Keras that choose classes and functions by the name of the backend.
CHOOSING = frozenset(
    {
        "keras.src.backend",
        "keras.src.export.saved_model",
        "keras.src.layers.layer",
        "keras.src.models.model",
        "keras.src.utils.backend_utils",
    }
)
_BACKEND = "keras.src.backend.hornbeam"
# Keras 3.15 has the modules of operations beside the others, and all names at one level.
_OPERATIONS = frozenset({"core", "image", "linalg", "math", "nn", "numpy"})


def install() -> None:
    """Let a later `import keras` run on Hornbeam, once.

    Raises:
        ImportError: If Keras has been imported on another backend.
    """
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    if "keras" in sys.modules:
        raise ImportError("keras is imported already: import keras_hornbeam before it")
    os.environ["KERAS_BACKEND"] = "hornbeam"
    sys.meta_path.insert(0, Finder())


def _check_version() -> None:
    """Raise ImportError for a version of Keras that the backend was not made for."""
    try:
        version = importlib.metadata.version("keras")
    except importlib.metadata.PackageNotFoundError:
        return  # a missing Keras is an error of Python's own
    if version not in KERAS_VERSIONS:
        raise ImportError(
            f"Hornbeam's backend knows Keras {', '.join(KERAS_VERSIONS)}, and {version} is installed: "
            f"pip install keras=={KERAS_VERSIONS[-1]}"
        )


class Finder(importlib.abc.MetaPathFinder):
    """Finds the backend's modules below `keras.src.backend.hornbeam`, and those of Keras that are changed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname == "keras.src":
            _check_version()
        if fullname == _BACKEND or fullname.startswith(f"{_BACKEND}."):
            return importlib.machinery.ModuleSpec(fullname, AliasLoader(), is_package=fullname == _BACKEND)
        if fullname in ADAPTED:
            loader: type[importlib.machinery.SourceFileLoader] = AdaptingLoader
        elif fullname in CHOOSING:
            loader = ChoosingLoader
        else:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = loader(fullname, spec.origin)
        return spec


class AliasLoader(importlib.abc.Loader):
    """Loads a module of the backend under its name in Keras."""

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        name = spec.name[len(_BACKEND) + 1 :]
        if not name:
            return importlib.import_module("keras_hornbeam.flat")
        folder = "src.ops" if name in _OPERATIONS else "src"
        return importlib.import_module(f"keras_hornbeam.{folder}.{name}")

    def exec_module(self, module: ModuleType) -> None:
        """The module is complete already."""


class ChoosingLoader(importlib.machinery.SourceFileLoader):
    """Loads a module of Keras with the branch for this backend."""

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_source(fullname) or ""
        tree = _Branch().visit(ast.parse(source, self.path))
        return compile(ast.fix_missing_locations(tree), self.path, "exec")


class AdaptingLoader(importlib.machinery.SourceFileLoader):
    """Loads a module of Keras and adapts it by its function in `ADAPTED`."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        ADAPTED[module.__name__](module)


def _accept_symbols(module: Any) -> None:
    """Let `standardize_shape` take sizes that are symbols: they are unknown to Keras."""
    from hornbeam.extensions.tracing import is_unknown

    original = module.standardize_shape

    @functools.wraps(original)
    def standardize_shape(shape: Any) -> Any:
        if isinstance(shape, tuple):
            shape = tuple(None if is_unknown(size) else size for size in shape)
        return original(shape)

    module.standardize_shape = standardize_shape


def _follow_config(module: Any) -> None:
    """Set Hornbeam's defaults (floatx, epsilon, image_data_format) to those of Keras, now and later."""
    from hornbeam import config

    for name in ("floatx", "epsilon", "image_data_format"):
        follow = getattr(config, f"set_{name}")
        follow(getattr(module, name)())
        setattr(module, f"set_{name}", _then(getattr(module, f"set_{name}"), getattr(module, name), follow))


def _then(
    change: Callable[..., None], read: Callable[[], Any], follow: Callable[[Any], None]
) -> Callable[..., None]:
    @functools.wraps(change)
    def changed(*args: Any, **kwargs: Any) -> None:
        change(*args, **kwargs)
        follow(read())

    return changed


def _imported(name: str) -> Callable[[ModuleType], None]:
    """Return a function "module:function" of the backend, which is imported when it is called."""
    path, _, function = name.partition(":")
    return lambda module: getattr(importlib.import_module(f"keras_hornbeam.src.{path}"), function)(module)


# Modules of Keras with a function that adapts each after it was loaded.
ADAPTED: dict[str, Callable[[ModuleType], None]] = {
    "keras.src.backend.common.variables": _accept_symbols,
    "keras.src.backend.config": _follow_config,
    "keras.src.export.onnx": _imported("export:replace_export_onnx"),
    "keras.src.layers.attention.grouped_query_attention": _imported("fused:fuse_dropout"),
    "keras.src.layers.attention.multi_head_attention": _imported("fused:fuse_dropout"),
    "keras.src.layers.rnn.gru": _imported("rnn:tell_zero_output"),
    "keras.src.layers.rnn.lstm": _imported("rnn:tell_zero_output"),
    "keras.src.ops.nn": _imported("fused:fuse_layer_normalization"),
}


class _Branch(ast.NodeTransformer):
    """Adds a branch for "hornbeam" before that of the backend "numpy"."""

    def visit_If(self, node: ast.If) -> ast.AST:
        if not _compares_with_numpy(node):
            return self.generic_visit(node)
        branch = _Renaming().visit(copy.deepcopy(node))
        branch.orelse = [node]
        return branch


class _Renaming(ast.NodeTransformer):
    """Turns comparisons with, and imports of, the backend "numpy" into those of "hornbeam"."""

    def visit_If(self, node: ast.If) -> ast.AST:
        self.generic_visit(node)
        if _compares_with_numpy(node):
            cast(ast.Compare, node.test).comparators[0] = ast.Constant("hornbeam")
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if ast.unparse(node) != "distribution_lib = None":
            return node
        return ast.ImportFrom(_BACKEND, [ast.alias("distribution_lib")], 0)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if node.module is not None and node.module.startswith("keras.src.backend.numpy"):
            node.module = node.module.replace("keras.src.backend.numpy", _BACKEND)
        return node


def _compares_with_numpy(node: ast.If) -> bool:
    return isinstance(node.test, ast.Compare) and ast.unparse(node.test.comparators[0]) == "'numpy'"
