"""The examples in the docstrings of losses, metrics, optimizers, data sets and utilities hold."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import hornbeam
from hornbeam import ops
from hornbeam._internal.naming import reset_names

MODULES = [
    f"hornbeam.{package}.{module.name}"
    for package in ("losses", "metrics", "optimizers", "datasets", "utils")
    for module in pkgutil.iter_modules(importlib.import_module(f"hornbeam.{package}").__path__)
]


@pytest.mark.parametrize("name", [*MODULES, "hornbeam.losses", "hornbeam.metrics", "hornbeam.optimizers"])
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    names = {"hornbeam": hornbeam, "np": np, "ops": ops}
    for example in doctest.DocTestFinder().find(module, extraglobs=names):
        reset_names()
        runner.run(example)
    assert runner.failures == 0
