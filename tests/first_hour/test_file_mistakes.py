# ruff: noqa: E501
"""Mistakes around files and folders: what the message must say."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hornbeam as hb
from hornbeam import data, layers
from hornbeam.saving import load_model
from hornbeam_compat.import_hook import HUBS
from tests.helpers.builders import compiled_model

PIL = pytest.importorskip("PIL.Image")
Act = Callable[[hb.Model, Path], Any]


@hb.saving.register_keras_serializable("mistakes")
class Doubled(layers.Layer):
    def call(self, x: Any) -> Any:
        return x * 2


def new_model(units: int = 3, depth: int = 1) -> hb.Model:
    parts = [layers.Dense(units, name=f"hidden_{i}") for i in range(depth)]
    return compiled_model((4,), [*parts, layers.Dense(2, name="out")], "adam", "mse", name="net")


def images(folder: Path, *classes: str, mode: str = "RGB") -> Path:
    for name in classes:
        (folder / "images" / name).mkdir(parents=True)
        for number in range(4):
            PIL.new(mode, (8, 8)).save(folder / "images" / name / f"{number}.png")
    (folder / "images").mkdir(exist_ok=True)
    return folder / "images"


def written(path: Path, content: bytes = b"hello") -> Path:
    path.write_bytes(content)
    return path


def saved(model: hb.Model, path: Path) -> Path:
    model.save(path)
    return path


def saved_weights(model: hb.Model, path: Path) -> Path:
    model.save_weights(path)
    return path


def fit_images(folder: Path, label_mode: str | None, loss: str, units: int = 2) -> None:
    train = data.images_from_folder(
        images(folder, "a", "b"), size=8, label_mode=label_mode, verbose=False
    ).map(lambda *parts: (parts[0] / 255, *parts[1:]))
    last = layers.Dense(units, "softmax" if units > 1 else "sigmoid")
    compiled_model((8, 8, 3), [layers.Flatten(), last], "sgd", loss).fit(train, verbose=0)


# (what is done, the error, words of its message)
SAVING: list[tuple[str, Act, type[Exception], str]] = [
    ("no suffix", lambda m, p: m.save(p / "model"), ValueError, r"Use '.*model\.keras'"),
    ("suffix of PyTorch", lambda m, p: m.save(p / "m.pt"), ValueError, r"Use '.*m\.keras'"),
    ("a pickle", lambda m, p: m.save(p / "m.pkl"), ValueError, r"Use '.*m\.keras'"),
    ("ONNX by save", lambda m, p: m.save(p / "m.onnx"), ValueError, r'model\.export\(.*format="onnx"\)'),
    ("weights by save", lambda m, p: m.save(p / "m.weights.h5"), ValueError, r"model\.save_weights\("),
    ("a model by save_weights", lambda m, p: m.save_weights(p / "m.keras"), ValueError, r"written by model\.save\(\)"),
    ("weights without a suffix", lambda m, p: m.save_weights(p / "w"), ValueError, r"Use '.*w\.weights\.h5'"),
    ("a missing folder", lambda m, p: m.save(p / "no" / "m.keras"), FileNotFoundError, "the folder .*no does not exist"),
    ("a home that is not expanded", lambda m, p: m.save("~/m.keras"), FileNotFoundError, "os.path.expanduser"),
    ("an open file", lambda m, p: m.save(io.BytesIO()), TypeError, "needs the path of a file"),
    ("an empty name", lambda m, p: m.save(""), ValueError, "an empty one"),
    ("a folder of that name", lambda m, p: ((p / "m.keras").mkdir(), m.save(p / "m.keras")), IsADirectoryError, "a folder has this name"),
    ("a lambda", lambda m, p: hb.Sequential([hb.Input((2,)), layers.Lambda(lambda x: x)]).save(p / "m.keras"), TypeError, "named, registered function"),
    ("ModelCheckpoint", lambda m, p: hb.callbacks.ModelCheckpoint(p / "best"), ValueError, r"ModelCheckpoint.*Use '.*best\.keras'"),
    ("ModelCheckpoint of weights", lambda m, p: hb.callbacks.ModelCheckpoint(p / "best", save_weights_only=True), ValueError, r"Use '.*best\.weights\.h5'"),
]  # fmt: skip
LOADING: list[tuple[str, Act, type[Exception], str]] = [
    ("a missing file", lambda m, p: (saved(m, p / "model.keras"), load_model(p / "modle.keras")), FileNotFoundError, "Did you mean 'model.keras'"),
    ("a missing folder", lambda m, p: load_model(p / "no" / "m.keras"), FileNotFoundError, "neither does its folder"),
    ("a home", lambda m, p: load_model("~/m.keras"), FileNotFoundError, "os.path.expanduser"),
    ("a hub", lambda m, p: load_model("hf://google/vit"), FileNotFoundError, r"hornbeam\.hub\.load"),
    ("an empty folder", lambda m, p: load_model(p), ValueError, "it is empty"),
    ("the folder of a model", lambda m, p: (saved(m, p / "m.keras"), load_model(p)), ValueError, r"load one of its files: '.*m\.keras'"),
    ("a SavedModel", lambda m, p: (written(p / "saved_model.pb"), load_model(p)), ValueError, "is a SavedModel of TensorFlow"),
    ("text", lambda m, p: load_model(written(p / "m.keras")), ValueError, "not a zip file like .keras"),
    ("an empty file", lambda m, p: load_model(written(p / "m.keras", b"")), ValueError, "is not a .keras file|not a zip"),
    ("a checkpoint of PyTorch", lambda m, p: load_model(written(p / "m.pth")), ValueError, "as ONNX.*load_arrays"),
    ("a pickle", lambda m, p: load_model(written(p / "m.pkl", pickle.dumps(1))), ValueError, "may run any code"),
    ("JSON", lambda m, p: load_model(written(p / "m.json", m.to_json().encode())), ValueError, "model_from_json"),
    ("weights", lambda m, p: load_model(saved_weights(m, p / "m.weights.h5")), ValueError, "weights and no model"),
    ("weights as arrays", lambda m, p: load_model(saved_weights(m, p / "m.npz")), ValueError, r"model\.load_weights\(\)"),
    ("an unknown suffix", lambda m, p: load_model(written(p / "m.dat")), ValueError, "end in .keras, .h5 or .onnx"),
    ("other units", lambda m, p: new_model(5).load_weights(saved_weights(m, p / "m.weights.h5")), ValueError, r"has shape \(4, 3\), net/hidden_0/kernel has \(4, 5\)"),
    ("another depth", lambda m, p: new_model(3, 2).load_weights(saved_weights(m, p / "m.weights.h5")), ValueError, "do not fit the model"),
    ("missing weights", lambda m, p: m.load_weights(p / "w.weights.h5"), FileNotFoundError, "does not exist"),
    ("by name", lambda m, p: m.load_weights(saved_weights(m, p / "m.weights.h5"), by_name=True), ValueError, "skip_mismatch=True"),
    ("unsafe", lambda m, p: load_model(saved(m, p / "m.keras"), safe_mode=False), ValueError, "no code from a file"),
]  # fmt: skip
FOLDERS: list[tuple[str, Act, type[Exception], str]] = [
    ("a missing folder", lambda m, p: data.images_from_folder(p / "no", size=8), FileNotFoundError, "no"),
    ("an empty folder", lambda m, p: data.images_from_folder(images(p), size=8), ValueError, "images"),
    ("a file", lambda m, p: data.images_from_folder(written(p / "a.png"), size=8), (NotADirectoryError, FileNotFoundError), "a.png"),
    ("no images", lambda m, p: (images(p, "a"), [f.unlink() for f in (p / "images/a").iterdir()], written(p / "images/a/x.csv"), data.images_from_folder(p / "images", size=8)), ValueError, "no image|none of|images"),
    ("validation above 1", lambda m, p: data.images_from_folder(images(p, "a", "b"), size=8, validation=1.5), ValueError, "fraction below 1"),
    ("a wrong policy", lambda m, p: data.images_from_folder(images(p, "a", "b"), size=8, resize="padd"), ValueError, "Did you mean 'pad'"),
    ("one-hot labels, sparse loss", lambda m, p: fit_images(p, "categorical", "sparse_categorical_crossentropy"), ValueError, "categorical_crossentropy"),
    ("indices, categorical loss", lambda m, p: fit_images(p, "int", "categorical_crossentropy"), ValueError, "sparse_categorical_crossentropy"),
    ("no labels", lambda m, p: fit_images(p, None, "sparse_categorical_crossentropy"), ValueError, "y is missing"),
]  # fmt: skip
CASES = [*SAVING, *LOADING, *FOLDERS]


@pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: CASES[i][0].replace(" ", "-"))
def test_mistakes(number: int, tmp_path: Path) -> None:
    _, act, error, words = CASES[number]
    with pytest.raises(error, match=words):
        act(new_model(), tmp_path)


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**kwargs: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(PermissionError, match=r"m\.keras: no files may be created in its folder"):
        new_model().save(tmp_path / "m.keras")


def test_paths_of_all_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = new_model()
    for path in ("m.keras", Path("m.keras"), b"m.keras", tmp_path / "m.keras", os.path.join(".", "m.keras")):
        model.save(path)
        load_model(path)
    for path in ("w.weights.h5", Path("w.weights.h5"), b"w.weights.h5"):
        model.save_weights(path)
        model.load_weights(path)
    (tmp_path / "m.keras").rename(tmp_path / "model")  # the content tells
    load_model("model")


# -- data hubs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in HUBS if name.startswith(("tensorflow", "keras"))])
def test_hubs_under_run(name: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(f"import keras\nimport {name}\n")
    command = [sys.executable, "-m", "hornbeam", "run", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert f"No module named '{name}': the script needs this library." in done.stderr.replace("\n", " ")


def test_a_dataset_of_hugging_face() -> None:
    class Dataset:
        def with_format(self, name: str) -> Any: ...

        def __iter__(self) -> Any:
            return iter([{"image": np.zeros(4), "label": 1}])

    Dataset.__module__ = "datasets.arrow_dataset"
    with pytest.raises(TypeError, match=r'data.from_huggingface\(dataset, "image", label="label"\)'):
        new_model().fit(Dataset())
