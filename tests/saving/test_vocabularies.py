"""Vocabularies in `.keras` files: Keras's files here, ours there, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam.errors import ModelFileError
from tests.helpers import text_models

HERE = Path(__file__).parent
KERAS_PYTHON = os.environ.get("HORNBEAM_KERAS_PYTHON")
EVERY = pytest.mark.parametrize("name", text_models.MODELS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = tmp_path_factory.mktemp("keras_text")
    with zipfile.ZipFile(HERE / "keras_text.zip") as stored:
        stored.extractall(result)  # our own
    return result


@EVERY
def test_files_of_keras_load(folder: Path, name: str) -> None:
    expected = json.loads((folder / "expected.json").read_text())[name]
    model = hb.models.load_model(folder / f"{name}.keras")
    x = text_models.inputs(name)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, atol=1e-6)
    np.testing.assert_allclose(np.asarray(model(x)), expected, atol=1e-6)


@EVERY
def test_round_trip(tmp_path: Path, folder: Path, name: str) -> None:
    model = text_models.MODELS[name](hb)
    model.save(tmp_path / "model.keras")
    again = hb.models.load_model(tmp_path / "model.keras")
    x = text_models.inputs(name)
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    files = tmp_path / "model.keras", folder / f"{name}.keras"
    with zipfile.ZipFile(files[0]) as ours, zipfile.ZipFile(files[1]) as theirs:
        assert sorted(ours.namelist()) == sorted(theirs.namelist())
        for member in ours.namelist():
            if member.startswith("assets/"):
                assert ours.read(member) == theirs.read(member)


@pytest.mark.skipif(not KERAS_PYTHON, reason="set HORNBEAM_KERAS_PYTHON to a Python with Keras 3")
def test_keras_loads_our_files(tmp_path: Path) -> None:
    result = {name: make(hb) for name, make in text_models.MODELS.items()}
    for name, model in result.items():
        model.save(tmp_path / f"{name}.keras")
    program = HERE.parents[1] / "tools" / "keras_text.py"
    done = subprocess.run(
        [str(KERAS_PYTHON), str(program), "check", str(tmp_path)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    data = json.loads(done.stdout.splitlines()[-1])
    for name, model in result.items():
        np.testing.assert_allclose(data[name], model.predict(text_models.inputs(name), verbose=0), atol=1e-5)


def changed(tmp_path: Path, change: Any) -> Path:
    """A file whose members `change` has altered: name -> bytes, or None to leave it out."""
    text_models.sequence(hb).save(tmp_path / "good.keras")
    files = tmp_path / "good.keras", tmp_path / "bad.keras"
    with zipfile.ZipFile(files[0]) as good, zipfile.ZipFile(files[1], "w") as bad:
        for name in good.namelist():
            content = change(name, good.read(name))
            if content is not None:
                bad.writestr(name, content)
    return tmp_path / "bad.keras"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda name, old: None if name.startswith("assets") else old, "has no vocabulary for this layer"),
        (lambda name, old: old + b"\ngood" if name.startswith("assets") else old, "repeats 'good'"),
        (lambda name, old: b"a\n" * 30 if name.startswith("assets") else old, "repeats 'a'"),
        (
            lambda name, old: old.replace(b'"vocabulary": null', b'"vocabulary": "secrets.txt"'),
            "not read on behalf of a config",
        ),
    ],
)
def test_bad_files(tmp_path: Path, change: Any, text: str) -> None:
    with pytest.raises(ModelFileError, match=text):
        hb.models.load_model(changed(tmp_path, change))


def test_vocabularies_are_bounded(tmp_path: Path) -> None:
    with zipfile.ZipFile(changed(tmp_path, lambda name, old: old), "a") as archive:
        archive.writestr("assets/more", "x" * 100_000)
        path = Path(str(archive.filename))
    hb.models.load_model(path)
    with hb.saving.budget(text=10_000), pytest.raises(ModelFileError, match="decompression bomb"):
        hb.models.load_model(path)


def test_layers_that_save_themselves(tmp_path: Path) -> None:
    @hb.saving.register_keras_serializable("tests")
    class Counted(hb.layers.Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.seen = np.zeros(2)

        def call(self, inputs: Any) -> Any:
            return inputs + float(self.seen[0])

        def save_own_variables(self, store: Any) -> None:
            store["seen"] = self.seen

        def load_own_variables(self, store: Any) -> None:
            self.seen = np.asarray(store["seen"])

    model = hb.Sequential([hb.Input((2,)), Counted()])
    model.layers[0].seen = np.array([3.0, 4.0])
    model.save(tmp_path / "model.keras")
    again = hb.models.load_model(tmp_path / "model.keras")
    assert again.layers[0].seen.tolist() == [3.0, 4.0]


def test_tokens_with_line_breaks(tmp_path: Path) -> None:
    """By characters, a line break is a word as any other."""
    texts = ["a\nb", "b\na"]
    layer = hb.layers.TextVectorization(split="character", standardize=None)
    layer.adapt(texts)
    model = hb.Sequential([hb.Input((), dtype="string"), layer])
    with pytest.raises(ValueError, match="contains a line break"):
        model.save(tmp_path / "model.keras")
    inputs = hb.layers.TextVectorization(
        split="character", standardize=None, vocabulary=layer.get_vocabulary()
    )
    model = hb.Sequential([hb.Input((), dtype="string"), inputs])
    model.save(tmp_path / "model.keras")
    again = hb.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(np.asarray(again(np.array(texts))), np.asarray(layer(texts)))
