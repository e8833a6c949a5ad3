"""HDF5 files and folders as Keras scripts write them: `save("m.h5")`, `ModelCheckpoint("best.h5")`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.saving import LegacyFormatWarning, ModelFileError, inspect_model, load_model, verify_model
from tests.helpers.builders import compiled_model

RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 6)).astype("float32")
Y = RNG.normal(size=(24, 2)).astype("float32")


def trained(optimizer: Any = "adam", **kwargs: Any) -> hb.Model:
    inner = hb.Sequential([hb.Input((5,)), layers.Dense(4, name="inner"), layers.LeakyReLU()])
    parts = [layers.Dense(5, "relu", kernel_regularizer="l2"), layers.BatchNormalization(), inner]
    model = compiled_model((6,), [*parts, layers.Dense(2)], optimizer, "mse", metrics=["mae"], **kwargs)
    model.fit(X, Y, verbose=0)
    return model


def same(one: hb.Model, other: hb.Model) -> None:
    np.testing.assert_array_equal(one.predict(X, verbose=0), other.predict(X, verbose=0))
    for a, b in zip(one.optimizer.variables, other.optimizer.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


SCHEDULE = hb.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)


@pytest.mark.parametrize(
    "make",
    [
        "adam", "sgd", "rmsprop", "adagrad", "nadam", "lion", "adafactor", "ftrl",
        lambda: hb.optimizers.AdamW(SCHEDULE, weight_decay=0.1), lambda: hb.optimizers.SGD(0.1, momentum=0.9),
    ],
)  # fmt: skip
def test_a_model_and_its_optimizer_come_back(make: Any, tmp_path: Path) -> None:
    model = trained(make() if callable(make) else make)
    with pytest.warns(LegacyFormatWarning, match=r"random states.*m\.keras'\) saves everything") as caught:
        model.save(tmp_path / "m.h5")
    assert caught[0].filename == __file__
    loaded = load_model(tmp_path / "m.h5")
    same(model, loaded)
    for each in (model, loaded):
        each.fit(X, Y, epochs=2, verbose=0, shuffle=False)
    same(model, loaded)


def test_before_the_first_step(tmp_path: Path) -> None:
    model = compiled_model((6,), [layers.Dense(2)], hb.optimizers.Adam(0.25), "mse")
    with pytest.warns(LegacyFormatWarning):
        model.save(tmp_path / "m.h5")
    loaded = load_model(tmp_path / "m.h5")
    assert float(loaded.optimizer.learning_rate) == 0.25
    for each in (model, loaded):
        each.fit(X, Y, verbose=0, shuffle=False)
    same(model, loaded)


def test_without_the_optimizer(tmp_path: Path) -> None:
    model = trained()
    with pytest.warns(LegacyFormatWarning):
        model.save(tmp_path / "new" / "m.hdf5", include_optimizer=False)  # creates the folder, as Keras does
    loaded = load_model(tmp_path / "new" / "m.hdf5")
    assert loaded.optimizer is None
    np.testing.assert_array_equal(model.predict(X, verbose=0), loaded.predict(X, verbose=0))


def test_weights_of_a_model_itself_and_of_many_layers(tmp_path: Path) -> None:
    class Scaled(hb.Model):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.dense = layers.Dense(2)
            self.scale = self.add_weight((2,), "ones", name="scale")
            self.offset = self.add_weight((2,), "zeros", trainable=False, name="offset")

        def call(self, x: Any) -> Any:
            return self.dense(x) * self.scale + self.offset

    one, other = Scaled(), Scaled()
    for model in (one, other):
        model.build((None, 6))
    one.scale.assign([2.0, 3.0])
    one.offset.assign([5.0, 7.0])
    with pytest.warns(LegacyFormatWarning):
        one.save_weights(tmp_path / "w.h5")
    other.load_weights(tmp_path / "w.h5")
    np.testing.assert_array_equal(one.predict(X, verbose=0), other.predict(X, verbose=0))

    names = [f"layer_{'with_a_long_name_' * 100}{i}" for i in range(40)]  # more than an attribute can hold
    parts = [hb.Input((2,)), *(layers.Dense(2, name=name) for name in names)]
    deep = hb.Sequential(parts)
    with pytest.warns(LegacyFormatWarning):
        deep.save(tmp_path / "deep.h5")
    with h5py.File(tmp_path / "deep.h5") as file:
        assert "layer_names1" in file["model_weights"].attrs
    for one_array, other_array in zip(
        load_model(tmp_path / "deep.h5").get_weights(), deep.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one_array, other_array)


def test_weights_by_name(tmp_path: Path) -> None:
    source = hb.Sequential([hb.Input((6,)), layers.Dense(4, name="body"), layers.Dense(2, name="head")])
    target = hb.Sequential([hb.Input((6,)), layers.Dense(4, name="body"), layers.Dense(9, name="new_head")])
    with pytest.warns(LegacyFormatWarning):
        source.save_weights(tmp_path / "w.h5")
    target.load_weights(tmp_path / "w.h5", by_name=True)
    np.testing.assert_array_equal(source.layers[0].kernel, target.layers[0].kernel)
    with pytest.raises(ModelFileError, match=r"layer 'new_head' has shapes .*9.*, 'head' in the file"):
        target.load_weights(tmp_path / "w.h5")
    other = hb.Sequential([hb.Input((6,)), layers.Dense(4, name="a")])
    with pytest.raises(ModelFileError, match=r"the model has a, the file body, head"):
        other.load_weights(tmp_path / "w.h5", by_name=True)
    with pytest.raises(ModelFileError, match=r"2 layers with weights, the model 1: .*another model"):
        other.load_weights(tmp_path / "w.h5")


@pytest.mark.parametrize(
    ("name", "weights_only"), [("best.h5", False), ("best.h5", True), ("at-{epoch}.hdf5", False)]
)
def test_model_checkpoint(name: str, weights_only: bool, tmp_path: Path) -> None:
    model = trained()
    callback = hb.callbacks.ModelCheckpoint(tmp_path / name, "loss", save_weights_only=weights_only)
    with pytest.warns(LegacyFormatWarning) as caught:
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[callback])
    assert {warning.filename for warning in caught} == {__file__}
    path = tmp_path / name.format(epoch=2)
    if weights_only:
        other = trained()
        other.load_weights(path)
    else:
        other = load_model(path)
    np.testing.assert_array_equal(model.predict(X, verbose=0), other.predict(X, verbose=0))


def test_vocabularies_are_missed(tmp_path: Path) -> None:
    lookup = layers.StringLookup(name="words")
    lookup.adapt(np.array([["a"], ["b"]]))
    model = hb.Sequential([hb.Input((1,), dtype="string"), lookup, layers.Embedding(4, 2)])
    with pytest.warns(LegacyFormatWarning, match="The vocabulary of 'layers/string_lookup' is not in it"):
        model.save(tmp_path / "m.h5")


@pytest.mark.parametrize("stage", ["replace", "fsync"])
def test_a_failure_leaves_the_old_file(stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained()
    with pytest.warns(LegacyFormatWarning):
        model.save(tmp_path / "m.h5")
    model.save(tmp_path / "folder", zipped=False)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def fail(*args: Any, **kwargs: Any) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(os, stage, fail)
    for save in (
        lambda: model.save(tmp_path / "m.h5"),
        lambda: model.save(tmp_path / "folder", zipped=False),
    ):
        with pytest.raises(OSError, match="no space left"):
            save()
    monkeypatch.undo()
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


# -- folders -------------------------------------------------------------------------------------------------


def test_a_folder(tmp_path: Path) -> None:
    model = trained()
    for _ in range(2):  # the second replaces the first
        model.save(tmp_path / "new" / "folder", zipped=False)
    assert sorted(os.listdir(tmp_path / "new")) == ["folder"]
    same(model, load_model(tmp_path / "new" / "folder"))
    report = str(inspect_model(tmp_path / "new" / "folder"))
    assert f"written by Hornbeam {hb.__version__} for Keras" in report
    assert verify_model(tmp_path / "new" / "folder") == []


def test_a_folder_with_other_files_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep me")
    with pytest.raises(FileExistsError, match=r"it has 'notes.txt', which would be deleted"):
        trained().save(tmp_path, zipped=False)
    with pytest.raises(FileExistsError, match="a file has this name"):
        trained().save(tmp_path / "notes.txt", zipped=False)
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.posix
def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    trained().save(tmp_path / "m", zipped=False)
    for name in ("config.json", "model.weights.h5", "metadata.json"):
        path = tmp_path / "m" / name
        content = path.read_bytes()
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
        with pytest.raises(ModelFileError, match="is a link"):
            load_model(tmp_path / "m")
        path.unlink()
        path.write_bytes(content)
    (tmp_path / "m" / "model.weights.h5").unlink()
    with pytest.raises(ModelFileError, match=r"incomplete: .*model.weights.h5' does not exist"):
        load_model(tmp_path / "m")


# -- `hornbeam run` ------------------------------------------------------------------------------------------

SCRIPT = """
import glob, numpy as np, tensorflow as tf
from tensorflow import keras
x, y = np.ones((8, 3)), np.ones((8, 1))
model = keras.Sequential([keras.layers.Dense(1, input_shape=(3,))])
model.compile("adam", "mse")
callbacks = [
    keras.callbacks.ModelCheckpoint("out/best.h5", monitor="loss", save_best_only=True, period=1),
    keras.callbacks.ModelCheckpoint("out/tf-{epoch}", monitor="loss"),
    keras.callbacks.ModelCheckpoint("training/cp-{epoch:02d}.ckpt", save_weights_only=True),
]
model.fit(x, y, epochs=2, verbose=0, callbacks=callbacks)
expected = model.predict(x, verbose=0)
model.save("saved/folder")
model.save("old", save_format="h5")
keras.models.save_model(model, "m.h5", save_format="h5")
model.save_weights("weights.h5")
model.save_weights("checkpoints/my_checkpoint")
for path in ("out/best.h5", "out/tf-2", "saved/folder", "old", "m.h5"):
    assert np.array_equal(keras.models.load_model(path).predict(x, verbose=0), expected), path
for path in ("weights.h5", "checkpoints/my_checkpoint", tf.train.latest_checkpoint("training")):
    other = keras.models.clone_model(model)
    other.load_weights(path)
    assert np.array_equal(other.predict(x, verbose=0), expected), path
print("all", tf.train.latest_checkpoint("training"))
"""


def test_a_script_of_keras_2(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    (tmp_path / "checkpoints").mkdir()
    command = [sys.executable, "-m", "hornbeam", "run", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"all training{os.sep}cp-02.ckpt"
    for text in (
        "Keras 2 wrote a SavedModel of TensorFlow to the folder 'saved/folder'",
        "load_model(folder) reads them",
        "'old' is written as HDF5",
        "ModelCheckpoint(period=) is obsolete and ignored",
        "which load_weights('checkpoints/my_checkpoint') reads",
        "LegacyFormatWarning",
    ):
        assert text in done.stderr


def test_convert(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path / "m.keras")
    for target in ("m.h5", "m.weights.h5"):
        command = [sys.executable, "-m", "hornbeam", "convert", "m.keras", target]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
    same(model, load_model(tmp_path / "m.h5"))
    assert f"written by Hornbeam {hb.__version__} for Keras" in str(inspect_model(tmp_path / "m.h5"))


def test_convert_to_onnx(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    model = trained()
    model.save(tmp_path / "m.keras")
    command = [sys.executable, "-m", "hornbeam", "convert", "m.keras", "m.onnx"]
    for returncode in (0, 1):  # the second time, the file exists
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
        assert done.returncode == returncode, done.stderr
    assert "pass --overwrite" in done.stderr
    outputs = load_model(tmp_path / "m.onnx").predict(X, verbose=0)
    np.testing.assert_allclose(outputs, model.predict(X, verbose=0), rtol=1e-5, atol=1e-6)
