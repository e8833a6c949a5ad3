"""`inspect_model`, `verify_model`, `convert` and weights by name."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import hornbeam as hb
from hornbeam import layers
from hornbeam.cli import main
from hornbeam.errors import ModelFileError
from hornbeam.saving import inspect_model, load_model, verify_model
from tests.helpers.builders import compiled_model


class Mine(layers.Dense):
    pass


def build_model(kind: Any = layers.Dense) -> hb.Model:
    inner = hb.Sequential([hb.Input((4,)), layers.Dense(3, "relu", name="first")], name="inner")
    model = compiled_model(
        (4,), [inner, layers.BatchNormalization(name="norm"), kind(2, name="last")], "adam", "mse"
    )
    model.fit(np.ones((8, 4), "float32"), np.ones((8, 2), "float32"), verbose=0)
    return model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    build_model().save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def test_random_states_are_no_parameters(tmp_path: Path) -> None:
    """The count is that of the summary, also where the file has seeds of dropout and an optimizer's state."""
    model = hb.Sequential(
        [layers.Input((4,)), layers.GaussianNoise(0.1), layers.Dropout(0.5), layers.Dense(2)]
    )
    model.compile("adam", "mse")
    model.fit(np.ones((8, 4), "float32"), np.ones((8, 2), "float32"), verbose=0)
    model.save(tmp_path / "m.keras")
    with pytest.warns(hb.errors.LegacyFormatWarning):
        model.save(tmp_path / "m.h5")
    for name in ("m.keras", "m.h5"):
        summary = inspect_model(tmp_path / name)
        assert summary.parameters == model.count_params() == 10
    assert "dropout/seed_generator" in str(inspect_model(tmp_path / "m.keras"))


def test_a_model(path: Path) -> None:
    summary = inspect_model(path)
    assert (summary.kind, summary.version, summary.missing, summary.notes) == ("model", "3.15.1", [], [])
    assert summary.nbytes == path.stat().st_size
    names = [(layer.path.split("/", 1)[-1], layer.class_name) for layer in summary.layers]
    assert ("inner/first", "Dense") in names
    assert ("last", "Dense") in names
    assert summary.parameters == build_model().count_params() == 35
    assert ("layers/dense/vars/0", (3, 2), "float32") in [(a.name, a.shape, a.dtype) for a in summary.arrays]
    assert "units=3" in str(summary)
    assert "arrays of the state of the optimizer" in str(summary)
    assert verify_model(path) == []


def test_what_is_missing_is_listed_and_the_weights_come_anyway(tmp_path: Path) -> None:
    model = build_model(Mine)
    model.save(tmp_path / "mine.keras")
    summary = inspect_model(tmp_path / "mine.keras")
    assert summary.missing == ["Mine"]
    assert "custom_objects: 'Mine'" in str(summary)
    assert inspect_model(tmp_path / "mine.keras", {"Mine": Mine}).missing == []
    with pytest.raises(ValueError, match="Mine"):
        load_model(tmp_path / "mine.keras")
    arrays = load_model(tmp_path / "mine.keras", weights_only=True)
    np.testing.assert_array_equal(arrays["layers/mine/vars/0"], model.layers[-1].kernel.numpy())
    assert not any(name.startswith("optimizer") for name in arrays)


def test_other_files(tmp_path: Path) -> None:
    model = build_model()
    model.fit(np.ones((8, 4), "float32"), np.ones((8, 2), "float32"), verbose=0, resume=tmp_path / "run")
    checkpoint = next((tmp_path / "run").iterdir())
    summary = inspect_model(checkpoint)
    assert summary.kind == "checkpoint"
    assert summary.training == {"epoch": 1, "done": 0, "updates": 1, "stopped": False}
    assert summary.parameters == 35
    model.save_weights(tmp_path / "w.weights.h5")
    assert inspect_model(tmp_path / "w.weights.h5").kind == "weights"
    model.save_weights(tmp_path / "w.npz")
    assert inspect_model(tmp_path / "w.npz").parameters == 35
    (tmp_path / "w.txt").write_text("")
    with pytest.raises(ValueError, match="end in"):
        inspect_model(tmp_path / "w.txt")
    with pytest.raises(FileNotFoundError):
        inspect_model(tmp_path / "nothing.keras")


def test_damage(path: Path, tmp_path: Path) -> None:
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        index = archive.getinfo("model.weights.h5").header_offset
    data[index + 5000] ^= 1
    path.write_bytes(data)
    assert "CRC" in verify_model(path)[0]
    assert verify_model(tmp_path / "nothing.keras")
    huge = tmp_path / "huge.weights.h5"
    with h5py.File(huge, "w") as store:
        store.create_dataset("layers/dense/vars/0", (1 << 20, 1 << 20), "float32", chunks=(1, 1 << 18))
    assert "much larger than its stored bytes" in verify_model(huge)[0]
    with h5py.File(huge, "w") as store:
        store.create_group("a")["back"] = store["/"]
    assert verify_model(huge) == []  # a circle, and nothing in it


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_weights_by_name(ending: str, tmp_path: Path) -> None:
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    model, other = build_model(), build_model()
    file = tmp_path / f"weights{ending}"
    model.save_weights(file)
    for variable in other.weights:
        variable.assign(variable.numpy() + 1)
    other.load_weights(file)
    for mine, theirs in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(FileExistsError):
        model.save_weights(file, overwrite=False)
    small = hb.Sequential([hb.Input((4,)), layers.Dense(3, name="first")])
    before = small.get_weights()
    with pytest.raises(ModelFileError, match="no weight of the model uses it"):
        small.load_weights(file)
    small.load_weights(file, skip_mismatch=True, names=lambda path: f"inner/{path}")
    assert not np.array_equal(before[0], small.get_weights()[0])


@pytest.mark.parametrize("ending", [".npz", ".safetensors"])
def test_a_map_of_names(ending: str, tmp_path: Path) -> None:
    if ending == ".safetensors":
        pytest.importorskip("safetensors")
    weight = np.arange(12, dtype="float32").reshape(3, 4)
    source = hb.Sequential([hb.Input((4,)), layers.Dense(3, name="fc")])
    source.set_weights([weight.T, np.zeros(3)])
    file = tmp_path / f"torch{ending}"
    source.save_weights(file, names={"fc/kernel": "fc.weight", "fc/bias": "fc.bias"})
    model = hb.Sequential([hb.Input((3,)), layers.Dense(4, use_bias=False, name="dense")])
    with pytest.raises(ModelFileError, match="no weight of the model uses it"):
        model.load_weights(file, names={"dense/kernel": ("fc.weight", np.transpose)})
    model.load_weights(file, names={"dense/kernel": ("fc.weight", np.transpose)}, skip_mismatch=True)
    np.testing.assert_array_equal(model.get_weights()[0], weight)
    with pytest.raises(ModelFileError, match="shape"):
        model.load_weights(file, names={"dense/kernel": "fc.weight"})
    with pytest.raises(ValueError, match="names= is for"):
        model.save_weights(tmp_path / "x.weights.h5", names={})


def test_half_floats(tmp_path: Path) -> None:
    model = hb.Sequential([hb.Input((3,)), layers.Dense(4, dtype="bfloat16")])
    for ending in (".npz", ".weights.h5"):
        model.save_weights(tmp_path / f"x{ending}")
        before = model.get_weights()
        model.load_weights(tmp_path / f"x{ending}")
        np.testing.assert_array_equal(before[0], model.get_weights()[0])


def test_objects_in_npz_are_never_unpickled(tmp_path: Path) -> None:
    model = hb.Sequential([hb.Input((3,)), layers.Dense(1, use_bias=False, name="d")])

    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "bang"),)

    np.savez(tmp_path / "bad.npz", **{"d/kernel": np.array([Bomb()], object)})
    with pytest.raises(ModelFileError, match="pickled objects"):
        model.load_weights(tmp_path / "bad.npz")
    assert not (tmp_path / "bang").exists()
    (tmp_path / "bad.npz").write_bytes(b"PK nonsense")
    with pytest.raises(ModelFileError, match="not a zip file"):
        model.load_weights(tmp_path / "bad.npz")


def test_the_command_line(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(path)]) == 0
    assert "35 parameters" in capsys.readouterr().out
    assert main(["verify", str(path)]) == 0
    assert main(["convert", str(path), str(tmp_path / "w.npz")]) == 0
    assert main(["convert", str(path), str(tmp_path / "again.keras")]) == 0
    assert main(["convert", str(path), str(tmp_path / "again.keras")]) == 1
    assert main(["convert", str(path), str(tmp_path / "again.keras"), "--overwrite"]) == 0
    assert verify_model(tmp_path / "again.keras") == []
    path.write_bytes(path.read_bytes()[:-30])
    capsys.readouterr()
    assert main(["verify", str(path), str(tmp_path / "w.npz")]) == 1
    output = capsys.readouterr().out
    assert "model.keras: damaged" in output
    assert "w.npz: good" in output
    assert main(["inspect", str(path)]) == 1
    assert main(["convert", str(path), str(tmp_path / "other.keras")]) == 1
