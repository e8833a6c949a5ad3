"""docs/example_pages.py: links to files outside of docs/."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def extension() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        yield importlib.import_module("example_pages")


@pytest.mark.parametrize(
    ("link", "on_the_site"),
    [
        ("[vae](../examples/keras/vae.py)", "[vae](/programs/vae.rst)"),
        ("[results.md](../benchmarks/results.md)", "`benchmarks/results.md` in the repository"),
        ("[figures](../benchmarks/results.md#a)", "figures (`benchmarks/results.md` in the repository)"),
        ("[Data](../docs/data.md)", "[Data](../docs/data.md)"),
        ("[site](https://example.com/a.md)", "[site](https://example.com/a.md)"),
    ],
)
def test_links_to_outside_files(extension: ModuleType, link: str, on_the_site: str) -> None:
    source = [f"See {link}."]
    extension.replace_outside_links(SimpleNamespace(srcdir=str(DOCS)), "gallery", source)
    assert source == [f"See {on_the_site}."]
