"""The maintainers' scripts in benchmarks/: what they print and conclude."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from benchmarks.atlas.session import Session

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_regressions_are_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    regression = load("regression")
    folders = {"base": Path("base"), "head": Path("head")}
    order = []

    def measure(folder: Path, workload: str) -> dict[str, float]:
        order.append(folder.name)
        result = dict.fromkeys(regression.LESS, 1.0) | {"loss": 0.5}
        if folder.name == "head":
            result |= {"epoch_s": 1.2, "start_s": 1.04, "predict_one_us": 0.5}
        return result

    monkeypatch.setattr(regression, "measure", measure)
    assert regression.compare(folders, ["mlp"], runs=3, limit=0.05) == ["mlp epoch_s: 1.20"]
    assert order == ["base", "head"] * 3
    printed = capsys.readouterr().out
    assert "| epoch_s | 1 | 1.2 | 1.200 | slower |" in printed
    assert "| predict_one_us | 1 | 0.5 | 0.500 |  |" in printed
    assert "differs" not in printed


def test_regressions_of_the_atlas_are_found(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both commits are the working tree here, but the head's times are a thousandfold for one case."""
    regression = load("regression")
    source = BENCHMARKS.parent
    ask = Session.ask

    def slowed(session: Session, request: dict[str, Any]) -> dict[str, Any]:
        if request["do"] == "prepare":
            session.slow = session.name == "head" and request["parameters"]["operation"] == "softmax"  # type: ignore[attr-defined]
        answer = ask(session, request)
        factor = 1e3 if getattr(session, "slow", False) else 1.0
        return {key: value * factor if key == "seconds" else value for key, value in answer.items()}

    monkeypatch.setattr(Session, "ask", slowed)
    folders = {"base": source, "head": source}
    slower = regression.compare_atlas(folders, ["call"], "softmax", rounds=1, limit=0.05)
    assert [line.partition(":")[0] for line in slower] == [
        f"call softmax of 1x10, {dtype}, {kind}"
        for dtype in ("float32", "bfloat16")
        for kind in ("forward", "backward")
    ]
    assert regression.compare_atlas(folders, ["call"], "negative", rounds=1, limit=1e3) == []
    assert "| call negative of one number, float32, forward |" in capsys.readouterr().out


@pytest.mark.parametrize(("job", "value"), [("depth", 3), ("batch", 2)])
def test_a_point_of_a_sweep(job: str, value: int) -> None:
    command = [sys.executable, str(BENCHMARKS / "scaling.py"), "--point", job, str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    data = json.loads(done.stdout)
    assert 0 < data["step"] < 60
    assert data["memory"] >= 0
    assert (job == "depth") == ("compile" in data)
