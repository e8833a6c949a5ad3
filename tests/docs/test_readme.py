"""README.md is short, and its program runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import hornbeam

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROJECT = "https://github.com/hornbeam-dl/hornbeam/blob/main/"
_LINK = re.compile(r"^\[([^\]]+)\]: (\S+)$")
FILES = "https://raw.githubusercontent.com/hornbeam-dl/hornbeam/main/"


def test_it_fits_a_reader_in_a_hurry() -> None:
    assert len([line for line in README.splitlines() if not _LINK.match(line)]) <= 100


def test_its_links_work_where_the_package_is_listed() -> None:
    """A package index shows the README without the repository."""
    links = dict(match.groups() for match in map(_LINK.match, README.splitlines()) if match)
    assert [name for name in links if README.count(f"[{name}]") < 2] == []
    assert re.findall(r"\]\(", README) == []
    paths = [url.removeprefix(PROJECT).removeprefix(FILES) for name, url in links.items() if name != "Rust"]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_its_program_trains_a_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
    (x, y), (x_test, y_test) = hornbeam.datasets.mnist.load_data()
    few = (x[:2000], y[:2000]), (x_test[:200], y_test[:200])
    monkeypatch.setattr(hornbeam.datasets.mnist, "load_data", lambda: few)
    hornbeam.utils.set_random_seed(0)
    names: dict = {}
    exec(compile(program, "README.md", "exec"), names)
    out = capsys.readouterr().out
    (shown,) = re.findall(r"^```text\n(.*?)^```$", README, re.M | re.S)
    for line in shown.splitlines():
        words = r"[\d.,]+(?:us|ms|s)?".join(map(re.escape, re.split(r"[\d.,]+(?:us|ms|s)?", line)))
        assert line == "..." or re.search(words, out), line
    predicted = np.argmax(names["model"].predict(few[1][0][..., None] / 255.0, verbose=0), axis=1)
    assert np.mean(predicted == few[1][1]) > 0.7
