"""`keras.src`: the record of public names is what the installed Keras has; adapters take its arguments."""

from __future__ import annotations

import importlib
import inspect
import operator
from types import ModuleType

import keras
import pytest

from hornbeam.compat import keras_src
from hornbeam.compat.keras_src.private import PRIVATE

# Engines whose libraries are not installed where these tests run.
ENGINES = tuple(f"backend.{name}" for name in ("tensorflow", "torch", "openvino", "numpy"))


def source(path: str) -> object:
    return importlib.import_module(f"keras.src.{path}".rstrip("."))


def test_each_name_is_the_public_object() -> None:
    checked = 0
    for path, names in keras_src._table().items():
        if path.startswith(ENGINES) or not names:
            continue
        module = source(path)
        for name, paths in names.items():
            for public in paths:
                assert getattr(module, name) is operator.attrgetter(public)(keras), (path, name)
                checked += 1
    assert checked > 1500


def test_each_namespace_has_the_names_of_keras() -> None:
    for namespace, names in keras_src.public_names().items():
        module = operator.attrgetter(namespace)(keras) if namespace else keras
        if isinstance(module, ModuleType):
            assert names == {name for name in vars(module) if not name.startswith("_")} - {"src"}, namespace


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in PRIVATE.items() for name in names]
)
def test_adapters_take_the_arguments_of_keras(path: str, name: str) -> None:
    theirs = getattr(source(path), name)
    ours = getattr(importlib.import_module(f"hornbeam.compat.keras_src.{PRIVATE[path][name]}"), name)
    assert callable(ours) == callable(theirs)
    if inspect.isfunction(theirs):
        expected = list(inspect.signature(theirs).parameters)
        assert list(inspect.signature(ours).parameters)[: len(expected)] == expected
