"""Messages about missing libraries name a command that works where they are printed."""

from __future__ import annotations

import importlib.metadata
import re
import sys
from pathlib import Path

import pytest

import hornbeam as hb
from hornbeam._internal.extras import EXTRAS, install_command

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = None

SOURCES = Path(hb.__file__).parent


class _Distribution:
    def __init__(self, direct_url: str | None) -> None:
        self._direct_url = direct_url

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self._direct_url


@pytest.mark.parametrize(
    ("direct_url", "command"),
    [
        ('{"dir_info": {"editable": true}, "url": "file:///home/me/hornbeam"}', "pip install pillow scipy"),
        ('{"archive_info": {}, "url": "file:///tmp/hornbeam.whl"}', "pip install pillow scipy"),
        (None, 'pip install "hornbeam[image]"'),
    ],
    ids=["checkout", "wheel", "index"],
)
def test_the_command_fits_the_origin(
    monkeypatch: pytest.MonkeyPatch, direct_url: str | None, command: str
) -> None:
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: _Distribution(direct_url))
    assert install_command("image") == command


def test_sources_on_the_path_have_no_origin(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> _Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", absent)
    assert install_command("plot", upgrade=True) == "pip install --upgrade matplotlib"


@pytest.mark.skipif(tomllib is None, reason="Python 3.10 reads no TOML")
def test_the_table_agrees_with_the_package() -> None:
    file = SOURCES.parents[1] / "pyproject.toml"
    if not file.is_file():
        pytest.skip("not a checkout")
    listed = tomllib.loads(file.read_text())["project"]["optional-dependencies"]
    needed = {
        extra: " ".join(
            re.sub(r".*\[.*", r'"\g<0>"', re.match(r"[\w-]+(\[\w+\])?", requirement)[0])  # type: ignore[index]
            for requirement in requirements
        )
        for extra, requirements in listed.items()
    }
    assert {extra: needed[extra] for extra in EXTRAS} == EXTRAS


def test_no_message_names_an_extra_itself() -> None:
    wrong = [
        str(path.relative_to(SOURCES))
        for path in SOURCES.rglob("*.py")
        if re.search(r"pip install.*hornbeam\[", path.read_text(encoding="utf-8"))
    ]
    assert wrong == ["_internal/extras.py"], "use install_command(extra)"
