"""docs/reference_pages.py: from docstrings to reStructuredText."""

from __future__ import annotations

import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

EXTENSION = Path(__file__).parents[2] / "docs/reference_pages.py"


@pytest.fixture(scope="module")
def extension() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_pages", EXTENSION)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_prose_is_escaped_and_code_is_literal(extension: ModuleType) -> None:
    converted = extension.to_rst("x: rows of `a*b` and c*d,\nover two lines.\n\n>>> 1 + 1\n2\n")
    assert converted == [
        r"x\: rows of \ ``a*b``\  and c\*d, over two lines.",
        "",
        ".. code-block:: pycon",
        "",
        "   >>> 1 + 1",
        "   2",
        "",
    ]


def test_sections_are_left_to_napoleon(extension: ModuleType) -> None:
    docstring = """Compute the softmax along an axis.

    Formula: `exp(x_i)`.

    Args:
        x: Tensor of floats:
            of any shape.
        *rest: More | tensors.
        axis (int): Axis with `sum == 1`.

    Returns:
        Tensor: the shape of `x`.

    Raises:
        ValueError: If `axis` is out of range.

    Example:
        >>> 1 + 1
        2

    Source: a paper.
    """
    assert extension.to_rst(inspect.cleandoc(docstring)) == [
        "Compute the softmax along an axis.",
        "",
        r"Formula\: \ ``exp(x_i)``\ .",
        "",
        "Args:",
        r"    x: Tensor of floats\: of any shape.",
        r"    *rest: More \| tensors.",
        r"    axis (int): Axis with \ ``sum == 1``\ .",
        "",
        r":returns: Tensor\: the shape of \ ``x``\ .",
        "",
        "Raises:",
        r"    ValueError: If \ ``axis``\  is out of range.",
        "",
        "Example:",
        "    .. code-block:: pycon",
        "",
        "       >>> 1 + 1",
        "       2",
        "",
        r"Source\: a paper.",
        "",
    ]


def test_an_entry_without_a_name_is_an_error(extension: ModuleType) -> None:
    with pytest.raises(ValueError, match="'name: description'"):
        extension.to_rst("Do it.\n\nArgs:\n    the axis along which to do it")


def documented(value: object) -> Iterator[tuple[str, str]]:
    """Yield the names and docstrings of a public value and, if it is a class, of its public members."""
    if isinstance(value, type):
        for name, member in vars(value).items():
            if not name.startswith("_") and member.__doc__:
                yield f"{value.__qualname__}.{name}", inspect.cleandoc(member.__doc__)
    if value.__doc__ and (isinstance(value, type) or inspect.isfunction(value)):
        yield value.__qualname__, inspect.cleandoc(value.__doc__)


def test_all_public_docstrings_are_well_formed(extension: ModuleType) -> None:
    errors = set()
    for module in extension.public_modules().values():
        for name in getattr(module, "__all__", ()):
            for member, docstring in documented(getattr(module, name)):
                try:
                    extension.to_rst(docstring)
                except ValueError as error:
                    errors.add(f"{member}: {error}")
    assert errors == set()
