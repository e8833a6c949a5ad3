"""`hornbeam serve` with models from files, as it is typed."""

from __future__ import annotations

import builtins
import functools
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import hornbeam as hb
from hornbeam.cli import main
from hornbeam.serving.repository import Source


@contextmanager
def served(*arguments: object) -> Iterator[str]:
    """Run the command on a free port; give the address that it prints."""
    command = [sys.executable, "-m", "hornbeam", "serve", "--port", "0", *map(str, arguments)]
    environment = {**os.environ, "HORNBEAM_TOKEN": "secret"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            assert process.stdout is not None
            yield re.findall(r"http://[\d.:]+", process.stdout.readline())[0]
        finally:
            process.terminate()


@pytest.fixture
def model() -> hb.Model:
    hb.utils.set_random_seed(0)
    return hb.Sequential([hb.Input((4,), name="x"), hb.layers.Dense(3, activation="softmax", name="y")])


def check_predictions(model: hb.Model, path: Path) -> None:
    rows = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    with served(path) as address:
        answer = httpx.post(
            f"{address}/v1/models/m:predict",
            json={"instances": rows.tolist()},
            headers={"Authorization": "Bearer secret"},
        )
    expected = model.predict(rows, verbose=0)
    np.testing.assert_allclose(answer.json()["predictions"], expected, rtol=1e-5, atol=1e-7)


def test_a_saved_model_is_served(model: hb.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m.keras")
    check_predictions(model, tmp_path / "m.keras")


def test_says_which_inputs_are_unlike_those_of_the_training(model: hb.Model, tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(size=(50, 4))
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, np.arange(50) % 3, verbose=0)
    model.save(tmp_path / "m.keras")
    words = hb.Sequential([hb.Input((2,), dtype="int32", name="x"), hb.layers.Embedding(10, 3)])
    words.save(tmp_path / "words.keras")
    token = {"Authorization": "Bearer secret"}
    with served(tmp_path / "m.keras", tmp_path / "words.keras") as address:
        ask = functools.partial(httpx.post, headers=token)
        right = ask(f"{address}/v1/models/m:predict", json={"instances": x[:2].tolist()})
        raw = ask(f"{address}/v1/models/m:predict", json={"instances": (255 * x[:2]).tolist()})
        tensor = {"name": "x", "shape": [1, 2], "datatype": "INT32", "data": [3, 10]}
        refused = ask(f"{address}/v2/models/words/infer", json={"inputs": [tensor]})
    assert right.status_code == raw.status_code == 200
    assert "x-hornbeam-warning" not in right.headers
    assert "divide them by 255" in raw.headers["x-hornbeam-warning"]
    assert refused.status_code == 400
    assert refused.json()["error"] == "input 'x' contains the index 10, the model has vectors for 0 to 9"


@pytest.mark.parametrize("file_format", ["hornbeam", "onnx"])
def test_an_exported_model_is_served(model: hb.Model, tmp_path: Path, file_format: str) -> None:
    if file_format == "onnx":
        pytest.importorskip("onnx")
    path = tmp_path / f"m.{file_format}"
    model.export(path, format=file_format, verbose=False)
    check_predictions(model, path)


def test_names_of_models(tmp_path: Path) -> None:
    path = tmp_path / "my model.keras"
    path.touch()
    with pytest.raises(ValueError, match="NAME="):
        Source.parse(str(path))
    assert Source.parse(f"mine={path}") == Source("mine", path)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        Source.parse("missing.keras")
    with pytest.raises(FileNotFoundError, match="no version"):
        Source.parse(str(tmp_path))
    (tmp_path / "2.keras").touch()
    (tmp_path / "10.hornbeam").touch()
    assert list(Source.parse(str(tmp_path)).versions()) == ["2", "10"]


def test_errors_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.keras").write_text("not a model")
    assert main(["serve", str(tmp_path / "none.keras")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert main(["serve", "--port", "0", str(tmp_path / "m.keras")]) == 1
    assert "m.keras" in capsys.readouterr().err


def test_the_extra_is_named_where_it_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without_uvicorn(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'")
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "hornbeam.serving.server", raising=False)
    monkeypatch.setattr(builtins, "__import__", without_uvicorn)
    assert main(["serve", "m.keras"]) == 1
    assert "pip install" in capsys.readouterr().err


def test_serving_imports_no_layers() -> None:
    code = (
        "import sys, hornbeam.serving.loading, hornbeam.serving.server\n"
        "print([m for m in ('hornbeam.layers', 'hornbeam.models', 'hornbeam.saving') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
