"""Docstrings of public names are in Google style and describe every argument."""

from __future__ import annotations

import pytest

from tests.helpers.public_names import documented_arguments, public_modules, undocumented


@pytest.mark.parametrize("module", public_modules())
def test_every_argument_is_described(module: str) -> None:
    assert undocumented(module) == []


def test_descriptions_are_read() -> None:
    args = "Args:\n    x: Tensor.\n        More: of it.\n    a, b (int): Sizes.\n    **kwargs: Options.\n"
    doc = f"Title.\n\n{args}\nReturns:\n    c: No."
    assert documented_arguments(doc) == {"x", "a", "b", "kwargs"}
