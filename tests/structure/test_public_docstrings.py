"""Docstrings of public names are in Google style: every argument, every error, shapes of arrays."""

from __future__ import annotations

import pytest

from tests.helpers.public_names import (
    descriptions,
    documented_arguments,
    public_modules,
    undocumented,
    without_raises,
    without_shape,
)


@pytest.mark.parametrize("module", public_modules())
def test_every_argument_is_described(module: str) -> None:
    assert undocumented(module) == []


def test_descriptions_are_read() -> None:
    args = "Args:\n    x: Tensor.\n        More: of it.\n    a, b (int): Sizes.\n    **kwargs: Options.\n"
    doc = f"Title.\n\n{args}\nReturns:\n    c: No."
    assert documented_arguments(doc) == {"x", "a", "b", "kwargs"}


def test_functions_that_raise_errors_say_which() -> None:
    gaps = {f"{module}.{name}" for module in public_modules() for name in without_raises(module)}
    assert not gaps, f"without a section `Raises:`: {sorted(gaps)}"


@pytest.mark.parametrize("module", ["ops", "losses", "metrics", "layers", "activations"])
def test_descriptions_of_arrays_say_their_shape(module: str) -> None:
    assert without_shape(f"hornbeam.{module}") == []


def test_shapes_are_looked_for_in_each_description() -> None:
    doc = "Args:\n    x, y: Tensors.\n    z: Tensor\n        (n,).\n\nReturns:\n    c: Shape."
    assert descriptions(doc) == {"x": "Tensors.", "y": "Tensors.", "z": "Tensor\n        (n,)."}
