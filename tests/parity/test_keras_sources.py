"""`keras.src`: the record of public names is what the installed Keras has; adapters take its arguments."""

from __future__ import annotations

import importlib
import inspect
import operator
from pathlib import Path
from types import ModuleType

import keras
import ml_dtypes
import numpy as np
import pytest

from hornbeam_compat import keras_src
from hornbeam_compat.keras_src.private import PRIVATE
from hornbeam_compat.keras_src.saving import H5IOStore

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
    ours = getattr(importlib.import_module(f"hornbeam_compat.keras_src.{PRIVATE[path][name]}"), name)
    assert callable(ours) == callable(theirs)
    if inspect.isfunction(theirs):
        expected = list(inspect.signature(theirs).parameters)
        assert list(inspect.signature(ours).parameters)[: len(expected)] == expected


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_stores_of_arrays_are_read_on_both_sides(dtype: str, tmp_path: Path) -> None:
    kernel = np.arange(6.0).reshape(2, 3).astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    theirs = importlib.import_module("keras.src.saving.saving_lib").H5IOStore
    for writer, reader in ((H5IOStore, theirs), (theirs, H5IOStore), (H5IOStore, H5IOStore)):
        path = tmp_path / f"{writer.__module__}_{reader.__module__}.h5"
        store = writer(str(path), mode="w")
        store.make("lora")["rank"] = np.array(4)
        store.make("lora/1")["kernel"] = kernel
        store.close()
        store = reader(str(path), mode="r")
        assert int(np.array(store.get("lora")["rank"])) == 4
        values = np.array(store.get("lora/1")["kernel"])
        assert values.dtype == kernel.dtype
        assert (values == kernel).all()
        assert list(store.get("lora/1").keys()) == ["kernel"]
        store.close()
