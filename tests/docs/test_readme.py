"""README.md is short, and its program runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import hornbeam

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_it_fits_a_reader_in_a_hurry() -> None:
    assert len(README.splitlines()) <= 100


def test_its_program_trains_a_model(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    (program,) = re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
    (x, y), (x_test, y_test) = hornbeam.datasets.mnist.load_data()
    few = (x[:2000], y[:2000]), (x_test[:200], y_test[:200])
    monkeypatch.setattr(hornbeam.datasets.mnist, "load_data", lambda: few)
    hornbeam.utils.set_random_seed(0)
    names: dict = {}
    exec(compile(program, "README.md", "exec"), names)
    assert re.search(r"accuracy: \S+ \(95% interval", capsys.readouterr().out)
    predicted = np.argmax(names["model"].predict(few[1][0][..., None] / 255.0, verbose=0), axis=1)
    assert np.mean(predicted == few[1][1]) > 0.7
