"""Files that real Keras 3.15.1 wrote, and files of ours that real Keras reads.

`keras_files.zip` was written by `tools/keras_files.py` from the models of `keras_models.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import warnings
import zipfile
from pathlib import Path

import h5py
import ml_dtypes
import numpy as np
import pytest

import hornbeam as hb
from tests.helpers import keras_models

HERE = Path(__file__).parent
# A Python that has real Keras: with it, what we write is read there.
KERAS_PYTHON = os.environ.get("HORNBEAM_KERAS_PYTHON")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    result = tmp_path_factory.mktemp("keras_files")
    with zipfile.ZipFile(HERE / "keras_files.zip") as archive:
        archive.extractall(result)  # our own
    keras_models.registered(hb)
    return result


@pytest.fixture(scope="module")
def expected(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "expected.npz") as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", keras_models.MODELS)
def test_files_of_keras_load(folder: Path, expected: dict[str, np.ndarray], name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = hb.models.load_model(folder / f"{name}.keras")
    _, x, y = keras_models.MODELS[name](hb)
    np.testing.assert_allclose(keras_models.flat(model.predict(x, verbose=0)), expected[name], atol=3e-6)
    assert int(model.optimizer.iterations) == (0 if y is None else 2)
    if y is not None:  # the optimizer goes on as it would have there
        actual = keras_models.losses(hb, str(folder / f"{name}.keras"), x, y)
        np.testing.assert_allclose(actual, expected[f"{name} losses"], rtol=2e-6, atol=2e-6)


def test_names_of_weights(folder: Path) -> None:
    model = hb.models.load_model(folder / "tutorial.keras")
    assert [layer.name for layer in model.layers][:2] == ["conv2d", "conv2d_1"]
    assert [w.path for w in model.weights][:2] == ["conv2d/kernel", "conv2d/bias"]


@pytest.mark.skipif(not KERAS_PYTHON, reason="set HORNBEAM_KERAS_PYTHON to a Python with Keras 3")
def test_keras_loads_our_files(tmp_path: Path) -> None:
    keras_models.write(hb, tmp_path)
    program = HERE.parents[1] / "tools" / "keras_files.py"
    done = subprocess.run(
        [str(KERAS_PYTHON), str(program), "check", str(tmp_path)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-2000:]
    data = json.loads(done.stdout.splitlines()[-1])
    assert len(data) > len(keras_models.MODELS)
    assert max(data.values()) < 1e-5, {name: value for name, value in data.items() if value >= 1e-5}


def test_bfloat16_as_keras_stores_it(tmp_path: Path) -> None:
    """Keras writes the two bytes of each value as they are, and the dtype as an attribute."""
    model = hb.Sequential([hb.Input((3,)), hb.layers.Dense(2, dtype="bfloat16")])
    path = tmp_path / "model.weights.h5"
    model.save_weights(path)
    kernel = np.arange(6.0).reshape(3, 2).astype(ml_dtypes.bfloat16) / 3
    with h5py.File(path, "r+") as file:
        group = file["layers/dense/vars"]
        for name, value in (("0", kernel), ("1", kernel[0])):
            del group[name]
            group.create_dataset(name, data=value).attrs["dtype"] = "bfloat16"
    model.load_weights(path)
    for variable, value in zip(model.weights, (kernel, kernel[0]), strict=True):
        np.testing.assert_array_equal(np.array(variable), value)
    editor = hb.saving.KerasFileEditor(path)
    assert editor.weights_dict["layers"]["dense"]["0"].dtype == ml_dtypes.bfloat16
    editor.save(tmp_path / "again.weights.h5")
    model.set_weights([np.zeros((3, 2)), np.zeros(2)])
    model.load_weights(tmp_path / "again.weights.h5")
    np.testing.assert_array_equal(np.array(model.weights[0]), kernel)
    with h5py.File(path, "r+") as file:
        file["layers/dense/vars/0"].attrs["dtype"] = "float8"
    with pytest.raises(ValueError, match="not read"):
        model.load_weights(path)
