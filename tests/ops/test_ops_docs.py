"""Every operation has a docstring, and the examples in docstrings hold."""

from __future__ import annotations

import doctest
import inspect
import types

import numpy as np
import pytest

import hornbeam
from hornbeam import activations, constraints, initializers, ops, random, regularizers

GROUPS = {
    "ops": ops,
    "ops.image": ops.image,
    "random": random,
    "activations": activations,
    "initializers": initializers,
    "regularizers": regularizers,
    "constraints": constraints,
}


def public(module: types.ModuleType) -> dict[str, object]:
    results = {name: getattr(module, name) for name in module.__all__}
    return {name: value for name, value in results.items() if callable(value)}


@pytest.mark.parametrize("group", GROUPS)
def test_docstrings(group: str) -> None:
    for name, value in public(GROUPS[group]).items():
        assert inspect.getdoc(value), f"{group}.{name} has no docstring"


@pytest.mark.parametrize("group", GROUPS)
def test_examples(group: str) -> None:
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    examples = 0
    for name, value in public(GROUPS[group]).items():
        names = {"hornbeam": hornbeam, "np": np}
        for case in finder.find(inspect.unwrap(value), name, globs=names):
            examples += len(case.examples)
            report: list[str] = []
            runner.run(case, out=report.append)
            assert not report, "".join(report)
    assert examples
