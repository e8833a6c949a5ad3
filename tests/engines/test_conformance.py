"""The conformance suite for engines of third parties finds what is wrong, and says what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from hornbeam import engines
from hornbeam.engines.conformance import DIFFERENTIABLE, gradient_fault, main

MODULE = """
import numpy as np
from hornbeam.engines import register
from tests.engines.test_lacking import Toy

def make():
    engine = Toy("erf")
    exact, tanh = engine.table["exp"], engine.table["tanh"]
    engine.table["exp"] = lambda x: exact(x) * x.dtype.type(1.01)
    engine.table["softmax"] = lambda x, *, body, **_: np.full_like(x, 0.25)
    engine.table["silu"] = lambda x, *, body, **_: silu(x.astype("float32")).astype(x.dtype)
    engine.table["tanh"] = lambda x: tanh(x)[..., :1]
    engine.table["sqrt"] = lambda x: 1 / 0
    return engine

def silu(x):
    return x / (1 + np.exp(-x))

register("planted", make)
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "planted_engine.py").write_text(MODULE)
    (tmp_path / "without_engine.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("_known", "_loaded"):
        monkeypatch.setattr(engines, name, dict(getattr(engines, name)))
    monkeypatch.delitem(sys.modules, "planted_engine", raising=False)
    return "planted_engine"


def test_faults_and_refusals_of_a_module(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["exp", "softmax", "tanh", "sqrt", "erf", "gelu", "silu", "add"]
    assert main([module, *names]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "exp: FAULT: float32: 1.66e+05 units in the last place, of 64 allowed" in lines
    assert any(line.startswith("softmax: FAULT: gradient: differs by ") for line in lines)
    assert any(line.startswith("tanh: FAULT: float32: TypeError: tanh: expected float32[") for line in lines)
    assert "sqrt: FAULT: float64: ZeroDivisionError: division by zero" in lines
    assert "erf: refused: bfloat16, float16, float32, float64, gradient" in lines
    assert "gelu: refused: gradient, float64" in lines
    silu = [line for line in lines if line.startswith("silu")]
    assert silu
    assert all(line.startswith("silu: FAULT: float64: differs by ") for line in silu)  # right in float32
    assert not any(line.startswith("add") for line in lines)
    assert lines[-1] == "toy: 1 agree, 1 are refused, 6 have faults"


def test_a_module_without_an_engine(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["without_engine"]) == 2
    assert "without_engine registers no engine: it should call" in capsys.readouterr().err


def test_the_specification_agrees_with_itself(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reference", "add", "lgamma", "qr", "softmax"]) == 0
    assert capsys.readouterr().out == "reference: 4 agree, 0 are refused, 0 have faults\n"


@pytest.mark.parametrize(("name", "index"), DIFFERENTIABLE[::6])
def test_gradients_of_the_native_engine(name: str, index: int) -> None:
    """Values have a test with closer limits (`tests/primitives/test_native.py`)."""
    assert not gradient_fault(engines.get_engine("native"), name, index)
