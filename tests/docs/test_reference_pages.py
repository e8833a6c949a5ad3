"""docs/reference_pages.py: from docstrings to reStructuredText."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def extension() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        yield importlib.import_module("reference_pages")
        for name in ("reference_pages", "reference_groups"):
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def generated(extension: ModuleType) -> dict[str, str]:
    return extension.reference_pages()


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


def test_every_class_of_a_large_module_is_in_one_family(extension: ModuleType) -> None:
    for module_name, table in extension.FAMILIES.items():
        module = extension.public_modules()[f"hornbeam.{module_name}"]
        listed = [name for names in table.values() for name in names.split()]
        classes = {
            value.__name__ for name in module.__all__ if isinstance(value := getattr(module, name), type)
        }
        assert sorted(listed) == sorted(classes), module_name


def test_every_public_name_is_described_once(extension: ModuleType, generated: dict[str, str]) -> None:
    directives = re.compile(r"^\.\. auto(?:class|function|data):: (\S+)$", re.M)
    described = Counter(path for text in generated.values() for path in directives.findall(text))
    assert [path for path, count in described.items() if count > 1] == []
    modules = extension.public_modules()
    paths = {item.path for item in extension.catalogue(modules).values()}
    assert set(described) == paths
    assert {"hornbeam.layers.Dense", "hornbeam.ops.matmul", "hornbeam.engines.register"} <= paths
    assert "hornbeam.ops.matmul" in generated["hornbeam.ops.numpy"]


def test_a_class_has_a_page_with_its_family(generated: dict[str, str]) -> None:
    assert ":doc:`hornbeam.layers`, Pooling" in generated["hornbeam.layers.MaxPooling2D"]
    assert "autoclass" not in generated["hornbeam.layers"]
    assert "``MaxPool2D`` is :py:obj:`hornbeam.layers.MaxPooling2D`" in generated["hornbeam.layers"]


def test_the_contents_list_every_module(extension: ModuleType) -> None:
    listed = re.findall(r"^reference/(\S+)$", (DOCS / "reference.md").read_text(encoding="utf-8"), re.M)
    # Nested modules are listed on the page of theirs.
    assert sorted(listed) == sorted(name for name in extension.public_modules() if name.count(".") < 2)
