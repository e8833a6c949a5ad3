"""The examples in the docstrings of layers run and give what they show."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import hornbeam
from hornbeam import layers

MODULES = [module.name for module in pkgutil.walk_packages(layers.__path__, "hornbeam.layers.")]


@pytest.mark.parametrize("name", [*MODULES, "hornbeam.dtype_policies"])
def test_examples_run(name: str) -> None:
    names = {"np": np, "hornbeam": hornbeam}
    result = doctest.testmod(importlib.import_module(name), extraglobs=names)
    assert result.failed == 0


@pytest.mark.parametrize("name", [n for n in layers.__all__ if inspect.isclass(getattr(layers, n))])
def test_every_layer_shows_an_example(name: str) -> None:
    cls = getattr(layers, name)
    doc = inspect.getdoc(cls)
    assert doc is not None
    assert ">>>" in doc, f"{name} shows no example"
    assert len(doc.splitlines()) >= 4
