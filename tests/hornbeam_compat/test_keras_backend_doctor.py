"""`hornbeam keras-backend doctor`, and whether the backend knows the newest Keras."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import subprocess
import sys

import pytest

from hornbeam.cli import main
from hornbeam_compat.commands.keras_backend import known_versions


@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="needs Keras")
def test_the_engine_that_computes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HORNBEAM_ENGINE", "reference")
    assert main(["keras-backend", "doctor"]) == 0
    assert "engine: reference" in capsys.readouterr().out
    monkeypatch.setenv("HORNBEAM_ENGINE", "abacus")
    assert main(["keras-backend", "doctor"]) == 1
    assert "unknown engine 'abacus'" in capsys.readouterr().out


def test_versions_of_keras(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.15.0")
    assert main(["keras-backend", "doctor"]) == 1
    shown = capsys.readouterr().out
    assert "2.15.0, not known to the backend" in shown
    assert f"pip install keras=={known_versions()[-1]}" in shown

    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert main(["keras-backend", "doctor"]) == 1
    assert "keras: not installed; pip install keras==" in capsys.readouterr().out


def test_the_newest_keras_is_known() -> None:
    """Asks the package index by pip, as a user's own installation would."""
    command = [sys.executable, "-m", "pip", "index", "versions", "keras", "--timeout", "5", "--retries", "0"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    except subprocess.TimeoutExpired:
        listed = ""
    newest = re.match(r"keras \(([\w.]+)\)", listed)
    if newest is None:
        pytest.skip("the package index does not answer")
    known = known_versions()
    if newest[1] not in known:
        pytest.xfail(f"Keras {newest[1]} is out, and the backend knows {', '.join(known)}")
