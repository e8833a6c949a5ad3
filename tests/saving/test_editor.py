"""Files of weights, edited without a model."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.errors import ModelFileError
from hornbeam.saving import KerasFileEditor
from tests.helpers.builders import compiled_model


def build_model(last: str = "last", units: int = 2) -> hb.Model:
    inner = hb.Sequential([hb.Input((4,)), layers.Dense(4, name="inner_dense")], name="inner")
    model = compiled_model(
        (3,), [layers.Dense(4, name="first"), inner, layers.Dense(units, name=last)], "adam", "mse"
    )
    model.train_on_batch(np.ones((2, 3)), np.ones((2, units)))
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    build_model().save(tmp_path / "m.keras")
    return tmp_path / "m.keras"


def test_looking(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    editor = KerasFileEditor(path)
    assert editor.config is not None
    assert editor.config["class_name"] == "Sequential"
    assert editor.metadata is not None
    assert "keras_version" in editor.metadata
    assert list(editor.weights_dict["layers"]) == ["dense", "dense_1", "sequential"]
    assert editor.weights_dict["layers"]["dense"]["0"].shape == (3, 4)
    editor.summary()
    shown = capsys.readouterr().out
    assert "dense_1 ('last')" in shown
    assert "0: shape=(3, 4), dtype=float32" in shown


def test_comparing(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    editor = KerasFileEditor(path)
    result = editor.compare(build_model())
    assert (result["status"], result["error_count"]) == ("success", 0)
    other = editor.compare(build_model(units=5))
    assert other["status"] == "error"
    shown = capsys.readouterr().out
    assert "layers/dense_1/0: shape (4, 2) in the file, (4, 5) in the model" in shown
    editor.delete_object("layers/sequential")
    assert editor.compare(build_model())["error_count"] == 1
    assert "layers/sequential is in the model, but not in the file" in capsys.readouterr().out


def test_editing_and_saving(path: Path, tmp_path: Path) -> None:
    model = build_model()
    editor = KerasFileEditor(path)
    editor.delete_object("optimizer")
    editor.rename_object("layers/dense_1", "head")
    editor.rename_object("head", "dense_1")
    editor.delete_weight("layers/dense", "1")
    editor.add_weights("layers/dense", {"0": np.full((3, 4), 2.0), "1": np.full(4, 3.0, "float32")})
    editor.delete_object("layers/dense_1")
    editor.add_object("layers/dense_1", {"0": np.ones((4, 2)), "1": np.zeros(2)})
    editor.save(tmp_path / "new.weights.h5")
    model.load_weights(tmp_path / "new.weights.h5")
    weights = model.get_weights()
    assert (weights[0] == 2).all()
    assert (weights[1] == 3).all()
    assert (weights[-2] == 1).all()
    again = KerasFileEditor(tmp_path / "new.weights.h5")
    assert again.compare(model)["error_count"] == 1  # the optimizer
    assert again.object_metadata["layers/dense"]["name"] == "first"
    again.resave_weights(tmp_path / "twice.weights.h5")
    assert KerasFileEditor(tmp_path / "twice.weights.h5").object_metadata == again.object_metadata


def test_mistakes(path: Path, tmp_path: Path) -> None:
    editor = KerasFileEditor(path)
    for text, wrong in [
        ("Did you mean 'layers/dense'", lambda: editor.delete_object("layers/dens")),
        ("several objects are named", lambda: editor.rename_object("dense", "x")),
        ("without '/'", lambda: editor.rename_object("dense_1", "a/b")),
        ("already", lambda: editor.rename_object("dense_1", "dense")),
        ("already exists: delete it first", lambda: editor.add_object("layers/dense", {"0": np.ones(1)})),
        ("its parent .nowhere. does not exist", lambda: editor.add_object("nowhere/dense", {})),
        ("has no weight '7'", lambda: editor.delete_weight("dense_1", "7")),
        ("weights must be a dict", lambda: editor.add_weights("dense_1", [1])),
        ("must end in", lambda: editor.save(tmp_path / "m.h5")),
        ("must end in", lambda: KerasFileEditor(tmp_path / "m.txt")),
    ]:
        with pytest.raises(ValueError, match=text):
            wrong()


def test_files_that_break_the_rules(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "bad.weights.h5", "w") as store:
        store["layers/dense/vars/0"] = h5py.SoftLink("/elsewhere")
    with pytest.raises(ModelFileError, match="link"):
        KerasFileEditor(tmp_path / "bad.weights.h5")
    (tmp_path / "torn.weights.h5").write_bytes(b"torn")
    with pytest.raises(ModelFileError, match="not a readable HDF5 file"):
        KerasFileEditor(tmp_path / "torn.weights.h5")
