"""Folders of tf.saved_model.save that were changed by hand."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hornbeam.errors import MissingNameError, ModelFileError
from hornbeam_compat.tensorflow import saved_model
from hornbeam_compat.tensorflow.tensors import Module
from hornbeam_compat.tensorflow.tensors import Variable as TensorFlowVariable


class Doubler(Module):
    """A module with a variable and a method."""

    def __init__(self) -> None:
        super().__init__()
        self.w = TensorFlowVariable([1.0, 2.0])

    def step(self) -> float:
        """Return a number."""
        return float(np.sum(np.asarray(self.w)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    saved_model.save(Doubler(), tmp_path / "saved")
    assert saved_model.load(tmp_path / "saved").step() == 3.0
    return tmp_path / "saved"


def change(folder: Path, **attributes: object) -> None:
    """Add attributes to the root object of the file."""
    path = folder / "hornbeam_saved_model.json"
    content = json.loads(path.read_text())
    content["objects"][content["root"]]["attributes"].update(attributes)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["step", "__class__"])
def test_attributes_do_not_replace_methods(folder: Path, name: str) -> None:
    change(folder, **{name: {"function": "tensorflow:zeros"}})
    with pytest.raises(ValueError, match=f"has an attribute '{name}', a method of Doubler"):
        saved_model.load(folder)


def test_functions_that_the_program_does_not_define(folder: Path) -> None:
    change(folder, f={"function": "os:system"})
    with pytest.raises(MissingNameError, match="names the function 'system' of os"):
        saved_model.load(folder)


def test_keys_that_appear_twice(folder: Path) -> None:
    path = folder / "hornbeam_saved_model.json"
    path.write_text(path.read_text().replace('{"root"', '{"root": 0, "root"', 1))
    with pytest.raises(ModelFileError, match="the key 'root' twice"):
        saved_model.load(folder)


def write_member(folder: Path, name: str, data: bytes) -> None:
    with zipfile.ZipFile(folder / "variables.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)


def test_pickles(folder: Path) -> None:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([pickle.dumps(1)], object), allow_pickle=True)
    write_member(folder, "1.npy", buffer.getvalue())
    with pytest.raises(ModelFileError, match="pickled objects"):
        saved_model.load(folder)


def test_decompression_bombs(folder: Path) -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1 << 29, "int8"))
    write_member(folder, "1.npy", buffer.getvalue())
    with pytest.raises(ModelFileError, match=r"budget|decompress|bytes"):
        saved_model.load(folder)
